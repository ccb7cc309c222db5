"""PostgreSQL servers as other people run them: their settings change nothing, and what they refuse is said plainly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest
from support import own_servers
from support.log_rows import insert
from support.rule_log import run, stale, stored
from support.rule_views import happened, view_of

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days, event, last, total
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import checks, lifecycle
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.servers import pooler, postgres
from detektor_pipelines.stores.connections import PostgresAwayError, connect, connect_arrow
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.stack.servers import embedded

SHOWN = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "search_path": "public",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "client_min_messages": "warning",
}
ASK = "SELECT " + " || '|' || ".join(f"current_setting('{name}')" for name in SHOWN)
NAMES = ("zeta", "a-c", "ab", "a-b", "abc", "b")
VIEW = view_of(
    number=(count(), days(1)),
    issues=(total(event.issues_found), days(7)),
    latest=(last(event.occurred_at), days(1)),
    name="own_server_features",
)


@pytest.fixture(scope="module")
def other(postgres_server: embedded.PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Return settings of a plain role's database where everything is set otherwise, brought up to date by us."""
    url = own_servers.database_of_a_plain_role(postgres_server, "others", own_servers.OTHER_SETTINGS)
    settings = Settings(home=tmp_path_factory.mktemp("home"), external_postgres_url=url)
    migrate(settings)
    yield settings
    own_servers.drop_database(postgres_server, "others")


def by_psycopg(settings: Settings) -> str:
    with connect(settings) as connection:
        return str((connection.execute(ASK).fetchone() or ("",))[0])


def by_adbc(settings: Settings) -> str:
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        cursor.execute(ASK)
        return str((cursor.fetchone() or ("",))[0])


def by_feasts_adbc(settings: Settings) -> str:
    from detektor_pipelines.stores.feast.labels import fetch

    return str(fetch(settings.external_postgres_url or "", f"{ASK} AS said").column("said")[0].as_py())


def by_psql(settings: Settings) -> str:
    return postgres.run_sql(settings.postgres_dsn, ASK).strip()


def by_sqlalchemy(settings: Settings, driver: str, schema: str) -> str:
    from sqlalchemy import NullPool, create_engine, text

    with create_engine(settings.sqlalchemy_url(schema, driver), poolclass=NullPool).connect() as connection:
        return str(connection.scalar(text(ASK)))


def test_every_setting_that_we_rely_on_is_another_there() -> None:
    assert {name.lower() for name in own_servers.OTHER_SETTINGS} == set(sessions.ALWAYS) == {name.lower() for name in SHOWN}


@pytest.mark.parametrize("ask", [by_psycopg, by_adbc, by_feasts_adbc, by_psql])
def test_what_a_server_sets_otherwise_is_set_by_us(other: Settings, ask: Any) -> None:
    assert dict(zip(SHOWN, ask(other).split("|"), strict=True)) == SHOWN


@pytest.mark.parametrize(("driver", "schema"), [("psycopg2", "dagster"), ("psycopg2", "mlflow"), ("psycopg", "feast")])
def test_the_programs_beside_us_have_it_too(other: Settings, driver: str, schema: str) -> None:
    assert dict(zip(SHOWN, by_sqlalchemy(other, driver, schema).split("|"), strict=True)) == {**SHOWN, "search_path": schema}


def test_values_are_the_same_there(other: Settings, database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-12T00:00:00Z")
    events = [
        happened(f"2026-03-0{day} {hour:02d}:30", event_id=f"{chr(0xC4 + hour)}{name} {day}", project=name, issues_found=day * hour)
        for day in range(5, 9)
        for hour, name in enumerate(NAMES)
    ]
    found = []
    for settings in (other, database):
        with connect_arrow(settings) as connection:
            ensure_months(connection, {"2026-03"})
        insert(settings, events)
        run(settings, VIEW, "2026-03-05", "2026-03-11")
        assert stale(settings, VIEW) == []
        found.append(sorted(stored(settings, VIEW), key=repr))
    assert found[0] == found[1]
    assert {row["agent_id"] for row in found[0]} >= {f"code-reviewer@{name}" for name in NAMES}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_dagsters_daemon_beats_there(other: Settings) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    from detektor_pipelines.orchestration.instance import persistent_instance

    now = time.time()
    with persistent_instance(other) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(timestamp=now, daemon_type="SENSOR", daemon_id="one", errors=[]))
        assert instance.get_daemon_heartbeats()["SENSOR"].timestamp == pytest.approx(now, abs=1)
    # What `detektor up` waits for, and what the watchdog looks at
    beats = dagster_servers._BEATS.format(started=int(now) - 1)
    assert postgres.run_sql(other.postgres_dsn, beats).strip() == "1"


def of(server: embedded.PostgresServer, user: str = "detektor", database: str = "detektor", port: int | None = None) -> Settings:
    return Settings(
        external_postgres_url=f"postgresql://{quote(user)}:throw-away@{server.login.host}:{port or server.login.port}/{quote(database)}"
    )


def said(settings: Settings) -> list[str]:
    """What a person reads when connecting fails: of our own connection, of `detektor up` by psql, of `detektor status` and `doctor`."""
    found = []
    for ask in (lambda: connect(settings).__enter__(), lambda: postgres.run_sql(settings.postgres_dsn, "SELECT 1")):
        with pytest.raises(UserError) as caught:
            ask()
        found.append(caught.value)
    service = lifecycle.status(settings)["postgres"]
    assert service.state == "unreachable"
    assert service.why is not None
    checked = checks._server(settings, service)
    assert checked.result == "failed"
    assert checked.fix == service.why.fix
    assert len({(each.what, each.fix) for each in (*found, service.why)}) == 1, [*found, service.why]
    return [found[0].what, found[0].fix or ""]


def test_a_connection_limit_is_called_one(postgres_server: embedded.PostgresServer) -> None:
    url = own_servers.database_of_a_plain_role(postgres_server, "limited", {})
    try:
        postgres_server.sql("ALTER ROLE limited CONNECTION LIMIT 1")
        with psycopg.connect(url):
            what, fix = said(of(postgres_server, "limited", "limited"))
        assert "as many connections" in what
        assert fix.startswith("ALTER ROLE limited CONNECTION LIMIT")
        postgres_server.sql("ALTER ROLE limited CONNECTION LIMIT -1; ALTER DATABASE limited CONNECTION LIMIT 0;")
        what, fix = said(of(postgres_server, "limited", "limited"))
        assert "The database has as many connections" in what
        postgres_server.sql("ALTER DATABASE limited CONNECTION LIMIT -1; ALTER DATABASE limited ALLOW_CONNECTIONS false;")
        assert said(of(postgres_server, "limited", "limited"))[1] == "ALTER DATABASE limited ALLOW_CONNECTIONS true"
        postgres_server.sql("ALTER DATABASE limited ALLOW_CONNECTIONS true; REVOKE CONNECT ON DATABASE limited FROM PUBLIC, limited")
        assert said(of(postgres_server, "limited", "limited"))[1] == "GRANT CONNECT, CREATE ON DATABASE limited TO limited"
        postgres_server.sql("ALTER ROLE limited NOLOGIN")
        assert said(of(postgres_server, "limited", "limited"))[1] == "ALTER ROLE limited LOGIN"
    finally:
        own_servers.drop_database(postgres_server, "limited")


def test_a_database_that_is_not_there_and_a_user_that_is_not(postgres_server: embedded.PostgresServer) -> None:
    what, fix = said(of(postgres_server, database="nowhere"))
    assert what == "The database does not exist."
    assert "CREATE DATABASE nowhere OWNER detektor" in fix
    assert said(of(postgres_server, user="nobody"))[0] in {"PostgreSQL refuses this user.", "PostgreSQL refuses the password."}


@pytest.mark.parametrize(
    ("words", "what", "away"),
    [
        ("FATAL:  the database system is starting up", "starting up", True),
        ("FATAL:  the database system is not accepting connections", "starting up", True),
        ("FATAL:  sorry, too many clients already", "no connection left", False),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "no connection left", False),
        ('FATAL:  no pg_hba.conf entry for host "10.1.2.3", user "me", database "x", no encryption', r"pg_hba\.conf", False),
        ('FATAL:  pg_hba.conf rejects connection for host "10.1.2.3", user "me", database "x", no encryption', r"pg_hba\.conf", False),
        ("FATAL:  unsupported startup parameter: options", "pooler", False),
        ("FATAL:  unsupported startup parameter in options: search_path", "pooler", False),
        ("FATAL:  no more connections allowed (max_client_conn)", "pooler", False),
        ('FATAL:  unrecognized configuration parameter "idle_session_timeout"', "too old", False),
        ("SCHWERWIEGEND:  Passwort-Authentifizierung für Benutzer »me« fehlgeschlagen", "in its own words", False),
    ],
)
def test_each_refusal_has_words_of_its_own(postgres_server: embedded.PostgresServer, words: str, what: str, *, away: bool) -> None:
    with own_servers.saying(words) as port:
        settings = of(postgres_server, port=port)
        with pytest.raises(UserError, match=what) as caught, connect(settings):
            pass
        found = pooler.refusal(settings)
    assert isinstance(caught.value, PostgresAwayError) == away
    assert words.partition(":  ")[2][:30] in (caught.value.where or "")
    assert found is not None
    assert (found.what, found.fix) == (caught.value.what, caught.value.fix)


def test_a_pooler_that_drops_options_is_seen_before_anything_is_made(postgres_server: embedded.PostgresServer) -> None:
    own_servers.database_of_a_plain_role(postgres_server, "pooled", {})
    try:
        with own_servers.dropping_options(postgres_server) as port:
            settings = of(postgres_server, "pooled", "pooled", port)
            finish = lifecycle.PROGRAMS["postgres"].finish
            assert finish is not None
            for begin in (migrate, finish, _open_dagsters_storage):
                with pytest.raises(UserError, match="connection pooler"):
                    begin(settings)
            service = lifecycle.status(settings)["postgres"]
            assert service.why is not None
            assert "PostgreSQL's own address" in checks._server(settings, service).fix
        made = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ml_learning', 'feast', 'dagster', 'mlflow')"
        assert postgres_server.sql(made, "pooled").strip() == "0"
    finally:
        own_servers.drop_database(postgres_server, "pooled")


def test_a_session_whose_zone_was_dropped_reads_and_writes_nothing(postgres_server: embedded.PostgresServer) -> None:
    own_servers.database_of_a_plain_role(postgres_server, "pooled", {"TimeZone": "America/New_York"})
    try:
        with (
            own_servers.dropping_options(postgres_server) as port,
            pytest.raises(UserError, match="connection pooler"),
            connect(of(postgres_server, "pooled", "pooled", port)),
        ):
            pass
    finally:
        own_servers.drop_database(postgres_server, "pooled")


def test_two_sessions_that_are_one_are_seen(postgres_server: embedded.PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = of(postgres_server)
    assert pooler.refusal(settings) is None
    real = psycopg.connect(sessions.changed(settings.postgres_dsn, {"search_path": "detektor_looks"}), autocommit=True)

    class Lent:
        """Gives everybody the same session, as a pool of transactions does."""

        def __enter__(self) -> psycopg.Connection:
            return real

        def __exit__(self, *_: object) -> None:
            """Keep it."""

    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: Lent())
    found = pooler.refusal(settings)
    real.close()
    assert found is not None
    assert "connection pooler" in found.what


def _open_dagsters_storage(settings: Settings) -> None:
    from detektor_pipelines.orchestration.storage import _prepare

    _prepare(settings.sqlalchemy_url("dagster"))


def test_libpqs_variable_for_encryption_and_its_service_mean_what_they_mean_elsewhere(
    postgres_server: embedded.PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = of(postgres_server)
    monkeypatch.setenv("PGSSLMODE", "require")
    with pytest.raises(UserError) as caught, connect(settings):
        pass
    assert "SSL" in str(caught.value)
    monkeypatch.setenv("PGSSLMODE", "disable")
    login = postgres_server.login
    (tmp_path / "services").write_text(
        f"[ours]\nhost={login.host}\nport={login.port}\nuser={login.user}\npassword={login.password}\ndbname=detektor\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGSERVICE", "ours")
    with connect(Settings(home=tmp_path, external_postgres_url="postgresql://")) as connection:
        assert connection.info.port == login.port


def test_libpqs_variables_do_not_go_before_what_we_rely_on(other: Settings) -> None:
    code = f"""
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stack.servers import postgres
settings = Settings()
for opened in (connect, connect_arrow):
    with opened(settings) as connection, connection.cursor() as cursor:
        cursor.execute({ASK!r})
        print(cursor.fetchone()[0])
print(postgres.run_sql(settings.postgres_dsn, {ASK!r}), end="")
"""
    variables = {"PGTZ": "Asia/Tokyo", "PGDATESTYLE": "SQL", "PGCLIENTENCODING": "LATIN1", "PGOPTIONS": "-c search_path=x", "PGHOST": "no"}
    given = os.environ | variables | {"DETEKTOR_EXTERNAL_POSTGRES_URL": other.external_postgres_url or ""}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["|".join(SHOWN.values())] * 3, done.stderr
