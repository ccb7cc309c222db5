"""Which day owns an instant: day D, the partition of that date, owns the instants in (D 00:00, D+1 00:00] UTC.

A midnight belongs to the day that ends there. Days as numbers count from 1970-01-01. Belongs here: that rule, for integers, numpy arrays,
Arrow columns, dates and PostgreSQL. Does not belong here: what date it is now, which changes at midnight and not after it (`clock`).

    2026-03-05 00:00:00.000000  →  2026-03-04
    2026-03-05 00:00:00.000001  →  2026-03-05
    2026-03-06 00:00:00.000000  →  2026-03-05
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from detektor_pipelines import clock
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Instants = TypeVar("Instants", int, NDArray[np.int64])

_EPOCH: Final = date(1970, 1, 1)
_ONE: Final = timedelta(days=1)


def owner_number(instants: Instants) -> Instants:
    """Return the number of the day that owns an instant (µs UTC), or of each day for an int64 array of them."""
    return (instants - 1) // DAY


def owner(instant: int | datetime) -> date:
    """Return the day that owns an instant: µs UTC, or a datetime with a zone."""
    return dated(owner_number(instant if isinstance(instant, int) else clock.to_us(instant)))


def owner_numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the number of the day that owns each instant of an Arrow column (timestamp[us] or int64 µs, no nulls)."""
    instants: NDArray[np.int64] = column.cast("int64").to_numpy()
    return owner_number(instants)


def number(day: date) -> int:
    """Return a day's number."""
    return (day - _EPOCH).days


def dated(day: int) -> date:
    """Return the date of a day's number."""
    return _EPOCH + timedelta(days=day)


def start_us(day: date) -> int:
    """Return the midnight that a day begins with, µs UTC: the last instant that is not the day's own."""
    return number(day) * DAY


def end_us(day: date) -> int:
    """Return the midnight that a day ends with, µs UTC: its last instant."""
    return start_us(day) + DAY


def start(day: date) -> datetime:
    """Return `start_us` as a datetime in UTC."""
    return datetime.combine(day, time(), UTC)


def end(day: date) -> datetime:
    """Return `end_us` as a datetime in UTC."""
    return start(day + _ONE)


def between(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`, both included; none when `last` is the earlier one."""
    return [first + timedelta(days=each) for each in range((last - first).days + 1)]


def owner_sql(instant: str) -> str:
    """Return PostgreSQL's expression (a date) for the day that owns a timestamptz expression."""
    return f"(({instant} AT TIME ZONE 'UTC') - interval '1 microsecond')::date"


def owner_number_sql(us: str) -> str:
    """Return the expression for the number of the day that owns a bigint expression (µs UTC, after 1970)."""
    return f"({us} - 1) / {DAY}"


def number_sql(day: str) -> str:
    """Return PostgreSQL's expression for the number of a date expression."""
    return f"({day} - date '1970-01-01')"


def start_sql(day: str) -> str:
    """Return PostgreSQL's expression (timestamptz) for the midnight that a date expression begins with."""
    return f"({day}::timestamp AT TIME ZONE 'UTC')"


def end_sql(day: str) -> str:
    """Return PostgreSQL's expression (timestamptz) for the midnight that a date expression ends with."""
    return f"(({day} + 1)::timestamp AT TIME ZONE 'UTC')"
