"""Lineage both ways: from an MLflow run to rows, days, Dagster runs and raw events, and from a feature to the runs and models it is in.

MLflow knows of a run what its tags and parameters say: of a materialization what `stores.mlflow.tracking` writes, of a training run
`training_set_hash`, `label`, `views` (JSON: name, version and data_hash of each), `snapshot`, `event_first`, `event_last` and
`dagster_runs`. All else stands in the log and in `ml_learning.partition_state`, which say it as it is now.

Belongs here: putting that together. Does not belong here: writing it, and what leaves the platform (`stores.openlineage`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile.feast import row_table
from detektor_pipelines.compile.lineage import columns_read, made_of
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.mlflow.model_versions import model_versions
from detektor_pipelines.stores.mlflow.rest import Rest, TrackingUnavailableError
from detektor_pipelines.stores.mlflow.runs import MlflowRun, run_of, runs_where
from detektor_pipelines.stores.raw_log.known import is_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

MATERIALIZATION: Final = "materialization"
TRAINING: Final = "training"

_DAYS: Final = """
SELECT min(partition), max(partition), count(*), coalesce(sum(rows), 0)::bigint, min(published_at), max(published_at)
FROM ml_learning.partition_state WHERE view = %(view)s AND data_hash = %(hash)s
  AND partition BETWEEN coalesce(%(first)s::date, '-infinity') AND coalesce(%(last)s::date, 'infinity')
"""
_VERSIONS: Final = "SELECT DISTINCT data_hash FROM ml_learning.partition_state WHERE view = %s ORDER BY data_hash"

_EVENTS: Final = """
SELECT count(*), min(occurred_at), max(occurred_at), max(known_at) FROM ml_learning.agent_events
WHERE agent_type = ANY(%(agents)s) AND occurred_at BETWEEN coalesce(%(first)s::timestamptz, '-infinity')
  AND coalesce(%(last)s::timestamptz, 'infinity') AND (%(snapshot)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(xid, %(snapshot)s))
"""


@dataclass(frozen=True)
class Days:
    """Rows of one version of a view as they are published now: from the first to the last day, how many days and rows, and when."""

    view: str
    data_hash: str
    version: str | None
    table: str
    first: date | None
    last: date | None
    days: int
    rows: int
    published_first: datetime | None
    published_last: datetime | None


@dataclass(frozen=True)
class Events:
    """Revisions of raw events: of which agents, between which instants, as which snapshot sees them, and how many there are."""

    agents: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    known_last: datetime | None
    count: int
    snapshot: str | None


@dataclass(frozen=True)
class RunLineage:
    """What a run of MLflow is made from."""

    run_id: str
    name: str
    kind: str
    status: str
    page: str
    said: Mapping[str, str]
    rows: tuple[Days, ...]
    events: Events
    dagster_runs: tuple[str, ...]
    dagster_pages: tuple[str, ...]
    computed_by: tuple[MlflowRun, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class FeatureLineage:
    """What a feature is made from, and what is made from it. `problem`: why MLflow could not be asked."""

    feature: str
    description: str
    data_hash: str
    columns: tuple[str, ...]
    made_of: tuple[str, ...]
    rows: tuple[Days, ...]
    computed_by: tuple[MlflowRun, ...]
    trained: tuple[MlflowRun, ...]
    models: tuple[str, ...]
    problem: str | None = None


def of_run(settings: Settings, run_id: str) -> RunLineage:
    """Return what a run is made from.

    Raises:
        UserError: There is no such run, it says nothing of features, MLflow or PostgreSQL does not answer.

    """
    rest = Rest.of(settings)
    try:
        run = run_of(rest, run_id)
        if run is None:
            fix = "`detektor lineage VIEW:FEATURE` names the runs that a feature is in."
            raise UserError(f"There is no MLflow run {run_id}.", where=rest.address, fix=fix)
        used = _views_of(run.said)
        if not used:
            fix = f"Runs of materializations and of `detektor experiment` do; their tags are view or views. See {run.page}."
            raise UserError(f"MLflow's run {run_id} does not say which features it is of.", where=run.page, fix=fix)
        training = "training_set_hash" in run.said
        computed = [each for view, version in used.items() for each in _computed_by(rest, view, version)] if training else []
    finally:
        rest.close()
    span = (None, None) if training else (run.said.get("partition_first"), run.said.get("partition_last"))
    with connect(settings) as connection:
        rows = tuple(_days(connection, view, version, span) for view, version in used.items())
        events = _events(connection, run.said, list(used))
    dagster = _dagster_runs(run, computed)
    return RunLineage(
        run_id=run_id,
        name=run.name,
        kind=TRAINING if training else MATERIALIZATION,
        status=run.status,
        page=run.page,
        said=run.said,
        rows=rows,
        events=events,
        dagster_runs=dagster,
        dagster_pages=tuple(f"{settings.dagster_url.rstrip('/')}/runs/{each}" for each in dagster),
        computed_by=tuple(computed),
        models=tuple(f"{each.name} {each.version}" for each in model_versions(settings) if each.run_id == run_id),
    )


def of_feature(settings: Settings, view: FeatureView, name: str) -> FeatureLineage:
    """Return what a feature is made from and what is made from it; of the current version first, then of others that have rows.

    Raises:
        UserError: The view has no such feature, or PostgreSQL does not answer.

    """
    try:
        feature = view.feature(name)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", where=view.name, fix=f"`detektor features list {view.name}` describes them.") from None
    current = data_hash(view)
    with connect(settings) as connection:
        others = [each for (each,) in connection.execute(_VERSIONS, (view.name,)).fetchall() if each != current]
        rows = tuple(_days(connection, view.name, each, (None, None)) for each in (current, *others))
    rest = Rest.of(settings)
    problem = None
    computed: list[MlflowRun] = []
    trained: list[MlflowRun] = []
    models: list[str] = []
    try:
        computed = _computed_by(rest, view.name, None)
        trained = [each for each in runs_where(rest, "tags.training_set_hash != ''") if _uses(each.said, view, name)]
        ids = {each.run_id for each in trained}
        found = model_versions(settings)
        models = [f"{each.name} {each.version}" for each in found if each.run_id in ids or (not each.run_id and each.uses(current[:SHORT]))]
    except TrackingUnavailableError as error:
        problem = error.what
    finally:
        rest.close()
    return FeatureLineage(
        feature=f"{view.name}:{name}",
        description=feature.description,
        data_hash=current,
        columns=columns_read(view)[name],
        made_of=made_of(feature),
        rows=rows,
        computed_by=tuple(computed),
        trained=tuple(trained),
        models=tuple(models),
        problem=problem,
    )


def _views_of(said: Mapping[str, str]) -> dict[str, str]:
    """Return view → data hash as a run says it."""
    if "views" in said:
        try:
            views = json.loads(said["views"])
        except ValueError:
            return {}
        if isinstance(views, dict):
            return {name: each["data_hash"] if isinstance(each, dict) else str(each) for name, each in views.items()}
        return {each["name"]: each["data_hash"] for each in views}
    return {said["view"]: said["feast_feature_hash"]} if {"view", "feast_feature_hash"} <= said.keys() else {}


def _uses(said: Mapping[str, str], view: FeatureView, name: str) -> bool:
    """Tell whether a training run used a feature: by its references where it says them, else by its views."""
    if "references" in said:
        try:
            return {f"{view.name}:{name}", f"{view.name}@all:{name}"} & set(json.loads(said["references"])) != set()
        except (ValueError, TypeError):
            pass  # cut, because it was long
    return view.name in _views_of(said)


def _computed_by(rest: Rest, view: str, version: str | None) -> list[MlflowRun]:
    of_version = "" if version is None else f" AND tags.feast_feature_hash = '{version}'"
    return [each for each in runs_where(rest, f"tags.view = '{view}'{of_version}") if "partition_first" in each.said]


def _dagster_runs(run: MlflowRun, computed: Sequence[MlflowRun]) -> tuple[str, ...]:
    """Return the Dagster runs that made what a run read: its own, those it names, and those of the materializations behind it."""
    found = [
        run.said.get("dagster_run_id", ""),
        *_named_runs(run.said.get("dagster_runs", "")),
        *(each.said.get("dagster_run_id", "") for each in computed),
    ]
    return tuple(dict.fromkeys(each for each in found if each))


def _named_runs(text: str) -> list[str]:
    """Return the runs of a tag: a JSON list of them, or by view a list of each."""
    try:
        named = json.loads(text or "[]")
    except ValueError:  # cut, because it was long
        return []
    lists = named.values() if isinstance(named, dict) else [named]
    return [str(each) for some in lists for each in some]


def _days(connection: psycopg.Connection[Any], view: str, version: str, span: tuple[str | None, str | None]) -> Days:
    row = connection.execute(_DAYS, {"view": view, "hash": version, "first": span[0], "last": span[1]}).fetchone()
    first, last, days, rows, published_first, published_last = row or (None, None, 0, 0, None, None)
    known = next((each for each in VIEWS if each.name == view and data_hash(each) == version), None)
    table = row_table(known) if known else f"{view}__{version[:SHORT]}"
    number = known.version if known else None
    return Days(view, version, number, f"feast.{table}", first, last, days, rows, published_first, published_last)


def _events(connection: psycopg.Connection[Any], said: Mapping[str, str], views: Sequence[str]) -> Events:
    known = {view.name: view.agent for view in VIEWS}
    agents = sorted({known[each] for each in views if each in known})
    snapshot = said.get("snapshot") if is_snapshot(said.get("snapshot", "")) else None
    first, last = (said.get(name) for name in (("first_event", "last_event") if "first_event" in said else ("event_first", "event_last")))
    parameters = {"agents": agents, "first": first, "last": last, "snapshot": snapshot}
    count, first, last, learnt = connection.execute(_EVENTS, parameters).fetchone() or (0, None, None, None)
    return Events(tuple(agents), first, last, learnt, count, snapshot)


def view_and_feature(text: str) -> tuple[FeatureView, str] | None:
    """Return what `VIEW:FEATURE` names, None when it is no such text but a run's id.

    Raises:
        UserError: There is no such view.

    """
    name, colon, feature = text.partition(":")
    if not colon:
        return None
    try:
        return view_named(name.partition("@")[0]), feature
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", where=text, fix="Write VIEW:FEATURE, or the id of an MLflow run.") from None
