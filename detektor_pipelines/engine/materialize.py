"""Write, audit, publish: a view's days from the raw log to the offline store.

One REPEATABLE READ snapshot is read, the rows are computed in memory and held against the gate; the days that pass are
published in one transaction, a day that does not publishes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.log_reader import begin_snapshot, read_events
from detektor_pipelines.stores.offline import DayRows, ensure_tables, hashes_by_day, publish

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

Status: TypeAlias = Literal["published", "unchanged", "failed"]
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class DayResult:
    """What became of one day. `rows` and `hash` are of the newest versions, `written` counts inserted rows.

    `null_rates`: share of nulls by feature, None without rows. `failures`: the rows that broke the gate (agent_id,
    event_timestamp, column, check, value), None for a day that passed.
    """

    day: date
    status: Status
    rows: int
    hash: str
    written: int
    null_rates: dict[str, float] | None
    failures: list[dict[str, Any]] | None = None


OnDay: TypeAlias = Callable[[DayResult], None]


@dataclass(frozen=True, slots=True)
class Materialization:
    """One run over some days of a view."""

    days: tuple[DayResult, ...]
    snapshot: str
    event_count: int
    event_range: tuple[datetime, datetime] | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether a day did not pass the gate."""
        return any(day.status == "failed" for day in self.days)


def materialize(settings: Settings, view: FeatureView, days: Sequence[date], *, on_day: OnDay | None = None) -> Materialization:
    """Compute, audit and publish `days` (UTC; day D owns the instants in (D 00:00, D+1 00:00]); no row is later than the clock.

    `on_day` hears of each day when the run is published.

    Raises:
        UserError: No days, a missing server or table, or a day that was published from newer knowledge meanwhile.

    """
    if not days:
        raise UserError("No day to materialize.", where=view.name, fix="Give at least one day, such as 2026-05-01.")
    started = time.perf_counter()
    ordered = sorted(set(days))
    now = clock.now_us()  # once: a day that ends while it is computed is still an open one
    ensure_tables(settings, (view,))
    with connect_arrow(settings) as connection:
        events, snapshot = _read(connection, view, ordered, now)
        rows = compute_days(view, events, ordered, cutoff=now)
        failures = failures_by_day(view, rows) if rows.num_rows else {}
        failed = {_EPOCH + timedelta(days=number): cases for number, cases in failures.items()}
        good = [day for day in ordered if day not in failed]
        published = publish(connection, view, good, _of_days(rows, good) if failed else rows, snapshot, at=now) if good else {}
    rates = _null_rates(view, rows, ordered)
    computed = hashes_by_day(rows, list(failed)) if failed else {}
    results = tuple(
        _failed(day, computed[day], rates[day], failed[day]) if day in failed else _published(day, published[day], rates[day])
        for day in ordered
    )
    if on_day:
        for each in results:
            on_day(each)
    return Materialization(results, snapshot, events.num_rows, _range(events), time.perf_counter() - started)


def compute_days(view: FeatureView, events: pa.Table, days: Sequence[date], *, cutoff: int | None) -> pa.Table:
    """Return the rows of the days (ascending) in one table sorted by its key; gaps between them are computed along and dropped."""
    rows = compute(view, events, start=midnight(days[0]), end=midnight(days[-1]) + DAY, cutoff=cutoff)
    return rows if len(days) == (days[-1] - days[0]).days + 1 else _of_days(rows, days)


def midnight(day: date) -> int:
    """The day's first instant, µs UTC; the day's rows lie after it."""
    return (day - _EPOCH).days * DAY


def _read(connection: Connection, view: FeatureView, days: Sequence[date], now: int) -> tuple[pa.Table, str]:
    compiled = plan(view)
    start, end = midnight(days[0]) - reach_back(compiled), midnight(days[-1]) + DAY
    snapshot = begin_snapshot(connection)
    events = read_events(connection, view.agent, compiled.columns, start, min(end, now))
    connection.rollback()
    return events, snapshot


def _owners(rows: pa.Table) -> Any:
    return (rows["event_timestamp"].cast("int64").to_numpy() - 1) // DAY


def _of_days(rows: pa.Table, days: Sequence[date]) -> pa.Table:
    import numpy as np

    return rows.filter(np.isin(_owners(rows), [(day - _EPOCH).days for day in days]))


def _null_rates(view: FeatureView, rows: pa.Table, days: Sequence[date]) -> dict[date, dict[str, float] | None]:
    import numpy as np

    owner = _owners(rows)
    first = (days[0] - _EPOCH).days
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


def _range(events: pa.Table) -> tuple[datetime, datetime] | None:
    import pyarrow.compute as pc

    if not events.num_rows:
        return None
    ends = pc.min_max(events["ts"]).as_py()
    return clock.from_us(ends["min"]), clock.from_us(ends["max"])


def _published(day: date, done: DayRows, rates: dict[str, float] | None) -> DayResult:
    return DayResult(day, "published" if done.written or not done.rows else "unchanged", done.rows, done.hash, done.written, rates)


def _failed(day: date, computed: tuple[int, str], rates: dict[str, float] | None, cases: list[dict[str, Any]]) -> DayResult:
    return DayResult(day, "failed", computed[0], computed[1], 0, rates, cases)


__all__ = ["DayResult", "Materialization", "OnDay", "compute_days", "materialize", "midnight"]
