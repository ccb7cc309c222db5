"""Feature columns of a training set: the values that references have just before many decisions, read from the log as a snapshot saw it.

The moment of a decision is the microsecond before it was decided, without the events of its own task.

The moments are gone through in the order of time, a chunk at a time, so that what is in memory is bounded by a chunk's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile.moments import taking_part
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.chunks import chunks
from detektor_pipelines.engine.moments import values_at_moments
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.raw_log.reader import events_by_day, read_events
from detektor_pipelines.training.references import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.training.references import Reference

    Advance = Callable[[int], None]
    """Told of so many more moments that are done."""

EVENTS: Final = 1_000_000
"""Of the log, in one chunk."""
MOMENTS: Final = 100_000
"""In one chunk."""


@dataclass(frozen=True)
class Columns:
    """One array a reference, in their order, and which events they were made of.

    Attributes:
        arrays: One value a moment.
        first: occurred_at of the earliest event that could count, µs UTC; None when there was none.
        last: That of the latest.
        without_events: Sources (`view` or `view@all`) of which no moment had a single event in the reach of its windows.

    """

    arrays: tuple[pa.ChunkedArray, ...]
    first: int | None
    last: int | None
    without_events: tuple[str, ...]


def feature_columns(
    connection: Connection,
    references: Sequence[Reference],
    decisions: pa.Table,
    *,
    snapshot: str | None,
    advance: Advance = lambda _: None,
) -> Columns:
    """Return what the references say at the moment of each decision.

    Args:
        connection: In the transaction of the snapshot.
        references: Of any views.
        decisions: `agent_id` (that is asked about), `decided_at` (int64 µs UTC, ascending) and `task_id`; more columns do no harm.
        snapshot: Read the log as it saw it; None: as this transaction does.
        advance: Called with a number of moments, for each source: the numbers add up to moments × sources.

    """
    import pyarrow as pa
    import pyarrow.compute as pc

    instants = pc.subtract(decisions["decided_at"], 1)
    moments = pa.table({"agent_id": decisions["agent_id"], "instant": instants, "task_id": decisions["task_id"]})
    read = {}
    for source in dict.fromkeys(each.source for each in references):
        of_source = [each for each in references if each.source == source]
        read[source] = _Source(connection, of_source[0], snapshot).read(moments, advance)
    bounds = [each.bounds for each in read.values() if each.bounds is not None]
    return Columns(
        tuple(read[each.source].table[each.feature.name] for each in references),
        min((first for first, _ in bounds), default=None),
        max((last for _, last in bounds), default=None),
        tuple(source for source, each in read.items() if not each.met),
    )


@dataclass(frozen=True)
class _Read:
    table: pa.Table
    bounds: tuple[int, int] | None
    met: bool


class _Source:
    """One view's rows, of the project that is asked about or over all projects."""

    def __init__(self, connection: Connection, example: Reference, snapshot: str | None) -> None:
        self._connection, self._snapshot = connection, snapshot
        self._view: FeatureView = example.view
        self._roll_up = example.roll_up
        self._plan = plan(example.view)
        self._reach = reach_back(self._plan)
        self._columns = tuple(sorted({*self._plan.columns, "task_id"}))
        self._where = taking_part(self._plan)

    def read(self, moments: pa.Table, advance: Advance) -> _Read:
        import pyarrow as pa

        asked = moments["agent_id"].combine_chunks().dictionary_encode()
        rows = [row_of(self._view, each, roll_up=self._roll_up) for each in asked.dictionary.to_pylist()]
        own = pa.array(rows, pa.string()).take(asked.indices)
        moments = moments.set_column(moments.column_names.index("agent_id"), "agent_id", own)
        tables, bounds, met = [], [], False
        for chunk in self._chunks(moments):
            events = self._events(chunk)
            tables.append(values_at_moments(self._view, events, chunk))
            if events.num_rows:
                bounds.append(_bounds(events))
                met = met or _any_of(self._view, events, rows)
            advance(chunk.num_rows)
        if not tables:
            tables = [values_at_moments(self._view, self._no_events(), moments)]
        between = (min(first for first, _ in bounds), max(last for _, last in bounds)) if bounds else None
        return _Read(pa.concat_tables(tables), between, met)

    def _chunks(self, moments: pa.Table) -> Iterator[pa.Table]:
        """Cut by whole days, then by number."""
        import numpy as np

        from detektor_pipelines import clock

        days = (moments["instant"].to_numpy() - 1) // DAY
        present = np.unique(days)
        if not len(present):
            return
        first, last = int(present[0]), int(present[-1])
        counted = events_by_day(self._connection, self._view.agent, first * DAY - self._reach, (last + 1) * DAY)
        dates = [clock.from_us(int(day) * DAY).date() for day in present]
        reach = -(-self._reach // DAY)
        start = 0
        for part in chunks(dates, counted, reach=reach, limit=EVENTS):
            end = start + len(part)
            low, high = np.searchsorted(days, present[start]), np.searchsorted(days, present[end - 1], side="right")
            for at in range(int(low), int(high), MOMENTS):
                yield moments.slice(at, min(MOMENTS, int(high) - at))
            start = end

    def _events(self, moments: pa.Table) -> pa.Table:
        instants = moments["instant"]
        first, last = instants[0].as_py(), instants[-1].as_py()
        return read_events(
            self._connection, self._view.agent, self._columns, first - self._reach, last, snapshot=self._snapshot, where=self._where
        )

    def _no_events(self) -> pa.Table:
        from detektor_pipelines.engine.compute import event_schema

        schema = event_schema(self._view)
        return (schema if "task_id" in schema.names else schema.append(_text("task_id"))).empty_table()


def _text(name: str) -> pa.Field:
    import pyarrow as pa

    return pa.field(name, pa.string())


def _bounds(events: pa.Table) -> tuple[int, int]:
    import pyarrow.compute as pc

    found = pc.min_max(events["ts"]).as_py()
    return found["min"], found["max"]


def _any_of(view: FeatureView, events: pa.Table, agent_ids: Sequence[str]) -> bool:
    """Whether one of the events is of one of the agent_ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if view.agent in agent_ids:
        return True
    projects = pa.array([each.partition("@")[2] for each in agent_ids], pa.string())
    return bool(pc.any(pc.is_in(events["project"], projects)).as_py())
