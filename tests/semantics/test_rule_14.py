"""Rule 14: a row is the value at event_timestamp as known at created_at: as served then, and a second one where more is known now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine_cases import crafted
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_views import happened, read, rows_of, view_of

from detektor_pipelines.language import count, days, event, last, rate, total

if TYPE_CHECKING:
    from oracle import Event

VIEW = view_of(n_1d=(count(), days(1)), n_7d=(count(), days(7)))
LATE = happened("2026-03-05 10:00", event_id="late", known="2026-03-06 09:30")
ON_TIME = [happened(at, event_id=at) for at in ("2026-03-05 12:00", "2026-03-06 08:40", "2026-03-06 10:00")]
"""Three others, so that there are rows between the late event and its being known."""


def versions(events: list[Event], at: str, agent_id: str = "code-reviewer") -> list[tuple[str, int, int]]:
    """(created_at, 1-day count, 7-day count) of the rows of an instant."""
    return [(row["known"], row["n_1d"], row["n_7d"]) for row in rows_of(VIEW, events) if (row["agent_id"], row["at"]) == (agent_id, at)]


def test_14_example_rows_before_it_became_known_have_two_versions() -> None:
    events = [LATE, *ON_TIME]

    assert versions(events, "03-05 10:00") == [("03-05 10:00", 0, 0), ("03-06 09:30", 1, 1)]
    assert versions(events, "03-05 12:00") == [("03-05 12:00", 1, 1), ("03-06 09:30", 2, 2)]
    assert versions(events, "03-06 09:00") == [("03-06 09:00", 2, 2), ("03-06 09:30", 3, 3)]


def test_14_example_the_row_at_which_it_is_known_has_one_version() -> None:
    """The week has it, from the day it has just left."""
    assert versions([LATE, *ON_TIME], "03-06 10:00") == [("03-06 10:00", 3, 4)]


def test_14_a_read_takes_the_newest_knowledge_up_to_k() -> None:
    rows = rows_of(VIEW, [LATE, *ON_TIME])

    assert read(rows, "03-05 12:00", "n_1d", known="03-05 12:00") == 1  # k is the label's own instant unless asked otherwise
    assert read(rows, "03-05 12:00", "n_1d", known="03-06 09:29") == 1
    assert read(rows, "03-05 12:00", "n_1d", known="03-06 09:30") == 2
    assert read(rows, "03-05 12:00", "n_1d") == 2


def test_14_history_read_from_files_is_visible_at_its_own_time() -> None:
    rows = rows_of(VIEW, ON_TIME)

    assert {row["at"] == row["known"] for row in rows} == {True}
    assert read(rows, "03-05 12:00", "n_1d", known="03-05 12:00") == 1


def test_14_created_at_is_the_greatest_knowledge_of_those_that_make_the_difference() -> None:
    other = happened("2026-03-05 11:00", event_id="other", known="2026-03-07 20:00")
    events = [LATE, other, *ON_TIME]

    assert versions(events, "03-05 10:00")[-1] == ("03-06 09:30", 1, 1)  # the other had not happened
    assert versions(events, "03-05 12:00")[-1] == ("03-07 20:00", 3, 3)
    assert versions(events, "03-06 10:00") == [("03-06 10:00", 3, 4), ("03-07 20:00", 4, 5)]


def test_14_an_event_that_no_feature_lets_through_makes_no_difference() -> None:
    view = view_of(
        rejected=(count(), days(1), event.verdict == "rejected"), latest=(last(event.issues_found), days(1), event.issues_found > 5)
    )
    counted = happened("2026-03-05 10:00", event_id="counted", known="2026-03-05 15:30", verdict="rejected")
    other = happened("2026-03-05 10:00", event_id="other", known="2026-03-20 10:00", verdict="approved")
    second = happened("2026-03-05 10:00", event_id="second", known="2026-03-05 18:00", issues_found=6)

    assert [row["known"] for row in rows_of(view, [counted, other]) if row["at"] == "03-05 10:00"] == ["03-05 10:00", "03-05 15:30"]
    assert [row["known"] for row in rows_of(view, [counted, other, second]) if row["at"] == "03-05 10:00"] == ["03-05 10:00", "03-05 18:00"]


def test_14_a_superseded_event_makes_no_difference() -> None:
    superseded = happened("2026-03-05 10:00", event_id="superseded", known="2026-03-20 10:00", live=False)

    assert versions([LATE, superseded, *ON_TIME], "03-05 10:00") == [("03-05 10:00", 0, 0), ("03-06 09:30", 1, 1)]


def test_14_what_was_known_by_then_makes_no_difference_any_more() -> None:
    """Of two late events, the row after the first became known waits for the second alone."""
    soon = happened("2026-03-05 10:00", event_id="soon", known="2026-03-05 11:30")

    assert versions([soon, LATE, *ON_TIME], "03-05 12:00") == [("03-05 12:00", 2, 2), ("03-06 09:30", 3, 3)]


def test_14_a_late_event_that_changes_no_value_makes_no_second_version() -> None:
    view = view_of(rejected=(count(), days(1), event.verdict == "rejected"))
    approved = happened("2026-03-05 10:00", known="2026-03-06 09:30", verdict="approved")
    superseded = happened("2026-03-05 10:00", event_id="s", known="2026-03-06 09:30", verdict="rejected", live=False)

    assert {row["at"] == row["known"] for row in rows_of(view, [approved, superseded])} == {True}


def test_14_late_within_its_own_hour_is_not_late() -> None:
    assert versions([happened("2026-03-05 10:10", known="2026-03-05 10:50")], "03-05 11:00") == [("03-05 11:00", 1, 1)]


def test_14_a_late_event_leaves_other_projects_alone() -> None:
    late = happened("2026-03-05 10:00", event_id="late", known="2026-03-06 09:30", project="p")
    other = happened("2026-03-05 12:00", event_id="other", project="q")
    rows = rows_of(VIEW, [late, other])

    assert {row["at"] == row["known"] for row in rows if row["agent_id"] == "code-reviewer@q"} == {True}
    assert read(rows, "03-05 12:00", "n_1d", known="03-05 12:00") == 1  # the roll-up as it was served is not hidden
    assert read(rows, "03-05 12:00", "n_1d") == 2


def test_14_every_value_of_a_second_version_is_as_known_now() -> None:
    view = view_of(
        latest=(last(event.issues_found), days(1)),
        share=(rate(event.verdict == "rejected"), days(1)),
        sum=(total(event.issues_found), days(1)),
    )
    events = [
        happened("2026-03-05 09:00", event_id="1", issues_found=1, verdict="approved"),
        happened("2026-03-05 10:00", event_id="2", known="2026-03-05 15:00", issues_found=5, verdict="rejected"),
        happened("2026-03-05 11:00", event_id="3", issues_found=None, verdict="approved"),
    ]
    rows = [row for row in rows_of(view, events) if row["at"] == "03-05 11:00"]

    assert [(row["known"], row["latest"], row["share"], row["sum"]) for row in rows] == [
        ("03-05 11:00", 1, 0.0, 1),
        ("03-05 15:00", 5, 1 / 3, 6),
    ]


@settings(max_examples=3, deadline=None)
@given(st.permutations(crafted()))
def test_14_the_same_data_give_the_same_rows(events: list[Event]) -> None:
    view = view_of(number=(count(), days(1)), latest=(last(event.issues_found), days(7)))
    window = {"start": "2024-09-01", "end": "2025-03-01"}

    assert rows_of(view, events, **window) == rows_of(view, crafted(), **window)
