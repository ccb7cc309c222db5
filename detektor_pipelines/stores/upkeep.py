"""Which days need a run that nobody asked for: nothing closed them, or only another version of the view has them.

`staleness` says which published days are stale; here is what a schedule or a sensor asks beyond that before it starts something.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from detektor_pipelines.language.hashes import data_hash

if TYPE_CHECKING:
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
