"""Behind a stored value: the row it stands in, and the very events that are in its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.compute import compute, row_schema
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.stores.log_reader import read_events
from detektor_pipelines.stores.offline import SCHEMA, row_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.language.views import Feature, FeatureView


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A feature row: the values hold from `event_timestamp` until the next row, as known at `created_at`."""

    agent_id: str
    event_timestamp: datetime
    created_at: datetime
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One aggregation behind a value: its feature, and its events (column → value, `leaves_at` with them), newest first."""

    feature: Feature
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a feature has its value. `recomputed` is what the log gives today for the row; it differs where the day is stale."""

    row: StoredRow
    feature: Feature
    value: Any
    recomputed: Any
    parts: Sequence[Part]

    @property
    def stale(self) -> bool:
        """Whether the stored value is no longer what the log says."""
        return bool(self.value != self.recomputed)


def read_row(connection: Connection, view: FeatureView, agent_id: str, at: datetime, known: datetime | None = None) -> StoredRow | None:
    """Return the row that a read at `at` gets with the knowledge of `known` (default: `at`); None before the first row."""
    schema = row_schema(view)
    names = ", ".join(f'"{name}"' for name in schema.names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT {names} FROM {SCHEMA}."{row_table(view)}" WHERE agent_id = $1 AND event_timestamp <= $2'
            " AND created_at <= $3 ORDER BY event_timestamp DESC, created_at DESC, written_at DESC LIMIT 1",
            (agent_id, at, known or at),
        )
        found = cursor.fetch_arrow_table().cast(schema).to_pylist()
    if not found:
        return None
    row = found[0]
    return StoredRow(row["agent_id"], row["event_timestamp"], row["created_at"], {each.name: row[each.name] for each in view.features})


def explain(connection: Connection, view: FeatureView, feature: Feature, agent_id: str, at: datetime) -> Explanation:
    """Explain the value of `feature` that a read at `at` gets.

    Raises:
        UserError: There is no row of this agent_id yet at that instant.

    """
    row = read_row(connection, view, agent_id, at)
    if row is None:
        raise UserError(
            f"{view.name} has no row of {agent_id} at {at:%Y-%m-%d %H:%M} UTC.",
            fix="Give another agent (--agent-id), a later instant (--at), or materialize the days before it.",
        )
    instant, known = clock.to_us(row.event_timestamp), clock.to_us(row.created_at)
    events = read_events(connection, view.agent, plan(view).columns, instant - view.grain - reach_back(plan(view)), instant)
    return Explanation(
        row,
        feature,
        row.values[feature.name],
        _recomputed(view, events, row, feature),
        [Part(each, _present(each, events.to_pylist(), agent_id, instant, known)) for each in aggregations(view, feature)],
    )


def aggregations(view: FeatureView, feature: Feature) -> list[Feature]:
    """Return the aggregations that a feature is made of: itself, or those that a derived one refers to."""
    if isinstance(feature.value, Aggregation):
        return [feature]
    found: dict[str, Feature] = {}
    for each in view.features:
        if each.name in feature.value.features():
            found |= {part.name: part for part in aggregations(view, each)}
    return list(found.values())


def _recomputed(view: FeatureView, events: Any, row: StoredRow, feature: Feature) -> Any:
    """Return what the log says with the row's knowledge; a repair may have left that without a version of its own."""
    instant = clock.to_us(row.event_timestamp)
    versions = compute(view, events, start=instant - view.grain, end=instant).to_pylist()
    known = [each for each in versions if each["agent_id"] == row.agent_id and each["created_at"] <= row.created_at]
    return known[-1][feature.name] if known else None


def _present(feature: Feature, events: list[dict[str, Any]], agent_id: str, instant: int, known: int) -> list[dict[str, Any]]:
    project = agent_id.partition("@")[2] or None
    window = feature.over
    found = []
    for event in events:
        if window is None or not event["live"] or (project is not None and event["project"] != project):
            continue
        leaves = window.leave(event["ts"])
        if event["ts"] <= instant < leaves and event["known"] <= known and _counts(feature, feature.where, event):
            columns = {name: value for name, value in event.items() if name not in ("ts", "known", "live")}
            found.append({"occurred_at": clock.from_us(event["ts"]), **columns, "leaves_at": clock.from_us(leaves)})
    return sorted(found, key=lambda event: (event["occurred_at"], event["event_id"]), reverse=True)


def _counts(feature: Feature, where: Predicate | None, event: dict[str, Any]) -> bool:
    """Whether the event passes the filter and has a value that the aggregation takes."""
    row = {**event, "occurred_at": event["ts"]}
    if where is not None and where.evaluate(row) is not True:
        return False
    operand = feature.value.operand if isinstance(feature.value, Aggregation) else None
    return operand is None or operand.evaluate(row) is not None
