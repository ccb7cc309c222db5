"""What /health makes of what Redis says."""

from __future__ import annotations

import time

import pytest

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.health import BATCH_S, DROPPED_S, STREAM_S, Online, judged
from detektor_pipelines.stores.online.worker_mark import WorkerMark, mark_of

NOW = "2026-03-05T10:00:00Z"
SECOND = 1_000_000


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, NOW)


def found(age: float, *, mark: WorkerMark | None = None, oldest: float | None = None, views: int = len(VIEWS)) -> Online:
    """Return what Redis says when all shards are `age` seconds old, but one of the first view's."""
    now = clock.now_us()
    shards = {shard: now - int(age * SECOND) for shard in range(8)}
    first = shards | ({} if oldest is None else {3: now - int(oldest * SECOND)})
    return Online([first, *[shards for _ in VIEWS[1:views]], *[{} for _ in VIEWS[views:]]], mark)


def alive(*, lost: float = 0.0) -> WorkerMark:
    return WorkerMark(time.time(), lost)


def status(said: Online, limit: float | None = None) -> str:
    return str(judged(said, limit).get("status", "OK"))


def test_with_a_worker_values_are_fresh_within_seconds() -> None:
    assert status(found(STREAM_S, mark=alive())) == "OK"
    stale = judged(found(STREAM_S + 1, mark=WorkerMark(time.time() - 30)), None)
    assert (stale["status"], stale["stale_seconds"]) == ("STALE", STREAM_S + 1)
    assert "last heard of 30 s ago" in stale["reason"]
    assert "all views" in stale["reason"]
    assert "detektor restart stream" in stale["fix"]


def test_one_shard_that_stands_still_is_enough() -> None:
    stale = judged(found(0.1, mark=alive(), oldest=60), None)
    assert stale["status"] == "STALE"
    assert VIEWS[0].name in stale["reason"]
    assert VIEWS[1].name not in stale["reason"]


def test_without_a_worker_batch_has_hours() -> None:
    assert status(found(BATCH_S)) == "OK"
    assert status(found(BATCH_S + 1)) == "STALE"
    assert status(Online([{} for _ in VIEWS], None)) == "OK", "nothing was ever published: nothing is stale"


def test_the_limit_may_be_set() -> None:
    assert status(found(3_600, mark=alive()), 7_200) == "OK"
    assert status(found(30), 20) == "STALE"


def test_what_redis_has_dropped_is_said_for_a_while() -> None:
    assert status(found(0.1, mark=alive(lost=time.time() - 1))) == "DROPPED"
    assert status(found(0.1, mark=alive(lost=time.time() - DROPPED_S - 1))) == "OK"
    nothing = judged(Online([{} for _ in VIEWS], alive()), None)
    assert nothing["status"] == "DROPPED", "a worker moves these on once a second: they were there"
    assert VIEWS[-1].name in judged(found(0.1, mark=alive(), views=len(VIEWS) - 1), None)["reason"]


def test_what_lies_ahead_goes_before_what_is_old() -> None:
    assert status(found(-120, mark=alive(), oldest=60)) == "AHEAD"


@pytest.mark.parametrize("answer", [None, b"", b"{", b"[]", b'{"beat": "x", "lost": 0}', b'{"beat": 1}'])
def test_a_mark_that_cannot_be_read_is_none(answer: bytes | None) -> None:
    assert mark_of(answer) is None
    assert mark_of(b'{"beat": 1.5, "lost": 0}') == WorkerMark(1.5, 0.0)
