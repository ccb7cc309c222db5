"""Staleness asked for every half minute: what was found fresh is not read again.

Which days are stale is said by `staleness` alone. A process that asks again and again remembers the snapshot in which it last found a day
fresh: of that day only events that arrived later can make it stale, so a tick reads those and not half a year of log. The memory is a
saving and no cursor: without it, after a restart, the same answer takes longer; a day that is published anew is not remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.staleness import Verified, unseen

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView

Published: TypeAlias = "dict[date, tuple[str, int]]"
"""By day the snapshot that it was published from, and the cluster."""


class StalenessWatch:
    """Answers as `stale_days` does, for one database."""

    def __init__(self) -> None:
        self._fresh: dict[tuple[str, str], tuple[Published, str]] = {}

    def stale_days(self, connection: psycopg.Connection, view: FeatureView) -> list[date]:
        """Return the published days of the view's current version that events committed since then reach, ascending."""
        key = view.name, data_hash(view)
        # Before anything else is read: what the later statements see is this at least
        now = str(_one(connection, "SELECT pg_current_snapshot()::text"))
        published = _published(connection, view)
        before, snapshot = self._fresh.get(key, ({}, now))
        if _end(now) < _end(snapshot):  # the database was put back to an earlier state: what is remembered is of another history
            before = {}
        known = frozenset(day for day, state in before.items() if published.get(day) == state)
        stale = list(unseen(connection, view, verified=Verified(snapshot, known) if known else None))
        self._fresh[key] = {day: state for day, state in published.items() if day not in stale}, now
        return stale


def _published(connection: psycopg.Connection, view: FeatureView) -> Published:
    rows = connection.execute(
        "SELECT partition, snapshot::text, system_identifier FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s",
        (view.name, data_hash(view)),
    ).fetchall()
    return {day: (snapshot, int(cluster)) for day, snapshot, cluster in rows}


def _end(snapshot: str) -> int:
    """Return the first transaction number that the snapshot does not know."""
    return int(snapshot.split(":")[1])


def _one(connection: psycopg.Connection, statement: str) -> object:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
