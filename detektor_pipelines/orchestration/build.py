"""The whole of the definitions, as a function: each call builds fresh ones, with other resources or views when a test wants."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import dagster as dg

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.orchestration.assets.features import all_assets
from detektor_pipelines.orchestration.assets.online import hourly_parity, online_state, watch_stream
from detektor_pipelines.orchestration.assets.shadow import hourly_shadow, shadow_assets
from detektor_pipelines.orchestration.backups import back_up, nightly_backup
from detektor_pipelines.orchestration.checks.drift import daily_drift, drift_job
from detektor_pipelines.orchestration.checks.freshness import log_freshness_check, watch_freshness
from detektor_pipelines.orchestration.housekeeping import trim_event_log, weekly_trim
from detektor_pipelines.orchestration.partitions import daily_partitions
from detektor_pipelines.orchestration.resources import default_resources
from detektor_pipelines.orchestration.retention import apply_retention, nightly_retention
from detektor_pipelines.orchestration.schedules import hourly_open_day, nightly_close
from detektor_pipelines.orchestration.sensors import definition_changed, publish_online, repair_late_data, run_failed
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


def build_definitions(
    resource_overrides: Mapping[str, Any] | None = None,
    *,
    views: Sequence[FeatureView] = VIEWS,
    partitions: dg.DailyPartitionsDefinition | None = None,
    settings: Settings | None = None,
) -> dg.Definitions:
    """Return Dagster's definitions of `views`.

    Args:
        resource_overrides: Resources by name (`engine`, `mlflow`) instead of the real ones.
        views: What to make assets of.
        partitions: The days; by default from the oldest event to today.
        settings: Where the servers are; by default what the environment says.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies, observations: beta for years, and the version is pinned
        given = settings or get_settings()
        days = partitions or daily_partitions(given)
        assets = [*all_assets(views, days, source_url=given.source_url), online_state(views, settings), *shadow_assets(views)]
    trim, drift, retention = trim_event_log(), drift_job(views, settings), apply_retention(settings)
    backup = back_up(settings) if given.backup_url else None
    return dg.Definitions(
        assets=assets,
        asset_checks=[log_freshness_check()],
        sensors=[
            publish_online(views, settings),
            repair_late_data(views, days, settings),
            run_failed(views, settings),
            definition_changed(views, settings),
            watch_freshness(views, settings),
            watch_stream(settings),
        ],
        jobs=[trim, drift, retention, *([backup] if backup else [])],
        schedules=[
            hourly_open_day(views, days, settings),
            nightly_close(views, days, settings),
            weekly_trim(trim),
            nightly_retention(retention),
            *([nightly_backup(backup)] if backup else []),
            hourly_parity(),
            daily_drift(drift),
            *hourly_shadow(views),
        ],
        resources=default_resources(settings) | dict(resource_overrides or {}),
        # Few steps, each with many days: a process for each step would cost more than the steps
        executor=dg.in_process_executor,
    )
