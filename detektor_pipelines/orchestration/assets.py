"""The asset factory: from one feature view two assets, `features` (by day) and `online` (newest values), in the agent's group.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration import checks, lineage, metadata
from detektor_pipelines.orchestration.resources import Engine, MlflowRun

if TYPE_CHECKING:
    from detektor_pipelines.engine.materialize import DayResult, Materialization

RAW_LOG: Final = dg.AssetKey("agent_events")


def raw_log() -> dg.AssetSpec:
    """Return the log of agent events: written by `detektor ingest`, read by every `features` asset."""
    return dg.AssetSpec(
        RAW_LOG,
        group_name="raw_logs",
        description="What the agents did: table ml_learning.agent_events, append-only, written by `detektor ingest` and the hooks.",
        kinds={"postgres"},
    )


def features_key(view: FeatureView) -> dg.AssetKey:
    """Return the key of the view's rows in the offline store."""
    return dg.AssetKey([view.group, "features"])


def online_key(view: FeatureView) -> dg.AssetKey:
    """Return the key of the view's newest values in the online store."""
    return dg.AssetKey([view.group, "online"])


def view_assets(view: FeatureView, partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition]:
    """Return the assets of one view."""
    return [_features(view, partitions), _online(view)]


def _features(view: FeatureView, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=features_key(view),
        deps=[RAW_LOG],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[checks.gate_spec(view, features_key(view))],
        description=f"{view.description}\n\nOne partition is one UTC day of rows in Feast's offline store: computed, audited, published.",
        kinds={"postgres", "duckdb", "feast"},
        code_version=data_hash(view),
        metadata=metadata.of_definition(view),
        group_name=view.group,
        owners=_owners(view),
        tags=_tags(view),
    )
    def features(
        context: dg.AssetExecutionContext, engine: dg.ResourceParam[Engine], mlflow: dg.ResourceParam[MlflowRun]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        yield from materialize(context, view, engine, mlflow)

    return features


def _online(view: FeatureView) -> dg.AssetsDefinition:
    @dg.asset(
        key=online_key(view),
        deps=[features_key(view)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"The newest row of each agent_id of {view.name} in Feast's online store.",
        kinds={"redis", "feast"},
        code_version=data_hash(view),
        metadata=metadata.of_definition(view),
        group_name=view.group,
        owners=_owners(view),
        tags=_tags(view),
    )
    def online(engine: dg.ResourceParam[Engine]) -> dg.MaterializeResult[Any]:
        with _explained():
            return dg.MaterializeResult(metadata=metadata.of_publication(engine.publish_online(view)))

    return online


def materialize(
    context: dg.AssetExecutionContext, view: FeatureView, engine: Engine, mlflow: MlflowRun
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Materialize the run's partitions of `view`; record the good days even when others fail the gate.

    Raises:
        dagster.Failure: A day did not pass, or a server is down.

    """
    days = [date.fromisoformat(key) for key in context.partition_keys]
    if not days:
        raise dg.Failure("The range holds no day: its first day is after its last. Give the earlier one first.", allow_retries=False)
    started = time.time_ns()
    with _explained():
        result = engine.materialize(view, days)
    logged = mlflow.log(lineage.record(view, result, root=mlflow.root, dagster=mlflow.dagster, started_ns=started))
    if logged.problem:
        context.log.warning("Published, but not logged to MLflow; the next materialization sends it.\n%s", logged.problem)
    shared = metadata.of_run(view, result) | {"mlflow_run": logged.run_id or "kept for later: MLflow was down"}
    good = [day for day in result.days if day.status != "failed"]
    details = {day.day.isoformat(): metadata.of_day(day) for day in good}
    if good:
        details[good[-1].day.isoformat()] |= _preview(view, engine, good[-1])
    key = features_key(view)
    if len(good) < len(result.days):
        for day, detail in details.items():
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=shared | detail))
        yield checks.gate_result(key, result.days)
        raise dg.Failure(checks.summary(result.days), metadata=_failure(result), allow_retries=False)
    for day, detail in details.items():
        context.add_asset_metadata(detail, asset_key=key, partition_key=day)
    yield checks.gate_result(key, result.days)
    yield dg.MaterializeResult(asset_key=key, metadata=shared)


def _failure(result: "Materialization") -> dict[str, Any]:
    return {"failing_rows": checks.failing_rows([day for day in result.days if day.status == "failed"])}


def _preview(view: FeatureView, engine: Engine, day: "DayResult") -> metadata.Metadata:
    """Return the newest rows of the day; what cannot be shown is no reason to fail what is published."""
    try:
        columns, rows = engine.newest_rows(view, day.day)
    except UserError as error:
        return {"preview": dg.MetadataValue.text(f"not available: {error.what}")}
    return {"preview": metadata.preview(columns, rows)}


def _owners(view: FeatureView) -> list[str]:
    """Return the owner as Dagster wants it: an e-mail address, else a team."""
    return [view.owner if "@" in view.owner or view.owner.startswith("team:") else f"team:{view.owner}"]


def _tags(view: FeatureView) -> dict[str, str]:
    return {"detektor/agent": view.agent, "detektor/version": view.version, **dict(view.tags)}


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a mistake that a person can mend into a failure with its words, without a stack."""
    try:
        yield
    except UserError as error:
        raise dg.Failure(str(error)) from None


def all_assets(views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the log and the assets of all views."""
    return [raw_log(), *(asset for view in views for asset in view_assets(view, partitions))]
