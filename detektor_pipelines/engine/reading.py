"""Reads a chunk's events a slice at a time into cells, so that memory is bounded however many events a day's windows reach back to.

A chunk needs the cells of its own days and of those that its first day reaches back to. The latter are what the chunk before it has read:
they are carried over as long as the log still holds, for that agent and span, what it held then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.arrays.cells import Cells
from detektor_pipelines.engine.arrays.intervals import leaves_at
from detektor_pipelines.engine.calculation import happened_of, merged
from detektor_pipelines.engine.chunks import chunks
from detektor_pipelines.engine.compute import cells_of
from detektor_pipelines.language.calendar import between, end_us, owner, start_us
from detektor_pipelines.stores.raw_log import reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.engine.calculation import Happened
    from detektor_pipelines.language.views import FeatureView


@dataclass(frozen=True, slots=True)
class Read:
    """Cells of the events in (begin, end] (µs) under a snapshot; `happened` tells of the events that were read for it, by day."""

    view: FeatureView
    snapshot: str
    begin: int
    end: int
    cells: Cells
    happened: dict[date, Happened]


class CellReader:
    """Reads one chunk after another of one view, in the order of their days."""

    def __init__(self) -> None:
        self._last: Read | None = None

    def read(self, connection: Connection, view: FeatureView, days: Sequence[date], now: int, *, slice_events: int) -> Read:
        """Return the cells that the rows of `days` (ascending) take, of one snapshot; the connection is left without a transaction.

        Args:
            connection: To the log.
            view: The definition.
            days: The chunk's.
            now: No event is later than this (µs).
            slice_events: How many of the events before the first day are read at once, about.

        Raises:
            UserError: Events of the days went by retention.
            TooWideError: An event holds a value outside its declared range.

        """
        compiled, start = plan(view), start_us(days[0])
        begin, end = start - reach_back(compiled), min(end_us(days[-1]), now)
        snapshot = reader.begin_snapshot(connection)
        try:
            reader.refuse_what_is_not_whole(connection, begin)
            last = self._carried(connection, view, begin, start)
            self._last = None
            parts = [last.cells.chosen(leaves_at(last.cells.buckets, view.longest, view.grain) > start)] if last else []
            happened: dict[date, Happened] = {}
            for first, until in _slices(connection, view, (last.end if last else begin, start, end), slice_events):
                events = reader.read_events(connection, view.agent, compiled.columns, first, until, identified=compiled.placed)
                happened = merged(happened, happened_of(events))
                parts.append(cells_of(view, events))
        finally:
            connection.rollback()
        self._last = Read(view, snapshot, begin, end, Cells.joined(parts), happened)
        return self._last

    def _carried(self, connection: Connection, view: FeatureView, begin: int, start: int) -> Read | None:
        """Return what was read for the chunk before, if it still holds and reaches back far enough."""
        last = self._last
        if last is None or last.view is not view or last.begin > begin or not begin <= last.end <= start:
            return None
        return last if reader.unchanged(connection, view.agent, begin, last.end, last.snapshot) else None


def _slices(connection: Connection, view: FeatureView, span: tuple[int, int, int], limit: int) -> list[tuple[int, int]]:
    """Cut (begin, end] (µs) so that no slice has many more events than `limit`; (start, end], the chunk's own days, has not."""
    begin, start, end = span
    until = min(start, end)
    counted = reader.events_by_day(connection, view.agent, begin, until)
    if sum(counted.values()) <= limit:
        return [(begin, max(begin, end))]
    runs = chunks(between(owner(begin + 1), owner(until)), counted, reach=0, limit=limit)
    found = [(max(begin, start_us(run[0])), min(until, end_us(run[-1]))) for run in runs]
    return [*found, (start, end)] if end > start else found
