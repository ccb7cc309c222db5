"""The raw log: when something last arrived, how much there is of whom, how much could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer
from detektor_pipelines.stores.raw_log.volume import newest_arrival

if TYPE_CHECKING:
    from detektor_pipelines.monitoring.exporter.question import Stores

_REJECTED = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('ml_learning.rejected_events', 'id')::regclass), 0)"
"""The number of the last one: counting them would take longer with each, and go back when old ones are deleted."""


def arrivals(stores: Stores) -> Answer:
    """Say when something last arrived, and how many records were rejected ever."""
    at = newest_arrival(stores.postgres)
    rejected = stores.postgres.execute(_REJECTED).fetchone()
    return Answer(
        {metrics.REJECTED: {(): float(rejected[0]) if rejected else 0.0}},
        {metrics.LOG_AGE: {(): float(clock.to_us(at))} if at else {}},
    )


def events(stores: Stores) -> Answer:
    """Count the log's rows by agent: by the index alone, but for what PostgreSQL has not vacuumed."""
    agents = (*AGENT_TYPES, UNMAPPED)
    found: dict[str, int] = dict(stores.postgres.execute("SELECT agent_type, count(*) FROM ml_learning.agent_events GROUP BY 1").fetchall())
    return Answer({metrics.LOG_EVENTS: {(agent,): float(found.get(agent, 0)) for agent in agents}})
