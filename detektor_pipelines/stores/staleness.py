"""Which published days no longer say what the log says: the one question that sensor, resume and status all ask.

An event reaches the days from the one that owns occurred_at to the one that owns its leave of the view's longest window. A day is stale
when an event in its reach was committed after the day's snapshot: `xid >= pg_snapshot_xmin(s) AND NOT pg_visible_in_snapshot(xid, s)`.
There is no other cursor, so an event that arrives late is found by its arrival, never missed by its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView

OPEN_DAY_AGE = 3_600_000_000
"""µs: an open day counts as published for an hour."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class ViewState:
    """How far a view is published.

    `last_closed`: the newest day that was published after it was over. `stale`: published days that newer events reach. `missing`: days
    that are not published, a failed one among them, or were published while they were open and that over an hour ago.
    """

    last_closed: date | None
    stale: tuple[date, ...]
    missing: tuple[date, ...]


def stale_days(connection: psycopg.Connection, view: FeatureView) -> list[date]:
    """Return the published days of the view's current version that events committed since then reach, ascending."""
    size, hop = view.longest.size, view.longest.hop
    rows = connection.execute(
        """
        WITH state AS (
            SELECT partition, snapshot, system_identifier <> (SELECT system_identifier FROM pg_control_system()) AS foreign_cluster
            FROM ml_learning.partition_state WHERE view = %(view)s AND data_hash = %(hash)s
        ), fresh AS MATERIALIZED (
            SELECT xid, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint AS ts FROM ml_learning.agent_events
            WHERE agent_type = %(agent)s AND xid >= (SELECT min(pg_snapshot_xmin(snapshot)::text::bigint)::text::xid8 FROM state)
        ), reach AS MATERIALIZED (
            SELECT DISTINCT xid, (ts - 1) / %(day)s AS first,
                   (ts + MOD(%(hop)s - MOD(ts, %(hop)s), %(hop)s) + %(size)s - 1) / %(day)s AS last
            FROM fresh
        )
        SELECT partition FROM state s WHERE foreign_cluster OR EXISTS (
            SELECT FROM reach r WHERE s.partition - date '1970-01-01' BETWEEN r.first AND r.last
            AND r.xid >= pg_snapshot_xmin(s.snapshot) AND NOT pg_visible_in_snapshot(r.xid, s.snapshot)
        ) ORDER BY partition
        """,
        {"view": view.name, "hash": data_hash(view), "agent": view.agent, "day": DAY, "hop": hop, "size": size},
    ).fetchall()
    return [day for (day,) in rows]


def days_to_materialize(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> list[date]:
    """Return those of `days` that a run has to compute, ascending: not published, stale, or published while they were open.

    The others say what the log says: a run that was interrupted goes on without them.
    """
    if not days:
        return []
    published = connection.execute(
        "SELECT partition, published_at FROM ml_learning.partition_state"
        " WHERE view = %s AND data_hash = %s AND partition BETWEEN %s AND %s",
        (view.name, data_hash(view), min(days), max(days)),
    ).fetchall()
    settled = {day for day, at in published if _was_over(day, clock.to_us(at))} - set(stale_days(connection, view))
    return sorted(set(days) - settled)


def view_state(connection: psycopg.Connection, view: FeatureView, first: date, last: date) -> ViewState:
    """Return how far the view is published over the days from `first` to `last`, the last of which may still be open."""
    published = connection.execute(
        "SELECT partition, published_at FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s ORDER BY partition",
        (view.name, data_hash(view)),
    ).fetchall()
    closed = [day for day, at in published if _was_over(day, clock.to_us(at))]
    stale = [day for day in stale_days(connection, view) if first <= day <= last]
    now = clock.now_us()
    done = {day for day, at in published if day in closed or clock.to_us(at) > now - OPEN_DAY_AGE}
    missing = [day for day in (first + timedelta(days=n) for n in range((last - first).days + 1)) if day not in done]
    return ViewState(closed[-1] if closed else None, tuple(stale), tuple(missing))


def _was_over(day: date, instant: int) -> bool:
    return instant >= ((day - _EPOCH).days + 1) * DAY
