"""Which days need a run that nobody asked for: late events reach them, nothing closed them, or only another version of the view has them.

`staleness` says which published days are stale; here is what a schedule or a sensor asks beyond that before it starts something.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """Days that rows of another version of a view cover and rows of the current one do not, ascending."""

    data_hash: str
    days: tuple[date, ...]


def log_is_empty(connection: psycopg.Connection) -> bool:
    """Say whether the raw log holds no event at all."""
    row = connection.execute("SELECT EXISTS (SELECT FROM ml_learning.agent_events)").fetchone()
    return not (row and row[0])


def late_days(connection: psycopg.Connection, view: FeatureView, days: Collection[date], before: datetime) -> dict[date, int | None]:
    """Return those of `days` that events of up to `before`, committed since they were published, reach, each with the newest one's xid.

    A day that was published on another cluster (after a restore) is among them with None: nothing is known of what it has seen. The rest
    of rule 18 (which events reach which days) is that of `staleness.stale_days`.
    """
    if not days:
        return {}
    rows = connection.execute(
        """
        WITH state AS (
            SELECT partition, snapshot, system_identifier <> (SELECT system_identifier FROM pg_control_system()) AS foreign_cluster
            FROM ml_learning.partition_state WHERE view = %(view)s AND data_hash = %(hash)s AND partition = ANY(%(days)s)
        ), fresh AS MATERIALIZED (
            SELECT xid, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint AS ts FROM ml_learning.agent_events
            WHERE agent_type = %(agent)s AND occurred_at <= %(before)s AND xid >=
                (SELECT min(pg_snapshot_xmin(snapshot)::text::bigint)::text::xid8 FROM state WHERE NOT foreign_cluster)
        ), reach AS MATERIALIZED (
            SELECT DISTINCT xid, (ts - 1) / %(day)s AS first,
                   (ts + MOD(%(hop)s - MOD(ts, %(hop)s), %(hop)s) + %(size)s - 1) / %(day)s AS last
            FROM fresh
        )
        SELECT s.partition, max(r.xid::text::bigint) FROM state s LEFT JOIN reach r
            ON NOT s.foreign_cluster AND s.partition - date '1970-01-01' BETWEEN r.first AND r.last
            AND r.xid >= pg_snapshot_xmin(s.snapshot) AND NOT pg_visible_in_snapshot(r.xid, s.snapshot)
        WHERE s.foreign_cluster OR r.xid IS NOT NULL GROUP BY s.partition ORDER BY s.partition
        """,
        {
            "view": view.name,
            "hash": data_hash(view),
            "agent": view.agent,
            "days": sorted(days),
            "before": before,
            "day": DAY,
            "hop": view.longest.hop,
            "size": view.longest.size,
        },
    ).fetchall()
    return dict(rows)


def unclosed_days(connection: psycopg.Connection, view: FeatureView, first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` that were not published since they were over, ascending."""
    closed = connection.execute(
        "SELECT partition FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s AND partition BETWEEN %s AND %s"
        " AND published_at >= (partition + 1)::timestamp AT TIME ZONE 'UTC'",
        (view.name, data_hash(view), first, last),
    ).fetchall()
    done = {day for (day,) in closed}
    return [day for day in (first + timedelta(days=number) for number in range((last - first).days + 1)) if day not in done]


def other_versions(connection: psycopg.Connection, view: FeatureView) -> list[OtherVersion]:
    """Return the versions with days that the current one lacks, the last published first."""
    rows = connection.execute(
        "SELECT data_hash, array_agg(partition ORDER BY partition) FROM ml_learning.partition_state s"
        " WHERE view = %(view)s AND data_hash <> %(hash)s AND NOT EXISTS (SELECT FROM ml_learning.partition_state c"
        " WHERE c.view = s.view AND c.data_hash = %(hash)s AND c.partition = s.partition)"
        " GROUP BY data_hash ORDER BY max(published_at) DESC, data_hash",
        {"view": view.name, "hash": data_hash(view)},
    ).fetchall()
    return [OtherVersion(digest, tuple(days)) for digest, days in rows]
