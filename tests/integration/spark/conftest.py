"""One Spark session for all of these tests: in the environment of `make spark` (`make spark-test`), elsewhere they skip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

JAR: Final = Path("/usr/share/java/postgresql.jar")
"""Debian's JDBC driver; where it is absent, only what is handed over as files is tested."""
MASTER: Final = os.environ.get("SPARK_TEST_MASTER", "local[2]")
_QUICK: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give the session: little is computed, so what costs is planning, and Java's and Spark's compilers pay for nothing."""
    pytest.importorskip("pyspark", reason="pyspark is not in this environment: `make spark-test` runs these in their own")
    from detektor_pipelines.engine.spark import spark_session

    settings = Settings(home=tmp_path_factory.mktemp("spark-home"), spark_master=MASTER, spark_jdbc_jar=JAR if JAR.is_file() else None)
    quick = {
        "spark__driver__extraJavaOptions": _QUICK,
        "spark__executor__extraJavaOptions": _QUICK,
        "spark__driver__memory": "2g",
        "spark__executor__memory": "2g",
        "spark__sql__shuffle__partitions": "2",
        "spark__default__parallelism": "2",
        "spark__sql__adaptive__enabled": "false",
        "spark__sql__codegen__wholeStage": "false",
        "spark__sql__codegen__factoryMode": "NO_CODEGEN",
    }
    with spark_session(settings, **quick) as session:
        yield session
