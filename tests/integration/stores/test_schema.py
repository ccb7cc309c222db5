from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic import command
from pydantic import SecretStr

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.events import CATEGORIES, MEASURES
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.stack.servers.embedded import PostgresServer

COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'ml_learning' AND table_name = 'agent_events' ORDER BY ordinal_position
"""


def test_the_columns_of_agent_events_are_those_declared(database: Settings) -> None:
    with connect(database) as connection:
        columns = connection.execute(COLUMNS).fetchall()
    names = [name for name, _ in columns]
    first_measure = names.index(next(iter(MEASURES)))
    declared = [*((name, "bigint") for name in MEASURES), *((name, "text") for name in CATEGORIES)]
    assert columns[first_measure:] == [*declared, ("extra", "jsonb")]


def test_a_second_migration_is_harmless_and_leaves_dagsters_and_mlflows_versions_alone(database: Settings) -> None:
    migrate(database)
    with connect(database) as connection:
        tables = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'alembic_version'").fetchall()
    assert tables == [("ml_learning",)]


def test_tables_that_are_up_to_date_are_found_so_without_alembic(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "asked Alembic"
        raise RuntimeError(message)

    monkeypatch.setattr(command, "upgrade", refuse)
    migrate(database)
    for unknown in ("0001", None):
        with connect(database) as connection:
            connection.execute("DELETE FROM ml_learning.alembic_version")
            if unknown:
                connection.execute("INSERT INTO ml_learning.alembic_version VALUES (%s)", (unknown,))
        with pytest.raises(RuntimeError, match="asked Alembic"):
            migrate(database)


def test_four_processes_may_migrate_at_once(postgres_server: PostgresServer, tmp_path: Path) -> None:
    postgres_server.sql("CREATE DATABASE together TEMPLATE template0")
    settings = Settings(home=tmp_path, external_postgres_url=postgres_server.dsn("together"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(settings), range(4)))
    with connect(settings) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.alembic_version").fetchone() == (1,)


def test_a_server_that_is_down_says_how_to_start_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_port=1)
    with pytest.raises(UserError, match="PostgreSQL does not answer") as caught:
        migrate(settings)
    assert caught.value.where == "PostgreSQL at 127.0.0.1:1, database detektor"
    assert caught.value.fix == "Run `detektor up`."


def test_a_wrong_password_and_a_missing_database_are_named(database: Settings, tmp_path: Path) -> None:
    url = database.postgres_dsn
    wrong = Settings(home=tmp_path, external_postgres_url=url.replace(":throw-away@", ":nonsense@"))
    with pytest.raises(UserError, match="refuses the password"), connect(wrong):
        pass
    for password in ("", "nonsense"):  # nobody named a server: somebody else's answers where this home's would
        others = Settings(
            home=tmp_path, external_postgres_url=None, postgres_port=database.postgres_port, postgres_password=SecretStr(password)
        )
        with pytest.raises(UserError, match="not this home's PostgreSQL") as caught, connect(others):
            pass
        assert "detektor up --free-ports" in (caught.value.fix or "")
    absent = Settings(home=tmp_path, external_postgres_url=url.rpartition("/")[0] + "/nowhere")
    with pytest.raises(UserError, match="database does not exist"), connect(absent):
        pass
