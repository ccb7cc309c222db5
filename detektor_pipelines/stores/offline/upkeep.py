"""Which days need a run that nobody asked for: nothing closed them, or only another version of the view has them.

`staleness` says which published days are stale; here is what a schedule or a sensor asks beyond that before it starts something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.language.calendar import between, end_sql
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores import retention
from detektor_pipelines.stores.offline.row_tables import first_seen

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """Days that rows of another version of a view cover and rows of the current one do not, ascending."""

    data_hash: str
    days: tuple[date, ...]
    later: bool | None = None
    """Whether its definition is a later one than the current one's; None when nobody knows."""


def log_is_empty(connection: psycopg.Connection) -> bool:
    """Say whether the raw log holds no event at all."""
    row = connection.execute("SELECT EXISTS (SELECT FROM ml_learning.agent_events)").fetchone()
    return not (row and row[0])


def unclosed_days(connection: psycopg.Connection, view: FeatureView, first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` that were not published since they were over, ascending."""
    closed = connection.execute(
        "SELECT partition FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s AND partition BETWEEN %s AND %s"
        f" AND published_at >= {end_sql('partition')}",
        (view.name, data_hash(view), first, last),
    ).fetchall()
    done = {day for (day,) in closed}
    return [day for day in retention.after(between(first, last), retention.first_day(connection, view)) if day not in done]


def other_versions(connection: psycopg.Connection, view: FeatureView) -> list[OtherVersion]:
    """Return the versions with days that the current one lacks, the last published first.

    Which of two is the later one: when Feast's registry holds the current one, that. Otherwise the one whose table was made later.
    """
    rows = connection.execute(
        "SELECT data_hash, array_agg(partition ORDER BY partition) FROM ml_learning.partition_state s"
        " WHERE view = %(view)s AND data_hash <> %(hash)s AND NOT EXISTS (SELECT FROM ml_learning.partition_state c"
        " WHERE c.view = s.view AND c.data_hash = %(hash)s AND c.partition = s.partition)"
        " GROUP BY data_hash ORDER BY max(published_at) DESC, data_hash",
        {"view": view.name, "hash": data_hash(view)},
    ).fetchall()
    if not rows:
        return []
    made, present = first_seen(connection, view.name), data_hash(view)
    registered = _is_registered(connection, view)

    def later(digest: str) -> bool | None:
        if registered:
            return False
        ours, theirs = made.get(present[:SHORT]), made.get(digest[:SHORT])
        return None if ours is None or theirs is None else theirs > ours

    return [OtherVersion(digest, tuple(days), later(digest)) for digest, days in rows]


def _is_registered(connection: psycopg.Connection, view: FeatureView) -> bool:
    """Say whether Feast's registry holds the view in its current version, in any project, without importing Feast."""
    exists = connection.execute("SELECT to_regclass('feast.feature_views') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return False
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM feast.feature_views WHERE feature_view_name = %s"
        " AND position(convert_to(%s, 'UTF8') IN feature_view_proto) > 0)",
        (view.name, data_hash(view)),
    ).fetchone()
    return bool(found and found[0])
