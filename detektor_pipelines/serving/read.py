"""Reads one agent's features for people: online as served now, here or by a feature server, or offline as they were at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.stores.connections import connect_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """One value. `status`: PRESENT, NULL_VALUE, NOT_FOUND or OUTSIDE_MAX_AGE; `value` of an instant feature is a datetime."""

    name: str
    value: Any
    status: str
    unit: str


@dataclass(frozen=True, slots=True)
class AgentReading:
    """One agent's features of a view.

    `as_of`: up to when the values are true knowledge; `event_timestamp`: of the row that they stand in; both None when nothing was found.
    `age_seconds`: from `as_of` to the instant asked for. `source`: online, offline, or a server's address and what it answered from.
    """

    view: str
    agent_id: str
    source: str
    as_of: datetime | None
    event_timestamp: datetime | None
    age_seconds: float | None
    values: tuple[FeatureValue, ...]


def read_online(settings: Settings, view: FeatureView, agent_id: str) -> AgentReading:
    """Return what is served now.

    Raises:
        UserError: Redis cannot be reached.

    """
    from detektor_pipelines.stores.online import read, redis_client

    client = redis_client(settings)
    try:
        row = read(client, settings.project, view, [agent_id])[0]
    finally:
        client.close()
    if row is None:
        return _absent(view, agent_id, "online")
    known = row.true_up_to
    values = _values(view, row.values, {each.name: row.status_of(each.name) for each in view.features})
    age = (clock.now_us() - known) / 1_000_000
    return AgentReading(view.name, agent_id, "online", clock.from_us(known), clock.from_us(row.event_timestamp), age, values)


def read_served(view: FeatureView, agent_id: str, url: str) -> AgentReading:
    """Return what the feature server at `url` answers; instants are of whole seconds.

    Raises:
        UserError: It gives no values.

    """
    from detektor_pipelines.serving.client import AgentFeatures

    project = agent_id.partition("@")[2] or None
    found = AgentFeatures(view.agent, project, url=url).get([each.name for each in view.features])
    as_of = None if found.age is None else clock.from_us(clock.now_us()) - found.age
    age = None if found.age is None else found.age.total_seconds()
    values = tuple(FeatureValue(each.name, found[each.name], found.statuses[each.name], each.unit) for each in view.features)
    return AgentReading(view.name, agent_id, f"{url} ({found.source})", as_of, found.event_timestamp, age, values)


def read_at(settings: Settings, view: FeatureView, agent_id: str, at: datetime) -> AgentReading:
    """Return what a point-in-time read at `at` gives, with the knowledge of that instant.

    Raises:
        UserError: PostgreSQL cannot be reached, or nothing was ever materialized.

    """
    from detektor_pipelines.engine.explain import read_row

    with connect_arrow(settings) as connection:
        row = read_row(connection, view, agent_id, at)
    if row is None:
        return _absent(view, agent_id, "offline")
    statuses = {name: "NULL_VALUE" if value is None else "PRESENT" for name, value in row.values.items()}
    age = (at - row.event_timestamp).total_seconds()
    return AgentReading(view.name, agent_id, "offline", row.event_timestamp, row.event_timestamp, age, _values(view, row.values, statuses))


def _absent(view: FeatureView, agent_id: str, source: str) -> AgentReading:
    values = tuple(FeatureValue(each.name, None, "NOT_FOUND", each.unit) for each in view.features)
    return AgentReading(view.name, agent_id, source, None, None, None, values)


def _values(view: FeatureView, values: Mapping[str, Any], statuses: Mapping[str, str]) -> tuple[FeatureValue, ...]:
    found = []
    for each in view.features:
        value = values[each.name]
        if each.value_type == "instant" and isinstance(value, int):
            value = clock.from_us(value)
        found.append(FeatureValue(each.name, value, statuses[each.name], each.unit))
    return tuple(found)
