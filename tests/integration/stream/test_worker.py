"""Through the log, the worker and Redis: whatever happens, what is online is what batch computes for that instant and knowledge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, everything, histories
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event
from support.recomputed import Served, compare

from detektor_pipelines import clock
from detektor_pipelines.language import days, hours
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = everything((hours(6), days(1), days(30)), filters=("_rejected",))
KEYS = [VIEW.agent, f"{VIEW.agent}@p", f"{VIEW.agent}@q"]
START = ORIGIN + 20 * DAY
actions = st.lists(
    st.one_of(
        st.tuples(st.just("events"), st.integers(1, 5)),
        st.tuples(st.just("time"), st.one_of(st.integers(1, 2 * DAY), st.sampled_from((1, 5 * MINUTE, HOUR, DAY, 30 * DAY)))),
        st.tuples(st.just("repair"), st.integers(0, 30)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("second"), st.just(0)),
    ),
    min_size=4,
    max_size=14,
)


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


def revise(stack: Settings, event: Event, revision: int, **changes: Any) -> None:
    """Append a higher revision of an event, as a better reader would."""
    revised = replace(event, **changes)
    insert(stack, [replace(revised, event_id=f"{event.event_id}~")])
    with connect(stack) as connection:
        connection.execute(
            "UPDATE ml_learning.agent_events SET event_id = %s, revision = %s, xid = pg_current_xact_id() WHERE event_id = %s",
            (event.event_id, revision, f"{event.event_id}~"),
        )


def tick_until_read(worker: Worker) -> None:
    worker.tick()
    while worker.health.behind:
        worker.tick()


def served(stack: Settings, client: Redis, view=VIEW, keys=KEYS) -> list[Served]:
    rows = online.read(client, stack.project, view, keys)
    return [Served(row.agent_id, row.as_of, row.snapshot, row.values) for row in rows if row is not None]


checked = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@settings(checked, max_examples=examples(4), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(histories(size=40), actions, st.data())
def test_random_interleavings_equal_batch(stack: Settings, client: Redis, monkeypatch, events, acts, data) -> None:
    interleave(stack, client, monkeypatch, events, acts, data)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@settings(checked, max_examples=200)
@given(histories(size=40), actions, st.data())
def test_many_random_interleavings_equal_batch(stack: Settings, client: Redis, monkeypatch, events, acts, data) -> None:
    interleave(stack, client, monkeypatch, events, acts, data)


def interleave(stack: Settings, client: Redis, monkeypatch, events, acts, data) -> None:
    """Do the acts one after another; after each, every value online is batch's for now, and at the end for when it was written too."""
    clear(stack)
    client.flushall()
    events = list({event.event_id: event for event in events}.values())
    now, written, revisions = START, [], {}
    at(monkeypatch, now)
    workers = [Worker(stack, [VIEW], limit=3)]
    try:
        for what, amount in acts:
            match what:
                case "events":
                    batch, events = events[:amount], events[amount:]
                    insert(stack, batch)
                    written += batch
                case "time":
                    now += amount
                    at(monkeypatch, now)
                case "repair" if written:
                    event = written[amount % len(written)]
                    revision = revisions[event.event_id] = revisions.get(event.event_id, 1) + 1
                    project = data.draw(st.sampled_from((None, "p", "q")))
                    revise(stack, event, revision, project=project, live=data.draw(st.booleans()), occurred_at=event.occurred_at + amount)
                case "restart":
                    workers.pop(0).close()
                    workers.append(Worker(stack, [VIEW], limit=3))
                case "second" if len(workers) == 1:
                    workers.append(Worker(stack, [VIEW], limit=3))
            for worker in workers:
                worker._balanced = 0
                tick_until_read(worker)
            for worker in workers:  # what one gave back the other has taken now
                worker._balanced = 0
                tick_until_read(worker)
            values = served(stack, client)
            owner = {key: next(w for w in workers if online.shard_of(key) in w.health.shards) for key in KEYS}
            latest = [
                replace(each, as_of=owner[each.agent_id].health.as_of, snapshot=str(owner[each.agent_id].health.snapshot))
                for each in values
            ]
            assert compare(stack, VIEW, latest).mismatches == []
        assert compare(stack, VIEW, served(stack, client)).mismatches == []
    finally:
        for worker in workers:
            worker.close()


def test_an_event_is_online_after_one_tick_and_leaves_as_time_passes(stack: Settings, client: Redis, monkeypatch) -> None:
    with Worker(stack, [VIEW]) as worker:
        worker.tick()
        insert(stack, [Event("a", START, START, "p", values={"verdict": "rejected", "issues_found": 3})])
        worker.tick()
        rows = online.read(client, stack.project, VIEW, KEYS)
        assert [row and row.values["count_rejected_1d"] for row in rows] == [1, 1, None]
        at(monkeypatch, START + DAY)
        worker.tick()
        row = online.read(client, stack.project, VIEW, KEYS[:1])[0]
        assert row is not None
        assert (row.values["count_rejected_1d"], row.values["count_rejected_30d"], row.as_of) == (0, 1, START + DAY)
        worker.tick()
        assert online.valid_through(client, stack.project, VIEW) == START + DAY


def test_an_event_ahead_of_the_clock_waits(stack: Settings, client: Redis, monkeypatch) -> None:
    with Worker(stack, [VIEW]) as worker:
        worker.tick()
        insert(stack, [Event("a", START + 1, START, values={"verdict": "rejected"})])
        worker.tick()
        assert (worker.health.waiting, online.read(client, stack.project, VIEW, KEYS[:1])) == (1, [None])
        at(monkeypatch, START + 1)
        worker.tick()
        row = online.read(client, stack.project, VIEW, KEYS[:1])[0]
        assert row is not None
        assert row.values["count_rejected_6h"] == 1


def test_a_repair_of_an_event_that_still_waits_counts_once_it_is_due(stack: Settings, client: Redis, monkeypatch) -> None:
    ahead = Event("a", START + HOUR, START, values={"verdict": "rejected"})
    with Worker(stack, [VIEW]) as worker:
        worker.tick()
        insert(stack, [ahead, replace(ahead, event_id="b")])
        worker.tick()
        revise(stack, ahead, 2, live=False)
        worker.tick()
        assert worker.health.waiting == 1
        at(monkeypatch, START + HOUR)
        worker.tick()
        assert [each.values["count_rejected_1d"] for each in served(stack, client)] == [1]
        assert compare(stack, VIEW, served(stack, client)).mismatches == []


def test_an_emptied_redis_is_filled_again(stack: Settings, client: Redis) -> None:
    insert(stack, [Event("a", START - HOUR, START, "p", values={"verdict": "rejected"})])
    with Worker(stack, [VIEW]) as worker:
        worker.tick()
        before = online.read(client, stack.project, VIEW, KEYS)
        client.flushall()
        worker._moved = 0
        worker.tick()
        worker._moved = 0
        worker.tick()
        after = online.read(client, stack.project, VIEW, KEYS)
        assert [row and row.values for row in after] == [row and row.values for row in before]
        assert before[0] is not None


def test_a_poison_event_is_rejected_and_the_others_go_on(stack: Settings, client: Redis) -> None:
    with Worker(stack, [VIEW]) as worker:
        worker.tick()
        contribution = worker._views[0].fold.contribution

        def poisoned(ts: int, *rest: Any) -> Any:
            if ts == START - 1:
                message = "poison"
                raise ValueError(message)
            return contribution(ts, *rest)

        object.__setattr__(worker._views[0].fold, "contribution", poisoned)
        insert(stack, [Event("bad", START - 1, START), Event("good", START, START, values={"verdict": "rejected"})])
        worker.tick()
        row = online.read(client, stack.project, VIEW, KEYS[:1])[0]
        assert row is not None
        assert row.values["count_rejected_1d"] == 1
    with connect(stack) as connection:
        found = connection.execute("SELECT event_id, reason FROM ml_learning.rejected_events").fetchall()
    assert found == [("bad", "the stream cannot count it: ValueError: poison")]
