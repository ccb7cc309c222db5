"""Rule 12: intervals of one value that touch or overlap are one island, and an island counts as one distinct value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.rule_views import happened, read, rows_of, view_of

from detektor_pipelines.language import count, days, distinct, event

if TYPE_CHECKING:
    from support.oracle import Event

    from detektor_pipelines.language import FeatureView

VIEW = view_of(number=(count(), days(1)), tasks=(distinct(event.task_id), days(1)))


def counts(*events: Event, agent_id: str = "code-reviewer", view: FeatureView = VIEW, feature: str = "tasks") -> list[tuple[str, int]]:
    """(instant, distinct values) as known now."""
    rows = [row for row in rows_of(view, events) if row["agent_id"] == agent_id]
    return [(at, read(rows, at, feature, agent_id=agent_id)) for at in dict.fromkeys(row["at"] for row in rows)]


def test_12_overlapping_intervals_of_a_value_count_once() -> None:
    events = (happened("2026-03-05 09:00", event_id="1", task_id="a"), happened("2026-03-05 20:00", event_id="2", task_id="a"))

    assert counts(*events) == [("03-05 09:00", 1), ("03-05 20:00", 1), ("03-06 09:00", 1), ("03-06 20:00", 0)]


def test_12_intervals_that_touch_are_two_islands_without_a_gap() -> None:
    events = (happened("2026-03-05 09:00", event_id="1", task_id="a"), happened("2026-03-06 09:00", event_id="2", task_id="a"))

    assert counts(*events) == [("03-05 09:00", 1), ("03-06 09:00", 1), ("03-07 09:00", 0)]


def test_12_intervals_apart_are_two_islands() -> None:
    events = (happened("2026-03-05 09:00", event_id="1", task_id="a"), happened("2026-03-06 10:00", event_id="2", task_id="a"))

    assert counts(*events) == [("03-05 09:00", 1), ("03-06 09:00", 0), ("03-06 10:00", 1), ("03-07 10:00", 0)]


def test_12_an_interval_within_another_does_not_end_it() -> None:
    """Known late, an event enters after one that leaves after it: the island ends at the greatest leave, not at the last one's."""
    early = happened("2026-03-05 09:00", event_id="1", known="2026-03-05 22:00", task_id="a")
    late = happened("2026-03-05 20:00", event_id="2", task_id="a")
    between = happened("2026-03-06 15:00", event_id="3", task_id="a")
    rows = rows_of(VIEW, [early, late, between])
    served = [(row["at"], row["tasks"]) for row in rows if row["at"] == row["known"]]

    assert served == [
        ("03-05 09:00", 0),
        ("03-05 20:00", 1),
        ("03-05 22:00", 1),
        ("03-06 09:00", 1),
        ("03-06 15:00", 1),
        ("03-06 20:00", 1),
        ("03-07 15:00", 0),
    ]


def test_12_nulls_are_dropped_and_filters_come_first() -> None:
    events = (
        happened("2026-03-05 09:00", event_id="1", task_id=None, verdict="rejected"),
        happened("2026-03-05 09:00", event_id="2", task_id="a", verdict="approved"),
        happened("2026-03-05 09:00", event_id="3", task_id="b", verdict="rejected"),
        happened("2026-03-05 09:00", event_id="4", task_id="b", verdict="rejected"),
    )
    rejected = view_of(tasks=(distinct(event.task_id), days(1), event.verdict == "rejected"))

    assert counts(*events)[0] == ("03-05 09:00", 2)
    assert counts(*events, view=rejected)[0] == ("03-05 09:00", 1)


def test_12_the_roll_up_has_islands_of_its_own() -> None:
    events = (
        happened("2026-03-05 09:00", event_id="1", project="p", task_id="a"),
        happened("2026-03-05 20:00", event_id="2", project="q", task_id="a"),
    )

    assert counts(*events) == [("03-05 09:00", 1), ("03-05 20:00", 1), ("03-06 09:00", 1), ("03-06 20:00", 0)]
    assert counts(*events, agent_id="code-reviewer@p") == [("03-05 09:00", 1), ("03-06 09:00", 0)]


def test_12_each_window_has_islands_of_its_own() -> None:
    view = view_of(day=(distinct(event.task_id), days(1)), week=(distinct(event.task_id), days(7)))
    events = (happened("2026-03-05 09:00", event_id="1", task_id="a"), happened("2026-03-08 09:00", event_id="2", task_id="a"))

    assert counts(*events, view=view, feature="day") == [
        ("03-05 09:00", 1),
        ("03-06 09:00", 0),
        ("03-08 09:00", 1),
        ("03-09 09:00", 0),
        ("03-12 09:00", 0),
        ("03-15 09:00", 0),
    ]
    assert [n for _, n in counts(*events, view=view, feature="week")] == [1, 1, 1, 1, 1, 0]
