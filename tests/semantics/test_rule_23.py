"""Rule 23: online, who knows less does not overwrite who knows more; what is refused is counted, said, and made good."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.recomputed import Served, compare
from support.rule_log import run
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import count, days
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.tail import current_snapshot
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow

VIEW = view_of(day=(count(), days(1)), week=(count(), days(7)))
IDLE = f"{AGENT}@idle"


@pytest.fixture
def stack(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    partition_log(servers)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:05:00Z")
    insert(servers, [happened("2026-03-02 09:00", event_id="first", project="idle")])
    run(servers, VIEW, "2026-03-01", "2026-03-07")
    publish_online(servers, VIEW)
    return servers


@pytest.fixture
def worker(stack: Settings) -> Iterator[Worker]:
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        yield worker


def tick(worker: Worker) -> None:
    for _ in range(3):
        worker._moved = worker._tried_ahead = 0
        worker.tick()


def served(stack: Settings, agent_id: str = IDLE) -> OnlineRow:
    with online.redis_client(stack) as client:
        row = online.read(client, stack.project, VIEW, [agent_id])[0]
    assert row is not None
    return row


def knowledge(stack: Settings) -> str:
    with connect(stack) as connection:
        return str(current_snapshot(connection))


def write(stack: Settings, week: int, at: str, snapshot: str | None, writer: str = "batch other") -> online.WriteCounts:
    """A value by somebody else."""
    instant = parse_instant(at)
    row = online.OnlineRow(IDLE, instant, instant, instant, snapshot, {"day": 0, "week": week}, writer=writer)
    with online.redis_client(stack) as client:
        return online.write_values(client, stack.project, VIEW, [row], valid_through_us=None)


def late(stack: Settings) -> None:
    insert(stack, [happened("2026-03-04 09:30", event_id="late", project="idle")])


def test_23_the_open_days_run_does_not_take_a_late_event_back(stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more old file was ingested, and the days that it reaches are not repaired yet."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:40:00Z")
    late(stack)
    tick(worker)
    assert served(stack).values["week"] == 2

    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T11:05:00Z")
    run(stack, VIEW, "2026-03-07")
    publication = publish_online(stack, VIEW)

    row = served(stack)
    assert (row.values["week"], row.status) == (2, "PRESENT")
    assert publication.refused == publication.made_good > 0
    assert publication.lost == 0
    assert row.snapshot is not None  # so that parity sees it
    assert compare(stack, VIEW, [Served(IDLE, row.as_of, row.snapshot, row.values)]).mismatches == []
    with online.redis_client(stack) as client:
        count_of, at, writer = online.refusals(client, stack.project, VIEW)[IDLE]
    assert (count_of, at) == (1, parse_instant("2026-03-07T11:05"))
    assert writer.startswith("batch ")


def test_23_a_write_that_the_stream_is_refused_is_counted_said_and_made_good(
    stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody whose clock is 5 s ahead has put down a value for an instant that is still to come, and does not know the late event."""
    before = knowledge(stack)
    late(stack)
    assert write(stack, 1, "2026-03-07T10:05:05Z", before).written == 1
    with caplog.at_level(logging.WARNING):
        worker.tick()
    assert (worker.health.refused, worker.health.unresolved) == (1, 1)
    assert served(stack).values["week"] == 1
    assert "were refused" in caplog.text

    tick(worker)

    row = served(stack)
    assert (row.values["week"], row.as_of) == (2, parse_instant("2026-03-07T10:05:05Z"))
    assert (worker.health.refused, worker.health.unresolved) == (1, 0)
    assert compare(stack, VIEW, [Served(IDLE, row.as_of, row.snapshot, row.values)]).mismatches == []


def test_23_valid_through_waits_for_a_value_that_was_refused(stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    before = knowledge(stack)
    late(stack)
    write(stack, 1, "2026-03-08T00:00:00Z", before)  # far ahead: no worker writes for such an instant
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:06:00Z")
    tick(worker)
    assert (worker.health.unresolved, worker.health.complete) == (1, parse_instant("2026-03-07T10:05"))
    assert served(stack).valid_through == parse_instant("2026-03-07T10:05")

    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:00:01Z")
    tick(worker)
    row = served(stack)
    assert (row.values["week"], row.valid_through, worker.health.unresolved) == (2, parse_instant("2026-03-08T00:00:01Z"), 0)


def test_23_a_computed_value_wins_over_one_that_does_not_say_what_it_knows(stack: Settings, worker: Worker) -> None:
    late(stack)
    write(stack, 7, "2026-03-07T10:05:30Z", None, writer="feast")
    tick(worker)
    row = served(stack)
    assert (row.values["week"], worker.health.refused) == (2, 0)
    assert row.writer is not None
    assert row.writer.startswith("stream ")


def test_23_two_that_know_the_same_do_not_quarrel(stack: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = worker.health.refused
    for hour in (11, 12, 13):
        monkeypatch.setenv("DETEKTOR_NOW", f"2026-03-07T{hour}:05:00Z")
        tick(worker)
        run(stack, VIEW, "2026-03-07")
        assert publish_online(stack, VIEW).refused == 0
        tick(worker)
    assert worker.health.refused == refused
