"""A range cut by its events: nothing lost, nothing twice, no chunk larger than it has to be."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.engine.chunks import chunks

FIRST = date(2026, 1, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(40)]
some_days = st.sets(st.sampled_from(DAYS), min_size=1).map(sorted)
counts = st.dictionaries(st.sampled_from([FIRST + timedelta(days=number) for number in range(-12, 40)]), st.integers(0, 50))


def read(chunk: list[date], events: dict[date, int], reach: int) -> int:
    return sum(count for day, count in events.items() if chunk[0] - timedelta(days=reach) <= day <= chunk[-1])


def reached_back_to(chunk: list[date], events: dict[date, int], reach: int) -> int:
    return sum(count for day, count in events.items() if chunk[0] - timedelta(days=reach) <= day < chunk[0])


@given(some_days, counts, st.integers(0, 10), st.integers(1, 200))
def test_chunks_are_the_days_in_order_and_bounded(days: list[date], events: dict[date, int], reach: int, limit: int) -> None:
    made = chunks(days, events, reach=reach, limit=limit)
    assert [day for chunk in made for day in chunk] == days
    for chunk in made:
        allowed = max(limit, 2 * reached_back_to(chunk, events, reach))
        assert len(chunk) == 1 or read(chunk, events, reach) <= allowed


@given(some_days, counts, st.integers(0, 10), st.integers(1, 200))
def test_a_chunk_ends_only_where_the_next_day_would_be_too_much(days: list[date], events: dict[date, int], reach: int, limit: int) -> None:
    made = chunks(days, events, reach=reach, limit=limit)
    for chunk, following in pairwise(made):
        assert read([*chunk, following[0]], events, reach) > max(limit, 2 * reached_back_to(chunk, events, reach))


def test_a_chunks_own_days_hold_as_many_events_as_it_reaches_back_to() -> None:
    everyday = dict.fromkeys((FIRST + timedelta(days=number) for number in range(-10, 40)), 1_000)
    assert [len(chunk) for chunk in chunks(DAYS, everyday, reach=10, limit=1)] == [10, 10, 10, 10]


def test_few_events_are_one_chunk_however_long_the_range() -> None:
    century = [FIRST + timedelta(days=number) for number in range(36_500)]
    assert len(chunks(century, {FIRST: 1_000}, reach=31, limit=1_000)) == 1


def test_no_days_are_no_chunks() -> None:
    assert chunks([], {}, reach=31, limit=10) == []
