"""What computes a chunk's rows, and what it hands over: DuckDB in this process, or Spark.

Around it nothing differs: days, chunks, the gate, publication and snapshots are `materialize`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from detektor_pipelines import clock
from detektor_pipelines.language.calendar import dated, end_us, number, owner_number, owner_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView


@dataclass(frozen=True, slots=True)
class Happened:
    """The events of one day: how many, and the instants (µs) of the first and the last."""

    events: int
    first: int
    last: int

    @property
    def event_range(self) -> tuple[datetime, datetime]:
        """The instants of the first and the last."""
        return clock.from_us(self.first), clock.from_us(self.last)


@dataclass(frozen=True, slots=True)
class Calculation:
    """Rows of some days as `engine.compute.row_schema`, sorted by their key; of which snapshot of the log, and which events it read by day.

    The days of `happened` are all that have events among those that were read for it, also days that windows reach back to.
    """

    rows: pa.Table
    snapshot: str
    happened: Mapping[date, Happened]

    @property
    def events(self) -> int:
        """How many were read."""
        return sum(each.events for each in self.happened.values())

    @property
    def event_range(self) -> tuple[datetime, datetime] | None:
        """The instants of the first and the last event that was read; None without any."""
        if not self.happened:
            return None
        return clock.from_us(min(each.first for each in self.happened.values())), clock.from_us(
            max(each.last for each in self.happened.values())
        )


class Calculator(Protocol):
    """What reads events under one snapshot of the log and computes rows of them."""

    chunk_events: int
    """How many events it is given at once, about."""

    def reads_again(self, view: FeatureView) -> int:
        """Return how far before its first day (µs) a chunk reads what the chunk before it has read."""

    def calculate(self, connection: Connection, view: FeatureView, days: Sequence[date], now: int) -> Calculation:
        """Return the rows of `days` (ascending), none of them later than `now` (µs); the connection is left without a transaction.

        Raises:
            UserError: A server is missing, or events of the days went by retention.

        """


def of_days(rows: pa.Table, days: Sequence[date]) -> pa.Table:
    """Return the rows that the days own."""
    import numpy as np

    return rows.filter(np.isin(owner_numbers(rows["event_timestamp"]), [number(day) for day in days]))


def happened_of(events: pa.Table) -> dict[date, Happened]:
    """Return the events of each day, of a table as `engine.compute.event_schema`."""
    import numpy as np

    if not events.num_rows:
        return {}
    stamps = np.sort(events["ts"].to_numpy())
    days = [dated(day) for day in range(owner_number(int(stamps[0])), owner_number(int(stamps[-1])) + 1)]
    ends = np.searchsorted(stamps, [end_us(day) for day in days], side="right").tolist()
    return {
        day: Happened(end - begin, int(stamps[begin]), int(stamps[end - 1]))
        for day, begin, end in zip(days, [0, *ends], ends, strict=False)
        if begin < end
    }


def merged(first: Mapping[date, Happened], second: Mapping[date, Happened]) -> dict[date, Happened]:
    """Return the events of both."""
    found = {**first}
    for day, each in second.items():
        other = found.get(day, each)
        events = each.events + (other.events if day in found else 0)
        found[day] = Happened(events, min(each.first, other.first), max(each.last, other.last))
    return found
