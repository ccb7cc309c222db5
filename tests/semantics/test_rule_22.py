"""Rule 22, its online part: a value is true up to the cut-off of what it was computed from, and what lies in a gap is not guessed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.rule_log import run
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import count, days, hours
from detektor_pipelines.quality.parity.check import Served, compare
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow

VIEW = view_of(recent=(count(), hours(6)), week=(count(), days(7)))


@pytest.fixture
def stack(servers: Settings) -> Settings:
    partition_log(servers)
    return servers


@pytest.fixture
def worker(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T17:00:00Z")
    with Worker(stack, [VIEW]) as worker:
        yield worker


def read(stack: Settings, agent_id: str = AGENT) -> OnlineRow | None:
    with online.redis_client(stack) as client:
        return online.read(client, stack.project, VIEW, [agent_id])[0]


def values(stack: Settings, agent_id: str = AGENT) -> tuple[object, object, str]:
    row = read(stack, agent_id)
    assert row is not None
    return row.values["recent"], row.values["week"], row.status


def hourly(stack: Settings, monkeypatch: pytest.MonkeyPatch, now: str, *published: str) -> None:
    """What the schedule does five past the hour: the day that is open, then online."""
    monkeypatch.setenv("DETEKTOR_NOW", now)
    for day in published:
        run(stack, VIEW, day)
    publish_online(stack, VIEW)


def stream(worker: Worker, monkeypatch: pytest.MonkeyPatch, now: str) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", now)
    for _ in range(3):
        worker._moved = 0
        worker.tick()


def assert_parity(stack: Settings, agent_id: str = AGENT) -> None:
    row = read(stack, agent_id)
    assert row is not None
    parity = compare(stack, VIEW, [Served(row.agent_id, row.as_of, row.snapshot, row.values)])
    assert (parity.compared, parity.mismatches) == (1, [])


def test_22_a_day_published_while_open_is_true_up_to_its_cut_off(stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 23:35 a review leaves the window of six hours: the run of five past midnight knows the old day as it was at 23:00."""
    insert(stack, [happened("2026-03-06 17:33")])
    hourly(stack, monkeypatch, "2026-03-06T23:05:00Z", "2026-03-05", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-06T23:06:00Z")
    assert values(stack) == (1, 1, "PRESENT")
    stream(worker, monkeypatch, "2026-03-07T00:04:59Z")
    assert values(stack) == (0, 1, "PRESENT")

    hourly(stack, monkeypatch, "2026-03-07T00:05:00Z", "2026-03-07")

    assert values(stack) == (0, 1, "PRESENT")
    assert_parity(stack)


def test_22_an_hourly_run_of_the_next_day_does_not_make_the_end_of_the_old_one_true(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a stream, and the old day was never closed: the machine was off, or the day fails the gate."""
    insert(stack, [happened("2026-03-06 16:30")])
    hourly(stack, monkeypatch, "2026-03-06T17:05:00Z", "2026-03-06")
    for now in ("2026-03-07T09:05:00Z", "2026-03-07T10:05:00Z"):
        hourly(stack, monkeypatch, now, "2026-03-07")
        assert values(stack) == (0, 1, "PRESENT")
        row = read(stack)
        assert row is not None
        assert row.as_of == parse_instant(now)
        assert row.valid_through == parse_instant(now) - 5 * 60_000_000
        assert_parity(stack)


def test_22_after_a_night_without_a_machine_the_streams_value_stays(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(stack, [happened("2026-03-06 16:30")])
    hourly(stack, monkeypatch, "2026-03-06T17:05:00Z", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-07T09:00:10Z")
    assert values(stack) == (0, 1, "PRESENT")
    for now in ("2026-03-07T09:05:00Z", "2026-03-07T10:05:00Z"):
        hourly(stack, monkeypatch, now, "2026-03-07")
        stream(worker, monkeypatch, now)
        assert values(stack) == (0, 1, "PRESENT")
        assert_parity(stack)


def test_22_who_is_idle_since_a_day_that_failed_is_served_what_the_log_says(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviews on the 2nd and 3rd; the 3rd and 4th are not published, the days around them are."""
    insert(
        stack,
        [
            happened("2026-03-02 20:00", event_id="row before", project="was"),
            happened("2026-03-03 09:00", event_id="gap", project="was"),
            happened("2026-03-03 10:00", event_id="gap only", project="new"),
            *(happened(f"2026-03-0{day} 08:00", event_id=f"busy{day}", project="busy") for day in range(1, 8)),
        ],
    )
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")
    for first, last in (("2026-03-01", "2026-03-02"), ("2026-03-05", "2026-03-07")):
        run(stack, VIEW, first, last)
    publish_online(stack, VIEW)
    assert values(stack, f"{AGENT}@was") == (0, 2, "PRESENT")
    assert values(stack, f"{AGENT}@new") == (0, 1, "PRESENT")
    assert values(stack, f"{AGENT}@busy") == (0, 7, "PRESENT")
    for project in ("was", "new"):
        assert_parity(stack, f"{AGENT}@{project}")


def test_22_who_is_idle_since_before_the_first_published_day_is_served_what_the_log_says(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(stack, [happened("2026-03-01 20:00", event_id="i", project="idle"), happened("2026-03-06 08:00", event_id="b", project="busy")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")
    run(stack, VIEW, "2026-03-05", "2026-03-07")
    publication = publish_online(stack, VIEW)
    assert values(stack, f"{AGENT}@idle") == (0, 1, "PRESENT")
    assert (publication.keys, publication.as_of and publication.as_of.date()) == (3, date(2026, 3, 8))


def test_22_what_is_published_with_the_clock_ahead_says_nothing_of_what_is_to_come(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(stack, [happened("2026-03-06 08:00")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-10T10:05:00Z")
    run(stack, VIEW, "2026-03-06", "2026-03-10")
    hourly(stack, monkeypatch, "2026-03-06T12:05:00Z")
    row = read(stack)
    assert row is not None
    assert (row.values["recent"], row.as_of, row.valid_through) == (1, *[parse_instant("2026-03-06T12:00")] * 2)
