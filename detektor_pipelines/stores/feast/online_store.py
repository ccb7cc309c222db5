"""Feast's access to the online store: the same keys, values, guard and statuses that `online` has for everybody else.

Belongs here: translation between Feast's protos and `online`. Importing this takes seconds, because Feast does; only Feast itself, which
finds the class by its path in `feature_store.yaml`, and code that needs a `FeatureStore` do so.

What differs from Feast's own Redis store, whose reading and writing this replaces: one packed value instead of a hash field a feature;
an atomic guard instead of read-then-write; NOT_FOUND for an entity that was never published (stock: PRESENT with a null and the year 1970);
NULL_VALUE for a null; OUTSIDE_MAX_AGE when a value is no longer known to be true, or lies ahead of the clock.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from feast import utils
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from pydantic import Field

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import DATA_HASH, MAX_AGE
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import SHORT
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.stores.connections_redis import (
    async_client_of,
    client_of,
    is_cluster,
    mget,
    mget_async,
    redis_errors,
    redis_faults,
)
from detektor_pipelines.stores.feast import other_views as feast_other_views
from detektor_pipelines.stores.feast import read as feast_read
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions
from detektor_pipelines.stores.online.packing import Kind, Layout, Unpacked, Value, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from feast import Entity, FeatureView, RepoConfig
    from feast.online_response import OnlineResponse
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

Batch = list[tuple["EntityKey", dict[str, ValueProto], datetime, datetime | None]]
"""Feast's rows to write: entity key, values, event timestamp, created timestamp."""

Read = tuple[datetime | None, dict[str, ValueProto] | None]
"""Feast's row that was read: event timestamp and values, or None twice."""

_KINDS: Final[dict[str, Kind]] = {"INT64": "int64", "DOUBLE": "float64", "UNIX_TIMESTAMP": "instant", "STRING": "text"}
_STATUSES: Final = {"NULL_VALUE": FieldStatus.NULL_VALUE, "OUTSIDE_MAX_AGE": FieldStatus.OUTSIDE_MAX_AGE}
_CLASS: Final = "detektor_pipelines.stores.feast_online.DetektorOnlineStore"
_WRITER: Final = "feast"
_NOT_A_TIME: Final = -(2**63)
"""What a null timestamp has become on Feast's way through pandas; a null number comes as NaN."""


class DetektorOnlineStoreConfig(RedisOnlineStoreConfig):
    """The section `online_store` of feature_store.yaml; `connection_string` is a URL (`settings.RedisAddress`), or as Feast writes it."""

    type: Literal["detektor_pipelines.stores.feast_online.DetektorOnlineStore"] = _CLASS  # type: ignore[assignment]
    read_sample: float = Field(default=0.01, ge=0, le=1)
    """Which share of the values read is kept for `detektor parity` (`stores.online.read_log`)."""


class DetektorOnlineStore(RedisOnlineStore):
    """Feast's interface to `detektor_pipelines.stores.online.values`."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str | None, ...], online.StoredView] = {}
        self._plans = feast_read.Plans(self.stored_view)

    def get_online_features(
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        include_feature_view_version_metadata: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
    ) -> OnlineResponse:
        """Answer a request; one for views of ours only (`feast_read`) without Feast's general way, with the same answer.

        Raises:
            OnlineStoreDownError: Redis does not answer.
            Exception: Feast's own, for a request that it cannot resolve.

        """
        agents = feast_read.agents(entity_rows)
        plan = self._plans.of(config, registry, project, features, full_names=full_feature_names) if agents else None
        if agents is None or plan is None:
            return super().get_online_features(
                config, features, entity_rows, registry, project, full_feature_names, include_feature_view_version_metadata
            )
        rows = self._read(config, plan.lookups(config.project, agents))
        return feast_read.RowsResponse(plan, agents, rows, with_versions=include_feature_view_version_metadata)

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        include_feature_view_version_metadata: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
    ) -> OnlineResponse:
        """Answer a request without blocking the event loop; otherwise as `get_online_features`."""
        agents = feast_read.agents(entity_rows)
        plan = self._plans.of(config, registry, project, features, full_names=full_feature_names) if agents else None
        if agents is None or plan is None:
            return await super().get_online_features_async(
                config, features, entity_rows, registry, project, full_feature_names, include_feature_view_version_metadata
            )
        rows = await self._read_async(config, plan.lookups(config.project, agents))
        return feast_read.RowsResponse(plan, agents, rows, with_versions=include_feature_view_version_metadata)

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: Batch, progress: Callable[[int], Any] | None) -> None:
        """Write rows through the guard; see `_calls` for what as_of they get.

        Raises:
            OnlineStoreDownError: Redis does not answer.
            UserError: The view is not ours.

        """
        client = self._get_client(config.online_store)
        for commands in self._writes(config, table, data, cluster=is_cluster(client)):
            with redis_errors(client), client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                pipe.execute()
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: Batch, progress: Callable[[int], Any] | None
    ) -> None:
        """Write rows through the guard, without blocking the event loop; otherwise as `online_write_batch`."""
        client = await self._get_client_async(config.online_store)
        for commands in self._writes(config, table, data, cluster=is_cluster(client)):
            with redis_errors(client):
                async with client.pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    await pipe.execute()
        if progress:
            progress(len(data))

    def online_read(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[Read]:
        """Read one view; what was never published is (None, None).

        Raises:
            OnlineStoreDownError: Redis does not answer.
            UserError: The view is not ours.

        """
        if feast_other_views.is_other(table):
            keys = feast_other_views.keys_of(config, table, entity_keys)
            return feast_other_views.rows_of(keys, self._mget(config, keys), requested_features)
        (rows,) = self._read(config, [_lookup(self, config, table, entity_keys)])
        return [_as_read(row, self.stored_view(table), requested_features) for row in rows]

    async def online_read_async(
        self, config: RepoConfig, table: FeatureView, entity_keys: list[EntityKey], requested_features: list[str] | None = None
    ) -> list[Read]:
        """Read one view without blocking the event loop; otherwise as `online_read`."""
        if feast_other_views.is_other(table):
            keys = feast_other_views.keys_of(config, table, entity_keys)
            return feast_other_views.rows_of(keys, await self._mget_async(config, keys), requested_features)
        (rows,) = await self._read_async(config, [_lookup(self, config, table, entity_keys)])
        return [_as_read(row, self.stored_view(table), requested_features) for row in rows]

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: Any,
        entity_name_to_join_key_map: Any,
        online_features_response: Any,
        full_feature_names: bool,  # noqa: FBT001 - Feast's signature
        include_feature_view_version_metadata: bool,  # noqa: FBT001 - Feast's signature
    ) -> None:
        """Answer a request over any number of views from one round trip; those that are not ours take a second one."""
        ours, others = _parted(grouped_refs)
        names = (full_feature_names, include_feature_view_version_metadata)
        if ours:
            request = _Request(self, config, ours, join_key_values, entity_name_to_join_key_map)
            request.fill(online_features_response, self._read(config, request.lookups), *names)
        if others:
            other = feast_other_views.Request(config, others, join_key_values, entity_name_to_join_key_map)
            other.fill(online_features_response, self._mget(config, other.keys), *names)

    async def _read_features_per_fv_async(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: Any,
        entity_name_to_join_key_map: Any,
        online_features_response: Any,
        full_feature_names: bool,  # noqa: FBT001 - Feast's signature
        include_feature_view_version_metadata: bool,  # noqa: FBT001 - Feast's signature
    ) -> None:
        """Answer a request without blocking the event loop; otherwise as `_read_features_per_fv`."""
        ours, others = _parted(grouped_refs)
        names = (full_feature_names, include_feature_view_version_metadata)
        if ours:
            request = _Request(self, config, ours, join_key_values, entity_name_to_join_key_map)
            request.fill(online_features_response, await self._read_async(config, request.lookups), *names)
        if others:
            other = feast_other_views.Request(config, others, join_key_values, entity_name_to_join_key_map)
            other.fill(online_features_response, await self._mget_async(config, other.keys), *names)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,  # noqa: FBT001 - Feast's signature
    ) -> None:
        """Do what `feast apply` asks of a store; the offline store, which Feast does not ask, gets the tables of what is registered."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        from detektor_pipelines.stores.feast.offline_store import DetektorOfflineStoreConfig, make_tables

        if isinstance(config.offline_store, DetektorOfflineStoreConfig):
            make_tables(config.offline_store.dsn, tables_to_keep)

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Delete the values of a view that is taken out of the registry, in the version registered last."""
        client = self._get_client(config.online_store)
        view = feast_other_views.stored(config, table) if feast_other_views.is_other(table) else self.stored_view(table)
        online_versions.drop_version(client, config.project, view)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Delete every value of the project, in all versions (`feast teardown`)."""
        del tables, entities
        client = self._get_client(config.online_store)
        for each in online_versions.versions(client, config.project):
            online_versions.drop_version(client, config.project, each)

    async def close(self) -> None:
        """Close the connections; Feast's server calls it when it stops."""
        if self._client_async:
            await self._client_async.aclose()
        if self._client:
            self._client.close()
        self._client = self._client_async = None

    def _writes(self, config: RepoConfig, table: FeatureView, data: Batch, *, cluster: bool) -> list[list[tuple[Any, ...]]]:
        """Return the commands that write Feast's rows, in pipelines one after the other: what is said of a version follows its values."""
        if not data:
            return []
        if not feast_other_views.is_other(table):
            keys, packed, calls = self._rows(config, table, data)
        else:
            keys, packed = feast_other_views.keys_of(config, table, (row[0] for row in data)), feast_other_views.packed(data)
            calls = [online.layout_call(config.project, feast_other_views.stored(config, table))]
        trips = [*online.round_trips(online.guard_calls(keys, packed, cluster=cluster)), calls]
        commands: list[list[tuple[Any, ...]]] = [[("EVAL", script, number, *words) for script, number, words in trip] for trip in trips]
        if seconds := config.online_store.key_ttl_seconds:
            commands.append([("EXPIRE", key, seconds) for key in keys])
        return commands

    def _rows(self, config: RepoConfig, table: FeatureView, data: Batch) -> tuple[list[str], list[bytes], list[online.Call]]:
        """Return the keys and values of Feast's rows of a view of ours, and the calls that say what the view's features are.

        Feast says what a row's event time is, neither up to when the row is true nor what it knows. So as_of is the event time, the least
        that can be meant, and there is no snapshot: such a row never replaces what our own publication or the stream wrote with a later
        as_of, they replace it at any time, and it says nothing of other rows, so `valid_through` does not move.
        """
        view = self.stored_view(table)
        packed, keys = [], []
        for entity_key, values, event_timestamp, created in data:
            at = clock.to_us(utils.make_tzaware(event_timestamp))
            created_at = at if created is None else clock.to_us(utils.make_tzaware(created))
            numbers = {name: _number(values.get(name), kind) for name, kind in view.layout.fields}
            packed.append(pack(view.layout, Unpacked(at, created_at, at, None, numbers, writer=_WRITER)))
            keys.append(online.value_key(config.project, view, _agent_id(entity_key)))
        return keys, packed, [online.layout_call(config.project, view)]

    def _read(self, config: RepoConfig, lookups: Sequence[online.Lookup]) -> list[list[online.OnlineRow | None]]:
        answers = self._mget(config, online.keys_of(lookups))
        if chosen := read_log.sampled(lookups, answers, read_log.Sampler(_sample(config))):
            client = self._get_client(config.online_store)
            with suppress(*redis_faults()), client.pipeline(transaction=False) as pipe:  # a read does not fail for its sample
                for command in read_log.commands(config.project, chosen):
                    pipe.execute_command(*command)
                pipe.execute()
        return online.rows_of(lookups, answers)

    async def _read_async(self, config: RepoConfig, lookups: Sequence[online.Lookup]) -> list[list[online.OnlineRow | None]]:
        answers = await self._mget_async(config, online.keys_of(lookups))
        if chosen := read_log.sampled(lookups, answers, read_log.Sampler(_sample(config))):
            client = await self._get_client_async(config.online_store)
            with suppress(*redis_faults()):
                async with client.pipeline(transaction=False) as pipe:
                    for command in read_log.commands(config.project, chosen):
                        pipe.execute_command(*command)
                    await pipe.execute()
        return online.rows_of(lookups, answers)

    def _mget(self, config: RepoConfig, keys: list[str]) -> list[bytes | None]:
        client = self._get_client(config.online_store)
        with redis_errors(client):
            return mget(client, keys)

    async def _mget_async(self, config: RepoConfig, keys: list[str]) -> list[bytes | None]:
        client = await self._get_client_async(config.online_store)
        with redis_errors(client):
            return await mget_async(client, keys)

    def stored_view(self, table: FeatureView) -> online.StoredView:
        """Return what the online store needs to know of a registered view; its tags and schema say it, no catalogue is asked."""
        key = (table.name, table.tags.get(DATA_HASH), table.tags.get(MAX_AGE))
        if key not in self._known:
            self._known[key] = _stored_view(table)
        return self._known[key]

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        if not self._client and _is_url(online_store_config):
            self._client = client_of(online_store_config.connection_string)
        return super()._get_client(online_store_config)

    async def _get_client_async(self, online_store_config: RedisOnlineStoreConfig) -> Any:
        if not self._client_async and _is_url(online_store_config):
            self._client_async = async_client_of(online_store_config.connection_string)
        return await super()._get_client_async(online_store_config)


def _lookup(store: DetektorOnlineStore, config: RepoConfig, table: FeatureView, keys: Sequence[EntityKey]) -> online.Lookup:
    return online.Lookup(config.project, store.stored_view(table), [_agent_id(each) for each in keys])


class _Request:
    """One read of Feast's: which rows it needs, and the response they go into."""

    def __init__(
        self, store: DetektorOnlineStore, config: RepoConfig, grouped_refs: list[tuple[FeatureView, list[str]]], *entities: Any
    ) -> None:
        self.lookups: list[online.Lookup] = []
        self._parts: list[tuple[FeatureView, list[str], Any, int]] = []
        join_key_values, join_keys_by_entity = entities
        for table, features in grouped_refs:
            unique, positions, length = utils._get_unique_entities(table, join_key_values, join_keys_by_entity)  # noqa: SLF001 - as Feast's own stores
            keys = utils._get_entity_key_protos(unique)  # noqa: SLF001 - as Feast's own stores
            self.lookups.append(_lookup(store, config, table, keys))
            self._parts.append((table, features, positions, length))

    def fill(self, response: Any, answers: list[list[online.OnlineRow | None]], full_names: bool, with_versions: bool) -> None:  # noqa: FBT001
        """Put the rows into Feast's response, then the statuses that Feast's own filling does not know."""
        for (table, features, positions, length), lookup, rows in zip(self._parts, self.lookups, answers, strict=True):
            start = len(response.results)
            utils._populate_response_from_feature_data(  # noqa: SLF001 - as Feast's own stores
                features,
                [_as_read(row, lookup.view, features) for row in rows],
                positions,
                response,
                full_names,
                table,
                length,
                with_versions,
            )
            for row, destinations in zip(rows, positions, strict=True):
                for number, feature in enumerate(features):
                    status = _STATUSES.get(row.status_of(feature)) if row else None
                    for destination in destinations if status is not None else ():
                        response.results[start + number].statuses[destination] = status


def _stored_view(table: FeatureView) -> online.StoredView:
    kinds: list[tuple[str, Kind]] = []
    for field in table.features:
        value_type = field.dtype.to_value_type().name
        if value_type not in _KINDS:
            raise _not_ours(table, f"its feature {field.name} is {value_type}; values here are INT64, DOUBLE, UNIX_TIMESTAMP or STRING")
        kinds.append((field.name, _KINDS[value_type]))
    if not table.tags.get(DATA_HASH):
        raise _not_ours(table, f"it has no tag {DATA_HASH}")
    max_age = table.tags.get(MAX_AGE)
    return online.StoredView(table.name, table.tags[DATA_HASH][:SHORT], Layout.of(kinds), int(max_age) if max_age else None)


def _not_ours(table: FeatureView, reason: str) -> UserError:
    return UserError(
        f"The online store cannot hold feature view {table.name}: {reason}.",
        where="Feast's registry",
        fix="Declare it in detektor_pipelines/catalog/ and run `feast apply`, or give it another online store.",
    )


def _as_read(row: online.OnlineRow | None, view: online.StoredView, requested: list[str] | None) -> Read:
    if row is None:
        return None, None
    kinds = dict(view.layout.fields)
    names = requested or list(view.layout.names)
    return clock.from_us(row.event_timestamp).astimezone(UTC), {
        name: feast_read.value_proto(row.values[name], kinds[name]) for name in names
    }


def _number(value: ValueProto | None, kind: Kind) -> Value:
    which = value.WhichOneof("val") if value is not None else None
    if value is None or which is None or which == "null_val":
        return None
    if kind == "text":
        return str(getattr(value, which))
    number: int | float = getattr(value, which)
    if kind == "float64":
        return None if math.isnan(number) else number
    if kind == "instant":
        return None if number == _NOT_A_TIME else int(number) * SECOND
    return number


def _agent_id(entity_key: EntityKey) -> str:
    """Return the one join key's value; a view of ours has no other. One that is not a string is written as one."""
    value = entity_key.entity_values[0]
    return str(value.string_val or getattr(value, value.WhichOneof("val") or "string_val"))


def _parted(grouped_refs: list[tuple[FeatureView, list[str]]]) -> tuple[list[tuple[FeatureView, list[str]]], ...]:
    """Part what is asked for into views of ours and others."""
    parts: tuple[list[tuple[FeatureView, list[str]]], ...] = ([], [])
    for table, features in grouped_refs:
        parts[feast_other_views.is_other(table)].append((table, features))
    return parts


def _sample(config: RepoConfig) -> float:
    """Return the share of reads to keep; none with the configuration of Feast's own store, which has no such field."""
    return getattr(config.online_store, "read_sample", 0.0)


def _is_url(config: RedisOnlineStoreConfig) -> bool:
    return "://" in config.connection_string
