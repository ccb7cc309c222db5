"""The raw log: when something last arrived, how much there is of whom, how much could not be read."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer
from detektor_pipelines.stores.raw_log.volume import newest_arrival

if TYPE_CHECKING:
    from detektor_pipelines.monitoring.exporter.question import Samples, Stores

PROJECTS: Final = 20
"""As many have a series of their own, whatever people call their repositories."""
OTHERS: Final = "(others)"
NO_PROJECT: Final = "(none)"
_PROJECT_DAYS: Final = timedelta(days=7)

_REJECTED = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('ml_learning.rejected_events', 'id')::regclass), 0)"
"""The number of the last one: counting them would take longer with each, and go back when old ones are deleted."""

_BY_PROJECT = """
SELECT agent_type, project, count(*) FROM ml_learning.agent_events
WHERE agent_type = ANY(%s) AND occurred_at > %s AND NOT retracted GROUP BY 1, 2
"""


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


def projects(stores: Stores) -> Answer:
    """Count the log's rows of the last seven days by view and project; those beyond the busiest PROJECTS together, as OTHERS."""
    since = clock.from_us(clock.now_us()) - _PROJECT_DAYS
    found: dict[tuple[str, str], int] = {}
    whole: Counter[str] = Counter()
    names = {view.agent: view.name for view in VIEWS}
    for agent, project, number in stores.postgres.execute(_BY_PROJECT, (list(names), since)):
        found[names[agent], project or NO_PROJECT] = number
        whole[project or NO_PROJECT] += number
    named = {project for project, _ in sorted(whole.items(), key=lambda each: (-each[1], each[0]))[:PROJECTS]}
    samples: Samples = {}
    for (view, project), number in found.items():
        key = (view, project if project in named else OTHERS)
        samples[key] = samples.get(key, 0.0) + number
    return Answer({metrics.PROJECT_EVENTS: samples})
