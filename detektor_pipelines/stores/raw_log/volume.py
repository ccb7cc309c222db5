"""How much each agent has written to the raw log, how lately, and by when it arrived: cheap enough to ask every minute.

Events of the last days, and the newest one, are index look-ups. A total would be a scan of the whole log (a third of a second on a million
events), so an answer carries the totals below its snapshot's horizon, and the next question counts only what has arrived since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import psycopg

    from detektor_pipelines.settings import Settings

_HORIZON: Final = "SELECT pg_snapshot_xmin(ml_learning.log_snapshot())::text::bigint"
_ARRIVED: Final = """
    SELECT agent_type, count(*), count(*) FILTER (WHERE xid < %(horizon)s::text::xid8)
    FROM ml_learning.agent_events WHERE xid >= %(since)s::text::xid8 GROUP BY agent_type
"""
_LATELY: Final = """
    SELECT agent.type, week.events, week.of_day, newest.occurred_at, greatest(week.ingested_at, newest.ingested_at)
    FROM unnest(%(agents)s::text[]) AS agent (type)
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, count(*) FILTER (WHERE occurred_at > %(day)s) AS of_day, max(ingested_at) AS ingested_at
        FROM ml_learning.agent_events WHERE agent_type = agent.type AND occurred_at > %(week)s AND occurred_at <= %(now)s
    ) AS week
    LEFT JOIN LATERAL (
        SELECT occurred_at, ingested_at FROM ml_learning.agent_events WHERE agent_type = agent.type ORDER BY occurred_at DESC LIMIT 1
    ) AS newest ON true
"""
_NEWEST: Final = "SELECT event.xid::text AS id, event.ingested_at FROM ml_learning.agent_events AS event ORDER BY event.xid DESC LIMIT 1"
_REJECTED: Final = "SELECT count(*) FROM ml_learning.rejected_events WHERE rejected_at > %(week)s"


@dataclass(frozen=True, slots=True)
class CommittedTotals:
    """Totals by agent of what was committed below `horizon`, a number of the log in this `life` of it: they never change."""

    life: str
    horizon: int
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AgentVolume:
    """One agent's part of the log. `events` are lines of the log, each revision one; instants are None where there is none.

    `newest_arrival` is exact for events of the last seven days, else that of the newest event.
    """

    agent: str
    events: int
    last_day: int
    last_week: int
    newest_event: datetime | None
    newest_arrival: datetime | None


@dataclass(frozen=True, slots=True)
class LogVolume:
    """The log at instant `at`. `version` changes when, and only when, something was added to the log."""

    at: datetime
    version: str
    agents: tuple[AgentVolume, ...]
    newest_arrival: datetime | None
    rejected_last_week: int
    settled: CommittedTotals

    @property
    def newest_event(self) -> datetime | None:
        """The instant of the newest event of any agent."""
        return max((each.newest_event for each in self.agents if each.newest_event), default=None)


def log_volume(settings: Settings, known: CommittedTotals | None = None) -> LogVolume:
    """Measure the log, the agents in their declared order and those without a mapping last, if there are such events.

    Args:
        settings: Where the database is.
        known: What an earlier answer settled; without it the log is counted from its beginning.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return volume(connection, known)


def volume(connection: psycopg.Connection, known: CommittedTotals | None = None) -> LogVolume:
    """Measure the log under the snapshot of the transaction under way, which is REPEATABLE READ."""
    now = now_us()
    instants = {"now": from_us(now), "day": from_us(now - DAY), "week": from_us(now - 7 * DAY)}
    life = cluster.life(connection).name
    (horizon,) = _one(connection.execute(_HORIZON))
    trusted = known is not None and known.life == life and known.horizon <= horizon
    since = known.horizon if known is not None and trusted else 0
    before = dict(known.totals) if known is not None and trusted else {}
    arrived = connection.execute(_ARRIVED, {"horizon": horizon, "since": since}).fetchall()
    totals = _added(before, {agent: count for agent, count, _ in arrived})
    lately = connection.execute(_LATELY, {"agents": [*AGENT_TYPES, UNMAPPED], **instants}).fetchall()
    newest_xid, last_arrival = connection.execute(_NEWEST).fetchone() or ("0", None)
    (rejected,) = _one(connection.execute(_REJECTED, instants))
    agents = tuple(
        AgentVolume(agent, totals.get(agent, 0), day, week, event, arrival)
        for agent, week, day, event, arrival in lately
        if agent != UNMAPPED or totals.get(agent)
    )
    arrivals = [each for each in (last_arrival, *(agent.newest_arrival for agent in agents)) if each is not None]
    return LogVolume(
        instants["now"],
        f"{newest_xid}-{sum(totals.values())}",
        agents,
        max(arrivals, default=None),
        rejected,
        CommittedTotals(life, horizon, _added(before, {agent: settled for agent, _, settled in arrived})),
    )


def newest_arrival(connection: psycopg.Connection) -> datetime | None:
    """Return when something last arrived, None for an empty log."""
    row = connection.execute(_NEWEST).fetchone()
    return row[1] if row else None


def _added(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {agent: before.get(agent, 0) + more.get(agent, 0) for agent in sorted({*before, *more})}


def _one(cursor: psycopg.Cursor[tuple[int, ...]]) -> tuple[int, ...]:
    row = cursor.fetchone()
    if row is None:
        message = "PostgreSQL gave no row for an aggregate"
        raise RuntimeError(message)
    return row
