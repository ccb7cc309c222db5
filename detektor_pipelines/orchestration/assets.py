"""The asset factory: from one feature view two assets, `features` (by day) and `online` (newest values), in the agent's group.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import dagster as dg

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration import checks, metadata
from detektor_pipelines.orchestration.materialization import explained, materialize
from detektor_pipelines.orchestration.resources import Engine, MlflowRun

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
        pool="compute",
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
        yield from materialize(context, features_key(view), view, engine, mlflow)

    return features


def _online(view: FeatureView) -> dg.AssetsDefinition:
    @dg.asset(
        key=online_key(view),
        deps=[features_key(view)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="online",
        description=f"The newest row of each agent_id of {view.name} in Feast's online store.",
        kinds={"redis", "feast"},
        code_version=data_hash(view),
        metadata=metadata.of_definition(view),
        group_name=view.group,
        owners=_owners(view),
        tags=_tags(view),
    )
    def online(engine: dg.ResourceParam[Engine]) -> dg.MaterializeResult[Any]:
        with explained():
            return dg.MaterializeResult(metadata=metadata.of_publication(engine.publish_online(view)))

    return online


def _owners(view: FeatureView) -> list[str]:
    """Return the owner as Dagster wants it: an e-mail address, else a team."""
    return [view.owner if "@" in view.owner or view.owner.startswith("team:") else f"team:{view.owner}"]


def _tags(view: FeatureView) -> dict[str, str]:
    return {"detektor/agent": view.agent, "detektor/version": view.version, **dict(view.tags)}


def all_assets(views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the log and the assets of all views."""
    return [raw_log(), *(asset for view in views for asset in view_assets(view, partitions))]
