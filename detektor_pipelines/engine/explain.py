"""Behind a value: how it came to be, and the very events that are in its window.

Also `read_row`, the read of the offline rows by which the other values are explained: what a point-in-time join gets for one label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import known_by, read_values, values_at, values_of_nothing
from detektor_pipelines.engine.compute import row_schema
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.windows import floor_to
from detektor_pipelines.stores.offline.gaps import hidden_after, version_of
from detektor_pipelines.stores.offline.newest import newest_first
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table
from detektor_pipelines.stores.raw_log.reader import any_event, read_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.compile.finalise import Result
    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.language.views import Feature, FeatureView
    from detektor_pipelines.stores.online.values import OnlineRow

Source: TypeAlias = Literal["online", "log"]


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A feature row: the values at `event_timestamp`, which hold until the next row, as known at `created_at`."""

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
    """Why a feature has its value.

    `source`: online, the value that a reader gets now, or log, computed for the instant asked for. `at`: the instant that it is of.
    `known_at`: up to when what was learnt counts in it; None for an online value, which was made of what the log held when it was written.
    `recomputed`: what the log gives today for `at`, with all that it holds.
    """

    agent_id: str
    source: Source
    at: datetime
    known_at: datetime | None
    feature: Feature
    value: Any
    recomputed: Any
    parts: Sequence[Part]

    @property
    def stale(self) -> bool:
        """Whether a reader gets another value than the log now says. What was not known at an earlier instant makes nothing stale."""
        return self.source == "online" and bool(self.value != self.recomputed)


def read_row(connection: Connection, view: FeatureView, agent_id: str, at: datetime, known: datetime | None = None) -> StoredRow | None:
    """Return what a point-in-time read at `at` gets: the newest row as it was served then; None before the first.

    Where a day that was not published may hide a row, the value at that instant of the grain is computed from the log instead; and with a
    `known` of its own always, for the rows know two forms only: `engine.as_of` says what it is.

    Raises:
        UserError: PostgreSQL cannot be reached, or nothing was ever materialized.

    """
    instant = floor_to(clock.to_us(at), view.grain)
    if known is not None:
        return _row_from_log(connection, view, agent_id, instant, clock.to_us(known))
    row = _newest_served(connection, view, agent_id, at)
    with connection.cursor() as cursor:
        hidden = hidden_after(cursor, version_of(view), agent_id, clock.to_us(row.event_timestamp) if row else None, instant)
    return _row_from_log(connection, view, agent_id, instant, instant) if hidden else row


def explain_at(connection: Connection, view: FeatureView, feature: Feature, agent_id: str, at: datetime, known: datetime) -> Explanation:
    """Explain the exact value of `feature` at `at` with the knowledge of `known`, from the log.

    Raises:
        UserError: Nothing had happened to this agent_id by then, or nobody knew.

    """
    instant = clock.to_us(at)
    if not any_event(connection, agent_id, instant, clock.to_us(known)):
        raise UserError(
            f"The raw log holds nothing about {agent_id} up to {at:%Y-%m-%d %H:%M} UTC.",
            where=f"as known at {known:%Y-%m-%d %H:%M} UTC",
            fix="Give another agent (--agent-id), a later timestamp (--at), or later knowledge (--known).",
        )
    events = _events(connection, view, instant)
    then = known_by(events, clock.to_us(known))
    value = _value(view, feature, values_at(view, then, instant).get(agent_id))
    return _explained(view, feature, agent_id, events, then, ("log", instant, known, value))


def explain_online(connection: Connection, view: FeatureView, feature: Feature, row: OnlineRow) -> Explanation:
    """Explain the value that a reader gets online now: at its own instant, from the log as it was when it was computed."""
    events = _events(connection, view, row.as_of)
    seen = events if row.snapshot is None else _events(connection, view, row.as_of, row.snapshot)
    value = _of_people(feature, row.values[feature.name])
    return _explained(view, feature, row.agent_id, events, seen, ("online", row.as_of, None, value))


def aggregations(view: FeatureView, feature: Feature) -> list[Feature]:
    """Return the aggregations that a feature is made of: itself, or those that a derived one refers to."""
    if isinstance(feature.value, Aggregation):
        return [feature]
    found: dict[str, Feature] = {}
    for each in view.features:
        if each.name in feature.value.features():
            found |= {part.name: part for part in aggregations(view, each)}
    return list(found.values())


def _newest_served(connection: Connection, view: FeatureView, agent_id: str, at: datetime) -> StoredRow | None:
    schema = row_schema(view)
    names = ", ".join(f'"{name}"' for name in schema.names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT {names} FROM {SCHEMA}."{row_table(view)}" WHERE agent_id = $1 AND event_timestamp <= $2'
            f" AND created_at = event_timestamp ORDER BY {newest_first()} LIMIT 1",
            (agent_id, at),
        )
        found = cursor.fetch_arrow_table().cast(schema).to_pylist()
    if not found:
        return None
    row = found[0]
    return StoredRow(row["agent_id"], row["event_timestamp"], row["created_at"], {each.name: row[each.name] for each in view.features})


def _row_from_log(connection: Connection, view: FeatureView, agent_id: str, instant: int, known: int) -> StoredRow | None:
    """Return the row of an instant of the grain as the log makes it; None for an agent_id of which nothing had happened that was known."""
    found = read_values(connection, view, instant, known=known).get(agent_id)
    if found is None and not any_event(connection, agent_id, instant, known):
        return None
    named = zip(view.features, found or values_of_nothing(view), strict=True)
    values = {each.name: _of_people(each, value) for each, value in named}
    return StoredRow(agent_id, clock.from_us(instant), clock.from_us(known), values)


def _events(connection: Connection, view: FeatureView, instant: int, snapshot: str | None = None) -> pa.Table:
    compiled = plan(view)
    return read_events(connection, view.agent, compiled.columns, instant - reach_back(compiled), instant, snapshot=snapshot)


def _explained(
    view: FeatureView,
    feature: Feature,
    agent_id: str,
    events: pa.Table,
    counted: pa.Table,
    what: tuple[Source, int, datetime | None, Any],
) -> Explanation:
    """Put it together. `events` are all that the log holds, `counted` those that the value was made of."""
    source, instant, known, value = what
    now = _value(view, feature, values_at(view, events, instant).get(agent_id))
    rows = counted.to_pylist()
    parts = [Part(each, _present(each, rows, agent_id, instant)) for each in aggregations(view, feature)]
    return Explanation(agent_id, source, clock.from_us(instant), known, feature, value, now, parts)


def _value(view: FeatureView, feature: Feature, values: tuple[Result, ...] | None) -> Any:
    names = [each.name for each in view.features]
    return _of_people(feature, (values or values_of_nothing(view))[names.index(feature.name)])


def _of_people(feature: Feature, value: Any) -> Any:
    """Return the value as people read it: an instant as a datetime."""
    return clock.from_us(value) if feature.value_type == "instant" and isinstance(value, int) else value


def _present(feature: Feature, events: list[dict[str, Any]], agent_id: str, instant: int) -> list[dict[str, Any]]:
    project = agent_id.partition("@")[2] or None
    window = feature.over
    found = []
    for event in events:
        if window is None or not event["live"] or (project is not None and event["project"] != project):
            continue
        leaves = window.leave(event["ts"])
        if event["ts"] <= instant < leaves and _counts(feature, feature.where, event):
            columns = {name: value for name, value in event.items() if name not in ("ts", "known", "live", "until")}
            found.append({"occurred_at": clock.from_us(event["ts"]), **columns, "leaves_at": clock.from_us(leaves)})
    return sorted(found, key=lambda event: (event["occurred_at"], event["event_id"]), reverse=True)


def _counts(feature: Feature, where: Predicate | None, event: dict[str, Any]) -> bool:
    """Whether the event passes the filter and has a value that the aggregation takes."""
    row = {**event, "occurred_at": event["ts"]}
    if where is not None and where.evaluate(row) is not True:
        return False
    operand = feature.value.operand if isinstance(feature.value, Aggregation) else None
    return operand is None or operand.evaluate(row) is not None
