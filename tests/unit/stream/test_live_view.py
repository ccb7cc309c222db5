"""Repairs: what a revised event touched is summed again from the log, and nothing else changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.engine_cases import ORIGIN, event_table
from support.oracle import Event, values
from support.rule_views import AGENT, view_of

from detektor_pipelines.language import count, days, distinct, event, hours, last, maximum
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.online.packing import unpack
from detektor_pipelines.stores.online.values import ALL_SHARDS, shard_of
from detektor_pipelines.stream.live_view import LiveView

VIEW = view_of(
    few=(count(), hours(6)),
    day=(count(), days(1)),
    month=(count(), days(30)),
    most=(maximum(event.issues_found), days(30)),
    tasks=(distinct(event.task_id), days(7)),
    latest=(last(event.issues_found), days(30)),
)
NOW = ORIGIN + 40 * DAY + 10 * HOUR
COLUMNS = LiveView.columns_of(VIEW)
KEYS = (AGENT, f"{AGENT}@p", f"{AGENT}@q")
SHARDS = frozenset(ALL_SHARDS)


def happened(name: str, ago: int, project: str = "p", issues: int = 1) -> Event:
    return Event(name, NOW - ago, NOW - ago, project, values={"issues_found": issues, "task_id": name})


def row(each: Event) -> tuple[Any, ...]:
    return (1, AGENT, each.project, each.event_id, 1, False, each.occurred_at, *(each.values.get(name) for name in COLUMNS))


def begun(events: list[Event]) -> LiveView:
    view = LiveView(VIEW, COLUMNS)
    view.load(event_table(VIEW, events), NOW, SHARDS)
    return view


def repair(view: LiveView, log: list[Event], *places: Event) -> list[tuple[int, int | None]]:
    """Repair from a log of these events; returns the spans that were read."""
    spans = []

    def read(start: int, end: int | None) -> list[tuple[Any, ...]]:
        spans.append((start, end))
        inside = [each for each in log if start < each.occurred_at and (end is None or each.occurred_at <= end)]
        return [(each.project, each.event_id, each.occurred_at, *(each.values.get(name) for name in COLUMNS)) for each in inside]

    view.repair({(each.project, each.occurred_at) for each in places}, read)
    return spans


def assert_values_of(view: LiveView, log: list[Event]) -> None:
    for key in KEYS:
        own = [each for each in log if key in (AGENT, f"{AGENT}@{each.project}")]
        assert tuple(view.state.values(key)) == values(VIEW, own, view.state.instant, as_served=False), key


@pytest.mark.parametrize("ago", [0, HOUR, 5 * HOUR, 8 * HOUR, 3 * DAY, 20 * DAY, 29 * DAY])
def test_an_event_that_moves_leaves_its_old_place(ago: int) -> None:
    before, after = happened("a", ago, "p", 9), happened("a", max(ago - HOUR, 0), "q", 9)
    others = [happened("b", ago, "p"), happened("c", ago, "q"), happened("d", 0, "q")]
    view = begun([before, *others])
    view.changes(NOW, "1:1:")
    repair(view, [after, *others], before, after)
    assert_values_of(view, [after, *others])
    assert set(view.changes(NOW, "1:1:")) == set(KEYS)
    for later in (DAY, 20 * DAY):
        view.state.advance(NOW + later)
        assert_values_of(view, [after, *others])


def test_an_event_ahead_is_neither_counted_early_nor_twice_after_a_repair_of_its_day() -> None:
    past, gone, ahead = happened("a", HOUR), happened("b", HOUR), happened("c", -HOUR)
    view = begun([past, gone])
    view.hear(row(ahead))
    repair(view, [past, ahead], gone)
    assert_values_of(view, [past])
    view.state.advance(NOW + HOUR)
    assert_values_of(view, [past, ahead])


def test_an_event_ahead_that_moves_waits_once() -> None:
    before, after, other = happened("a", -HOUR), happened("a", -2 * HOUR, "q"), happened("b", -HOUR, "q")
    view = begun([])
    view.hear(row(before))
    view.hear(row(other))
    repair(view, [after, other], before, after)
    for later in (0, HOUR, 2 * HOUR):
        view.state.advance(NOW + later)
        assert_values_of(view, [after, other])


def test_a_key_that_loses_its_only_event_is_written_empty_and_forgotten() -> None:
    only = happened("a", 8 * HOUR)
    view = begun([only])
    view.changes(NOW, "1:1:")
    repair(view, [], only)
    packed = view.changes(NOW, "1:1:")
    assert {key: unpack(view.stored.layout, value).values["month"] for key, value in packed.items()} == {AGENT: 0, f"{AGENT}@p": 0}
    assert not view.state.keys


def test_what_has_left_every_window_is_not_read_again() -> None:
    view = begun([])
    assert repair(view, [], happened("a", 31 * DAY + 10 * HOUR)) == []
    assert not view.state.dirty


def test_keys_of_others_are_neither_heard_nor_repaired() -> None:
    view = LiveView(VIEW, COLUMNS)
    mine = shard_of(f"{AGENT}@p")
    view.load(event_table(VIEW, [happened("a", HOUR)]), NOW, frozenset({mine}))
    view.hear(row(happened("b", HOUR)))
    repair(view, [happened("a", HOUR), happened("c", HOUR), happened("d", -HOUR)], happened("c", HOUR), happened("d", -HOUR))
    view.state.advance(NOW + DAY)
    assert set(view.state.keys) == {key for key in KEYS if shard_of(key) == mine and not key.endswith("@q")}
    view.strict = True
    unheard_of = happened("e", HOUR, "q", issues=-1)
    view.hear(row(unheard_of))  # another's to refuse
    with pytest.raises(ValueError, match="issues_found is -1"):
        view.hear(row(dataclasses.replace(unheard_of, project="p")))
    view.forget()
    assert not view.owns(f"{AGENT}@p")
    view.hear(row(happened("f", HOUR)))
    assert not view.state.keys
