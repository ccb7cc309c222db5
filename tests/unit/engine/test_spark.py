"""What Spark is asked, and what a person is told where it cannot run. That it gives the same rows: tests/integration/spark."""

from __future__ import annotations

import sys
from itertools import product
from typing import TYPE_CHECKING

import pytest
from support.engine_cases import ORIGIN, everything, picking

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import SPARK, Span, states_relations, states_sql
from detektor_pipelines.engine.spark import jdbc_options, spark_session
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have pyspark, and JAVA_HOME in a directory of this test's."""
    monkeypatch.setattr("detektor_pipelines.engine.spark._pyspark", lambda: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    (tmp_path / "java/bin").mkdir(parents=True)
    return tmp_path / "java/bin/java"


def refused(settings: Settings) -> UserError:
    with pytest.raises(UserError) as caught, spark_session(settings):
        pass
    return caught.value


@pytest.mark.parametrize("view", [everything((days(1), days(7))), picking((days(1),))], ids=lambda view: view.name)
def test_the_relations_are_the_text_in_its_parts(view) -> None:
    for form, late, revised in product(("served", "known_now"), (False, True), (False, True)):
        span = Span(ORIGIN, ORIGIN + DAY)
        relations, final = states_relations(plan(view), span, form=form, late=late, revised=revised, dialect=SPARK)
        whole = states_sql(plan(view), span, form=form, late=late, revised=revised, dialect=SPARK)
        assert whole == "WITH " + ",\n".join(f"{name} AS ({text})" for name, text in relations.items()) + "\n" + final
        for word in ("generate_series", "HUGEINT", "//", "array_agg", '"'):
            assert word not in whole


def test_without_pyspark_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "pyspark.sql", raising=False)
    told = refused(settings)
    assert told.what == "Spark is not installed in this environment."
    assert "make spark" in (told.fix or "")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "Spark needs Java, and there is none."),
        ("echo 'cannot execute' >&2; exit 1", "Spark needs Java, and there is none."),
        ("""echo 'openjdk version "11.0.13" 2021-10-19' >&2""", "Spark needs Java 17 or later, and this is 11."),
        ("""echo 'java version "1.8.0_292"' >&2""", "Spark needs Java 17 or later, and this is 8."),
    ],
)
def test_java_is_asked_for_its_version_first(installed: Path, settings: Settings, script: str | None, said: str) -> None:
    if script:
        installed.write_text(f"#!/bin/sh\n{script}\n")
        installed.chmod(0o755)
    told = refused(settings)
    assert told.what == said
    assert told.where == str(installed)
    assert "openjdk-17" in (told.fix or "")


def test_a_driver_that_is_not_there_is_named(installed: Path, tmp_path: Path) -> None:
    installed.write_text("""#!/bin/sh\necho 'openjdk version "21"' >&2\n""")
    installed.chmod(0o755)
    told = refused(Settings(home=tmp_path, spark_jdbc_jar=tmp_path / "postgresql.jar"))
    assert told.what == "There is no JDBC driver."
    assert told.where == f"DETEKTOR_SPARK_JDBC_JAR={tmp_path}/postgresql.jar"


def test_executors_log_in_as_this_process_does(tmp_path: Path) -> None:
    url = "postgresql://me:s%2Fcret@db.example:5433/log?sslmode=verify-full&sslrootcert=/ca.pem"
    assert jdbc_options(Settings(home=tmp_path, external_postgres_url=url)) == {
        "url": "jdbc:postgresql://db.example:5433/log",
        "driver": "org.postgresql.Driver",
        "user": "me",
        "password": "s/cret",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "fetchsize": "10000",
    }
