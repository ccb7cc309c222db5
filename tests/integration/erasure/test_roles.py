"""What each role may do, through the code that its programs run, and what it may not."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.row_tables import ensure_tables, row_table
from detektor_pipelines.stores.raw_log.bulk import IngestCounts, append
from detektor_pipelines.stores.raw_log.live import LiveLog
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.language.views import FeatureView

VIEW: FeatureView = view_named("code_review_features")
DAY = [date(2026, 3, 5)]


def review(event_id: str, at: str = "2026-03-05T10:00:00Z") -> AgentEvent:
    instant = parse_instant(at)
    said = {"verdict": "approved"}
    return AgentEvent(event_id, "code-reviewer", "reviewer", "review", instant, "test", "cli", known_at=instant, categories=said)


@pytest.fixture(scope="module")
def as_role(module_database: Settings) -> Iterator[Callable[[str], Settings]]:
    """Return settings that log in as a member of one role; the tables are there, and one event."""
    append(module_database, [review("first")])
    ensure_tables(module_database, [VIEW])
    logins: list[str] = []

    def settings(role: str) -> Settings:
        login = f"member_of_{role}"
        with connect(module_database) as connection:
            if login not in logins:
                connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'throw-away' IN ROLE detektor_{role}")
                logins.append(login)
        parts = urlsplit(module_database.postgres_dsn)
        address = parts.netloc.rpartition("@")[2]
        return Settings(home=module_database.home, external_postgres_url=urlunsplit(parts._replace(netloc=f"{login}:throw-away@{address}")))

    yield settings
    with connect(module_database) as connection:
        for login in logins:
            connection.execute(f"DROP ROLE {login}")


def refused(settings: Settings, *statements: str) -> list[str]:
    """Those of the statements that the role may carry out after all."""
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


def test_ingest_adds_to_the_log_and_changes_nothing_in_it(as_role: Callable[[str], Settings]) -> None:
    ingest = as_role("ingest")
    migrate(ingest)
    assert append(ingest, [review("i1"), review("i2", "2026-01-05T10:00:00Z")], [Rejection("x", 1, "y")]) == IngestCounts(
        added=2, rejected=1
    )
    with psycopg.connect(ingest.postgres_dsn, autocommit=True) as connection:
        assert LiveLog(connection).append([review("i3", "2025-12-05T10:00:00Z")])[0].status == "accepted"
    assert (
        refused(
            ingest,
            "DELETE FROM ml_learning.agent_events",
            "UPDATE ml_learning.agent_events SET project = 'x'",
            "DELETE FROM ml_learning.erasures",
            "SELECT * FROM ml_learning.partition_state",
            "SELECT * FROM ml_learning.predictions",
            f'SELECT * FROM feast."{row_table(VIEW)}"',
            "CREATE TABLE ml_learning.mine (a int)",
            "DROP TABLE ml_learning.agent_events",
        )
        == []
    )


def test_compute_publishes_what_the_log_says_and_adds_nothing_to_the_log(as_role: Callable[[str], Settings]) -> None:
    compute = as_role("compute")
    assert [day.status for day in materialize(compute, VIEW, DAY).days] == ["published"]
    with pytest.raises(UserError, match="may not do this"):
        append(compute, [review("c1")])
    assert (
        refused(
            compute,
            "DELETE FROM ml_learning.agent_events",
            "INSERT INTO ml_learning.event_ids VALUES ('x', 1, gen_random_uuid(), now())",
            "SELECT * FROM ml_learning.erasure_key",
            "UPDATE ml_learning.predictions SET probability = 1",
            f'DELETE FROM feast."{row_table(VIEW)}"',
            f'UPDATE feast."{row_table(VIEW)}" SET agent_id = agent_id',
            "SELECT ml_learning.make_month('2030-01-01')",
        )
        == []
    )


def test_serve_sees_rows_and_registry_but_no_event(as_role: Callable[[str], Settings]) -> None:
    serve = as_role("serve")
    with connect(serve) as connection:
        connection.execute(f'SELECT * FROM feast."{row_table(VIEW)}"')
    assert (
        refused(
            serve,
            "SELECT * FROM ml_learning.agent_events",
            "SELECT * FROM ml_learning.rejected_events",
            "SELECT * FROM ml_learning.erasures",
            f"INSERT INTO feast.\"{row_table(VIEW)}\" (agent_id) VALUES ('x')",
            "CREATE TABLE feast.mine (a int)",
        )
        == []
    )


def test_read_reads_all_but_the_key_and_writes_nothing(as_role: Callable[[str], Settings], module_database: Settings) -> None:
    read = as_role("read")
    with connect(module_database) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS feast.later (a int)")
    with connect(read) as connection:
        for table in ("ml_learning.agent_events", "ml_learning.erasures", f'feast."{row_table(VIEW)}"', "feast.later"):
            connection.execute(f"SELECT * FROM {table}")
    assert (
        refused(
            read,
            "SELECT * FROM ml_learning.erasure_key",
            "INSERT INTO ml_learning.log_origin (simulated) VALUES (true)",
            "DELETE FROM ml_learning.partition_state",
            "INSERT INTO feast.later VALUES (1)",
            "CREATE TABLE feast.mine (a int)",
            "TRUNCATE feast.later",
        )
        == []
    )


def test_admin_may_change_data_and_make_no_roles(as_role: Callable[[str], Settings]) -> None:
    admin = as_role("admin")
    with connect(admin) as connection:
        connection.execute("DELETE FROM ml_learning.agent_events")
        connection.execute("DELETE FROM ml_learning.erasures")
        connection.execute("SELECT ml_learning.make_month('2031-01-01')")
        connection.rollback()
    assert refused(admin, "CREATE ROLE another", "DROP TABLE ml_learning.agent_events") == []
