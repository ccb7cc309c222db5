"""What is published: how old, which days, how many rows, how many nulls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.calendar import between, end_us, owner, start
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import floor_to
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer
from detektor_pipelines.stores.offline.newest import newest_of_each, quoted
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table
from detektor_pipelines.stores.offline.staleness import OPEN_DAY_AGE
from detektor_pipelines.stores.offline.staleness_watch import StalenessWatch

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.monitoring.exporter.question import Samples, Stores

NULL_DAYS: Final = 7

_PUBLISHED: Final = """
SELECT view, partition, published_at, rows FROM ml_learning.partition_state
JOIN unnest(%s::text[], %s::text[]) AS present (view, data_hash) USING (view, data_hash) ORDER BY view, partition
"""
_OLDEST: Final = """
SELECT min(first.at) FROM unnest(%s::text[]) AS agent (agent_type)
CROSS JOIN LATERAL (SELECT min(occurred_at) AS at FROM ml_learning.agent_events AS event WHERE event.agent_type = agent.agent_type) AS first
"""

_Day: TypeAlias = "tuple[date, int, int]"
"""The day, when it was published (µs UTC) and its rows."""


def days(stores: Stores) -> Answer:
    """Say by view up to when rows are true, how many there are, and which days are fresh, stale and missing; as `detektor status` does."""
    published = _published(stores.postgres)
    oldest = stores.postgres.execute(_OLDEST, ([view.agent for view in VIEWS],)).fetchone()
    first = stores.settings.start_date or (owner(clock.to_us(oldest[0])) if oldest and oldest[0] else None)
    watch: StalenessWatch = stores.memory.setdefault("staleness", StalenessWatch())
    rows: Samples = {}
    states: Samples = {}
    through: Samples = {}
    for view in VIEWS:
        found = published[view.name]
        rows[(view.name,)] = float(sum(number for *_, number in found))
        if found:
            day, at, _ = found[-1]
            through[(view.name,)] = float(min(end_us(day), floor_to(at, view.grain)))
        if first is not None:
            counts = _states(found, first, set(watch.unseen(stores.postgres, view)))
            states |= {(view.name, state): counts[state] for state in metrics.DAY_STATES}
    return Answer({metrics.OFFLINE_ROWS: rows, metrics.OFFLINE_DAYS: states}, {metrics.OFFLINE_AGE: through})


def nulls(stores: Stores) -> Answer:
    """Return the share of nulls of each feature over the newest published days, each row at its newest version: one statement."""
    published = {view: found for view in VIEWS if (found := _published(stores.postgres)[view.name])}
    if not published:
        return Answer()
    parts = [_nulls_sql(view, found[-NULL_DAYS:]) for view, found in published.items()]
    ratios: Samples = {}
    for name, rows, counts in stores.postgres.execute(" UNION ALL ".join(f"({part})" for part in parts)):
        features = next(view for view in VIEWS if view.name == name).features
        if rows:
            ratios |= {(name, feature.name): number / rows for feature, number in zip(features, counts, strict=True)}
    return Answer({metrics.NULL_RATIO: ratios})


def _published(connection: psycopg.Connection) -> dict[str, list[_Day]]:
    """Return the published days of each view's present version, ascending."""
    found: dict[str, list[_Day]] = {view.name: [] for view in VIEWS}
    for name, day, at, rows in connection.execute(_PUBLISHED, ([view.name for view in VIEWS], [data_hash(view) for view in VIEWS])):
        found[name].append((day, clock.to_us(at), rows))
    return found


def _states(found: list[_Day], first: date, stale: set[date]) -> dict[str, float]:
    """Count the days from `first` to today; an open day counts as published for an hour."""
    now = clock.now_us()
    done = {day for day, at, _ in found if at >= end_us(day) or at > now - OPEN_DAY_AGE}
    wanted = between(first, owner(now))
    missing = sum(day not in done for day in wanted)
    behind = sum(day in stale and day in done for day in wanted)
    return {"fresh": len(wanted) - missing - behind, "stale": behind, "missing": missing}


def _nulls_sql(view: FeatureView, found: list[_Day]) -> str:
    names = [quoted(each.name) for each in view.features]
    counts = ", ".join(f"count(*) FILTER (WHERE {name} IS NULL)" for name in names)
    source = f"{SCHEMA}.{quoted(row_table(view))} WHERE event_timestamp > '{start(found[0][0])}'"
    return f"SELECT '{view.name}', count(*), ARRAY[{counts}] FROM ({newest_of_each(', '.join(names), source)}) AS newest"
