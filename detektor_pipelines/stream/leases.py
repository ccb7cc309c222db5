"""Which worker owns which shard: advisory locks of a PostgreSQL session, so that a dead worker's shards are free at once.

The session is the one that the worker polls with: whoever can still read the log still holds its locks, and nobody else writes its keys. A
worker takes a place of its own first; how many places are taken says how many share the work, and what a fair share is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from detektor_pipelines.stores.online.values import ALL_SHARDS, SHARDS

if TYPE_CHECKING:
    import psycopg

PLACES: Final = 64
"""Far more than shards: who finds none takes shards like the others, but is not counted when the shares are worked out."""


class Leases:
    """The locks of one session.

    Args:
        connection: The session, in autocommit.
        project: Workers of other projects on the same server do not matter.

    """

    def __init__(self, connection: psycopg.Connection, project: str) -> None:
        self._connection = connection
        self._shards_class = _key(f"detektor stream shards {project}")
        self._places_class = _key(f"detektor stream workers {project}")
        self.held: frozenset[int] = frozenset()
        self.place = next((place for place in range(PLACES) if self._lock(self._places_class, place)), None)

    def balance(self) -> frozenset[int]:
        """Take free shards up to a fair share, give back what is beyond it; returns those held now."""
        fair = -(-SHARDS // max(self.workers(), 1))
        kept = set(sorted(self.held)[:fair])
        for shard in self.held - kept:
            self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", (self._shards_class, shard))
        for shard in ALL_SHARDS:
            if len(kept) >= fair:
                break
            if shard not in kept and self._lock(self._shards_class, shard):
                kept.add(shard)
        self.held = frozenset(kept)
        return self.held

    def workers(self) -> int:
        """Count the workers that live."""
        row = self._connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s::bigint::oid AND objsubid = 2 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (self._places_class % 2**32,),
        ).fetchone()
        return int(row[0]) if row else 0

    def _lock(self, kind: int, number: int) -> bool:
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (kind, number)).fetchone()
        return row is not None and bool(row[0])


def _key(text: str) -> int:
    """Return a lock's class: a signed 32-bit number."""
    number = crc32(text.encode())
    return number - 2**32 if number >= 2**31 else number
