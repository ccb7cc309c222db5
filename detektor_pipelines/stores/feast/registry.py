"""Feast's registry: what its commands read from the environment, and bringing the registry up to the definitions.

Only this module and `feast apply` write the registry. Importing Feast takes seconds; whether anything changed is asked without it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from detektor_pipelines.catalog import LABELS, VIEWS
from detektor_pipelines.compile import feast as compiled
from detektor_pipelines.compile import feast_repo
from detektor_pipelines.stores.connections import connect, postgres_errors
from detektor_pipelines.stores.offline import row_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feast import FeatureStore

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_LOCK: Final = 0x6665_6173_745F_7631
"""Advisory lock of the registry ("feast_v1" in ASCII): Feast itself reads, changes and writes without one."""

_REGISTERED: Final = """
SELECT feature_view_name, position(convert_to(fingerprint, 'UTF8') IN feature_view_proto) > 0
FROM feast.feature_views LEFT JOIN unnest(%(names)s::text[], %(fingerprints)s::text[]) AS wanted(name, fingerprint)
  ON wanted.name = feature_view_name
WHERE project_id = %(project)s
"""

_REGISTERED_SERVICES: Final = """
SELECT feature_service_name, coalesce(position(convert_to(fingerprint, 'UTF8') IN feature_service_proto) > 0, false)
FROM feast.feature_services LEFT JOIN unnest(%(names)s::text[], %(fingerprints)s::text[]) AS wanted(name, fingerprint)
  ON wanted.name = feature_service_name
WHERE project_id = %(project)s
  AND (wanted.name IS NOT NULL OR position(convert_to('label_hash', 'UTF8') IN feature_service_proto) > 0)
"""
"""Those of the definitions, now or before; others that somebody applied are their own."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: the views that were registered or changed, those that were taken out, and the same of feature services."""

    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    services_removed: tuple[str, ...] = ()


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that `feature_repo/feature_store.yaml` names; the URLs hold the passwords."""
    return {
        feast_repo.PROJECT: settings.project,
        feast_repo.REGISTRY_URL: settings.sqlalchemy_url(compiled.SCHEMA, driver="psycopg"),
        feast_repo.POSTGRES_DSN: settings.postgres_dsn,
        feast_repo.REDIS_URL: settings.redis_url,
    }


def feature_store(settings: Settings) -> FeatureStore:
    """Return Feast's store with the configuration of `feature_repo/feature_store.yaml`, wherever the process stands.

    Raises:
        UserError: PostgreSQL cannot be reached: Feast opens its registry at once.

    """
    import yaml
    from feast import FeatureStore, RepoConfig

    text = Template(feast_repo.render()[feast_repo.STORE_FILE]).safe_substitute(environment(settings))
    with postgres_errors(settings):
        store = FeatureStore(config=RepoConfig(**yaml.safe_load(text)))
    tell_apart(store.registry)
    return store


def tell_apart(registry: Any) -> None:
    """Give what Feast has read of its registry an id of its own, which one in a database comes without.

    Feast keeps what it looked up of it by the object's address and this id. Python gives the address of what is gone to what comes next: a
    store that was opened after another one would be answered with the other one's definitions.
    """
    read = getattr(registry, "cached_registry_proto", None)
    if read is not None and not read.version_id:
        read.version_id = str(uuid4())


@contextmanager
def closing_store(settings: Settings) -> Iterator[FeatureStore]:
    """Open Feast's store for a while: the registry's connections, which Feast leaves to the end of the process, are closed after it.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    store = feature_store(settings)
    try:
        yield store
    finally:
        for engine in {store.registry.write_engine, store.registry.read_engine}:  # type: ignore[attr-defined]
            engine.dispose()


def is_used(settings: Settings) -> bool:
    """Whether the registry holds any view of the project.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    return bool(_registered(settings, {}))


def outdated(settings: Settings, views: Sequence[FeatureView] = VIEWS) -> Applied:
    """Return what `apply` would change, without importing Feast: each registered view carries its definition's fingerprint in a tag.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    wanted = {view.name: compiled.fingerprint(view) for view in views}
    registered = _registered(settings, wanted)
    changed = tuple(name for name in wanted if not registered.get(name))
    services = compiled.service_fingerprints(views)
    found = _registered(settings, services, _REGISTERED_SERVICES, "feast.feature_services")
    return Applied(
        changed,
        tuple(sorted(registered.keys() - wanted.keys())),
        tuple(name for name in services if not found.get(name)),
        tuple(sorted(found.keys() - services.keys())),
    )


def apply(settings: Settings, views: Sequence[FeatureView] = VIEWS) -> Applied:
    """Register the definitions; quick, and Feast not imported, when the registry holds them already. One process at a time does it.

    A view that is no longer defined leaves the registry, and its values the online store; its rows stay. The plain-name SQL views show
    what is registered from then on.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    if outdated(settings, views) == Applied():
        with connect(settings) as connection:
            row_tables.register(connection, [row_tables.version_of(view) for view in views])
        return Applied()
    with _alone(settings):
        due = outdated(settings, views)  # somebody else may have applied while this one waited
        if due != Applied():
            with closing_store(settings) as store:
                removed: list[Any] = [store.get_feature_view(name) for name in due.removed]
                removed += [store.get_feature_service(name) for name in due.services_removed]
                objects: list[Any] = [compiled.entity(), *(compiled.feature_view(view) for view in views if view.name in due.changed)]
                store.apply([*objects, *_services(views, due.services)], objects_to_delete=removed, partial=False)
        with connect(settings) as connection:
            row_tables.register(connection, [row_tables.version_of(view) for view in views])
    return due


def _services(views: Sequence[FeatureView], names: Sequence[str]) -> list[Any]:
    by_agent = {view.agent: view for view in views}
    return [compiled.feature_service(each, by_agent[each.agent]) for each in LABELS if compiled.service_name(each) in names]


def _registered(
    settings: Settings, wanted: dict[str, str], query: str = _REGISTERED, table: str = "feast.feature_views"
) -> dict[str, bool]:
    """Return the registered objects of a kind, and whether each is of the wanted definition."""
    parameters = {"names": list(wanted), "fingerprints": list(wanted.values()), "project": settings.project}
    with connect(settings) as connection:
        exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
        if exists is None or not exists[0]:
            return {}
        return {name: bool(same) for name, same in connection.execute(query, parameters)}


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    with connect(settings) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.commit()
        yield
