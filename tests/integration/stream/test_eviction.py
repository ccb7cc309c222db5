"""A Redis that drops values when it is full, beside somebody else's keys: what was published comes back, and that is said."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.rule_log import run
from support.rule_views import AGENT, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import count, days
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.server import eviction_policies
from detektor_pipelines.stream.known_keys import AT_MOST, LOOK_S, TURN_S, KnownKeys
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = view_of(day=(count(), days(1)), week=(count(), days(7)))
NOW = parse_instant("2026-03-17T12:00:00Z")
IDLE = f"{AGENT}@idle"
PROJECTS = [f"p{number}" for number in range(30)]
KEYS = [AGENT, IDLE, *(f"{AGENT}@{project}" for project in PROJECTS)]


@pytest.fixture
def stack(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a Redis of this test's own that evicts."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-17T12:00:00Z")
    partition_log(database)
    with embedded.start_redis(tmp_path / "redis", lines=("maxmemory-policy allkeys-lru",)) as server:
        yield database.model_copy(update={"external_redis_url": server.url()})


@pytest.fixture
def client(stack: Settings) -> Iterator[Redis]:
    with online.redis_client(stack) as client:
        yield client


def tick(worker: Worker) -> None:
    for _ in range(4):
        worker._moved = 0
        worker.tick()


def values(stack: Settings, client: Redis) -> list[object]:
    return [row and row.values["week"] for row in online.read(client, stack.project, VIEW, KEYS)]


def evict(stack: Settings, client: Redis) -> int:
    """Fill Redis with what is somebody else's, while `valid_through` is used all the time; returns how many values went."""
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", used + 500_000)
    for number in range(400):
        client.get(online.valid_through_key(stack.project, VIEW))
        client.set(f"somebody:{number}", bytes(20_000))
    client.config_set("maxmemory", 0)
    return values(stack, client).count(None)


def test_evicted_values_come_back_also_of_who_is_idle(
    stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    insert(
        stack, [Event("idle", NOW - 10 * DAY, NOW - 10 * DAY, "idle"), *(Event(each, NOW - HOUR, NOW - HOUR, each) for each in PROJECTS)]
    )
    run(stack, VIEW, "2026-03-07", "2026-03-17")
    publish_online(stack, VIEW)
    expected = [30, 0, *(1 for _ in PROJECTS)]
    with Worker(stack, [VIEW]) as worker, caplog.at_level(logging.WARNING):
        tick(worker)
        assert values(stack, client) == expected
        assert worker.health.lost == 0
        client.delete(online.value_key(stack.project, VIEW, IDLE))
        gone = evict(stack, client)
        assert gone > 1
        kept = client.exists(online.valid_through_key(stack.project, VIEW))

        tick(worker)

        assert values(stack, client) == expected
        assert {row and row.status for row in online.read(client, stack.project, VIEW, KEYS)} == {"PRESENT"}
        assert not kept or worker.health.lost == gone
        assert not kept or "Redis has lost" in caplog.text


def test_values_evicted_while_no_worker_ran_are_written_by_the_next_one(stack: Settings, client: Redis) -> None:
    insert(stack, [Event("idle", NOW - 10 * DAY, NOW - 10 * DAY, "idle"), Event("p0", NOW - HOUR, NOW - HOUR, "p0")])
    run(stack, VIEW, "2026-03-07", "2026-03-17")
    publish_online(stack, VIEW)
    client.delete(*(online.value_key(stack.project, VIEW, key) for key in KEYS))
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        assert values(stack, client)[:3] == [1, 0, 1]


def test_a_value_whose_valid_through_was_evicted_is_true_up_to_its_own_instant_only(
    stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(stack, [Event("idle", NOW - 10 * DAY, NOW - 10 * DAY, "idle"), Event("p0", NOW - HOUR, NOW - HOUR, "p0")])
    run(stack, VIEW, "2026-03-07", "2026-03-17")
    publish_online(stack, VIEW)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-18T20:00:00Z")
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        before = online.read(client, stack.project, VIEW, KEYS[:3])[1]
        assert before is not None
        assert before.status == "PRESENT"  # computed 32 hours ago, and the worker vouches for it
        client.delete(online.valid_through_key(stack.project, VIEW))
        after = online.read(client, stack.project, VIEW, KEYS[:3])[1]
        assert after is not None
        assert (after.status, after.true_up_to, after.values) == ("OUTSIDE_MAX_AGE", after.as_of, before.values)
        tick(worker)
        assert {row and row.status for row in online.read(client, stack.project, VIEW, KEYS[:3])} == {"PRESENT"}


def test_a_store_that_nobody_has_filled_has_lost_nothing_and_one_that_was_emptied_has(stack: Settings, client: Redis) -> None:
    insert(stack, [Event("p0", NOW - HOUR, NOW - HOUR, "p0")])
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        assert worker.health.lost_at == 0
        client.flushdb()
        tick(worker)
        assert worker.health.lost_at > 0
        assert values(stack, client)[0] == 1


def test_the_policy_is_told(client: Redis) -> None:
    assert eviction_policies(client) == {"allkeys-lru"}


def test_ten_thousand_keys_are_looked_at_within_seconds() -> None:
    known: KnownKeys[str] = KnownKeys()
    assert known.some() is None
    known.add("one", (f"a{number}" for number in range(9_000)))
    known.add("two", (f"b{number}" for number in range(1_000)))
    seen: dict[str, set[str]] = {"one": set(), "two": set()}
    looks = round(TURN_S / LOOK_S) + 2
    for _ in range(looks):
        found = known.some()
        assert found is not None
        assert len(found[1]) <= AT_MOST
        seen[found[0]].update(found[1])
    assert [len(each) for each in seen.values()] == [9_000, 1_000]
    known.clear()
    assert known.some() is None
