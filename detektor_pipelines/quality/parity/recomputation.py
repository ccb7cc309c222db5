"""Online values computed again from the log by the batch SQL, each for an instant and a knowledge of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import split_by_range, values_of_nothing
from detektor_pipelines.engine.own_instants import values_at_each
from detektor_pipelines.stores.raw_log.known import Knowledge, read_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.engine.as_of import Values
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.stores.raw_log.known import Excepted

Value: TypeAlias = int | float | str | None
Features: TypeAlias = "dict[str, Value]"
"""Feature → value; instants as µs UTC."""


@dataclass(frozen=True, slots=True)
class Point:
    """For which instant (µs UTC), and from which knowledge of the log, a value is to be computed."""

    instant: int
    known: Knowledge


def recompute(
    connection: Connection, view: FeatureView, points: Mapping[str, Point], excepted: Excepted | None = None
) -> dict[str, Features]:
    """Return what the log gives for each agent_id of `points`; an agent_id without events has empty windows.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    whole = {view.agent: points[view.agent]} if view.agent in points else {}
    others = {agent_id: point for agent_id, point in points.items() if agent_id != view.agent}
    if whole and set(others.values()) <= set(whole.values()):
        whole, others = dict(points), {}  # one knowledge of all: no need to look up each event's
    found: Values = {}
    if whole:
        (known,) = {point.known for point in whole.values()}
        found |= _values(connection, view, whole, known, excepted)
    if others:
        by_project = {agent_id.partition("@")[2]: point.known for agent_id, point in others.items()}
        found |= _values(connection, view, others, by_project, excepted)
    names, nothing = [each.name for each in view.features], values_of_nothing(view)
    return {agent_id: dict(zip(names, found.get(agent_id, nothing), strict=True)) for agent_id in points}


def differences(served: Mapping[str, Value], right: Mapping[str, Value]) -> list[tuple[str, Value, Value]]:
    """Return (feature, served, right) where the two are not equal to the bit: 1 is not 1.0, for they are stored as different types."""
    return [
        (name, served.get(name), value)
        for name, value in right.items()
        if served.get(name) != value or type(served.get(name)) is not type(value)
    ]


def same(served: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    """Whether nothing differs."""
    return not differences(served, right)


def _values(
    connection: Connection,
    view: FeatureView,
    points: Mapping[str, Point],
    known: Knowledge | Mapping[str, Knowledge],
    excepted: Excepted | None,
) -> Values:
    compiled = plan(view)
    instants = {agent_id: point.instant for agent_id, point in points.items()}
    start, end = min(instants.values()) - reach_back(compiled), max(instants.values())
    events = read_known(connection, view.agent, compiled.columns, start, end, known, excepted)
    return countable(view, events, lambda some: values_at_each(view, some, instants))


def countable(view: FeatureView, events: pa.Table, compute: Callable[[pa.Table], Values]) -> Values:
    """Return what `compute` gives; where 64 bits do not hold it, of the events that the stream can count too."""
    try:
        return compute(events)
    except Exception:  # whichever way the engine says it
        inside, outside = split_by_range(view, events)
        if not outside.num_rows:
            raise
        return compute(inside)
