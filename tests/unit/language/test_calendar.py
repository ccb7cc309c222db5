"""Which day owns an instant: in each spelling the day whose half-open end it lies before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.language import calendar
from detektor_pipelines.language.windows import DAY

near_midnight = st.builds(lambda day, off: day * DAY + off, st.integers(1, 40_000), st.integers(-2, 2))
instants = st.integers(1, 2**52) | near_midnight


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-05T00:00:00Z", date(2026, 3, 4)),
        ("2026-03-05T00:00:00.000001Z", date(2026, 3, 5)),
        ("2026-03-05T23:59:59.999999Z", date(2026, 3, 5)),
        ("2026-03-06T00:00:00Z", date(2026, 3, 5)),
        ("2024-03-01T00:00:00Z", date(2024, 2, 29)),
    ],
)
def test_midnight_belongs_to_the_day_that_ends(instant: str, day: date) -> None:
    assert calendar.owner(parse_instant(instant)) == day
    assert calendar.owner(datetime.fromisoformat(instant)) == day


@given(instants)
def test_the_owner_is_the_day_of_the_microsecond_before(instant: int) -> None:
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant - 1)).date()

    assert calendar.owner(instant) == day
    assert calendar.dated(calendar.owner_number(instant)) == day
    assert calendar.start_us(day) < instant <= calendar.end_us(day)
    assert calendar.start(day) < from_us(instant) <= calendar.end(day)


@settings(deadline=None)  # the first column that is made loads pyarrow kernels
@given(st.lists(instants, min_size=1, max_size=20))
def test_arrays_and_columns_are_as_single_instants(given_instants: list[int]) -> None:
    numbers = [calendar.owner_number(each) for each in given_instants]
    column = pa.chunked_array([pa.array(given_instants, pa.timestamp("us", "UTC"))])

    assert calendar.owner_number(np.array(given_instants)).tolist() == numbers
    assert calendar.owner_numbers(column).tolist() == numbers


def test_days_between_are_both_included() -> None:
    first, last = date(2024, 2, 28), date(2024, 3, 1)

    assert calendar.between(first, last) == [first, date(2024, 2, 29), last]
    assert calendar.between(first, first) == [first]
    assert calendar.between(last, first) == []
