"""Which versions in the online store nobody needs any more, and letting them go.

A changed definition writes under other keys; what the old one wrote stays readable (`code_review_features@v1:…`) until it goes here. A
version stays that is of a present definition, that is kept fresh beside one until it is retired, that Feast's registry holds as a view's
present one (another checkout may have applied it), that a registered model was made from, or that was kept up to date until lately: then
somebody still writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.mlflow.model_versions import ModelVersion
    from detektor_pipelines.stores.online.versions import Held

_TABLES: Final = ("feast.feature_views", "feast.stream_feature_views", "feast.on_demand_feature_views")
_REGISTERED: Final = """
SELECT wanted.version
FROM {table} JOIN unnest(%(names)s::text[], %(hashes)s::text[], %(versions)s::text[]) AS wanted(name, hash, version)
  ON wanted.name = feature_view_name
WHERE project_id = %(project)s AND (wanted.hash = %(other)s OR position(convert_to(wanted.hash, 'UTF8') IN feature_view_proto) > 0)
"""
_FEASTS_VERSION: Final = re.compile(r"_v\d+$")
"""With Feast's versions switched on, the names of views that are none of ours end like this in keys, and not in the registry."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One version in the online store. `kept_by`: why it stays; empty when it can go."""

    held: Held
    kept_by: str


def survey(
    settings: Settings,
    views: Sequence[FeatureView],
    *,
    older_than_days: float,
    models: Sequence[ModelVersion] | None,
    beside: Sequence[FeatureView] = (),
) -> list[Surveyed]:
    """Judge of every version in the online store, by name and hash.

    Args:
        settings: Where Redis and the registry are.
        views: The present definitions.
        older_than_days: A version goes when it was last complete before that.
        models: `model_versions.model_versions`, or None to leave models out of account.
        beside: Earlier versions that are kept fresh until they are retired.

    Raises:
        UserError: Redis or PostgreSQL cannot be reached.

    """
    client = redis_client(settings)
    try:
        found = online_versions.held(client, settings.project)
    finally:
        client.close()
    present = {online.stored_view(view).version: "being kept fresh until it is retired" for view in beside}
    present |= {online.stored_view(view).version: "the present definition" for view in views}
    registered = _registered(settings, found) if found else set()
    oldest = clock.now_us() - int(older_than_days * DAY)
    return [Surveyed(each, _kept_by(each, present, registered, models or (), oldest)) for each in found]


def drop(settings: Settings, surveyed: Sequence[Surveyed]) -> int:
    """Delete the versions that can go; returns how many values went.

    Raises:
        OnlineStoreDownError: Redis does not answer; what is left goes when called again.

    """
    client = redis_client(settings)
    try:
        return sum(online_versions.drop(client, settings.project, each.held.version) for each in surveyed if not each.kept_by)
    finally:
        client.close()


def _kept_by(held: Held, present: Mapping[str, str], registered: set[str], models: Sequence[ModelVersion], oldest: int) -> str:
    if held.version in present:
        return present[held.version]
    if held.version in registered:
        return "Feast's registry"
    users = [f"{each.name} v{each.version}" for each in models if held.hash != online.OTHER and each.uses(held.hash)]
    if users:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        return f"model {users[0]}{more}"
    return "its age" if held.last is not None and held.last > oldest else ""


def _registered(settings: Settings, found: Sequence[Held]) -> set[str]:
    """Return the versions that Feast's registry holds as a view's present one, without importing Feast: the hash stands in the view."""
    wanted = [(each.view, each.hash, each.version) for each in found]
    wanted += [(_FEASTS_VERSION.sub("", each.view), each.hash, each.version) for each in found if each.hash == online.OTHER]
    names, hashes, versions = map(list, zip(*wanted, strict=True))
    parameters = {"names": names, "hashes": hashes, "versions": versions, "project": settings.project, "other": online.OTHER}
    registered: set[str] = set()
    with connect(settings) as connection:
        for table in _TABLES:
            exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
            if exists and exists[0]:
                registered.update(version for (version,) in connection.execute(_REGISTERED.format(table=table), parameters))
    return registered
