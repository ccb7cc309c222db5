"""Each program of `detektor up` logs in as itself, and can do what it is for and nothing else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
import redis
from support import waiting

from detektor_pipelines import stack
from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.erasure import retention
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.orchestration.retention import apply_retention
from detektor_pipelines.recovery import contents
from detektor_pipelines.recovery.create import create
from detektor_pipelines.recovery.target import Target
from detektor_pipelines.settings import LOGINS_DIRECTORY, Settings, get_settings
from detektor_pipelines.stack import binaries, survivors
from detektor_pipelines.stack.checks import all_checks
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import access, postgres
from detektor_pipelines.stores.offline.row_tables import ensure_tables, row_table
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack import StackStatus

STARTED = ("postgres", "redis", "stream", "serve", "exporter")
VIEW = view_named("code_review_features")
DAY = date(2026, 3, 5)
DETEKTOR = Path(sys.executable).parent / "detektor"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackStatus]:
    """Return a stack with an event and the tables; ended after the last test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("DETEKTOR_", "PG"))]:
            patch.delenv(name)
        patch.setenv("DETEKTOR_HOME", str(tmp_path_factory.mktemp("logins") / "home"))
        get_settings.cache_clear()
        settings = stack.up(get_settings(), ("postgres", "redis"), free_ports=True).settings
        migrate(settings)
        append(settings, [review("first", DAY)])
        try:
            yield stack.up(settings, STARTED, free_ports=True)
        finally:
            stack.down(settings)
            get_settings.cache_clear()
    assert survivors.find(settings) == []


def review(event_id: str, day: date) -> AgentEvent:
    instant = parse_instant(f"{day}T10:00:00Z")
    said = {"verdict": "approved"}
    return AgentEvent(event_id, "code-reviewer", "reviewer", "review", instant, "test", "cli", known_at=instant, categories=said)


eventually = partial(waiting.eventually, seconds=30)


def sessions(settings: Settings) -> set[tuple[str, str]]:
    """Return who is connected, and what each says that it is."""
    text = postgres.run_sql(settings.postgres_dsn, "SELECT usename, application_name FROM pg_stat_activity WHERE datname IS NOT NULL")
    return {(user, name) for user, _, name in (line.partition("|") for line in text.splitlines())}


def refused(settings: Settings, *statements: str) -> list[str]:
    """Those of the statements that the login may carry out after all."""
    allowed = []
    for statement in statements:
        try:
            with psycopg.connect(settings.postgres_dsn) as connection:
                connection.execute(statement)
                connection.rollback()
        except psycopg.errors.InsufficientPrivilege:
            continue
        allowed.append(statement)
    return allowed


def test_each_programs_sessions_are_its_own(running: StackStatus) -> None:
    settings = running.settings
    wanted = {("detektor_login_stream", "detektor stream"), ("detektor_login_exporter", "detektor exporter")}
    assert eventually(lambda: wanted <= sessions(settings)), sessions(settings)
    assert {user for user, name in sessions(settings) if name.startswith("detektor ")} == {user for user, _ in wanted}
    with redis.Redis.from_url(settings.redis_url) as client:
        users = {"detektor_login_stream", "detektor_login_serve", "detektor_login_exporter"}
        assert eventually(lambda: users <= {each["user"] for each in client.client_list()})
    assert {each.name: each.login for each in running.services if each.login} == {
        "stream": "detektor_login_stream",
        "serve": "detektor_login_serve",
        "exporter": "detektor_login_exporter",
    }
    (said,) = (check for check in all_checks(settings) if check.name == "logins")
    assert (said.result, said.found) == ("ok", "each its own: stream, serve, exporter")


def test_every_program_that_asks_a_server_has_a_login() -> None:
    asking = {name for name, program in PROGRAMS.items() if {"postgres", "redis"} & {*program.needs}}
    assert asking | {"watchdog"} == {*access.PROGRAMS}


def test_passwords_are_in_private_files_and_nowhere_else(running: StackStatus) -> None:
    settings = running.settings
    directory = settings.home / LOGINS_DIRECTORY
    files = {file.name: file.read_text().strip() for file in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert len({*files.values()}) == len(files) >= 2 * len(STARTED)
    shown = []
    for pid in survivors.find(settings):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's processes come and go
            process = psutil.Process(pid)
            shown.append(" ".join([*process.cmdline(), *process.environ().values()]))
    assert len(shown) > len(STARTED)
    assert [name for name, password in files.items() if any(password in text for text in shown)] == []
    logs = "".join(file.read_text(errors="replace") for file in (settings.home / "logs").iterdir())
    assert [name for name, password in files.items() if password in logs] == []


def test_the_owners_password_in_the_environment_of_up_reaches_no_program(running: StackStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.stack import supervisor

    monkeypatch.setenv("DETEKTOR_POSTGRES_PASSWORD", "the-owners")
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD", "the-owners-too")
    for name in access.PROGRAMS.keys() & PROGRAMS.keys():
        entry = str(supervisor._entry(running.settings, PROGRAMS[name], 1)["environment"])
        assert "the-owners" not in entry, name
        assert 'DETEKTOR_POSTGRES_PASSWORD=""' in entry, name


def test_no_tool_sees_what_is_not_its_own(running: StackStatus) -> None:
    events, rows = "SELECT * FROM ml_learning.agent_events", f'SELECT * FROM feast."{row_table(VIEW)}"'
    ensure_tables(running.settings, [VIEW])
    for login in ("mlflow", "dagster", "dagster-daemon"):
        assert refused(running.settings.as_login(login), events, rows, "CREATE TABLE feast.mine (a int)", "CREATE ROLE another") == []
    writes = (
        "DELETE FROM ml_learning.agent_events",
        "UPDATE ml_learning.predictions SET probability = 1",
        "CREATE TABLE feast.mine (a int)",
    )
    for login in ("stream", "serve", "exporter", "dagster-code", "backup", "watchdog"):
        assert (
            refused(running.settings.as_login(login), *writes, f'DELETE FROM feast."{row_table(VIEW)}"', "CREATE TABLE mlflow.mine (a int)")
            == []
        )
    assert refused(running.settings.as_login("serve"), events, "SELECT * FROM pg_authid") == []
    assert refused(running.settings.as_login("registry"), events) == []


@pytest.mark.parametrize(("schema", "login"), [("dagster", "dagster-code"), ("mlflow", "mlflow"), ("feast", "registry")])
def test_a_tools_tables_belong_to_the_tool_whoever_made_them(running: StackStatus, schema: str, login: str) -> None:
    """Such as those of an earlier release, whose programs were all the owner."""
    settings = running.settings
    postgres.run_sql(
        settings.postgres_dsn, f"CREATE TABLE {schema}.older (id serial PRIMARY KEY); INSERT INTO {schema}.older DEFAULT VALUES"
    )
    stack.up(settings, ("postgres",))
    mine = settings.as_login(login)
    with psycopg.connect(mine.sqlalchemy_url(schema).replace("+psycopg2", "")) as connection:
        connection.execute("ALTER TABLE older ADD COLUMN more text")
        connection.execute("INSERT INTO older (more) VALUES ('x')")
        connection.execute("CREATE TABLE newer (id serial PRIMARY KEY)")
    with psycopg.connect(settings.as_login("admin").postgres_dsn) as connection:
        connection.execute(f"DELETE FROM {schema}.newer")
    other = {"dagster": "dagster", "feast": "serve"}.get(schema)
    if other:
        with psycopg.connect(settings.as_login(other).postgres_dsn) as connection:
            connection.execute(f"SELECT * FROM {schema}.newer, {schema}.older")
    postgres.run_sql(settings.postgres_dsn, f"DROP TABLE {schema}.older, {schema}.newer")


def test_the_code_location_makes_the_tables_of_a_view_and_others_go_on_with_them(running: StackStatus) -> None:
    first, second = DECLARED[1], DECLARED[2]
    code = running.settings.as_login("dagster-code")
    ensure_tables(code, [first])
    ensure_tables(running.settings, [second])  # the relation of all views is made anew: by the owner, then by the program
    postgres.run_sql(running.settings.postgres_dsn, f'DROP VIEW feast.agent_features_historical; DROP VIEW feast."{first.name}"')
    ensure_tables(code, [first, second])
    assert postgres.run_sql(
        running.settings.postgres_dsn, "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'feast'::regnamespace"
    ).split() == ["detektor_owns_feast"]
    assert [day.status for day in materialize(code, VIEW, [DAY]).days] == ["published"]
    published = publish_online(code, VIEW)
    assert (published.keys, published.lost) == (2, 0)  # of all projects, and of this one; the stream may have written the same before


def test_retention_and_backup_run_as_who_may(running: StackStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = running.settings
    append(settings, [review("old", date(2025, 1, 5))])
    retention.keep(settings, [VIEW], {"agent_events": 200})
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T12:00:00Z")
    monkeypatch.setenv("DETEKTOR_HOME", str(settings.home))
    with pytest.raises(UserError, match="may not do this"):
        retention.apply(settings.as_login("dagster-code"))
    assert apply_retention(settings.as_login("admin")).execute_in_process().success
    assert postgres.run_sql(settings.postgres_dsn, "SELECT event_id FROM ml_learning.agent_events").split() == ["first"]
    made = create(settings.as_login("backup"), Target(str(tmp_path / "kept")), [])
    with psycopg.connect(settings.postgres_dsn) as connection:
        assert {*made.manifest.tables} == {*contents.tables(connection)}


def test_a_database_restored_without_its_grants_gets_them_back(running: StackStatus, tmp_path: Path) -> None:
    dsn = running.settings.postgres_dsn
    login = postgres.Login(
        running.settings.postgres_user,
        str(running.settings.postgres_password and running.settings.postgres_password.get_secret_value()),
        running.settings.postgres_port,
    )
    words = [binaries.postgres("pg_dump"), "--no-acl", "--no-owner", "-f", str(tmp_path / "dump.sql"), dsn]
    subprocess.run(words, check=True)
    postgres.create_database(login.dsn("postgres"), "restored")
    postgres.run_sql(login.dsn("restored"), (tmp_path / "dump.sql").read_text())
    restored = Settings(home=tmp_path, external_postgres_url=login.dsn("restored"))
    ingests, reads = "'detektor_ingest', 'ml_learning.event_ids', 'INSERT'", "'detektor_read', 'ml_learning.agent_events', 'SELECT'"
    question = f"SELECT has_table_privilege({ingests}), has_table_privilege({reads})"
    assert postgres.run_sql(restored.postgres_dsn, question).strip() == "f|f"
    migrate(restored)
    assert postgres.run_sql(restored.postgres_dsn, question).strip() == "t|t"


def test_env_gives_a_person_a_role(running: StackStatus) -> None:
    environment = os.environ | {"DETEKTOR_HOME": str(running.settings.home)}

    def env(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([DETEKTOR, "env", *words], env=environment, capture_output=True, text=True, check=False)

    given = dict(line.removeprefix("export ").split("=", 1) for line in env("--role", "read").stdout.splitlines())
    assert given["PGUSER"] == given["DETEKTOR_POSTGRES_USER"] == "detektor_login_read"
    read = Settings(home=running.settings.home, external_postgres_url=given["DETEKTOR_POSTGRES_DSN"].strip("'"))
    assert refused(read, "SELECT * FROM ml_learning.agent_events", "DELETE FROM ml_learning.agent_events") == [
        "SELECT * FROM ml_learning.agent_events"
    ]
    with redis.Redis.from_url(given["DETEKTOR_REDIS_URL"].strip("'")) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.set("feast:x", 1)
    assert "There is no role" in env("--role", "nobody").stderr
