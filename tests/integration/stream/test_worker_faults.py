"""What goes wrong around the worker: shards lost and taken, Redis emptied, revisions out of order, times without any worker."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from psycopg.errors import QueryCanceled
from support.engine_cases import ORIGIN
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.recomputed import Served, compare
from support.rule_views import AGENT, view_of

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days, event, total
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.run import run
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = view_of(day=(count(), days(1)), month=(count(), days(30)))
START = ORIGIN + 20 * DAY
KEYS = [AGENT, *(f"{AGENT}@p{number}" for number in range(12))]
PROJECTS = [f"p{number}" for number in range(12)]


@pytest.fixture
def stack(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    partition_log(servers)
    at(monkeypatch, START)
    return servers


@pytest.fixture
def client(stack: Settings) -> Iterator[Redis]:
    client = online.redis_client(stack)
    yield client
    client.close()


def at(monkeypatch: pytest.MonkeyPatch, instant: int) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(instant).isoformat())


def months(stack: Settings, client: Redis, keys: list[str] = KEYS) -> list[int | None]:
    return [row and row.values["month"] for row in online.read(client, stack.project, VIEW, keys)]


def tick(*workers: Worker) -> None:
    """Tick with everything due that is else done now and then."""
    for worker in workers:
        worker._balanced = worker._moved = 0
        worker.tick()


def settle(*workers: Worker) -> None:
    """Tick until all is written, also what an empty Redis asks for."""
    for _ in range(4):
        tick(*workers)


def lose_connections(stack: Settings) -> None:
    with connect(stack) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'detektor stream'")


def everywhere(stack: Settings, name: str = "a", ts: int = START - HOUR) -> None:
    insert(stack, [Event(f"{name}{project}", ts, ts, project) for project in PROJECTS])


def test_a_worker_that_lost_its_shards_counts_and_writes_nothing(stack: Settings, client: Redis) -> None:
    with Worker(stack, [VIEW]) as loser, Worker(stack, [VIEW]) as winner:
        tick(loser)
        everywhere(stack)
        lose_connections(stack)
        tick(winner)
        with pytest.raises(UserError):
            loser.tick()
        written = loser.health.values
        tick(loser)
        assert (loser.health.shards, loser.health.keys, loser.health.values) == (frozenset(), 0, written)
        assert loser.tick() == 0


def test_two_workers_fill_an_emptied_redis_both(stack: Settings, client: Redis) -> None:
    everywhere(stack)
    with Worker(stack, [VIEW]) as first, Worker(stack, [VIEW]) as second:
        settle(first, second)
        assert len(first.health.shards) == len(second.health.shards) == 4
        before = months(stack, client)
        client.flushall()
        settle(first, second)
        assert months(stack, client) == before == [12, *(1 for _ in PROJECTS)]


def test_an_emptied_redis_is_noticed_though_a_batch_wrote_first(stack: Settings, client: Redis) -> None:
    everywhere(stack)
    with Worker(stack, [VIEW]) as worker:
        settle(worker)
        client.flushall()
        online.write_values(client, stack.project, VIEW, [], valid_through_us=START - HOUR)
        tick(worker, worker)
        assert months(stack, client) == [12, *(1 for _ in PROJECTS)]


def test_a_refill_that_failed_is_done_again(stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def publish(*_: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            message = "PostgreSQL does not answer."
            raise UserError(message)

    monkeypatch.setattr("detektor_pipelines.engine.online.publish_online", publish)
    everywhere(stack)
    with Worker(stack, [VIEW]) as worker:
        with pytest.raises(UserError):
            tick(worker, worker)
        assert online.valid_through(client, stack.project, VIEW) is None
        settle(worker)
        assert len(calls) == 2
        assert online.valid_through(client, stack.project, VIEW) == START


def test_what_the_offline_store_brings_back_is_not_older_than_the_windows(
    stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of yesterday still holds what has left since."""

    def publish(*_: object) -> None:
        old = online.OnlineRow(KEYS[1], START - DAY, START - DAY, START - DAY, "1:1:", {"day": 3, "month": 3})
        online.write_values(client, stack.project, VIEW, [old], valid_through_us=START - DAY)

    monkeypatch.setattr("detektor_pipelines.engine.online.publish_online", publish)
    with Worker(stack, [VIEW]) as worker:
        settle(worker)
        assert months(stack, client, KEYS[:2]) == [None, 0]


def test_a_window_that_emptied_while_no_worker_ran_is_empty_online(stack: Settings, client: Redis, monkeypatch) -> None:
    everywhere(stack)
    with Worker(stack, [VIEW]) as worker:
        settle(worker)
    at(monkeypatch, START + 40 * DAY)
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        assert online.valid_through(client, stack.project, VIEW) == START
        tick(worker, worker)
        assert months(stack, client) == [0] * len(KEYS)
        assert online.valid_through(client, stack.project, VIEW) == START + 40 * DAY
        written = worker.health.values
    with Worker(stack, [VIEW]) as worker:
        tick(worker, worker, worker)
        assert (worker.health.values, written) == (0, len(KEYS))


def test_a_revision_read_before_the_event_it_revises(stack: Settings, client: Redis) -> None:
    """The writer of the revision may have got its transaction id first; a burst is read by transaction id."""
    with Worker(stack, [VIEW], limit=1) as worker, connect(stack) as reviser:
        tick(worker, worker)
        reviser.execute("SELECT pg_current_xact_id()")
        insert(stack, [Event("a", START, START, "p1")])
        reviser.execute(
            "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at,"
            " ingested_at, derived, simulated, source, reader_revision) SELECT event_id, 2, agent_type, raw_name, 'p2', operation,"
            " occurred_at, known_at, ingested_at, derived, simulated, source, 2 FROM ml_learning.agent_events"
        )
        reviser.commit()
        while worker.tick():
            rows = online.read(client, stack.project, VIEW, KEYS)
            served = [Served(row.agent_id, row.as_of, str(worker.health.snapshot), row.values) for row in rows if row is not None]
            assert compare(stack, VIEW, served).mismatches == []
        assert months(stack, client, [AGENT, f"{AGENT}@p1", f"{AGENT}@p2"]) in ([1, None, 1], [1, 0, 1])


def test_nobody_is_told_that_values_are_complete_while_events_are_unread(stack: Settings, client: Redis, monkeypatch) -> None:
    with Worker(stack, [VIEW], limit=1) as worker:
        settle(worker)
        for number in range(2):
            insert(stack, [Event(str(number), START, START)])
        at(monkeypatch, START + 1)
        tick(worker)
        assert worker.health.behind
        assert online.valid_through(client, stack.project, VIEW) == START
        assert worker.health.complete == START
        settle(worker)
        assert online.valid_through(client, stack.project, VIEW) == START + 1 == worker.health.complete


POISONED = view_of(day=(total(event.issues_found), days(1)), month=(total(event.issues_found), days(30)))


def rejected(stack: Settings) -> list[str]:
    with connect(stack) as connection:
        return [name for (name,) in connection.execute("SELECT event_id FROM ml_learning.rejected_events ORDER BY event_id").fetchall()]


@pytest.mark.parametrize("hours_apart", [0, 25], ids=["one-tile", "two-tiles"])
def test_events_beyond_64_bits_are_rejected_and_the_stream_goes_on(stack: Settings, client: Redis, hours_apart: int) -> None:
    """Written past the checks of ingest: neither the sums of a start nor a value can hold them."""
    late = START - HOUR
    poison = [Event(str(number), late - number * hours_apart * HOUR, late, values={"issues_found": 2**62}) for number in range(2)]
    with Worker(stack, [POISONED]) as worker:
        settle(worker)
        insert(stack, [*poison, Event("good", START, START, values={"issues_found": 3})])
        with pytest.raises(ValueError, match="64-bit"):
            tick(worker)
        settle(worker)
        insert(stack, [Event("also", START, START, values={"issues_found": 4}), replace(poison[0], event_id="2")])
        settle(worker)
        assert rejected(stack) == ["0", "1", "2"]
        (row,) = online.read(client, stack.project, POISONED, [AGENT])
        assert row is not None
        assert row.values == {"day": 7, "month": 7}
        assert compare(stack, POISONED, [Served(AGENT, row.as_of, row.snapshot, row.values)]).mismatches == []
    client.flushall()
    with Worker(stack, [POISONED]) as worker:
        try:
            settle(worker)
        except ValueError:
            settle(worker)
        (row,) = online.read(client, stack.project, POISONED, [AGENT])
        assert row is not None
        assert row.values == {"day": 7, "month": 7}
    assert rejected(stack) == ["0", "1", "2"]


def test_redis_away_at_the_start_and_at_its_end(stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(stack)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        nowhere = stack.model_copy(update={"external_redis_url": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})
        with Worker(nowhere, [VIEW]) as worker:
            settle(worker)
            assert (worker.health.pending, worker.health.values) == (len(KEYS), 0)
            at(monkeypatch, START + 1)
            everywhere(stack, "b")
            settle(worker)
            assert worker.health.complete == START
            worker._publisher._client = online.redis_client(stack)
            worker._redis_down_until = 0
            settle(worker)
            assert (worker.health.pending, worker.health.complete) == (0, START + 1)
            assert months(stack, client) == [24, *(2 for _ in PROJECTS)]


def test_of_two_values_that_wait_for_redis_the_newer_is_written(stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker(stack, [VIEW]) as worker, monkeypatch.context() as away:
        settle(worker)
        away.setattr(
            worker._publisher, "_client", online.redis_client(stack.model_copy(update={"external_redis_url": "redis://127.0.0.1:1"}))
        )
        for later, name in enumerate("ab"):
            at(monkeypatch, START + later)
            everywhere(stack, name)
            tick(worker)
        assert worker.health.pending == len(KEYS)
        away.undo()
        worker._redis_down_until = 0
        worker.tick()
        assert months(stack, client) == [24, *(2 for _ in PROJECTS)]


def test_a_program_outlives_what_nobody_thought_of(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, ticks = threading.Event(), []

    def tick_badly(_: Worker) -> int:
        ticks.append(1)
        if len(ticks) == 1:
            raise QueryCanceled
        stop.set()
        return 0

    monkeypatch.setattr(Worker, "tick", tick_badly)
    run(stack, [VIEW], stop)
    assert len(ticks) == 2
