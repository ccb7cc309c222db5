"""Check of the freshness: how far published rows are true, and when the log last heard of anything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.language.calendar import end
from detektor_pipelines.language.hashes import data_hash, short_hash
from detektor_pipelines.language.windows import floor_to
from detektor_pipelines.quality.findings import FRESH, LOG_FRESH, Finding
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.volume import newest_arrival

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.findings import Figure
    from detektor_pipelines.settings import Settings

LATE: Final = timedelta(hours=3)
"""Of a view: the open day is computed each hour, so two runs are missing."""

SILENT: Final = timedelta(hours=72)
"""Of the log: longer than a weekend without work."""

_MATERIALIZE: Final = "dagster asset materialize -m detektor_pipelines.definitions --select 'group:{group}' --partition {day}"


def views_freshness(settings: Settings, views: Sequence[FeatureView]) -> dict[str, Finding]:
    """Judge how far each view's rows are true, by the view's name.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        return of_views(connection, views, now=clock.from_us(clock.now_us()))


def of_views(connection: psycopg.Connection, views: Sequence[FeatureView], *, now: datetime) -> dict[str, Finding]:
    """Judge how far each view's rows are true at `now`, by the view's name."""
    through = _true_through(connection, views)
    return {view.name: view_is_fresh(view, through.get(view.name), now) for view in views}


def log_freshness(settings: Settings) -> Finding:
    """Judge when something last arrived in the log.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        return log_is_fresh(newest_arrival(connection), clock.from_us(clock.now_us()))


def view_is_fresh(view: FeatureView, through: datetime | None, now: datetime) -> Finding:
    """Judge rows that are true up to `through`; None: nothing is published."""
    command = _MATERIALIZE.format(group=view.group, day=now.date())
    if through is None:
        summary = f"Nothing is published of the version that is loaded here, {view.version} ({short_hash(view)})."
        fix = f"Run `detektor backfill`, or {command}. If the definition has changed since: `detektor restart`."
        return Finding(FRESH.name, passed=False, severity="error", summary=summary, fix=fix)
    age, limit = now - through, timedelta(microseconds=view.max_age.size)
    figures: dict[str, Figure] = {"age_hours": hours(age), "true_through": f"{through:%Y-%m-%d %H:%M} UTC", "max_age_hours": hours(limit)}
    if age <= LATE:
        return Finding(FRESH.name, passed=True, summary=f"Rows are true up to {through:%Y-%m-%d %H:%M} UTC.", figures=figures)
    return Finding(
        FRESH.name,
        passed=False,
        severity="error" if age > limit else "warn",
        summary=f"Rows are only true up to {through:%Y-%m-%d %H:%M} UTC.",
        fix="Look whether the schedule hourly_open_day is on and its runs succeed (Automation, Runs); `detektor status` says whether the"
        f" daemon runs, and whether Dagster has other definitions loaded than are on disk. By hand: {command}",
        figures=figures,
    )


def log_is_fresh(arrival: datetime | None, now: datetime) -> Finding:
    """Judge a log whose newest event arrived at `arrival`; None: it is empty."""
    if arrival is None:
        return Finding(LOG_FRESH.name, passed=False, summary="The log is empty.", fix="detektor ingest PATH, or detektor simulate")
    age = now - arrival
    figures: dict[str, Figure] = {"age_hours": hours(age), "newest_arrival": f"{arrival:%Y-%m-%d %H:%M} UTC"}
    if age <= SILENT:
        return Finding(LOG_FRESH.name, passed=True, summary=f"Something has arrived within {hours(SILENT):g} hours.", figures=figures)
    return Finding(
        LOG_FRESH.name,
        passed=False,
        summary=f"Nothing has arrived since {arrival:%Y-%m-%d %H:%M} UTC.",
        fix="If agents have worked since then, look whether their hooks deliver (`detektor doctor`), or ingest the files:"
        " detektor ingest PATH",
        figures=figures,
    )


def hours(age: timedelta) -> float:
    """Return the hours of a duration, never below 0, to a tenth."""
    return max(0.0, round(age / timedelta(hours=1), 1))


def _true_through(connection: psycopg.Connection, views: Sequence[FeatureView]) -> Mapping[str, datetime]:
    """Return up to when each published view's rows are true: an open day's up to the last instant of the grain that could have a row."""
    grain = {(view.name, data_hash(view)): view.grain for view in views}
    rows = connection.execute(
        "SELECT DISTINCT ON (view, data_hash) view, data_hash, partition, published_at FROM ml_learning.partition_state"
        " WHERE view = ANY(%s) ORDER BY view, data_hash, partition DESC",
        ([view.name for view in views],),
    ).fetchall()
    return {
        view: min(
            end(day),
            clock.from_us(floor_to(clock.to_us(at), grain[view, version])),
        )
        for view, version, day, at in rows
        if (view, version) in grain
    }
