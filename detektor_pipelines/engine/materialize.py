"""Write, audit, publish: a view's days from the raw log to the offline store, chunk by chunk.

Of each chunk one REPEATABLE READ snapshot is read, the rows are computed in memory and held against the gate; the days that pass are
published in one transaction, a day that does not publishes nothing. What is published stands, whatever becomes of the chunks after it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.arrays.event_vectors import TooWideError
from detektor_pipelines.engine.arrays.intervals import by_cells
from detektor_pipelines.engine.calculation import Calculation, Calculator, Happened, happened_of, of_days
from detektor_pipelines.engine.chunks import chunks
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.engine.reading import CellReader
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import dated, end_us, number, owner_numbers, start_us
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores import retention
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.row_tables import ensure_tables_over
from detektor_pipelines.stores.offline.rows import DayRows, NewerKnowledgeError, hashes_by_day, publish, states
from detektor_pipelines.stores.offline.staleness import days_to_materialize
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, events_by_day, read_events

if TYPE_CHECKING:
    from datetime import date, datetime

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.engine.arrays.cells import Cells
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

Status: TypeAlias = Literal["published", "unchanged", "failed", "kept"]
CHUNK_EVENTS: Final = 1_000_000
"""Events that one chunk reads, about: half a kilobyte each while they are computed."""

_TRIES: Final = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DayResult:
    """What became of one day. `rows` and `hash` are of the newest versions, `written` counts inserted rows.

    A `kept` day was published earlier and still says what the log says: it was not computed.
    `null_rates`: share of nulls by feature, None without rows and for a kept day. `failures`: the rows that broke the gate (agent_id,
    event_timestamp, column, check, value), None for a day that passed. `events`: how many happened on the day itself, from the first to the
    last in `event_range`; its windows reach further back. None of a kept day.
    """

    day: date
    status: Status
    rows: int
    hash: str
    written: int
    null_rates: dict[str, float] | None
    failures: list[dict[str, Any]] | None = None
    events: int = 0
    event_range: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Materialization:
    """One run over some days of a view, or one chunk of it.

    `snapshot` is the last one that was read, empty when all days were kept.
    """

    days: tuple[DayResult, ...]
    snapshot: str
    event_count: int
    event_range: tuple[datetime, datetime] | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether a day did not pass the gate."""
        return any(day.status == "failed" for day in self.days)


OnPart: TypeAlias = Callable[[Materialization], None]


def materialize(
    settings: Settings,
    view: FeatureView,
    days: Sequence[date],
    *,
    resume: bool = False,
    on_part: OnPart | None = None,
    chunk_events: int | None = None,
    calculator: Calculator | None = None,
) -> Materialization:
    """Compute, audit and publish `days` (UTC; day D owns the instants in (D 00:00, D+1 00:00]); no row is later than the clock.

    Args:
        settings: Where PostgreSQL is.
        view: The definition.
        days: At least one.
        resume: Keep the days that are published and still say what the log says, instead of computing them again.
        on_part: Hears of the kept days, then of each chunk as soon as it is published.
        chunk_events: How many events a chunk reads, about; by default what the calculator says.
        calculator: Reads events and computes rows; by default DuckDB, in this process.

    Raises:
        UserError: No days, none of which the log holds all events, a missing server or table, or others publish the same days again
            and again meanwhile. Chunks that were published before stand.

    """
    if not days:
        raise UserError("No day to materialize.", where=view.name, fix="Give at least one day, such as 2026-05-01.")
    started = time.perf_counter()
    parts = []
    for part in _parts(settings, view, sorted(set(days)), calculator or InMemory(), resume=resume, chunk_events=chunk_events):
        parts.append(part)
        if on_part:
            on_part(part)
    return _joined(parts, time.perf_counter() - started)


def _parts(
    settings: Settings, view: FeatureView, days: list[date], calculator: Calculator, *, resume: bool, chunk_events: int | None
) -> Iterator[Materialization]:
    days, before = _computable(settings, view, days)
    if before:
        yield Materialization(tuple(before), "", 0, None, 0.0)
    if resume:
        kept = _kept(settings, view, days)
        if kept:
            yield Materialization(tuple(kept), "", 0, None, 0.0)
        days = sorted(set(days) - {each.day for each in kept})
    if days:
        with connect_arrow(settings, writes=True) as connection:
            limit = chunk_events or calculator.chunk_events
            for chunk in _chunks(connection, view, days, limit, calculator.reads_again(view)):
                yield _published_chunk(connection, view, chunk, calculator)


def _computable(settings: Settings, view: FeatureView, days: list[date]) -> tuple[list[date], list[DayResult]]:
    """Make the view's table, and part the days into those that can be computed and, of the others, the published ones: they are kept.

    Raises:
        UserError: None is of either kind.

    """
    with connect(settings) as connection:
        ensure_tables_over(connection, (view,))
        connection.commit()
        first = retention.first_day(connection, view)
        computable = retention.after(days, first)
        others = [day for day in days if day not in set(computable)]
        published = states(connection, view, others) if others else []
    if not computable and not published:
        raise UserError(
            "The log no longer holds all events that these days are computed of.",
            where=f"{view.name}, {days[0]} to {days[-1]}",
            fix=f"Give days from {first} on: what is older went by `detektor retention`.",
        )
    unknown = sorted(set(others) - {each.day for each in published})
    if unknown:
        _log.warning("%s: %s to %s cannot be computed, for events of theirs went by retention", view.name, unknown[0], unknown[-1])
    return computable, [DayResult(each.day, "kept", each.rows, each.hash, 0, None) for each in published]


def _kept(settings: Settings, view: FeatureView, days: list[date]) -> list[DayResult]:
    with connect(settings) as connection:
        due = set(days_to_materialize(connection, view, days))
        published = states(connection, view, [day for day in days if day not in due])
    return [DayResult(each.day, "kept", each.rows, each.hash, 0, None) for each in published]


def _chunks(connection: Connection, view: FeatureView, days: list[date], limit: int, reach: int) -> list[list[date]]:
    if len(days) == 1:
        return [days]
    span = start_us(days[0]) - reach, min(end_us(days[-1]), clock.now_us())
    events = events_by_day(connection, view.agent, *span)
    connection.rollback()
    return chunks(days, events, reach=-(-reach // DAY), limit=limit)


def _published_chunk(connection: Connection, view: FeatureView, days: list[date], calculator: Calculator) -> Materialization:
    """Publish a chunk; when another run was faster with one of its days (the hourly one, with today), read again what that one knew."""
    again = Retrying(
        retry=retry_if_exception_type(NewerKnowledgeError),
        stop=stop_after_attempt(_TRIES),
        before_sleep=lambda _: connection.rollback(),
        reraise=True,
    )
    return again(_publish, connection, view, days, calculator)


def _publish(connection: Connection, view: FeatureView, days: list[date], calculator: Calculator) -> Materialization:
    started = time.perf_counter()
    now = clock.now_us()  # before the snapshot, and once: a day that ends while it is computed is still an open one
    calculated = calculator.calculate(connection, view, days, now)
    rows, snapshot = calculated.rows, calculated.snapshot
    failures = failures_by_day(view, rows) if rows.num_rows else {}
    failed = {dated(day): cases for day, cases in failures.items()}
    good = [day for day in days if day not in failed]
    published = publish(connection, view, good, of_days(rows, good) if failed else rows, snapshot, at=now) if good else {}
    rates = _null_rates(view, rows, days)
    computed = hashes_by_day(rows, list(failed)) if failed else {}
    results = tuple(
        replace(
            _failed(day, computed[day], rates[day], failed[day]) if day in failed else _published(day, published[day], rates[day]),
            **_counted(calculated.happened.get(day)),
        )
        for day in days
    )
    return Materialization(results, snapshot, calculated.events, calculated.event_range, time.perf_counter() - started)


def _joined(parts: Sequence[Materialization], seconds: float) -> Materialization:
    """Return the parts as one; an event that two chunks read counts twice."""
    days = sorted((day for part in parts for day in part.days), key=lambda each: each.day)
    spans = [part.event_range for part in parts if part.event_range]
    span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    return Materialization(tuple(days), parts[-1].snapshot, sum(part.event_count for part in parts), span, seconds)


class InMemory:
    """Arrays, or DuckDB, in this process; for one run over one view."""

    chunk_events: int = CHUNK_EVENTS

    def __init__(self) -> None:
        self._reader = CellReader()

    def reads_again(self, view: FeatureView) -> int:
        """Return how far before its first day (µs) a chunk reads what the chunk before it has read: not at all where cells will do."""
        return 0 if by_cells(plan(view)) else reach_back(plan(view))

    def calculate(self, connection: Connection, view: FeatureView, days: Sequence[date], now: int) -> Calculation:
        """Return the rows of `days`."""
        if by_cells(plan(view)):
            try:
                read = self._reader.read(connection, view, days, now, slice_events=self.chunk_events)
                return Calculation(compute_days(view, read.cells, days, cutoff=now), read.snapshot, read.happened)
            except TooWideError:
                _log.info("%s: a value lies outside its declared range, so that the rows take the events themselves", view.name)
        events, snapshot = _read(connection, view, days, now)
        return Calculation(compute_days(view, events, days, cutoff=now), snapshot, happened_of(events))


def compute_days(view: FeatureView, events: pa.Table | Cells, days: Sequence[date], *, cutoff: int | None) -> pa.Table:
    """Return the rows of the days (ascending) in one table sorted by its key; gaps between them are computed along and dropped."""
    rows = compute(view, events, start=start_us(days[0]), end=end_us(days[-1]), cutoff=cutoff)
    return rows if len(days) == (days[-1] - days[0]).days + 1 else of_days(rows, days)


def _read(connection: Connection, view: FeatureView, days: Sequence[date], now: int) -> tuple[pa.Table, str]:
    compiled = plan(view)
    start, end = start_us(days[0]) - reach_back(compiled), end_us(days[-1])
    snapshot = begin_snapshot(connection)
    events = read_events(connection, view.agent, compiled.columns, start, min(end, now))
    connection.rollback()
    return events, snapshot


def _null_rates(view: FeatureView, rows: pa.Table, days: Sequence[date]) -> dict[date, dict[str, float] | None]:
    import numpy as np

    owner = owner_numbers(rows["event_timestamp"])
    first = number(days[0])
    size = (days[-1] - days[0]).days + 1
    counts = np.bincount(owner - first, minlength=size)
    nulls = {}
    for each in view.features:
        column = rows[each.name]
        if column.null_count:
            nulls[each.name] = np.bincount(owner - first, weights=column.is_null().to_numpy(), minlength=size)
    rates: dict[date, dict[str, float] | None] = {}
    for day in days:
        at = (day - days[0]).days
        share = {name: float(column[at] / counts[at]) for name, column in nulls.items() if counts[at]}
        rates[day] = {each.name: share.get(each.name, 0.0) for each in view.features} if counts[at] else None
    return rates


def _counted(happened: Happened | None) -> dict[str, Any]:
    return {"events": happened.events, "event_range": happened.event_range} if happened else {}


def _published(day: date, done: DayRows, rates: dict[str, float] | None) -> DayResult:
    return DayResult(day, "published" if done.written or not done.rows else "unchanged", done.rows, done.hash, done.written, rates)


def _failed(day: date, computed: tuple[int, str], rates: dict[str, float] | None, cases: list[dict[str, Any]]) -> DayResult:
    return DayResult(day, "failed", computed[0], computed[1], 0, rates, cases)


__all__ = ["DayResult", "InMemory", "Materialization", "OnPart", "compute_days", "materialize"]
