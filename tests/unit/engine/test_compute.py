"""The engine against the naive oracle, to the bit.

Every computation is made over arrays, and once more by SQL. DuckDB plans a view in tenths of a second whatever it then reads, so an example
is several histories side by side in one computation, and the windows are taken one or two at a time; the `long` tests take all at once.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.engine_cases import (
    APART,
    FILTERS,
    HISTORY,
    ORIGIN,
    WINDOWS,
    comparable,
    crafted,
    event_table,
    everything,
    histories,
    instants_strategy,
    revised_histories,
    side_by_side,
)
from support.examples import examples
from support.oracle import Event, resolved, rows

import detektor_pipelines.engine.compute as engine
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import Span
from detektor_pipelines.engine.arrays.cells import Cells
from detektor_pipelines.engine.arrays.event_vectors import TooWideError
from detektor_pipelines.engine.arrays.intervals import Intervals, leaves_at, suits
from detektor_pipelines.engine.compute import cells_of, compute
from detektor_pipelines.language import FeatureView, days, hours, minutes
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, floor_to

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.language import Window

EVERYTHING = everything()
END = ORIGIN + (HISTORY + 45) * DAY
slow_checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
# Shrinking a failure takes minutes: the `long` tests do it.
at_once = (Phase.explicit, Phase.reuse, Phase.generate)
few = settings(max_examples=examples(3), deadline=None, suppress_health_check=slow_checks, phases=at_once)
many = settings(max_examples=80, deadline=None, suppress_health_check=slow_checks)

filters = st.sampled_from(tuple((name,) for name in FILTERS))
several = st.lists(histories(size=10), min_size=5, max_size=5)
revised = st.lists(revised_histories(size=6).map(resolved), min_size=5, max_size=5)
punctual = st.lists(histories(size=10, late=False), min_size=5, max_size=5)


def assert_same(view: FeatureView, batches: list[list[Event]], start: int, end: int, cutoff: int | None = None) -> None:
    """Hold one computation over all batches against the oracle on each of them: over arrays, and by SQL."""
    events = event_table(view, [event for batch in batches for event in batch])
    found = compute(view, events, start=start, end=end, cutoff=cutoff)
    assert arrays_suffice(view, events, start, end, cutoff)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "suits", lambda *_: False)
        assert compute(view, events, start=start, end=end, cutoff=cutoff).equals(found)
    assert compute(view, read_in_three(view, events, start), start=start, end=end, cutoff=cutoff).equals(found)
    ours = comparable(found)
    naive = sorted(
        (row for batch in batches for row in rows(view, batch, start=start, end=end, cutoff=cutoff)),
        key=lambda row: (row[0].encode(), row[1], row[2]),
    )
    assert [row[:3] for row in ours] == [row[:3] for row in naive]
    names = [each.name for each in view.features]
    for mine, theirs in zip(ours, naive, strict=True):
        assert dict(zip(names, mine[3], strict=True)) == dict(zip(names, theirs[3], strict=True)), mine[:3]


def read_in_three(view: FeatureView, events: pa.Table, start: int) -> Cells:
    """Make cells of a third of the events at a time, in the order of their instants, and drop those that have left before `start`."""
    instants = sorted(set(events["ts"].to_pylist())) or [0]
    cuts = [-1, instants[len(instants) // 3], instants[len(instants) * 2 // 3], instants[-1]]
    parts = [
        cells_of(view, events.filter((pc.field("ts") > after) & (pc.field("ts") <= until))) for after, until in itertools.pairwise(cuts)
    ]
    joined = Cells.joined(parts)
    return joined.chosen(leaves_at(joined.buckets, view.longest, view.grain) > start)


def arrays_suffice(view: FeatureView, events: pa.Table, start: int, end: int, cutoff: int | None = None) -> bool:
    """Whether the states need no SQL."""
    compiled, last = plan(view), end if cutoff is None else min(end, cutoff)
    if not suits(compiled, events):
        return False
    try:
        Intervals(compiled, Cells.of(compiled, events), Span(start, floor_to(last, view.grain))).states("served")
    except TooWideError:
        return False
    return True


def assert_same_throughout(view: FeatureView, batches: list[list[Event]]) -> None:
    assert_same(view, side_by_side(batches), ORIGIN - DAY, END + len(batches) * APART)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.label)
@few
@given(several, filters)
def test_a_window_equals_oracle(window: Window, batches: list[list[Event]], chosen: tuple[str, ...]) -> None:
    assert_same_throughout(everything((window,), filters=chosen), batches)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.label)
def test_a_window_over_the_crafted_history_equals_oracle(window: Window) -> None:
    assert_same_throughout(everything((window,)), [crafted()])


@pytest.mark.parametrize("window", [minutes(45), days(1), days(30)], ids=lambda window: window.label)
@few
@given(punctual, filters)
def test_a_window_without_late_events_equals_oracle(window: Window, batches: list[list[Event]], chosen: tuple[str, ...]) -> None:
    assert_same_throughout(everything((window,), filters=chosen), batches)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.label)
@few
@given(revised, filters)
def test_a_window_over_revised_events_equals_oracle(window: Window, batches: list[list[Event]], chosen: tuple[str, ...]) -> None:
    assert_same_throughout(everything((window,), filters=chosen), batches)


@few
@given(revised, st.integers(0, 5 * APART // HOUR), st.integers(1, 60), instants_strategy(5 * APART // DAY), filters)
def test_any_range_of_revised_events_equals_oracle(
    batches: list[list[Event]], first: int, length: int, cutoff: int, chosen: tuple[str, ...]
) -> None:
    start = ORIGIN + first * HOUR
    view = everything((minutes(45), days(30)), filters=chosen)
    assert_same(view, side_by_side(batches), start, start + length * DAY, cutoff)


@few
@given(several, st.sampled_from(((minutes(45), days(30)), (hours(6), days(12)), (days(1), days(7)))), filters)
def test_windows_that_share_states_equal_oracle(batches: list[list[Event]], windows: tuple[Window, ...], chosen: tuple[str, ...]) -> None:
    assert_same_throughout(everything(windows, filters=chosen), batches)


@few
@given(several, st.integers(0, 5 * APART // HOUR), st.integers(1, 60), instants_strategy(5 * APART // DAY), filters)
def test_any_range_equals_oracle(batches: list[list[Event]], first: int, length: int, cutoff: int, chosen: tuple[str, ...]) -> None:
    start = ORIGIN + first * HOUR
    view = everything((minutes(45), days(30)), filters=chosen)
    assert_same(view, side_by_side(batches), start, start + length * DAY, cutoff)


@pytest.mark.parametrize("grain", [5 * MINUTE, 15 * MINUTE, 6 * HOUR, DAY], ids=lambda grain: f"{grain // MINUTE}m")
@few
@given(st.one_of(several, revised), st.sampled_from((hours(1), days(1), days(30))), filters)
def test_other_grains_equal_oracle(grain: int, batches: list[list[Event]], window: Window, chosen: tuple[str, ...]) -> None:
    assert_same_throughout(everything((window,), grain, filters=chosen), batches)


def test_a_range_that_begins_inside_a_hop_equals_oracle() -> None:
    view = everything((days(30),))
    old, new = (
        Event(name, at, at, "p", values={"duration_ms": at % 7, "issues_found": 1})
        for name, at in (("o", ORIGIN), ("n", ORIGIN + 40 * DAY + 9 * HOUR))
    )
    start = ORIGIN + 40 * DAY + 8 * HOUR
    assert_same(view, [[old, new]], start, start + DAY)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_no_events_no_rows(view: FeatureView) -> None:
    assert compute(view, event_table(view, []), start=ORIGIN, end=ORIGIN + DAY).num_rows == 0


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_one_late_event_of_each_view_equals_oracle(view: FeatureView) -> None:
    event = Event("e", ORIGIN + 10 * HOUR, ORIGIN + 30 * HOUR, "p")
    assert_same(view, [[event]], ORIGIN, ORIGIN + 40 * DAY)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(st.lists(histories(size=25), min_size=4, max_size=4))
def test_everything_at_once_equals_oracle(batches: list[list[Event]]) -> None:
    assert_same_throughout(EVERYTHING, batches)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(st.lists(histories(size=25, late=False), min_size=4, max_size=4))
def test_everything_without_late_events_equals_oracle(batches: list[list[Event]]) -> None:
    assert_same_throughout(EVERYTHING, batches)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(several, st.integers(0, 5 * APART // DAY), st.integers(1, 60), instants_strategy(5 * APART // DAY))
def test_any_range_of_everything_equals_oracle(batches: list[list[Event]], first: int, length: int, cutoff: int) -> None:
    start = ORIGIN + first * DAY
    assert_same(EVERYTHING, side_by_side(batches), start, start + length * DAY, cutoff)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(revised)
def test_everything_over_revised_events_equals_oracle(batches: list[list[Event]]) -> None:
    assert_same_throughout(EVERYTHING, batches)
