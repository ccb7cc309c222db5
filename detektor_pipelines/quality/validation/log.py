"""The raw log's two tables: every event has its identity, every identity its event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.events import AGENT_TYPES, OPERATIONS, UNMAPPED
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from detektor_pipelines.quality.validation.outcomes import Outcome
    from detektor_pipelines.quality.validation.stage import Stage

_FIX: Final = "Something else than the platform wrote there: restore it from a backup, or `detektor reingest` the logs it came from"
_PAIRS: Final = """
SELECT coalesce(e.event_id, i.event_id), e.revision, i.revision,
       CASE WHEN i.event_id IS NULL THEN 'has no identity' WHEN e.event_id IS NULL THEN 'has an identity and no event'
            WHEN e.revision <> i.revision THEN 'has another highest revision than its identity says'
            ELSE 'is at another timestamp than its identity says' END
FROM (SELECT DISTINCT ON (event_id) event_id, revision, occurred_at FROM ml_learning.agent_events ORDER BY event_id, revision DESC) e
FULL JOIN ml_learning.event_ids i USING (event_id)
WHERE e.event_id IS NULL OR i.event_id IS NULL OR e.revision <> i.revision OR e.occurred_at <> i.occurred_at
ORDER BY 1
"""
_UNKNOWN: Final = """
SELECT event_id, agent_type, operation FROM ml_learning.agent_events
WHERE agent_type <> ALL(%s) OR operation <> ALL(%s) ORDER BY event_id
"""


def log(stage: Stage, outcome: Outcome) -> None:
    """Every event of the log has its identity and every identity its event; agents and operations are declared ones."""
    with connect(stage.settings) as connection:
        counted = connection.execute("SELECT count(*) FROM ml_learning.event_ids").fetchone()
        pairs = connection.execute(_PAIRS).fetchall()
        unknown = connection.execute(_UNKNOWN, ([*AGENT_TYPES, UNMAPPED], list(OPERATIONS))).fetchall()
    outcome.compared += counted[0] if counted else 0
    for event_id, revision, recorded, what in pairs:
        outcome.add(f"Event {event_id} {what}.", f"revision {revision or 'none'}, recorded {recorded or 'none'}", _FIX)
    for event_id, agent, operation in unknown:
        outcome.add(f"Event {event_id} is of {agent} / {operation}, which nobody declares.", "ml_learning.agent_events", _FIX)
