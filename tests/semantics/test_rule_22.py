"""Rule 22, its online part: a value is true up to the cut-off of what it was computed from, and what lies in a gap is not guessed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.recomputed import Served, compare
from support.rule_log import run
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import count, days, hours
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


def test_22_what_came_from_the_log_is_counted_again_when_its_event_has_left(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row speaks of it, and the gap that held its event is out of reach by then: `valid_through` would keep the event in its week."""
    insert(stack, [happened("2026-03-01 10:00", project="before"), happened("2026-03-10 09:00", event_id="busy", project="busy")])
    hourly(stack, monkeypatch, "2026-03-03T12:05:00Z", "2026-03-03")
    before = f"{AGENT}@before"
    assert values(stack, before) == (0, 1, "PRESENT")

    for now in ("2026-03-10T12:05:00Z", "2026-03-10T13:05:00Z"):
        hourly(stack, monkeypatch, now, "2026-03-10")
        assert values(stack, before) == (0, 0, "PRESENT")
        assert values(stack, f"{AGENT}@busy") == (1, 1, "PRESENT")
        assert_parity(stack, before)
    assert read(stack, f"{AGENT}@nobody") is None


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


def test_22_the_run_after_an_event_that_the_stream_has_not_heard_of_counts_it(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The idle key's last value is of the morning, and the stream says it is complete up to now: it spoke of a value without the event."""
    insert(stack, [happened("2026-03-06 09:00", event_id="old")])
    hourly(stack, monkeypatch, "2026-03-06T17:00:00Z", "2026-03-05", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-06T17:01:00Z")
    stream(worker, monkeypatch, "2026-03-06T18:04:00Z")
    insert(stack, [happened("2026-03-06 18:02", event_id="new")])

    hourly(stack, monkeypatch, "2026-03-06T18:05:00Z", "2026-03-06")

    assert values(stack) == (1, 2, "PRESENT")
    assert_parity(stack)


def test_22_a_late_event_that_has_left_since_the_full_hour_is_not_counted(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came after the stream's last tick. At 18:00 it was in the window of six hours, at 18:20 no more."""
    insert(stack, [happened("2026-03-02 09:00", event_id="old")])
    hourly(stack, monkeypatch, "2026-03-06T17:00:00Z", "2026-03-05", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-06T17:01:00Z")
    stream(worker, monkeypatch, "2026-03-06T18:30:00Z")
    insert(stack, [happened("2026-03-06 12:20", event_id="late")])

    hourly(stack, monkeypatch, "2026-03-06T18:31:00Z", "2026-03-06")

    assert values(stack) == (0, 2, "PRESENT")
    assert_parity(stack)


def test_22_what_redis_lost_comes_back_as_it_is_by_now(stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review leaves at 18:20, the stream counts that and is killed; its value is evicted."""
    insert(stack, [happened("2026-03-06 12:20")])
    hourly(stack, monkeypatch, "2026-03-06T17:00:00Z", "2026-03-05", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-06T18:30:00Z")
    with online.redis_client(stack) as client:
        client.delete(online.value_key(stack.project, VIEW, AGENT))

    hourly(stack, monkeypatch, "2026-03-06T18:31:00Z", "2026-03-06")

    assert values(stack) == (0, 1, "PRESENT")
    assert_parity(stack)


def test_22_what_is_computed_from_the_log_is_computed_for_where_the_stream_stands(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's clock is ten seconds ahead of the run's, and in between an event leaves: the day before was never published."""
    insert(stack, [happened("2026-03-02 09:00", event_id="old")])
    hourly(stack, monkeypatch, "2026-03-06T17:00:00Z", "2026-03-06")
    stream(worker, monkeypatch, "2026-03-06T17:01:00Z")
    stream(worker, monkeypatch, "2026-03-06T18:20:08Z")
    insert(stack, [happened("2026-03-06 12:20", event_id="late")])

    hourly(stack, monkeypatch, "2026-03-06T18:19:58Z")

    assert values(stack) == (0, 2, "PRESENT")
    assert_parity(stack)


def test_22_a_value_is_not_said_to_be_complete_by_a_clock_that_was_far_ahead(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another agent's values were published with the clock at 23:05. When it is 23:05 indeed, the review of 12:20 has left its window."""
    del worker
    insert(stack, [happened("2026-03-02 09:00", event_id="old")])
    hourly(stack, monkeypatch, "2026-03-06T23:05:00Z", "2026-03-05", "2026-03-06")
    insert(stack, [happened("2026-03-06 12:20", event_id="new", project="new")])
    hourly(stack, monkeypatch, "2026-03-06T17:05:00Z", "2026-03-06")
    assert values(stack, f"{AGENT}@new") == (1, 1, "PRESENT")

    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T23:05:00Z")

    row = read(stack, f"{AGENT}@new")
    assert row is not None
    assert row.true_up_to == parse_instant("2026-03-06T17:05:00Z")
