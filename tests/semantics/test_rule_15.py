"""Rule 15: a row stands at a grain instant when an event of the key enters or leaves any window in the grain before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_cases import HISTORY, ORIGIN, comparable, event_table, histories
from support.rule_views import happened, instants_of, rows_of, view_of

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.language import DefinitionError, FeatureView, count, data_hash, days, event, last, minutes
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from support.oracle import Event

VIEW = view_of(n_1d=(count(), days(1)), n_7d=(count(), days(7)))
patient = settings(max_examples=4, deadline=None)


def test_15_a_row_stands_where_something_enters_or_leaves_and_nowhere_else() -> None:
    assert instants_of(rows_of(VIEW, [happened("2026-03-05 10:20")])) == ["03-05 11:00", "03-06 11:00", "03-12 11:00"]


def test_15_whether_or_not_a_value_changed() -> None:
    view = view_of(rejected=(count(), days(1), event.verdict == "rejected"), latest=(last(event.issues_found), days(7)))
    rows = rows_of(view, [happened("2026-03-05 10:20", verdict="approved")])

    assert instants_of(rows) == ["03-05 11:00", "03-06 11:00", "03-12 11:00"]
    assert {(row["rejected"], row["latest"]) for row in rows} == {(0, None)}


def test_15_an_instant_is_in_the_grain_that_ends_with_it() -> None:
    assert instants_of(rows_of(VIEW, [happened("2026-03-05 10:00")]))[0] == "03-05 10:00"
    assert instants_of(rows_of(VIEW, [happened("2026-03-05 10:00:00.000001")]))[0] == "03-05 11:00"
    assert instants_of(rows_of(VIEW, [happened("2026-03-05 10:59:59.999999"), happened("2026-03-05 10:00:00.000001", event_id="f")])) == [
        "03-05 11:00",
        "03-06 11:00",
        "03-12 11:00",
    ]


def test_15_becoming_known_is_an_enter_too() -> None:
    assert instants_of(rows_of(VIEW, [happened("2026-03-05 10:20", known="2026-03-08 07:30")])) == [
        "03-05 11:00",
        "03-06 11:00",
        "03-08 08:00",
        "03-12 11:00",
    ]


def test_15_a_superseded_event_keeps_its_instants() -> None:
    events = [happened("2026-03-05 10:20", known="2026-03-08 07:30")]
    superseded = [replace(each, live=False) for each in events]

    assert instants_of(rows_of(VIEW, superseded)) == instants_of(rows_of(VIEW, events))


def test_15_the_last_leave_writes_a_terminal_row_and_after_it_there_are_none() -> None:
    view = view_of(number=(count(), days(1)), latest=(last(event.issues_found), days(7)))
    rows = rows_of(view, [happened("2026-03-05 10:20", issues_found=3)])

    assert (rows[-1]["at"], rows[-1]["number"], rows[-1]["latest"]) == ("03-12 11:00", 0, None)
    assert rows_of(view, [happened("2026-03-05 10:20", issues_found=3)], start="2026-03-13") == []


def test_15_the_grain_is_an_hour_unless_said_otherwise_and_part_of_the_data_hash() -> None:
    assert {view.grain for view in VIEWS} == {HOUR}
    finer = replace(VIEW, grain=15 * MINUTE)

    assert data_hash(finer) != data_hash(VIEW)
    assert instants_of(rows_of(finer, [happened("2026-03-05 10:20")])) == ["03-05 10:30", "03-06 11:00", "03-12 11:00"]


def test_15_a_grain_divides_a_day() -> None:
    with pytest.raises(DefinitionError, match="does not divide a day"):
        replace(VIEW, grain=7 * HOUR)
    assert instants_of(rows_of(replace(VIEW, grain=DAY), [happened("2026-03-05 10:20")])) == ["03-06 00:00", "03-07 00:00", "03-13 00:00"]


def test_15_leaves_within_a_grain_are_one_row() -> None:
    view = view_of(short=(count(), minutes(45)), day=(count(), days(1)))
    events = [happened(f"2026-03-05 10:{minute}", event_id=str(minute)) for minute in (16, 21, 26)]

    assert [(row["at"], row["short"], row["day"]) for row in rows_of(view, events)] == [
        ("03-05 11:00", 3, 3),
        ("03-05 12:00", 0, 3),
        ("03-06 11:00", 0, 0),
    ]


@patient
@given(histories(size=8))
def test_15_a_range_equals_day_by_day(events: list[Event]) -> None:
    table = event_table(VIEW, events)
    first, last_day = ORIGIN + 20 * DAY, ORIGIN + 28 * DAY
    whole = comparable(compute(VIEW, table, start=first, end=last_day))
    single = [row for start in range(first, last_day, DAY) for row in comparable(compute(VIEW, table, start=start, end=start + DAY))]

    assert sorted(single, key=lambda row: row[:3]) == sorted(whole, key=lambda row: row[:3])


@patient
@given(histories(size=8), histories(size=8), st.sampled_from((HOUR, 6 * HOUR)))
def test_15_with_more_events_instants_only_get_more(events: list[Event], more: list[Event], grain: int) -> None:
    view = replace(VIEW, grain=grain)

    assert keys(view, events) <= keys(view, events + more)


def keys(view: FeatureView, events: list[Event]) -> set[tuple[str, int]]:
    end = ORIGIN + (HISTORY + 60) * DAY
    return {row[:2] for row in comparable(compute(view, event_table(view, events), start=ORIGIN - DAY, end=end))}


@pytest.mark.slow
def test_15_a_row_is_true_until_the_next_so_feasts_ttl_is_0() -> None:
    from detektor_pipelines.compile.feast import feature_view

    assert {feature_view(view).ttl for view in VIEWS} == {timedelta(0)}
