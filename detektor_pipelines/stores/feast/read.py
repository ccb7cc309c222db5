"""Reads of Feast's SDK that need nothing of Feast but its registry: planned once, answered from the rows as they were read.

Belongs here: which requests those are, what they ask for, and their answer. Which keys are read and what status a value has is `online`'s
business, here as everywhere. Importing this takes seconds, because Feast does.

On its general way Feast makes a proto of each agent, each value and each timestamp before anybody asks for one, and looks up again what
the registry has said already; for a hundred agents that is ten times what Redis takes. Here Feast resolves a request's references once,
and once more whenever it would itself read them again from its registry.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from feast import FeatureService, FeatureView, ValueType, utils
from feast.feature_view import DUMMY_ENTITY_ID
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.timestamp_pb2 import Timestamp

from detektor_pipelines.compile.feast import JOIN_KEY
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.stores.feast.registry import tell_apart
from detektor_pipelines.stores.online.values import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from feast import RepoConfig

    from detektor_pipelines.stores.online.packing import Kind, Value
    from detektor_pipelines.stores.online.values import OnlineRow, StoredView

_REMEMBERED: Final = 512
"""Plans; a program asks for a few."""

_STATUSES: Final = {name: FieldStatus.Value(name) for name in ("PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")}


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked of one view: its features, with the names that the answer gives them."""

    view: StoredView
    features: tuple[tuple[str, str, Kind], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request asks for. `versions`: Feast's number of each view's version; `types`: by the names Feast's answers know."""

    parts: tuple[Part, ...]
    versions: tuple[tuple[str, int], ...]
    types: Mapping[str, ValueType]

    def lookups(self, project: str, agent_ids: Sequence[str]) -> list[Lookup]:
        """Return what is to be read: one lookup a view, all of them one round trip."""
        return [Lookup(project, part.view, agent_ids) for part in self.parts]


class Plans:
    """Plans of requests, each for as long as Feast keeps what it has read of its registry.

    Args:
        stored_view: Says what the online store needs to know of a registered view.

    """

    def __init__(self, stored_view: Callable[[FeatureView], StoredView]) -> None:
        self._stored_view = stored_view
        self._kept: dict[tuple[Any, ...], tuple[datetime, Plan | None]] = {}  # the former: when Feast read its registry

    def of(self, config: RepoConfig, registry: Any, project: str, features: Any, *, full_names: bool) -> Plan | None:
        """Return a request's plan; None for one that Feast has to answer itself.

        Raises:
            Exception: Feast's own, for references that it cannot resolve.

        """
        key = _key(features, project, full_names)
        if key is None or _watched(config):
            return None
        kept = self._kept.get(key)
        if kept is not None and _still_read(registry, kept[0]):
            return kept[1]
        read_at = getattr(registry, "cached_registry_proto_created", None)
        tell_apart(registry)
        context = utils._get_cached_request_context(registry, project, features, full_names)  # noqa: SLF001 - Feast's own rules, not ours
        plan = self._plan(context, full_names=full_names)
        if read_at is not None and registry.cached_registry_proto_created is read_at:  # else it was read again meanwhile
            if len(self._kept) >= _REMEMBERED:
                self._kept.clear()
            self._kept[key] = (read_at, plan)
        return plan

    def _plan(self, context: tuple[Any, ...], *, full_names: bool) -> Plan | None:
        _, on_demand, _, entity_types, join_keys, grouped, names, request_data, without_entity = context
        of_agents = join_keys - {DUMMY_ENTITY_ID} == {JOIN_KEY} and entity_types == {JOIN_KEY: ValueType.STRING}
        if on_demand or request_data or without_entity or not of_agents:
            return None
        versions: dict[str, int] = {}
        parts, types = [], {}
        for table, features in grouped:
            part = self._part(table, features, full_names=full_names)
            if part is None or not {column for _, column, _ in part.features} <= names:
                return None
            parts.append(part)
            versions.setdefault(table.projection.name_alias or table.projection.name, getattr(table, "current_version_number", 0) or 0)
            kinds = {field.name: field.dtype.to_value_type() for field in table.features}
            for feature in features:
                types[feature] = types[f"{table.projection.name_to_use()}__{feature}"] = kinds[feature]
        return Plan(tuple(parts), tuple(versions.items()), types)

    def _part(self, table: Any, features: Sequence[str], *, full_names: bool) -> Part | None:
        projection: Any = table.projection
        if type(table) is not FeatureView or projection.join_key_map:
            return None
        try:
            view = self._stored_view(table)
        except UserError:  # none of ours: Feast's general way says so, in its turn
            return None
        kinds = dict(view.layout.fields)
        name = projection.name_to_use()
        return Part(view, tuple((each, f"{name}__{each}" if full_names else each, kinds[each]) for each in features))


def agents(entity_rows: Any) -> list[str] | None:
    """Return the agent_ids that a request names in one of Feast's two forms; None when it names anything else, or none."""
    try:
        if isinstance(entity_rows, list):
            found = [row[JOIN_KEY] for row in entity_rows if len(row) == 1]
            whole = len(found) == len(entity_rows)
        else:
            ((name, values),) = entity_rows.items()
            found, whole = list(values), name == JOIN_KEY and isinstance(values, list | tuple)
        "".join(found).encode()  # a text that is not Unicode is Feast's to refuse
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return found if found and whole and set(map(type, found)) == {str} else None


class RowsResponse(OnlineResponse):
    """Feast's answer, kept as rows. The proto is made when somebody asks for it, and from then on it is the answer."""

    def __init__(self, plan: Plan, agent_ids: Sequence[str], rows: Sequence[Sequence[OnlineRow | None]], *, with_versions: bool) -> None:
        # not super().__init__(), which begins with the proto
        self._feature_types = dict(plan.types)
        self._plan, self._agent_ids, self._rows, self._with_versions = plan, agent_ids, rows, with_versions

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override]  # it can be set, as Feast's can
        """The answer as Feast sends it."""
        return self._as_proto()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy as Feast's own answer."""
        return OnlineResponse, (self.proto, self._feature_types)

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Feast's signature
        """Return a list of values for each feature, in the order of the agents asked for; an instant is a datetime of whole seconds.

        Args:
            include_event_timestamps: Also `<feature>__ts`: the seconds since 1970 of the rows they stand in.

        """
        if "proto" in self.__dict__:  # it may have been changed
            return dict(super().to_dict(include_event_timestamps))
        columns: dict[str, list[Any]] = {JOIN_KEY: list(self._agent_ids)}
        if include_event_timestamps:
            columns[JOIN_KEY + TIMESTAMP_POSTFIX] = [0] * len(self._agent_ids)
        for part, rows in zip(self._plan.parts, self._rows, strict=True):
            for feature, column, kind in part.features:
                values = [None if row is None else row.values[feature] for row in rows]
                columns[column] = [None if value is None else _instant(value) for value in values] if kind == "instant" else values
                if include_event_timestamps:
                    columns[column + TIMESTAMP_POSTFIX] = [0 if row is None else row.event_timestamp // SECOND for row in rows]
        return columns

    def _as_proto(self) -> GetOnlineFeaturesResponse:
        response, number = GetOnlineFeaturesResponse(), len(self._agent_ids)
        names = response.metadata.feature_names.val
        names.append(JOIN_KEY)
        texts = [ValueProto(string_val=each) for each in self._agent_ids]
        response.results.add(values=texts, statuses=[FieldStatus.PRESENT] * number, event_timestamps=[Timestamp()] * number)
        for part, rows in zip(self._plan.parts, self._rows, strict=True):
            stamps = GetOnlineFeaturesResponse.FeatureVector(event_timestamps=[_timestamp(row) for row in rows])
            for feature, column, kind in part.features:
                names.append(column)
                vector = response.results.add()
                vector.MergeFrom(stamps)
                _add_values(vector.values, [None if row is None else row.values[feature] for row in rows], kind)
                vector.statuses.extend([_STATUSES["NOT_FOUND" if row is None else row.status_of(feature)] for row in rows])
        for name, version in self._plan.versions if self._with_versions else ():
            response.metadata.feature_view_metadata.add(name=name, version=version)
        return response


def value_proto(value: Value, kind: Kind) -> ValueProto:
    """Return a value as Feast's proto; a null is one with nothing in it, an instant is cut to whole seconds."""
    if value is None:
        return ValueProto()
    if isinstance(value, str):
        return ValueProto(string_val=value)
    if kind == "float64":
        return ValueProto(double_val=value)
    return ValueProto(int64_val=int(value)) if kind == "int64" else ValueProto(unix_timestamp_val=int(value) // SECOND)


def _add_values(protos: Any, values: Sequence[Value], kind: Kind) -> None:
    """Append values as `value_proto` makes them, each made where it stays: copying them would take as long again."""
    add = protos.add
    for value in values:
        if value is None:
            add()
        elif kind == "float64":
            add(double_val=value)
        elif kind == "int64":
            add(int64_val=value)
        elif kind == "text":
            add(string_val=value)
        else:
            add(unix_timestamp_val=int(value) // SECOND)


def _key(features: Any, project: str, full_names: bool) -> tuple[Any, ...] | None:  # noqa: FBT001 - a part of the key
    """Return what Feast itself knows a request by; None for what is neither references nor a service, or is computed beforehand."""
    if isinstance(features, FeatureService):
        return None if getattr(features, "precompute_online", False) else ("service", features.name, project, full_names)
    if type(features) is not list or set(map(type, features)) != {str}:
        return None
    return ("references", tuple(features), project, full_names)


def _watched(config: RepoConfig) -> bool:
    """Whether Feast itself has to see the read: it decides who may, or counts what was found."""
    metrics = sys.modules.get("feast.metrics")  # not imported before it is used: importing it makes a directory
    return config.auth_config.type != "no_auth" or (metrics is not None and metrics._config.online_features)  # noqa: SLF001


def _still_read(registry: Any, read_at: datetime) -> bool:
    """Whether Feast would go on with what it read of its registry then (`is_cache_valid`, but for comparing the whole of it)."""
    if registry.cached_registry_proto_created is not read_at:  # the same object: of another registry it is another one
        return False
    ttl = registry.cached_registry_proto_ttl
    return not ttl or datetime.now(UTC) <= read_at + ttl


def _timestamp(row: OnlineRow | None) -> Timestamp:
    if row is None:
        return Timestamp()
    seconds, microseconds = divmod(row.event_timestamp, SECOND)
    return Timestamp(seconds=seconds, nanos=microseconds * 1_000)


def _instant(value: float | str) -> datetime:
    return datetime.fromtimestamp(int(value) // SECOND, tz=UTC)
