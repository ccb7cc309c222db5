"""Rule 9: an event is in a window from its enter to ceil(occurred_at to the hop) + the window's size, its leave not included."""

from __future__ import annotations

import pytest
from support.rule_views import happened, read, rows_of, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import Window, count, days, event, hours, last, minutes
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE

VIEW = view_of(n_1d=(count(), days(1)), n_30d=(count(), days(30)))


@pytest.mark.parametrize(
    ("window", "hop"),
    [
        (minutes(5), 5 * MINUTE),
        (minutes(12 * 60 - 5), 5 * MINUTE),
        (hours(12), HOUR),
        (hours(12 * 24 - 1), HOUR),
        (days(12), DAY),
        (days(30), DAY),
    ],
    ids=lambda value: value.label if isinstance(value, Window) else None,
)
def test_09_hop_is_5_minutes_below_12_hours_an_hour_below_12_days_else_a_day(window: Window, hop: int) -> None:
    assert window.hop == hop


@pytest.mark.parametrize(
    ("occurred", "row", "leaves_1d", "leaves_30d"),
    [
        ("2026-03-05 10:00:00.000000", "03-05 10:00", "03-06 10:00", "04-05 00:00"),
        ("2026-03-05 10:00:00.000001", "03-05 11:00", "03-06 11:00", "04-05 00:00"),
        ("2026-03-05 00:00", "03-05 00:00", "03-06 00:00", "04-04 00:00"),
    ],
    ids=["on the hour", "a microsecond later", "at midnight"],
)
def test_09_example_of_when_an_event_enters_and_leaves(occurred: str, row: str, leaves_1d: str, leaves_30d: str) -> None:
    rows = rows_of(VIEW, [happened(occurred)])

    assert [each["at"] for each in rows] == [row, leaves_1d, leaves_30d]
    assert [(each["n_1d"], each["n_30d"]) for each in rows] == [(1, 1), (0, 1), (0, 0)]
    assert days(1).leave(parse_instant(occurred)) == parse_instant(f"2026-{leaves_1d}")
    assert days(30).leave(parse_instant(occurred)) == parse_instant(f"2026-{leaves_30d}")


def test_09_the_head_instant_is_in_the_window_and_the_leave_is_not() -> None:
    view = view_of(number=(count(), hours(1)), grain=5 * MINUTE)
    rows = rows_of(view, [happened("2026-03-05 10:05")])

    assert [(each["at"], each["number"]) for each in rows] == [("03-05 10:05", 1), ("03-05 11:05", 0)]


def test_09_enter_as_known_now_is_occurred_at_and_as_served_the_later_of_both() -> None:
    rows = rows_of(view_of(number=(count(), days(1))), [happened("2026-03-05 10:00", known="2026-03-05 12:30")])

    assert [(each["at"], each["known"], each["number"]) for each in rows] == [
        ("03-05 10:00", "03-05 10:00", 0),
        ("03-05 10:00", "03-05 12:30", 1),
        ("03-05 13:00", "03-05 13:00", 1),
        ("03-06 10:00", "03-06 10:00", 0),
    ]


def test_09_knowledge_from_before_the_event_changes_nothing() -> None:
    """Clocks differ: greatest(occurred_at, known_at) is occurred_at."""
    early = happened("2026-03-05 10:20", known="2026-03-05 08:00")
    late = happened("2026-03-05 10:40", event_id="late", known="2026-03-05 12:00")

    assert rows_of(VIEW, [early]) == rows_of(VIEW, [happened("2026-03-05 10:20")])
    assert rows_of(VIEW, [early, late]) == rows_of(VIEW, [happened("2026-03-05 10:20"), late])


def test_09_what_became_known_after_it_left_is_never_served() -> None:
    rows = rows_of(view_of(number=(count(), days(1))), [happened("2026-03-05 10:00", known="2026-03-07 10:00")])

    assert [each["number"] for each in rows if each["known"] == each["at"]] == [0, 0]
    assert read(rows, "03-06 09:59", "number") == 1


def test_09_an_aggregation_is_a_function_of_the_present_set_by_occurred_at_then_event_id() -> None:
    events = [
        happened("2026-03-05 10:00", event_id="b", issues_found=1),
        happened("2026-03-05 10:00", event_id="a", issues_found=2),
        happened("2026-03-05 09:00", event_id="z", issues_found=3),
    ]
    view = view_of(latest=(last(event.issues_found), days(1)))
    expected = rows_of(view, events)

    assert read(expected, "03-05 10:00", "latest") == 1
    for order in (events[::-1], [events[1], events[2], events[0]]):
        assert rows_of(view, order) == expected


def test_09_event_ids_are_ordered_by_code_point() -> None:
    events = [
        happened("2026-03-05 10:00", event_id="B", issues_found=1),
        happened("2026-03-05 10:00", event_id="a", issues_found=2),
        happened("2026-03-05 10:00", event_id="ż", issues_found=3),
    ]

    assert read(rows_of(view_of(latest=(last(event.issues_found), days(1))), events), "03-05 10:00", "latest") == 3
    assert read(rows_of(view_of(latest=(last(event.issues_found), days(1))), events[:2]), "03-05 10:00", "latest") == 2
