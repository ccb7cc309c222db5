"""The stream's windows against the naive oracle, to the bit: any order of arrival, time passing in steps, repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_cases import HISTORY, ORIGIN, WINDOWS, crafted, everything, histories
from support.oracle import Event, values
from support.rule_views import view_of

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language import count, days, distinct, event, last, total
from detektor_pipelines.language.expressions import Constant
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, ceil_to
from detektor_pipelines.stream.state import ViewState

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView

EVERYTHING = everything()
FOLD = fold(plan(EVERYTHING))
AGENT = EVERYTHING.agent
END = ORIGIN + (HISTORY + 45) * DAY
steps = st.lists(
    st.one_of(st.integers(1, 3 * DAY), st.sampled_from((1, 5 * MINUTE, HOUR, DAY, 12 * DAY, 31 * DAY))), min_size=1, max_size=12
)
checked = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def keys_of(event: Event) -> list[str]:
    return [AGENT] if event.project is None else [AGENT, f"{AGENT}@{event.project}"]


def arrive(state: ViewState, event: Event) -> None:
    row = event.row()
    contribution = state.fold.contribution(event.occurred_at, event.project, *(row.get(name) for name in state.fold.columns))
    if event.live and contribution is not None:
        for key in keys_of(event):
            state.add(key, event.occurred_at, event.event_id, contribution)


def assert_equal(state: ViewState, arrived: list[Event], view: FeatureView = EVERYTHING) -> None:
    names = [each.name for each in view.features]
    for key in (AGENT, f"{AGENT}@p", f"{AGENT}@q"):
        own = [each for each in arrived if key in keys_of(each)]
        expected = values(view, own, state.instant, as_served=False)
        assert dict(zip(names, state.values(key), strict=True)) == dict(zip(names, expected, strict=True)), (key, state.instant)


@checked
@given(histories(), st.randoms(use_true_random=False), steps, st.integers(ORIGIN, ORIGIN + HISTORY * DAY))
def test_any_order_of_arrival_equals_oracle(events: list[Event], random, moves: list[int], instant: int) -> None:
    state = ViewState(FOLD, instant)
    random.shuffle(events)
    arrived: list[Event] = []
    shares = [events[number :: len(moves)] for number in range(len(moves))]
    for share, move in zip(shares, moves, strict=True):
        for each in share:
            arrive(state, each)
            arrived.append(each)
        assert_equal(state, arrived)
        state.advance(state.instant + move)
        assert_equal(state, arrived)
    state.advance(END)
    assert_equal(state, arrived)
    state.changes()
    assert not list(state.keys)
    assert not state.waiting
    assert not any(hop.tiles for hop in state.hops)


def test_each_boundary_of_the_crafted_history_equals_oracle() -> None:
    events = crafted()
    state = ViewState(FOLD, ORIGIN - DAY)
    for each in events:
        arrive(state, each)
    exact = {each.occurred_at for each in events} | {window.leave(each.occurred_at) for each in events for window in WINDOWS}
    for instant in sorted(exact | {each - 1 for each in exact}):
        state.advance(instant)
        assert_equal(state, events)


def test_an_event_that_arrives_at_the_instant_of_its_leave_is_not_kept() -> None:
    first = crafted()[0]
    for window in WINDOWS:
        for late, inside in ((1, True), (0, False)):
            state = ViewState(FOLD, window.leave(first.occurred_at) - late)
            arrive(state, first)
            assert_equal(state, [first])
            assert (AGENT in state.keys) is (inside or window is not max(WINDOWS))
            state.advance(END)
            assert_equal(state, [first])
            state.changes()
            assert not any(hop.tiles for hop in state.hops)


@checked
@given(histories(), st.integers(ORIGIN, ORIGIN + HISTORY * DAY), st.integers(0, 40 * DAY))
def test_a_key_is_dirty_whenever_its_values_changed(events: list[Event], instant: int, move: int) -> None:
    state = ViewState(FOLD, instant)
    for each in events:
        arrive(state, each)
    known = {key: state.values(key) for key in (AGENT, f"{AGENT}@p", f"{AGENT}@q")}
    state.changes()
    state.advance(instant + move)
    changed = dict(state.changes())
    for key, before in known.items():
        assert changed.get(key, before) == state.values(key)


@checked
@given(histories(), st.integers(ORIGIN, ORIGIN + HISTORY * DAY), st.data())
def test_a_tile_put_in_the_place_of_another_counts_at_once(events: list[Event], instant: int, data: st.DataObject) -> None:
    state = ViewState(FOLD, instant)
    for each in events:
        arrive(state, each)
    gone = set(data.draw(st.sets(st.sampled_from(range(len(events)))))) if events else set()
    left = [each for number, each in enumerate(events) if number not in gone]
    now = [each for each in left if each.occurred_at <= instant]
    for number in gone:
        lost = events[number]
        if lost.occurred_at > instant:
            left.append(lost)  # it waits: no tile holds it yet
            continue
        for key in keys_of(lost):
            for hop in state.hops:
                bucket = ceil_to(lost.occurred_at, hop.size)
                tile = hop.empty()
                inside = 0
                for other in now:
                    row = other.row()
                    contribution = FOLD.contribution(other.occurred_at, other.project, *(row.get(name) for name in FOLD.columns))
                    if other.live and contribution and key in keys_of(other) and ceil_to(other.occurred_at, hop.size) == bucket:
                        hop.add(tile, other.occurred_at, other.event_id, contribution)
                        inside += 1
                state.replace(key, hop, bucket, tile if inside else None)
            state.settle(key)
    assert_equal(state, left)
    state.advance(END)
    assert_equal(state, left)
    state.changes()
    assert not list(state.keys)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_catalogue_compiles(view: FeatureView) -> None:
    state = ViewState(fold(plan(view)), ORIGIN)
    empty = values(view, [], ORIGIN, as_served=False)
    assert tuple(state.values(view.agent)) == empty


def test_an_earlier_instant_changes_nothing() -> None:
    state = ViewState(FOLD, ORIGIN)
    state.advance(ORIGIN - HOUR)
    assert state.instant == ORIGIN


def test_every_column_of_an_event_can_be_counted() -> None:
    view = view_of(projects=(distinct(event.project), days(1)), when=(last(event.occurred_at), days(1), event.project != "q"))
    state = ViewState(fold(plan(view)), ORIGIN)
    for number, project in enumerate(("p", "q", "p", None)):
        arrive(state, Event(str(number), ORIGIN - number, ORIGIN, project))
    assert state.values(AGENT) == [2, ORIGIN]
    assert state.values(f"{AGENT}@q") == [1, None]


def test_a_constant_can_be_counted_and_no_text_breaks_out_of_the_compiled_function() -> None:
    text = "x' or __import__('os').abort() or \"\"\"\n\\"
    view = view_of(five=(total(Constant(5)), days(1)), odd=(count(), days(1), event.error_type == text))
    state = ViewState(fold(plan(view)), ORIGIN)
    arrive(state, Event("a", ORIGIN, ORIGIN, values={"error_type": text}))
    arrive(state, Event("b", ORIGIN, ORIGIN, values={"error_type": "x"}))
    assert state.values(AGENT) == [10, 1]
