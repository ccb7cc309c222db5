"""The engine against the naive oracle, to the bit."""

from __future__ import annotations

import pytest
from engine_cases import HISTORY, ORIGIN, comparable, event_table, everything, histories, instants_strategy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Event, rows

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.language import days, hours, minutes
from detektor_pipelines.language.windows import DAY, HOUR

EVERYTHING = everything()
FEW = everything((minutes(45), days(7), days(30)))
patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_same(view, events, start, end, cutoff=None):
    ours = comparable(compute(view, event_table(view, events), start=start, end=end, cutoff=cutoff))
    naive = rows(view, events, start=start, end=end, cutoff=cutoff)
    assert [row[:3] for row in ours] == [row[:3] for row in naive]
    for mine, theirs in zip(ours, naive, strict=True):
        names = [each.name for each in view.features]
        assert dict(zip(names, mine[3], strict=True)) == dict(zip(names, theirs[3], strict=True)), mine[:3]


@patient
@given(histories(late=True))
def test_whole_history_equals_oracle(events):
    assert_same(EVERYTHING, events, ORIGIN - DAY, ORIGIN + (HISTORY + 45) * DAY)


@patient
@given(histories(late=False))
def test_history_without_late_events_equals_oracle(events):
    assert_same(FEW, events, ORIGIN - DAY, ORIGIN + (HISTORY + 35) * DAY)


@patient
@given(histories(late=True), st.integers(0, HISTORY + 31), st.integers(1, 3), instants_strategy(HISTORY + 30))
def test_any_range_equals_oracle(events, first, length, cutoff):
    start = ORIGIN + first * DAY
    assert_same(FEW, events, start, start + length * DAY, cutoff)


@patient
@given(histories(late=True), st.sampled_from((HOUR // 4, 6 * HOUR, DAY)))
def test_other_grains_equal_oracle(events, grain):
    view = everything((hours(1), days(1), days(30)), grain)
    assert_same(view, events, ORIGIN - DAY, ORIGIN + (HISTORY + 35) * DAY)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_no_events_no_rows(view):
    assert compute(view, event_table(view, []), start=ORIGIN, end=ORIGIN + DAY).num_rows == 0


def test_one_event_of_each_view_equals_oracle():
    for view in VIEWS:
        event = Event("e", ORIGIN + 10 * HOUR, ORIGIN + 30 * HOUR, "p")
        assert_same(view, [event], ORIGIN, ORIGIN + 40 * DAY)
