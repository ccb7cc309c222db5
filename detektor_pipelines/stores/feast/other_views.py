"""Feast's views that are not ours, in the same Redis: whatever entities and types they have.

    feast:<project>:<view>@feast:<entity>    a sealed value (`packing`): the features of one entity as Feast's protos, in one Map

Belongs here: their keys, bytes and statuses. How a key only gets newer is the guard's business, as for every other value; which view goes
where is `online_store`'s. Importing this takes seconds, because Feast does.

A view has no data hash here, so its values are not told apart by definition: a feature that is added to it is NULL_VALUE until it is
written, as with Feast's own stores. A row is written whole. Feast's TTL is told: a value past it is OUTSIDE_MAX_AGE (Feast's own Redis
store says PRESENT, and PRESENT also of an entity that was never written).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feast import utils
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.Value_pb2 import Map
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from google.protobuf.message import DecodeError

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import DATA_HASH
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import CorruptValueError, Layout, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from feast import FeatureView, RepoConfig
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

Read = tuple[datetime | None, dict[str, ValueProto] | None]

_log = logging.getLogger(__name__)


def is_other(table: FeatureView) -> bool:
    """Tell whether a registered view is not ours: it does not carry the hash of a definition."""
    return not table.tags.get(DATA_HASH)


def stored(config: RepoConfig, table: FeatureView) -> online.StoredView:
    """Return a view as the online store knows it; with Feast's versions switched on, its name carries the version's number."""
    name = compute_versioned_name(table, config.registry.enable_online_feature_view_versioning)
    return online.StoredView(name, online.OTHER, Layout(()), None)


def keys_of(config: RepoConfig, table: FeatureView, entities: Iterable[EntityKey]) -> list[str]:
    """Return the keys of some entities' values."""
    prefix = f"{online.version_prefix(config.project, stored(config, table))}:"
    return [prefix + _text(config, each) for each in entities]


def packed(data: Iterable[tuple[Any, dict[str, ValueProto], datetime, datetime | None]]) -> list[bytes]:
    """Return the values of Feast's rows to write. Newer is what has the later event timestamp, then the later created timestamp."""
    found = []
    for _, features, event_timestamp, created in data:
        at = clock.to_us(utils.make_tzaware(event_timestamp))
        created_at = at if created is None else clock.to_us(utils.make_tzaware(created))
        inside = Map()
        for name, value in features.items():
            inside.val[name].CopyFrom(value)
        found.append(seal(at, created_at, at, inside.SerializeToString()))
    return found


def rows_of(keys: Sequence[str], answers: Sequence[bytes | None], features: Sequence[str] | None) -> list[Read]:
    """Return Feast's rows: event timestamp and features, all of them when None are named; (None, None) for what was never written."""
    return [_row(key, answer, features) for key, answer in zip(keys, answers, strict=True)]


class Request:
    """One read of Feast's over some of these views: which keys it needs, and the response they go into."""

    def __init__(self, config: RepoConfig, grouped_refs: Iterable[tuple[FeatureView, list[str]]], *entities: Any) -> None:
        self.keys: list[str] = []
        self._parts: list[tuple[FeatureView, list[str], list[str], Any, int]] = []
        for table, features in grouped_refs:
            unique, positions, length = utils._get_unique_entities(table, *entities)  # noqa: SLF001 - as Feast's own stores
            keys = keys_of(config, table, utils._get_entity_key_protos(unique))  # noqa: SLF001 - as Feast's own stores
            self.keys += keys
            self._parts.append((table, features, keys, positions, length))

    def fill(self, response: Any, answers: Sequence[bytes | None], full_names: bool, with_versions: bool) -> None:  # noqa: FBT001
        """Put the rows into Feast's response, then the statuses that Feast's own filling does not know."""
        begin = 0
        for table, features, keys, positions, length in self._parts:
            rows = rows_of(keys, answers[begin : begin + len(keys)], features)
            begin += len(keys)
            start = len(response.results)
            utils._populate_response_from_feature_data(  # noqa: SLF001 - as Feast's own stores
                features, rows, positions, response, full_names, table, length, with_versions
            )
            for row, destinations in zip(rows, positions, strict=True):
                for number, feature in enumerate(features):
                    status = _status(row, feature, getattr(table, "ttl", None))
                    for destination in destinations if status is not None else ():
                        response.results[start + number].statuses[destination] = status


def _text(config: RepoConfig, entity: EntityKey) -> str:
    """Return an entity as text: the value itself when a string or an integer is the only one, else the bytes Feast makes of it, in hex.

    A view without entities has one row. Feast reads it by an empty string, materializes it so, and pushes it by nothing at all.
    """
    if not entity.entity_values:
        return ""
    if len(entity.entity_values) == 1:
        which = entity.entity_values[0].WhichOneof("val")
        if which in {"string_val", "int32_val", "int64_val"}:
            return str(getattr(entity.entity_values[0], which))
    return str(serialize_entity_key(entity, entity_key_serialization_version=config.entity_key_serialization_version).hex())


def _row(key: str, answer: bytes | None, features: Sequence[str] | None) -> Read:
    if answer is None:
        return None, None
    try:
        event_timestamp, inside = unseal(answer)
        values = Map.FromString(inside).val
    except (CorruptValueError, DecodeError) as error:
        _log.warning("%s is not a readable value (%s); writing it again or deleting the key fixes it", key, error)
        return None, None
    names = list(values) if features is None else features
    at = clock.from_us(event_timestamp).astimezone(UTC)
    return at, {name: values[name] if name in values else ValueProto() for name in names}


def _status(row: Read, feature: str, ttl: timedelta | None) -> int | None:
    """Return the status that a value has instead of the one Feast gives it; None when that is right."""
    at, values = row
    if at is None or values is None:
        return None
    if ttl and clock.now_us() - clock.to_us(at) > ttl.total_seconds() * 1_000_000:
        return int(FieldStatus.OUTSIDE_MAX_AGE)
    null = values[feature].WhichOneof("val") in {None, "null_val"}
    return int(FieldStatus.NULL_VALUE) if null else None
