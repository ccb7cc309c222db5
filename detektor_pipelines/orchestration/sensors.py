"""What starts runs by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines.orchestration.assets import features_key, online_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView

_SECONDS: Final = 30
_ACTIVE: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def publish_online(views: Sequence[FeatureView]) -> dg.SensorDefinition:
    """Return the sensor that brings `online` up to date after `features` was materialized without it.

    Dagster starts no downstream asset when one day of a range failed, or when only `features` was selected; the good days' values would
    wait for the next full run. A run under way that will publish, or has just written features, is left to end first; one that failed is
    asked for again.
    """

    @dg.sensor(
        name="publish_online",
        target=dg.AssetSelection.assets(*map(online_key, views)),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes newest values to the online store when features are newer: after a range of which a day failed, for one.",
    )
    def publish(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _request(context.instance, views)

    return publish


def _request(instance: dg.DagsterInstance, views: Sequence[FeatureView]) -> dg.RunRequest | dg.SkipReason:
    keys = [key for view in views for key in (features_key(view), online_key(view))]
    entries = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(keys)}
    newest = {key: entry.last_materialization_storage_id or 0 for key, entry in entries.items()}
    behind = {
        online_key(view): newest[features_key(view)]
        for view in views
        if newest.get(features_key(view), 0) > newest.get(online_key(view), 0)
    }
    busy = _active(instance, {entry.last_run_id for entry in entries.values() if entry.last_run_id})
    ready = {
        online_key(view): behind[online_key(view)] for view in views if online_key(view) in behind and not _runs_of(entries, view) & busy
    }
    if not ready:
        return dg.SkipReason("A run that writes these views is under way." if behind else "Online values are as new as the features.")
    # Dagster starts one run a key, however it ends: the last run is part of it, so that a failed one is followed by another.
    last = {key: entry.last_run_id for key, entry in entries.items()}
    return dg.RunRequest(
        run_key=",".join(f"{key.path[0]}:{number}:{last.get(key)}" for key, number in ready.items()),
        asset_selection=list(ready),
    )


def _runs_of(entries: Mapping[dg.AssetKey, object], view: FeatureView) -> set[str]:
    """Return the runs that last wrote, or plan to write, the view's assets."""
    found = (entries.get(key) for key in (features_key(view), online_key(view)))
    return {str(run) for entry in found if (run := getattr(entry, "last_run_id", None))}


def _active(instance: dg.DagsterInstance, runs: set[str]) -> set[str]:
    if not runs:
        return set()
    wanted = dg.RunsFilter(run_ids=sorted(runs), statuses=list(_ACTIVE))
    return {run.run_id for run in instance.get_runs(wanted)}
