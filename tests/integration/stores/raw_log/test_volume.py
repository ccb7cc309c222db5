"""How much is in the log, on real PostgreSQL: totals that go on from earlier ones are those of a full count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event

from detektor_pipelines.clock import to_us
from detektor_pipelines.stores.raw_log.volume import CommittedTotals, log_volume

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def log(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", NOW.isoformat())
    partition_log(database)
    return database


def event(name: str, ago: timedelta, late: timedelta = timedelta(0)) -> Event:
    at = to_us(NOW - ago)
    return Event(name, at, at + late // timedelta(microseconds=1), None, {})


def totals(settings: Settings, known: CommittedTotals | None = None) -> dict[str, int]:
    return {each.agent: each.events for each in log_volume(settings, known).agents if each.events}


def test_each_agent_has_its_events_of_a_day_a_week_and_altogether(log: Settings) -> None:
    insert(log, [event("a", timedelta(hours=1)), event("b", timedelta(days=2), timedelta(hours=5)), event("c", timedelta(days=40))])
    insert(log, [event("d", timedelta(days=9))], agent="pisarz")
    volume = log_volume(log)
    by_agent = {each.agent: each for each in volume.agents}
    reviewer, writer = by_agent["code-reviewer"], by_agent["pisarz"]
    assert (reviewer.events, reviewer.last_day, reviewer.last_week) == (3, 1, 2)
    assert (reviewer.newest_event, reviewer.newest_arrival) == (NOW - timedelta(hours=1), NOW - timedelta(hours=1))
    assert (writer.events, writer.last_day, writer.last_week, writer.newest_event) == (1, 0, 0, NOW - timedelta(days=9))
    assert (by_agent["debugger"].events, by_agent["debugger"].newest_event) == (0, None)
    assert "unmapped" not in by_agent
    assert volume.newest_arrival == NOW - timedelta(hours=1)


def test_a_late_event_moves_the_newest_arrival_though_not_the_newest_event(log: Settings) -> None:
    insert(log, [event("a", timedelta(days=2))])
    insert(log, [event("late", timedelta(days=40), timedelta(days=39))])
    volume = log_volume(log)
    assert volume.newest_event == NOW - timedelta(days=2)
    assert volume.newest_arrival == NOW - timedelta(days=1)


def test_the_version_changes_with_what_arrives_and_only_then(log: Settings) -> None:
    insert(log, [event("a", timedelta(hours=3))])
    before = log_volume(log)
    assert log_volume(log, before.settled).version == before.version
    insert(log, [event("b", timedelta(days=100))])
    assert log_volume(log, before.settled).version != before.version


def test_counting_on_from_settled_totals_counts_each_event_once_also_those_of_a_transaction_under_way(log: Settings) -> None:
    insert(log, [event("a", timedelta(hours=3))])
    with psycopg.connect(log.postgres_dsn) as slow:
        slow.execute(
            "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at,"
            " derived, simulated, source, reader_revision) VALUES ('slow', 1, 'code-reviewer', 'x', 'review', %(now)s, %(now)s, %(now)s,"
            " false, false, 'test', 1)",
            {"now": NOW},
        )
        insert(log, [event("b", timedelta(hours=2))])  # newer than the one under way
        meanwhile = log_volume(log)
        assert totals(log) == {"code-reviewer": 2}
        slow.commit()
    assert totals(log, meanwhile.settled) == totals(log) == {"code-reviewer": 3}


def test_totals_of_another_life_of_the_log_are_not_gone_on_from(log: Settings) -> None:
    insert(log, [event("a", timedelta(hours=3))])
    settled = log_volume(log).settled
    assert totals(log, replace(settled, life="2/1/1", totals={"code-reviewer": 500})) == {"code-reviewer": 1}


def test_an_empty_log_has_no_instants(log: Settings) -> None:
    volume = log_volume(log)
    assert (volume.newest_event, volume.newest_arrival, volume.rejected_last_week) == (None, None, 0)
    assert not any(each.events for each in volume.agents)
