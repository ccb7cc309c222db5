"""How the log comes to know its cluster, and who is told what while it does not live where a connection leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.rule_views import AGENT, view_of

from detektor_pipelines.cli_commands.doctor import _log
from detektor_pipelines.cli_commands.status import log as log_section
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language import count, days
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.schema import MIGRATIONS, _locked_connection, migrate
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.stack.servers.embedded import PostgresServer

VIEW = view_of(number=(count(), days(1)))
AT = parse_instant("2026-03-05 10:00")
ADD = """
INSERT INTO ml_learning.agent_events
    (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, source, reader_revision)
VALUES (%s, 1, 'code-reviewer', 'x', 'review', '2026-03-05 10:00+00', '2026-03-05 10:00+00', now(), false, false, 'test', 1)
"""
PUBLISH = """
INSERT INTO ml_learning.partition_state (view, data_hash, partition, snapshot, system_identifier, rows, hash, published_at)
SELECT %s, %s, '2026-03-05', pg_current_snapshot(), system_identifier, 0, 'x', '2026-03-06 01:00+00' FROM pg_control_system()
"""
MOVE = "UPDATE ml_learning.log_cluster SET system_identifier = 1"


@pytest.fixture
def earlier(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Settings]:
    """A log of the revision before anybody kept its cluster: one event, and its day published."""
    postgres_server.sql("CREATE DATABASE earlier TEMPLATE detektor")
    settings = Settings(home=tmp_path, external_postgres_url=postgres_server.dsn("earlier"))
    with _locked_connection(settings) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with connect(settings) as connection:
        partition_log(settings)
        connection.execute(ADD, ["seen"])
    with connect(settings) as connection:
        connection.execute(PUBLISH, [VIEW.name, data_hash(VIEW)])
    yield settings
    postgres_server.sql("DROP DATABASE earlier WITH (FORCE)")


def one(settings: Settings, statement: str) -> Any:
    with psycopg.connect(settings.postgres_dsn) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0] if len(row) == 1 else row


def stale(settings: Settings) -> int:
    with connect(settings) as connection:
        return len(stale_days(connection, VIEW))


def review(event_id: str) -> AgentEvent:
    return AgentEvent(event_id=event_id, agent_type=AGENT, raw_name=AGENT, operation="review", occurred_at=AT, source="test")


def test_a_log_that_exists_lives_where_it_stands(earlier: Settings) -> None:
    migrate(earlier)
    assert stale(earlier) == 0
    assert one(earlier, "SELECT epoch, shift FROM ml_learning.log_cluster") == (1, 0)
    with connect(earlier) as connection:
        connection.execute(ADD, ["late"])
    assert stale(earlier) == 1


@pytest.mark.parametrize(
    "shown_by",
    [
        "UPDATE ml_learning.partition_state SET system_identifier = 1, snapshot = '900000:900000:'",
        "UPDATE ml_learning.agent_events SET xid = '900000'",
    ],
)
def test_of_a_log_that_was_moved_before_its_days_are_computed_again_once(earlier: Settings, shown_by: str) -> None:
    """Whether they know what was added since nobody can tell."""
    with connect(earlier) as connection:
        connection.execute(shown_by)
    migrate(earlier)
    assert stale(earlier) == 1
    with connect(earlier) as connection:
        connection.execute("UPDATE ml_learning.partition_state SET snapshot = ml_learning.log_snapshot()")  # computed again
    assert stale(earlier) == 0
    with connect(earlier) as connection:
        connection.execute(ADD, ["late"])
    assert stale(earlier) == 1


def test_before_there_is_a_table_connections_are_as_they_were(earlier: Settings) -> None:
    with connect(earlier, writes=True) as connection, connect_arrow(earlier, writes=True):
        assert connection.execute("SELECT count(*) FROM ml_learning.agent_events").fetchone() == (1,)


def test_a_connection_has_nothing_under_way_and_its_time_zone(database: Settings) -> None:
    for moved in (False, True):
        if moved:
            with connect(database) as connection:
                connection.execute(MOVE)
        with connect_arrow(database) as arrow, arrow.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # refused when something was asked before
            cursor.execute("SELECT current_setting('timezone')")
            assert cursor.fetchone() == ("UTC",)
        with connect(database) as connection:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert not connection.autocommit


def test_a_live_writer_whose_server_became_another_one_connects_again(database: Settings) -> None:
    with LiveWriter(database) as writer:
        assert [each.status for each in writer.write([review("a")])] == ["accepted"]
        with psycopg.connect(database.postgres_dsn) as other:
            other.execute(MOVE)
        assert [each.status for each in writer.write([review("b"), review("a")])] == ["accepted", "known"]
    assert one(database, "SELECT epoch > 1 FROM ml_learning.log_cluster")


def test_a_worker_that_connects_again_begins_the_life_and_anew(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    partition_log(servers)
    insert(servers, [Event("a", AT, AT, None)])
    with Worker(servers, [VIEW]) as worker:
        assert [worker.tick(), worker.tick()] == [0, 0]
        with psycopg.connect(servers.postgres_dsn, autocommit=True) as other:
            other.execute("UPDATE ml_learning.agent_events SET xid = (xid::text::bigint + 1000000)::text::xid8")
            other.execute(MOVE)
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'detektor stream'")
        with pytest.raises(Exception, match="PostgreSQL"):
            worker.tick()
        insert(servers, [Event("b", AT, AT, None)])
        assert [worker.tick() for _ in range(3)] == [0, 0, 0]
        assert worker.health.loads == 2
        insert(servers, [Event("c", AT, AT, None)])
        assert [worker.tick() for _ in range(3)] == [1, 0, 0]


def test_a_log_that_does_not_say_where_it_lives_begins_a_life(database: Settings) -> None:
    with connect(database) as connection:
        connection.execute("DELETE FROM ml_learning.log_cluster")
    with connect(database) as connection:
        assert cluster.epoch(connection) > 1


def test_doctor_and_status_say_which_life_it_is(database: Settings) -> None:
    at_home = _log()
    assert at_home.result == "ok"
    assert at_home.found.startswith("life 1, since 20")
    with psycopg.connect(database.postgres_dsn) as other:
        other.execute(MOVE)
    moved = _log()
    assert (moved.result, moved.fix) == ("warning", "detektor status")
    assert "it was moved" in moved.found
    assert one(database, "SELECT epoch FROM ml_learning.log_cluster") == 1  # doctor changes nothing

    shown = log_section(database)
    assert shown.data["epoch"] > 1
    assert shown.rows[0][1] == shown.data["system_identifier"] == one(database, "SELECT system_identifier FROM pg_control_system()")
    assert _log().found.startswith(f"life {shown.data['epoch']}, since 20")


def test_doctor_sees_events_that_were_restored_from_elsewhere_and_its_cure_helps(database: Settings) -> None:
    partition_log(database)
    insert(database, [Event("a", AT, AT, None)])
    with psycopg.connect(database.postgres_dsn) as other:
        other.execute("UPDATE ml_learning.agent_events SET xid = '900000000'")
    found = _log()
    assert found.result == "failed"
    assert "have yet to begin" in found.found
    cure = found.fix.partition("in psql: ")[2].partition(";")[0]
    with psycopg.connect(database.postgres_dsn) as other:
        other.execute(cure)
    insert(database, [Event("b", AT, AT, None)])
    assert one(database, "SELECT event_id FROM ml_learning.agent_events ORDER BY xid DESC LIMIT 1") == "b"
    assert _log().result == "ok"


def test_an_unsettled_log_takes_nothing_and_says_so_to_a_person(database: Settings) -> None:
    from detektor_pipelines.stores.connections import explain

    partition_log(database)
    with psycopg.connect(database.postgres_dsn, autocommit=True) as other:
        other.execute(MOVE)
        with pytest.raises(psycopg.Error) as caught:
            other.execute(ADD, ["a"])
    said = explain(caught.value, database)
    assert said is not None
    assert said.fix == "Run the same again."
