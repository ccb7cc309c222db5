"""Parity over many agents and random histories: whichever value is planted, it is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, everything, histories
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import values as oracle_values
from support.planted import AGENT, VIEW, Planting, at, reviews

from detektor_pipelines import clock
from detektor_pipelines.language import days, hours
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.quality.parity.keys import Keys, choose
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import unpack

if TYPE_CHECKING:
    from support.oracle import Event

    from detektor_pipelines.settings import Settings

EVERYTHING = everything((hours(6), days(1), days(7)), filters=("_rejected",))
KEYS = (AGENT, f"{AGENT}@p", f"{AGENT}@q")
NOW = ORIGIN + 20 * DAY
checked = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def log(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An empty log; the clock stands still, so nobody is waited for."""
    partition_log(servers)
    monkeypatch.setattr(judgement, "AGAIN_S", 0.1)
    return servers


@pytest.mark.parametrize("keys", [60, 2_000])
def test_one_wrong_value_among_many_is_found_every_time(log: Settings, monkeypatch: pytest.MonkeyPatch, keys: int) -> None:
    at(monkeypatch, "2026-03-07T10:00:00Z")
    insert(log, [event for number in range(keys) for event in reviews(f"e{number}", "2026-03-07 09:00", project=f"p{number}")])
    with Planting(log, monkeypatch) as planting:
        planting.tick()
        wrong = f"{AGENT}@p{keys // 2}"
        planting.plant(wrong, week=99)
        for _ in range(2):
            (found,) = check(log, [VIEW])
            assert (found.known, found.compared, found.states) == (keys + 1, keys + 1, {"ok": keys, "wrong": 1})
            assert [each.agent_id for each in found.mismatches] == [wrong]


def test_a_sample_is_another_one_each_time_and_the_same_for_a_seed(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    del log, monkeypatch

    def chosen(seed: int, sample: int = 40) -> set[str]:
        keys = Keys(online={f"a{number}" for number in range(200)}, logged={"gone"}, recent={"a7"})
        choose({"view": keys}, sample, seed)
        return keys.chosen

    assert chosen(1) == chosen(1) != chosen(2)
    assert all({"gone", "a7"} <= chosen(seed) and len(chosen(seed)) == 40 for seed in range(20))
    assert len(set.union(*(chosen(seed) for seed in range(60)))) == 201
    assert len(chosen(1, 201)) == 201


@pytest.mark.slow
@settings(checked, max_examples=examples(4), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(histories(size=30), st.data())
def test_whatever_is_planted_is_found(log: Settings, monkeypatch: pytest.MonkeyPatch, events: list[Event], data: Any) -> None:
    plant_and_look(log, monkeypatch, events, data)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@settings(checked, max_examples=150)
@given(histories(size=30), st.data())
def test_whatever_is_planted_in_many_histories_is_found(
    log: Settings, monkeypatch: pytest.MonkeyPatch, events: list[Event], data: Any
) -> None:
    plant_and_look(log, monkeypatch, events, data)


def plant_and_look(log: Settings, monkeypatch: pytest.MonkeyPatch, events: list[Event], data: Any) -> None:
    """Let a worker count a history in two parts with time between them, then spoil one value."""
    clear(log)
    events = [replace(each, known_at=each.occurred_at) for each in {event.event_id: event for event in events}.values()]
    first = data.draw(st.integers(0, len(events)))
    later = NOW + data.draw(st.integers(0, 3 * DAY))
    with Planting(log, monkeypatch, EVERYTHING) as planting:
        planting.empty_redis()
        at(monkeypatch, clock.to_text(NOW))
        insert(log, events[:first])
        planting.tick()
        planting.keep("before")
        at(monkeypatch, clock.to_text(later))
        insert(log, events[first:])
        planting.tick()
        planting.keep("right")
        assert set(planting.states()) <= {"ok"}
        key = data.draw(st.sampled_from(KEYS))
        stored = planting.client.get(planting.key(key))
        if stored is None:
            return
        expected = spoil(planting, key, stored, data)
        (found,) = check(log, [EVERYTHING])
        right = dict(zip((each.name for each in EVERYTHING.features), right_values(events, key, later), strict=True))
        assert {each.agent_id for each in found.mismatches} == ({key} if expected else set())
        assert all(each.right == right[each.feature] for each in found.mismatches if each.feature)
        assert not expected or {each.state for each in found.mismatches} <= expected


def spoil(planting: Planting, key: str, stored: bytes, data: Any) -> set[str]:
    """Spoil a value; return the states that parity may give it, none when it is right all the same."""
    layout = online.stored_view(EVERYTHING).layout
    right = unpack(layout, stored).values
    match data.draw(st.sampled_from(("number", "unsaid", "before", "delete", "ahead"))):
        case "before":
            before = planting.kept("before").get(key)
            if before is None or same(unpack(layout, before).values, right):
                return set()
            planting.put_back("before", key)
            return {"lost", "frozen"}
        case "delete":
            planting.remove(key)
            nothing = all(not value for name, value in right.items() if name.startswith(("count", "distinct")))
            return set() if nothing else {"missing"}
        case "ahead":
            planting.plant(key, as_of=clock.now_us() + DAY)
            return {"ahead"}
        case what:
            name, kind = data.draw(st.sampled_from(layout.fields))
            value = right[name]
            wrong = 7 if value is None else value + 1 if kind != "float64" else value * 2 + 1
            planting.plant(key, **({"snapshot": None} if what == "unsaid" else {}), **{name: float(wrong) if kind == "float64" else wrong})
            return {"wrong"}


def same(one: Any, other: Any) -> bool:
    return all(one[name] == other[name] for name in other)


def right_values(events: list[Event], key: str, instant: int) -> tuple[Any, ...]:
    """What the naive oracle says that a reader should get."""
    project = key.partition("@")[2] or None
    own = [each for each in events if project is None or each.project == project]
    return oracle_values(EVERYTHING, [each for each in own if each.occurred_at <= instant], instant, as_served=False)
