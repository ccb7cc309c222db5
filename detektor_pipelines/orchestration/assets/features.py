"""The asset factory: from one feature view two assets, `features` (by day) and `online` (newest values), in the agent's group.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration import checks, metadata
from detektor_pipelines.orchestration.assets import links
from detektor_pipelines.orchestration.assets.materialization import explained, materialize
from detektor_pipelines.orchestration.keys import RAW_LOG, features_key, online_key
from detektor_pipelines.orchestration.raw_log import raw_log
from detektor_pipelines.orchestration.resources import Engine, MlflowRun, Platform


def view_assets(view: FeatureView, partitions: dg.PartitionsDefinition[str], *, source_url: str | None = None) -> list[dg.AssetsDefinition]:
    """Return the assets of one view; `source_url` is where the repository's files are shown, if anywhere."""
    about = {**metadata.of_definition(view), **links.of_view(view, source_url)}
    return [_features(view, partitions, about), _online(view, about)]


def _features(view: FeatureView, partitions: dg.PartitionsDefinition[str], about: metadata.Metadata) -> dg.AssetsDefinition:
    @dg.asset(
        key=features_key(view),
        deps=[RAW_LOG],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="compute",
        check_specs=[checks.gate_spec(view, features_key(view)), *checks.beside_specs(features_key(view))],
        description=f"{view.description}\n\nOne partition is one UTC day of rows in Feast's offline store: computed, audited, published.",
        kinds={"postgres", "duckdb", "feast"},
        code_version=data_hash(view),
        metadata=about | {"dagster/column_lineage": links.from_log(view)},
        group_name=view.group,
        owners=_owners(view),
        tags=_tags(view),
    )
    def features(
        context: dg.AssetExecutionContext,
        engine: dg.ResourceParam[Engine],
        platform: dg.ResourceParam[Platform],
        mlflow: dg.ResourceParam[MlflowRun],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        yield from materialize(context, features_key(view), view, engine, platform, mlflow)

    return features


def _online(view: FeatureView, about: metadata.Metadata) -> dg.AssetsDefinition:
    @dg.asset(
        key=online_key(view),
        deps=[features_key(view)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="online",
        description=f"The newest row of each agent_id of {view.name} in Feast's online store.",
        kinds={"redis", "feast"},
        code_version=data_hash(view),
        metadata=about | {"dagster/column_lineage": links.from_features(view, features_key(view))},
        group_name=view.group,
        owners=_owners(view),
        tags=_tags(view),
    )
    def online(context: dg.AssetExecutionContext, engine: dg.ResourceParam[Engine]) -> dg.MaterializeResult[Any]:
        with explained(context):
            publication = engine.publish_online(view, context.run.run_id)
            if trouble := publication.trouble():
                context.log.warning(trouble)
            return dg.MaterializeResult(metadata=metadata.of_publication(publication))

    return online


def _owners(view: FeatureView) -> list[str]:
    """Return the owner as Dagster wants it: an e-mail address, else a team."""
    return [view.owner if "@" in view.owner or view.owner.startswith("team:") else f"team:{view.owner}"]


def _tags(view: FeatureView) -> dict[str, str]:
    return {"detektor/agent": view.agent, "detektor/version": view.version, **dict(view.tags)}


def all_assets(
    views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str], *, source_url: str | None = None
) -> list[dg.AssetsDefinition]:
    """Return the log and the assets of all views."""
    return [raw_log(), *(asset for view in views for asset in view_assets(view, partitions, source_url=source_url))]
