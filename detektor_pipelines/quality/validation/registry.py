"""Feast's registry against the catalogue against the tables: do all three describe the same views and columns?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile import feast as compiled
from detektor_pipelines.language.hashes import data_hash, short_hash
from detektor_pipelines.quality.validation.feast_bytes import FEAST_TYPES, RegisteredView, read_view
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.feast import registry as feast_registry
from detektor_pipelines.stores.offline.row_tables import HISTORICAL, SCHEMA, STAMPS, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.validation.outcomes import Outcome
    from detektor_pipelines.quality.validation.stage import Stage

_APPLY: Final = "`detektor apply` registers the definitions that are on disk"
_TABLE: Final = "`detektor apply` creates what is missing; a column that somebody changed by hand is theirs to change back"
_TYPES: Final = {"int64": "bigint", "float64": "double precision", "instant": "timestamp with time zone", "text": "text"}
_COLUMNS: Final = """
SELECT relname, array_agg(attname::text ORDER BY attnum), array_agg(format_type(atttypid, atttypmod) ORDER BY attnum)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname = ANY(%s) GROUP BY relname
"""
_KEYS: Final = """
SELECT relname, array_agg(attname::text) FROM pg_class JOIN pg_index ON indrelid = pg_class.oid AND indisprimary
JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = ANY(indkey) WHERE relnamespace = to_regnamespace(%s) GROUP BY relname
"""
_SHOWN: Final = "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'v'"
_REGISTERED: Final = "SELECT feature_view_name, feature_view_proto FROM feast.feature_views WHERE project_id = %s"


def registry(stage: Stage, outcome: Outcome) -> None:
    """Feast's registry, the catalogue's definitions and the row tables name the same views, features and types."""
    due = feast_registry.outdated(stage.settings, stage.views)
    for name in due.services:
        outcome.add(f"The registry does not hold the feature service {name} as it is defined.", "feast.feature_services", _APPLY)
    for name in (*due.removed, *due.services_removed):
        outcome.add(f"The registry holds {name}, which is not defined any more.", f"project {stage.settings.project}", _APPLY)
    with connect(stage.settings) as connection:
        registered = _registered(connection, stage.settings.project)
        columns = {name: dict(zip(names, types, strict=True)) for name, names, types in _of_tables(connection, stage)}
        keys = {name: set(names) for name, names in connection.execute(_KEYS, (SCHEMA,))}
        shown = {name: comment or "" for name, comment in connection.execute(_SHOWN, (SCHEMA,))}
    for view in stage.views:
        outcome.compared += len(view.features)
        _in_registry(view, registered.get(view.name), outcome, outdated=view.name in due.changed)
        _in_table(view, columns.get(compiled.row_table(view)), keys.get(compiled.row_table(view), set()), outcome)
        if shown.get(view.name) != version_of(view).mark:
            what = "is missing" if view.name not in shown else "shows another version"
            outcome.add(f"The SQL view feast.{view.name} {what}.", f"it should show {compiled.row_table(view)}", _TABLE)
    if HISTORICAL not in shown:
        outcome.add(f"The SQL view feast.{HISTORICAL} is missing.", f"schema {SCHEMA}", _TABLE)


def _registered(connection: psycopg.Connection, project: str) -> dict[str, RegisteredView]:
    """Return what is registered of each view."""
    exists = connection.execute("SELECT to_regclass('feast.feature_views') IS NOT NULL").fetchone()
    if exists != (True,):
        return {}
    return {name: read_view(bytes(proto)) for name, proto in connection.execute(_REGISTERED, (project,))}


def _of_tables(connection: psycopg.Connection, stage: Stage) -> list[tuple[str, list[str], list[str]]]:
    return connection.execute(_COLUMNS, (SCHEMA, [compiled.row_table(view) for view in stage.views])).fetchall()


def _in_registry(view: FeatureView, spec: RegisteredView | None, outcome: Outcome, *, outdated: bool) -> None:
    where = f"feast.feature_views, {view.name} {view.version} ({short_hash(view)})"
    if spec is None:
        outcome.add(f"The registry does not hold {view.name}.", where, _APPLY)
        return
    ours = {each.name: FEAST_TYPES[each.value_type] for each in view.features}
    theirs = spec.features
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if differing:
        what = f"The registry's {view.name} has other features than the definition: {', '.join(differing)}."
        outcome.add(what, where, f"{_APPLY}; where it says that nothing changed, `feast apply` in feature_repo writes it all again")
    if spec.tags.get(compiled.DATA_HASH) != data_hash(view):
        outcome.add(f"The registry holds another version of {view.name} than the catalogue.", where, _APPLY)
    elif outdated:
        outcome.add(f"The registry's {view.name} is not what the catalogue declares.", where, _APPLY)


def _in_table(view: FeatureView, columns: Mapping[str, str] | None, key: set[str], outcome: Outcome) -> None:
    where = f"feast.{compiled.row_table(view)}"
    if columns is None:
        outcome.add(f"The row table of {view.name} is missing.", where, _TABLE)
        return
    wanted = {name: "text" if name == "agent_id" else _TYPES["instant"] for name in STAMPS}
    wanted |= {each.name: _TYPES[each.value_type] for each in view.features}
    for name in sorted(wanted.keys() | columns.keys()):
        if columns.get(name) != wanted.get(name):
            said = f"is {columns[name]}" if name in columns else "is missing"
            must = f"must be {wanted[name]}" if name in wanted else "is of no feature"
            outcome.add(f"Column {name} of {view.name} {said}, and {must}.", where, _TABLE)
    if key != set(STAMPS):
        outcome.add(f"The primary key of {view.name} is not ({', '.join(STAMPS)}).", where, _TABLE)
