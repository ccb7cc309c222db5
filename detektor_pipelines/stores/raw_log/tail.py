"""Follows the raw log: each committed event once, whatever its writers do.

An id or a time cannot be the cursor: a transaction that began early may commit late, and what it wrote would be skipped. The cursor is a
snapshot. Visible now and not visible in the snapshot before are exactly the rows of transactions that were running in that one and have
ended, and of those that began after it; both are found through the index on xid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from detektor_pipelines import clock
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.raw_log.columns import selected

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

FIXED: Final = ("xid", "agent_type", "project", "event_id", "revision", "retracted", "ts")
"""What each row of a poll begins with; `ts` is µs UTC."""

_SELECT: Final = (
    "xid::text::bigint AS x, agent_type, project, event_id, revision, retracted, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is visible: transactions below `next` but for those in `running`. Its text is PostgreSQL's pg_snapshot."""

    next: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PostgreSQL's text, `xmin:xmax:running,running,…`."""
        _, following, running = text.split(":")
        return cls(int(following), tuple(int(each) for each in running.split(",") if each))

    def __str__(self) -> str:
        return f"{min((*self.running, self.next))}:{self.next}:{','.join(map(str, self.running))}"

    def sees(self, other: Snapshot) -> bool:
        """Whether all that is visible in another of the same cluster is visible in this one too."""
        return self.next >= other.next and all(each >= other.next or each in other.running for each in self.running)

    def cut(self, after: int) -> Snapshot:
        """Return what is visible of it of the transactions up to `after`."""
        return Snapshot(after + 1, tuple(each for each in self.running if each <= after))


@dataclass(frozen=True, slots=True)
class Poll:
    """What became visible. `rows`: FIXED, then the tail's columns. `behind`: there is more."""

    rows: list[tuple[Any, ...]]
    snapshot: Snapshot
    behind: bool


class LogTail:
    """Follows the log from a snapshot on.

    Args:
        columns: Columns of `agent_events` wanted beside FIXED.
        snapshot: What has been read already.
        limit: How many rows of new transactions to take at once; the last one is taken whole.

    """

    def __init__(self, columns: Sequence[str], snapshot: Snapshot, limit: int = 2_000) -> None:
        self.snapshot = snapshot
        self._limit = limit
        chosen = selected(columns, "agent_events")
        log = f"SELECT {_SELECT}{chosen} FROM ml_learning.agent_events"
        new = f"({log} WHERE xid >= %(next)s::text::xid8 ORDER BY xid FETCH FIRST {limit} ROWS WITH TIES)"
        late = f"({log} WHERE xid = ANY(%(running)s::text[]::xid8[]))"
        visible = f"SELECT s.snapshot, e.* FROM (SELECT {cluster.SNAPSHOT}::text AS snapshot) s LEFT JOIN LATERAL ({{}}) e ON TRUE"
        self._new, self._both = visible.format(new), visible.format(f"{late} UNION ALL {new}")

    def poll(self, connection: psycopg.Connection) -> Poll:
        """Return what became visible since the last poll, and move on; one statement, so rows and snapshot belong together."""
        before = self.snapshot
        parameters = {"next": before.next, "running": list(map(str, before.running))}
        answer = connection.execute(self._both if before.running else self._new, parameters, prepare=True).fetchall()
        rows = [row[1:] for row in answer if row[1] is not None]
        found = Snapshot.parse(answer[0][0])
        new = [row[0] for row in rows if row[0] >= before.next]
        behind = len(new) >= self._limit
        self.snapshot = found.cut(max(new)) if behind else found
        return Poll(rows, self.snapshot, behind)


def current_snapshot(connection: psycopg.Connection) -> Snapshot:
    """Return what is visible now."""
    row = connection.execute("SELECT ml_learning.log_snapshot()::text").fetchone()
    if row is None:
        message = "PostgreSQL gave no snapshot"
        raise RuntimeError(message)
    return Snapshot.parse(row[0])


def places_of(connection: psycopg.Connection, event_ids: Sequence[str]) -> list[tuple[str, str | None, int]]:
    """Return (agent_type, project, occurred_at in µs) of every revision of the events: all that a repair of them can touch."""
    rows = connection.execute(
        "SELECT DISTINCT agent_type, project, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint"
        " FROM ml_learning.agent_events WHERE event_id = ANY(%s)",
        (list(event_ids),),
    ).fetchall()
    return [(agent, project, at) for agent, project, at in rows]


def events_between(
    connection: psycopg.Connection, agent: str, columns: Sequence[str], span: tuple[int, int | None], snapshot: Snapshot
) -> list[tuple[Any, ...]]:
    """Return (project, event_id, ts, *columns) of an agent's live events with occurred_at in (start, end] µs, as of a snapshot."""
    chosen = selected(columns, "e")
    start, end = (None if each is None else clock.from_us(each) for each in span)
    return connection.execute(
        f"""
        SELECT e.project, e.event_id, (EXTRACT(EPOCH FROM e.occurred_at) * 1000000)::bigint{chosen}
        FROM ml_learning.agent_events e
        WHERE e.agent_type = %(agent)s AND e.occurred_at > %(start)s AND e.occurred_at <= coalesce(%(end)s, 'infinity'::timestamptz)
          AND NOT e.retracted AND pg_visible_in_snapshot(e.xid, %(snapshot)s::text::pg_snapshot)
          AND NOT EXISTS (
            SELECT FROM ml_learning.agent_events newer
            WHERE newer.revision > 1 AND newer.event_id = e.event_id AND newer.revision > e.revision
              AND pg_visible_in_snapshot(newer.xid, %(snapshot)s::text::pg_snapshot)
          )
        """,
        {"agent": agent, "start": start, "end": end, "snapshot": str(snapshot)},
    ).fetchall()
