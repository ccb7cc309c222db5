"""Staleness asked for every half minute: what was looked at is not read again.

Which days are stale is said by `staleness` alone. A process that asks again and again remembers the snapshot in which it last asked, and
what it found of each day: only events that arrived later can change that, so a tick reads those and not half a year of log. The memory is a
saving and no cursor: without it, after a restart, the same answer takes longer; of a day that is published again nothing is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.offline.staleness import Verified, unseen

if TYPE_CHECKING:
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView

Published: TypeAlias = "dict[date, str]"
"""By day the snapshot that it was published from."""


class _Looked(NamedTuple):
    """What a look found in one life of the log: for events up to when, which days were published from what, the stale ones, and a snapshot.

    The snapshot is one that the look sees at least.
    """

    life: str
    before: datetime | None
    published: Published
    stale: dict[date, int]
    snapshot: str


class StalenessWatch:
    """Answers as `unseen` does, for one database."""

    def __init__(self) -> None:
        self._looked: dict[tuple[str, str], _Looked] = {}

    def unseen(self, connection: psycopg.Connection, view: FeatureView, *, before: datetime | None = None) -> dict[date, int]:
        """Return the days that events of up to `before` make stale, ascending, each with the xid of the newest one it does not know."""
        key = view.name, data_hash(view)
        # Before anything else is read: what the later statements see is this at least
        now = str(_one(connection, "SELECT ml_learning.log_snapshot()::text"))
        life = cluster.life(connection).name
        published = _published(connection, view)
        last = self._looked.get(key)
        # Another life, or numbers that went back: the database was put back, and what was looked at is of another history
        if last is None or last.life != life or last.before != before or _end(now) < _end(last.snapshot):
            last = _Looked(life, before, {}, {}, now)
        same = frozenset(day for day, state in last.published.items() if published.get(day) == state)
        found = {day: newest for day, newest in last.stale.items() if day in same}
        for day, newest in unseen(connection, view, before=before, verified=Verified(last.snapshot, same) if same else None).items():
            found[day] = max(newest, found.get(day, 0))
        found = dict(sorted(found.items()))
        self._looked[key] = _Looked(life, before, published, found, now)
        return found


def _published(connection: psycopg.Connection, view: FeatureView) -> Published:
    rows = connection.execute(
        "SELECT partition, snapshot::text FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s",
        (view.name, data_hash(view)),
    ).fetchall()
    return dict(rows)


def _end(snapshot: str) -> int:
    """Return the first transaction number that the snapshot does not know."""
    return int(snapshot.split(":")[1])


def _one(connection: psycopg.Connection, statement: str) -> object:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
