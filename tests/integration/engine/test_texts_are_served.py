"""Texts and lists behind the engine: stored in PostgreSQL, written to Redis by the worker, compared by parity, read back."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.engine_cases import ORIGIN, crafted, picking
from support.log_rows import insert, partition_log
from support.oracle import values
from support.planted import AGENT, Planting, at

from detektor_pipelines import clock
from detektor_pipelines.engine.explain import explain_at, read_row
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.language import days
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.online.packing import unpack
from detektor_pipelines.stores.online.values import stored_view

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = replace(picking((days(1), days(12)), filters=("",)), name="picking_served")
EVENTS = [replace(each, known_at=each.occurred_at) for each in crafted() if each.live]
NOON = ORIGIN + DAY + 9 * HOUR
KEY = f"{AGENT}@p"
pytestmark = pytest.mark.slow


def expected(instant: int, key: str = KEY) -> dict[str, object]:
    own = [each for each in EVENTS if key in {AGENT, f"{AGENT}@{each.project}"} and each.known_at <= instant]
    return dict(zip((each.name for each in VIEW.features), values(VIEW, own, instant, as_served=False), strict=True))


@pytest.fixture
def log(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    partition_log(servers)
    monkeypatch.setattr(judgement, "AGAIN_S", 0.1)
    at(monkeypatch, clock.to_text(NOON))
    return servers


def test_the_worker_writes_them_and_parity_compares_them(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Planting(log, monkeypatch, VIEW) as planting:
        insert(log, [each for each in EVENTS if each.occurred_at <= NOON])
        planting.tick()
        stored = unpack(stored_view(VIEW).layout, planting.client.get(planting.key(KEY)))
        assert stored.values == expected(stored.as_of)
        assert '"ż"' in str(stored.values["last_k_1d"])
        assert set(planting.states()) == {"ok"}

        planting.plant(KEY, last_text_1d="somebody else's")
        assert planting.states()["wrong"] == 1


def test_rows_and_exact_reads_have_them(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, EVENTS)
    at(monkeypatch, clock.to_text(ORIGIN + 20 * DAY))
    first = dt.date(1970, 1, 1) + dt.timedelta(days=ORIGIN // DAY)
    materialize(log, VIEW, [first + dt.timedelta(days=number) for number in range(14)])
    with connect_arrow(log) as connection:
        for instant in (ORIGIN + 13 * HOUR, ORIGIN + DAY + 13 * HOUR, ORIGIN + 7 * DAY):
            row = read_row(connection, VIEW, KEY, clock.from_us(instant))
            assert row is not None
            plain = {name: clock.to_us(value) if isinstance(value, dt.datetime) else value for name, value in row.values.items()}
            assert plain == expected(clock.to_us(row.event_timestamp))
        moment = clock.from_us(NOON)
        why = explain_at(connection, VIEW, VIEW.feature("last_k_1d"), KEY, moment, moment)
    assert why.value == expected(NOON)["last_k_1d"]
    assert not why.stale
