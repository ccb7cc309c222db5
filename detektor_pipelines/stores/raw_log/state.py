"""Questions about the raw log as a whole: how much of it there is, from when to when, and what was rejected lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.settings import Settings

_EDGE: Final = """
SELECT (extract(epoch FROM {edge}(at)) * 1000000)::bigint
FROM unnest(%s::text[]) AS agent (agent_type)
CROSS JOIN LATERAL (
    SELECT {edge}(occurred_at) AS at FROM ml_learning.agent_events AS event WHERE event.agent_type = agent.agent_type
) AS edge
"""
_COUNTS: Final = """
SELECT event.agent_type, event.operation, event.derived, event.simulated, count(*)
FROM ml_learning.agent_events AS event
LEFT JOIN (SELECT event_id, revision FROM ml_learning.event_ids WHERE revision > 1) AS identity USING (event_id)
WHERE event.revision = coalesce(identity.revision, event.revision) AND NOT event.retracted
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_NAMES: Final = """
SELECT event.raw_name, event.agent_type, event.operation, count(*)
FROM ml_learning.agent_events AS event
LEFT JOIN (SELECT event_id, revision FROM ml_learning.event_ids WHERE revision > 1) AS identity USING (event_id)
WHERE event.revision = coalesce(identity.revision, event.revision) AND NOT event.retracted
GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3
"""
_REJECTIONS: Final = """
SELECT reason, count(*), max(rejected_at), (array_agg(source || coalesce(':' || line, '') ORDER BY id DESC))[1]
FROM ml_learning.rejected_events WHERE rejected_at >= %s GROUP BY reason ORDER BY count(*) DESC, reason
"""


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of one kind the log holds, each event once at its highest revision."""

    agent_type: str
    operation: str
    derived: bool
    simulated: bool
    events: int


@dataclass(frozen=True, slots=True)
class NameCount:
    """One name in the log and the agent that it counts as: how many events, and how many of each operation, the most frequent first."""

    raw_name: str
    agent_type: str
    events: int
    operations: dict[str, int]


@dataclass(frozen=True, slots=True)
class RejectionCount:
    """How often one reason led to a rejection; `last_at` in µs UTC, `example` is `source:line` of the latest."""

    reason: str
    rejections: int
    last_at: int
    example: str


def event_counts(settings: Settings) -> list[EventCount]:
    """Count the log's events by agent, operation, derived and simulated.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        return [EventCount(*row) for row in connection.execute(_COUNTS)]


def name_counts(settings: Settings) -> list[NameCount]:
    """Count the log's events by the names that its agents have there, the busiest first.

    Raises:
        UserError: The database cannot be read.

    """
    found: dict[tuple[str, str], dict[str, int]] = {}
    with connect(settings) as connection:
        for name, agent, operation, events in connection.execute(_NAMES):
            found.setdefault((name, agent), {})[operation] = events
    counts = [NameCount(name, agent, sum(each.values()), each) for (name, agent), each in found.items()]
    return sorted(counts, key=lambda count: (-count.events, count.raw_name, count.agent_type))


def oldest_event_day(settings: Settings) -> date | None:
    """Return the UTC day that owns the oldest event of a mapped agent, None when there is none: where the daily partitions begin.

    Raises:
        UserError: The database cannot be read.

    """
    oldest = _edge(settings, "min", AGENT_TYPES)
    return None if oldest is None else owner(oldest)


def newest_event_us(settings: Settings) -> int | None:
    """Return the instant of the newest event in µs UTC, None when there is none.

    Raises:
        UserError: The database cannot be read.

    """
    return _edge(settings, "max", (*AGENT_TYPES, UNMAPPED))


def recent_rejections(settings: Settings, hours: float = 24) -> list[RejectionCount]:
    """Count the rejections of the last hours of the platform's clock by reason, the most frequent first.

    Raises:
        UserError: The database cannot be read.

    """
    since = from_us(now_us() - int(hours * 3_600_000_000))
    with connect(settings) as connection:
        rows = connection.execute(_REJECTIONS, (since,)).fetchall()
    return [
        RejectionCount(reason, number, int(last.astimezone(UTC).timestamp() * 1_000_000), example) for reason, number, last, example in rows
    ]


def _edge(settings: Settings, edge: str, agents: Sequence[str]) -> int | None:
    """Ask each agent's index for its first or last instant: no scan of the log."""
    with connect(settings) as connection:
        rows = connection.execute(_EDGE.format(edge=edge), (list(agents),)).fetchall()
    instants = [row[0] for row in rows if row[0] is not None]
    return {"min": min, "max": max}[edge](instants, default=None)
