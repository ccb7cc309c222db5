from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings, origins

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://me:p%40ss@db:5433/features"


def test_what_we_rely_on_goes_before_what_the_url_says() -> None:
    asked = f"{URL}?sslmode=require&options=-c%20DateStyle%3DGerman%20--statement-timeout%3D5s%20-c%20work_mem%3D64MB%20--cluster%3Dx"
    found = sessions.set_in(sessions.fixed(asked))
    assert found == {**sessions.ALWAYS, "work_mem": "64MB", "cluster": "x"}
    assert sessions.without(sessions.fixed(asked)) == f"{URL}?sslmode=require"


def test_doing_it_again_changes_nothing_and_a_later_wish_stays() -> None:
    wished = sessions.changed(sessions.fixed(URL), {"search_path": "dagster", "statement_timeout": "60s"})
    assert sessions.fixed(sessions.fixed(URL)) == sessions.fixed(URL)
    assert sessions.set_in(wished) == {**sessions.ALWAYS, "search_path": "dagster", "statement_timeout": "60s"}


def test_switches_that_set_nothing_stay() -> None:
    kept = sessions.fixed(f"{URL}?options=-B%20-c%20geqo%3Doff")
    assert "options=-B%20" in kept
    assert sessions.set_in(kept)["geqo"] == "off"


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8})?", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
    )
)
def test_any_value_comes_back_and_drivers_read_the_url(settings: dict[str, str]) -> None:
    url = sessions.changed(URL, settings)
    assert sessions.set_in(url) == settings
    read = psycopg.conninfo.conninfo_to_dict(url)
    assert (read["host"], read["port"], read["user"], read["password"], read["dbname"]) == ("db", "5433", "me", "p@ss", "features")


VARIABLES = {"PGHOST": "elsewhere", "PGPORT": "6001", "PGUSER": "she", "PGDATABASE": "hers"}


def test_what_a_url_leaves_out_is_what_libpq_takes_it_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert sessions.without(Settings(external_postgres_url="postgresql://").postgres_dsn) == "postgresql://she@elsewhere:6001/hers"
    assert sessions.without(Settings(external_postgres_url="postgresql://me@db/x").postgres_dsn) == "postgresql://me@db:6001/x"


def test_the_embedded_server_is_reached_whatever_libpqs_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings().postgres_dsn
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert Settings().postgres_dsn == before
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    read = psycopg.conninfo.conninfo_to_dict(Settings().postgres_dsn)
    assert (read["hostaddr"], read["sslmode"]) == ("127.0.0.1", "disable")


def test_a_service_fills_what_the_url_leaves_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "services"
    file.write_text("[ours]\nhost=db9\nport=6002\nuser=service\npassword=s=%1\ndbname=store\n[other]\nhost=no\n", encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGSERVICE", "other")
    monkeypatch.setenv("PGHOST", "elsewhere")
    settings = Settings(external_postgres_url="postgresql://me@/?service=ours")
    assert (settings.postgres_host, settings.postgres_port, settings.postgres_user, settings.postgres_database) == (
        "db9",
        6002,
        "me",
        "store",
    )
    assert settings.postgres_password is not None
    assert settings.postgres_password.get_secret_value() == "s=%1"
    with pytest.raises(UserError, match="'absent' is not defined"):
        Settings(external_postgres_url="postgresql://?service=absent")


def test_a_sockets_directory_is_a_host() -> None:
    settings = Settings(external_postgres_url="postgresql://me@/x?host=/run/postgresql")
    assert psycopg.conninfo.conninfo_to_dict(settings.postgres_dsn)["host"] == "/run/postgresql"


def test_doctor_says_where_each_value_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "services").write_text("[ours]\nuser=service\n", encoding="utf-8")
    for name, value in {
        "PGSERVICEFILE": f"{tmp_path}/services",
        "PGSERVICE": "ours",
        "PGPORT": "6001",
        "PGPASSWORD": "s3",
        "PGTZ": "x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", "postgresql://db/")
    found = origins(Settings(external_redis_url="redis://:r3@cache/2"))
    assert {name: found[f"DETEKTOR_POSTGRES_{name}"]["from"] for name in ("HOST", "PORT", "USER", "DATABASE")} == {
        "HOST": "DETEKTOR_EXTERNAL_POSTGRES_URL",
        "PORT": "environment (PGPORT)",
        "USER": "service of libpq",
        "DATABASE": "default (detektor)",
    }
    assert found["DETEKTOR_REDIS_HOST"] == {"value": "cache", "from": "DETEKTOR_EXTERNAL_REDIS_URL"}
    assert found["PGPORT"]["from"] == "environment, as libpq takes it"
    assert found["PGPASSWORD"]["value"] == "(hidden)"
    assert found["PGTZ"]["from"].startswith("environment, without effect")
    monkeypatch.delenv("DETEKTOR_EXTERNAL_POSTGRES_URL")
    found = origins(Settings())
    assert found["PGPORT"]["from"] == "environment, without effect: PostgreSQL is the platform's own"
    assert found["DETEKTOR_POSTGRES_PORT"]["from"] == "default"
    assert "s3" not in str(found)
