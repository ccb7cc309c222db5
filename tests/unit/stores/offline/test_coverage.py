"""What the published days cover, held against each instant looked at by itself."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE
from detektor_pipelines.stores.offline.coverage import ALWAYS, Interval, covered, gaps, merged
from detektor_pipelines.stores.offline.rows import PublishedDay

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGIN = parse_instant("2026-03-01")
PUBLICATIONS = st.lists(
    st.tuples(st.integers(0, 8), st.one_of(st.integers(-2 * DAY, 4 * DAY), st.sampled_from((0, HOUR, DAY - 1, DAY, DAY + 1)))),
    max_size=9,
    unique_by=lambda each: each[0],
)


def published(day: str, at: str) -> PublishedDay:
    return PublishedDay(date.fromisoformat(day), "1:1:", 0, "", datetime.fromisoformat(at).replace(tzinfo=UTC))


def texts(intervals: list[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(f"{from_us(start):%m-%d %H:%M}", f"{from_us(end):%m-%d %H:%M}") for start, end in intervals]


def stretch_start(intervals: Sequence[Interval], instant: int) -> int | None:
    """Return where the interval that holds the instant begins (exclusive), None where none holds it.

    A row at or before that start says nothing of the instant: there may have been others after it.
    """
    number = bisect_left(intervals, instant, key=lambda interval: interval[1])
    if number == len(intervals) or intervals[number][0] >= instant:
        return None
    return intervals[number][0]


def test_a_day_that_was_over_is_covered_whole_and_touching_days_are_one() -> None:
    days = [published("2026-03-02", "2026-03-05"), published("2026-03-01", "2026-03-02 00:00"), published("2026-03-03", "2026-03-07")]

    assert texts(covered(days, HOUR)) == [("03-01 00:00", "03-04 00:00")]


def test_a_day_published_while_it_was_open_ends_at_its_last_instant_of_the_grain() -> None:
    days = [published("2026-03-01", "2026-03-01 17:05"), published("2026-03-02", "2026-03-02 09:59:59.999999")]

    assert texts(covered(days, HOUR)) == [("03-01 00:00", "03-01 17:00"), ("03-02 00:00", "03-02 09:00")]
    assert texts(covered(days, 15 * MINUTE))[1] == ("03-02 00:00", "03-02 09:45")


@pytest.mark.parametrize("at", ["2026-03-01 00:00", "2026-03-01 00:59", "2026-02-27 12:00"])
def test_what_was_published_before_its_first_row_covers_nothing(at: str) -> None:
    assert covered([published("2026-03-01", at)], HOUR) == []


def test_nothing_published_is_one_gap() -> None:
    assert covered([], HOUR) == []
    assert gaps([]) == [ALWAYS]
    assert stretch_start([], ORIGIN) is None


def test_a_stretch_leaves_its_start_out_and_takes_its_end_in() -> None:
    intervals = [(0, 10), (20, 30)]

    assert [stretch_start(intervals, at) for at in (0, 1, 10, 11, 20, 21, 30, 31)] == [None, 0, 0, None, None, 20, 20, None]
    assert gaps(intervals) == [(ALWAYS[0], 0), (10, 20), (30, ALWAYS[1])]


@given(PUBLICATIONS, st.sampled_from((15 * MINUTE, HOUR, 6 * HOUR, DAY)), st.integers(-DAY, 12 * DAY))
def test_an_instant_is_covered_where_a_day_that_holds_it_was_published_after_it(
    publications: list[tuple[int, int]], grain: int, offset: int
) -> None:
    days = [
        PublishedDay(date(2026, 3, 1) + timedelta(days=number), "1:1:", 0, "", from_us(ORIGIN + number * DAY + later))
        for number, later in publications
    ]
    intervals = covered(days, grain)
    instant = ORIGIN + offset // grain * grain
    by_hand = any(ORIGIN + n * DAY < instant <= ORIGIN + n * DAY + min(DAY, later) for n, later in publications)

    assert (stretch_start(intervals, instant) is not None) == by_hand
    assert any(start < instant <= end for start, end in gaps(intervals)) != by_hand
    assert all(start < end for start, end in intervals)
    assert all(before[1] < after[0] for before, after in pairwise(intervals))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6), st.integers(0, 21))
def test_a_union_holds_what_one_of_them_holds(intervals: list[tuple[int, int]], instant: int) -> None:
    assert any(start < instant <= end for start, end in intervals) == any(start < instant <= end for start, end in merged(intervals))


@given(PUBLICATIONS, st.integers(0, 12 * 24))
def test_between_the_start_of_a_stretch_and_the_instant_nothing_is_uncovered(publications: list[tuple[int, int]], hour: int) -> None:
    days = [
        PublishedDay(date(2026, 3, 1) + timedelta(days=number), "1:1:", 0, "", from_us(ORIGIN + number * DAY + later))
        for number, later in publications
    ]
    intervals, instant = covered(days, HOUR), ORIGIN + hour * HOUR
    start = stretch_start(intervals, instant)
    if start is not None:
        assert all(stretch_start(intervals, between) == start for between in range(start + HOUR, instant + 1, HOUR))
        assert stretch_start(intervals, start) is None
