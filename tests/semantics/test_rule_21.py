"""Rule 21: the stream sums leavings by hop, writes a key once a poll, and its instant never goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert
from support.recomputed import Served, compare
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language import count, days
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.state import ViewState
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

VIEW = view_of(day=(count(), days(1)), week=(count(), days(7)), month=(count(), days(30)))
NOW = "2026-03-05T10:00:00Z"


@pytest.fixture
def worker(log: Settings, redis_db: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    with Worker(both(log, redis_db), [VIEW]) as worker:
        worker.tick()
        yield worker


def both(log: Settings, redis_db: Settings) -> Settings:
    names = {"external_redis_url", "redis_host", "redis_port", "redis_password", "redis_db"}
    return log.model_copy(update=redis_db.model_dump(include=names))


def stored(worker: Worker) -> online.OnlineRow:
    client = online.redis_client(worker._settings)
    try:
        row = online.read(client, worker._settings.project, VIEW, [AGENT])[0]
    finally:
        client.close()
    assert row is not None
    return row


def test_21_a_busy_keys_leavings_are_hops_not_events() -> None:
    start = parse_instant("2026-01-01")
    state = ViewState(fold(plan(VIEW)), start + 40 * 86_400_000_000)
    for number in range(40 * 24 * 60):
        state.add(AGENT, start + number * 60_000_000, f"e{number}", (1,))
    kept = {hop.size: len(hop.tiles) for hop in state.hops}
    assert kept == {3_600_000_000: 168, 86_400_000_000: 30}


def test_21_a_key_is_written_once_a_poll(log: Settings, worker: Worker) -> None:
    before = worker.health.values
    insert(log, [happened("2026-03-05 09:00", event_id=f"e{number}") for number in range(50)])
    worker.tick()
    assert worker.health.values - before == 1
    assert stored(worker).values == {"day": 50, "week": 50, "month": 50}


def test_21_as_of_never_goes_back(log: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that goes back by no more than clocks differ; what happens beyond that is rule 25's."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T09:59:01Z")
    insert(log, [happened("2026-03-05 08:00")])
    worker.tick()
    assert (worker.health.as_of, stored(worker).as_of) == (parse_instant(NOW), parse_instant(NOW))


def test_21_a_value_is_what_batch_computes_for_its_instant_and_knowledge(log: Settings, worker: Worker) -> None:
    insert(log, [happened("2026-03-05 08:00", event_id="known")])
    worker.tick()
    row = stored(worker)
    insert(log, [happened("2026-03-05 08:00", event_id="later")])
    served = Served(AGENT, row.as_of, row.snapshot, row.values)
    assert compare(log, VIEW, [served]).mismatches == []
    for wrong in (2, 1.0, None):
        found = compare(log, VIEW, [Served(AGENT, row.as_of, row.snapshot, {**row.values, "day": wrong})])
        assert [feature for _, feature, _, _ in found.mismatches] == ["day"]
    assert compare(log, VIEW, [Served(AGENT, row.as_of, None, row.values)]).skipped == 1
