"""Rule 18: an event makes stale the published days from the one that owns it to the one that owns its leave of the longest window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from support.log_rows import insert
from support.rule_log import days_of, run, stale, stored
from support.rule_views import happened, view_of

from detektor_pipelines.language import count, days

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

MONTH = view_of(number=(count(), days(30)))
WEEK = view_of(number=(count(), days(7)), name="week_features")
FIRST, TODAY = "2026-03-01", "2026-05-01"


@pytest.fixture
def month(log: Settings) -> Settings:
    """Two months, published, that nothing reaches yet."""
    insert(log, [happened("2026-03-01 10:00", event_id="old")])
    run(log, MONTH, FIRST, TODAY)
    assert stale(log, MONTH) == []
    return log


def span(first: str, last: str) -> list[str]:
    return [day.isoformat() for day in days_of(first, last)]


def test_18_example_an_event_of_three_days_ago_changes_those_days_and_today(month: Settings) -> None:
    insert(month, [happened("2026-04-28 10:00")])

    assert stale(month, MONTH) == span("2026-04-28", TODAY)


def test_18_example_an_event_of_forty_days_ago_changes_thirty_one_days(month: Settings) -> None:
    """Day −40 with a 30-day window: −40 … −10."""
    insert(month, [happened("2026-03-22 10:00")])

    assert stale(month, MONTH) == span("2026-03-22", "2026-04-21")


@pytest.mark.parametrize(
    ("occurred", "first", "last"),
    [
        ("2026-03-22 00:00", "2026-03-21", "2026-04-20"),  # midnight is owned by the day before, and so is its leave
        ("2026-03-22 00:00:00.000001", "2026-03-22", "2026-04-21"),
        ("2026-03-22 23:59:59.999999", "2026-03-22", "2026-04-21"),
    ],
)
def test_18_reach_at_the_edges_of_a_day(month: Settings, occurred: str, first: str, last: str) -> None:
    insert(month, [happened(occurred)])

    assert stale(month, MONTH) == span(first, last)


def test_18_the_reach_is_the_views_own(log: Settings) -> None:
    run(log, WEEK, "2026-03-01", "2026-03-20")
    insert(log, [happened("2026-03-05 10:20")])

    assert stale(log, WEEK) == span("2026-03-05", "2026-03-12")


def test_18_what_is_stale_is_what_a_run_changes_and_nothing_else(month: Settings) -> None:
    insert(month, [happened("2026-03-22 10:20", project="p")])
    stale_before = stale(month, MONTH)
    before = stored(month, MONTH)
    done = run(month, MONTH, FIRST, TODAY)

    assert {row["agent_id"] for row in stored(month, MONTH) if row not in before} == {"code-reviewer", "code-reviewer@p"}
    changed = [day.day.isoformat() for day in done.days if day.written]
    assert set(changed) <= set(stale_before)
    assert (changed[0], changed[-1]) == (stale_before[0], stale_before[-1])
    assert stale(month, MONTH) == []


def test_18_days_that_were_run_again_are_stale_no_more(month: Settings) -> None:
    insert(month, [happened("2026-04-28 10:00")])
    run(month, MONTH, "2026-04-28", "2026-04-29")

    assert stale(month, MONTH) == span("2026-04-30", TODAY)


def test_18_an_event_of_another_agent_changes_nothing(month: Settings) -> None:
    insert(month, [happened("2026-04-28 10:00")], agent="debugger")

    assert stale(month, MONTH) == []


def test_18_an_event_committed_late_is_found_though_its_transaction_began_before(log: Settings) -> None:
    """Its xid is below the snapshot's end: only pg_visible_in_snapshot tells that the run did not see it."""
    with psycopg.connect(log.postgres_dsn) as slow:
        slow.execute(INSERT, {"event_id": "slow"})
        insert(log, [happened("2026-03-05 09:00", event_id="quick")])
        run(log, WEEK, "2026-03-01", "2026-03-20")
        assert stale(log, WEEK) == []
        slow.commit()

    assert stale(log, WEEK) == span("2026-03-05", "2026-03-12")
    run(log, WEEK, "2026-03-01", "2026-03-20")
    assert stale(log, WEEK) == []
    newest = {row["at"]: row["number"] for row in stored(log, WEEK)}
    assert newest == {"03-05 09:00": 1, "03-05 10:00": 2, "03-12 09:00": 1, "03-12 10:00": 0}


INSERT = """
INSERT INTO ml_learning.agent_events
    (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, source, reader_revision)
VALUES (%(event_id)s, 1, 'code-reviewer', 'x', 'review', '2026-03-05 10:00+00', '2026-03-05 10:00+00', now(), false, false, 'test', 1)
"""


def test_18_an_event_that_was_rolled_back_changes_nothing(month: Settings) -> None:
    with psycopg.connect(month.postgres_dsn) as connection:
        connection.execute(INSERT, {"event_id": "never"})
        connection.rollback()

    assert stale(month, MONTH) == []


def test_18_another_version_of_the_view_has_states_of_its_own(month: Settings) -> None:
    insert(month, [happened("2026-04-28 10:00")])

    assert stale(month, view_of(number=(count(), days(29)))) == []
