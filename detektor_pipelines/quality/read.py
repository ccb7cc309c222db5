"""Reads one agent's features for people: online as served now, here or by a feature server, or from the log as they were at an instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.stores.connections import connect_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow


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
    `age_seconds`: from `as_of` to the instant asked for. `source`: online, log, or a server's address and what it answered from.
    `known_at`: up to when what was learnt counts, where that was asked.
    """

    view: str
    agent_id: str
    source: str
    as_of: datetime | None
    event_timestamp: datetime | None
    age_seconds: float | None
    values: tuple[FeatureValue, ...]
    known_at: datetime | None = None


def read_online(settings: Settings, view: FeatureView, agent_id: str) -> AgentReading:
    """Return what is served now.

    Raises:
        UserError: Redis cannot be reached.

    """
    row = online_row(settings, view, agent_id)
    if row is None:
        return _absent(view, agent_id, "online")
    known = row.true_up_to
    values = _values(view, row.values, {each.name: row.status_of(each.name) for each in view.features})
    age = (clock.now_us() - known) / 1_000_000
    return AgentReading(view.name, agent_id, "online", clock.from_us(known), clock.from_us(row.event_timestamp), age, values)


def online_row(settings: Settings, view: FeatureView, agent_id: str) -> OnlineRow | None:
    """Return what stands online of one agent_id, None for nothing.

    Raises:
        UserError: Redis cannot be reached.

    """
    from detektor_pipelines.stores.online.values import read, redis_client

    client = redis_client(settings)
    try:
        return read(client, settings.project, view, [agent_id])[0]
    finally:
        client.close()


def read_served(view: FeatureView, agent_id: str, url: str) -> AgentReading:
    """Return what the feature server at `url` answers; instants are of whole seconds.

    Raises:
        UserError: It gives no values.

    """
    from detektor_pipelines.client import AgentFeatures

    project = agent_id.partition("@")[2] or None
    found = AgentFeatures(view.agent, project, url=url).get([each.name for each in view.features])
    as_of = None if found.age is None else clock.from_us(clock.now_us()) - found.age
    age = None if found.age is None else found.age.total_seconds()
    values = tuple(FeatureValue(each.name, found[each.name], found.statuses[each.name], each.unit) for each in view.features)
    return AgentReading(view.name, agent_id, f"{url} ({found.source})", as_of, found.event_timestamp, age, values)


def read_at(settings: Settings, view: FeatureView, agent_id: str, at: datetime, known: datetime | None = None) -> AgentReading:
    """Return the exact values at `at`, computed from the raw log, with what was known at `known`.

    By default with the knowledge of `at` itself: then it is, to the bit, what serving would have said at that moment. The offline rows
    say something else inside an hour: they have its full instants only.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    from detektor_pipelines.engine.as_of import read_values, values_of_nothing
    from detektor_pipelines.stores.raw_log.reader import any_event

    instant, knowledge = clock.to_us(at), clock.to_us(known or at)
    with connect_arrow(settings) as connection:
        found = read_values(connection, view, instant, known=knowledge).get(agent_id)
        if found is None and not any_event(connection, agent_id, instant, knowledge):
            return replace(_absent(view, agent_id, "log"), known_at=known or at)
    values = dict(zip((each.name for each in view.features), found or values_of_nothing(view), strict=True))
    statuses = {name: "NULL_VALUE" if value is None else "PRESENT" for name, value in values.items()}
    return AgentReading(view.name, agent_id, "log", at, at, 0.0, _values(view, values, statuses), known or at)


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
