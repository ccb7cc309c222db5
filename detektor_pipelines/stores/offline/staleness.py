"""Which published days no longer say what the log says: the one question that sensor, resume and status all ask.

An event reaches the days from the one that owns occurred_at to the one that owns its leave of the view's longest window. A day is stale
when an event in its reach was committed after the day's snapshot: `xid >= pg_snapshot_xmin(s) AND NOT pg_visible_in_snapshot(xid, s)`.
There is no other cursor, so an event that arrives late is found by its arrival, never missed by its time.

Days of which the log no longer holds all events (`stores.retention`) are neither stale nor missing: they stay as they were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.language.calendar import between, end_us, number_sql, owner_number_sql
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores import retention

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView

OPEN_DAY_AGE = 3_600_000_000
"""µs: an open day counts as published for an hour."""

_LEAVE: Final = "ts + MOD(%(hop)s - MOD(ts, %(hop)s), %(hop)s) + %(size)s"


@dataclass(frozen=True, slots=True)
class ViewState:
    """How far a view is published.

    `last_closed`: the newest day that was published after it was over. `stale`: published days that newer events reach. `missing`: days
    that are not published, a failed one among them, or were published while they were open and that over an hour ago.
    """

    last_closed: date | None
    stale: tuple[date, ...]
    missing: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """A snapshot, and days of which an earlier answer told what late events it sees."""

    snapshot: str
    days: frozenset[date]


def stale_days(connection: psycopg.Connection, view: FeatureView) -> list[date]:
    """Return the published days of the view's current version that events committed since then reach, ascending."""
    return list(unseen(connection, view))


def unseen(
    connection: psycopg.Connection,
    view: FeatureView,
    *,
    before: datetime | None = None,
    verified: Verified | None = None,
) -> dict[date, int]:
    """Return the stale days, ascending, each with the xid of the newest event that reaches it and that its snapshot does not see.

    Only for events of up to `before`, when given. Days of an earlier answer (`verified`) are held against its snapshot, which saves reading
    what it has seen.

    Of events with the same reach the newest tells, but for those that were under way when a snapshot was taken: they are few, and looked at
    one by one. So the work is one pass over the events since the oldest snapshot, however many days are published.
    """
    rows = connection.execute(
        f"""
        WITH state AS MATERIALIZED (
            SELECT partition, {number_sql("partition")} AS day,
                   CASE WHEN partition = ANY(%(verified_days)s) THEN %(verified)s::pg_snapshot ELSE snapshot END AS snapshot
            FROM ml_learning.partition_state WHERE view = %(view)s AND data_hash = %(hash)s
              AND (%(first)s::date IS NULL OR partition >= %(first)s::date)
        ), instants AS MATERIALIZED (
            SELECT xid, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint AS ts FROM ml_learning.agent_events
            WHERE agent_type = %(agent)s AND (%(before)s::timestamptz IS NULL OR occurred_at <= %(before)s) AND xid >=
                (SELECT min(pg_snapshot_xmin(snapshot)::text::bigint)::text::xid8 FROM state)
        ), fresh AS MATERIALIZED (
            SELECT xid, {owner_number_sql("ts")} AS first, {owner_number_sql(_LEAVE)} AS last
            FROM instants
        ), telling AS MATERIALIZED (
            SELECT first, last, max(xid) AS xid FROM fresh GROUP BY first, last
            UNION SELECT first, last, xid FROM fresh WHERE xid IN (SELECT pg_snapshot_xip(snapshot) FROM state)
        )
        SELECT s.partition, max(t.xid)::text::bigint FROM state s JOIN telling t
            ON s.day BETWEEN t.first AND t.last AND NOT pg_visible_in_snapshot(t.xid, s.snapshot)
        GROUP BY s.partition ORDER BY s.partition
        """,
        {
            "view": view.name,
            "hash": data_hash(view),
            "first": retention.first_day(connection, view),
            "agent": view.agent,
            "hop": view.longest.hop,
            "size": view.longest.size,
            "before": before,
            "verified": verified.snapshot if verified else None,
            "verified_days": sorted(verified.days) if verified else [],
        },
    ).fetchall()
    return dict(rows)


def days_to_materialize(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> list[date]:
    """Return those of `days` that a run has to compute, ascending: not published, stale, or published while they were open.

    The others say what the log says: a run that was interrupted goes on without them.
    """
    days = retention.after(days, retention.first_day(connection, view))
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
    missing = [day for day in retention.after(between(first, last), retention.first_day(connection, view)) if day not in done]
    return ViewState(closed[-1] if closed else None, tuple(stale), tuple(missing))


def _was_over(day: date, instant: int) -> bool:
    return instant >= end_us(day)
