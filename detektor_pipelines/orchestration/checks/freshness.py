"""Freshness when nothing runs: the raw log's check, and a sensor that tells of it and of the views' when Dagster shows something else.

No `from __future__ import annotations` here: Dagster reads the annotations of check functions.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.checks.beside import news, result
from detektor_pipelines.orchestration.keys import RAW_LOG, features_key
from detektor_pipelines.orchestration.raw_log import as_noted, observation, totals_of
from detektor_pipelines.orchestration.resources import LocalPlatform, Platform
from detektor_pipelines.quality.findings import LOG_FRESH, not_computed
from detektor_pipelines.quality.freshness import log_freshness, views_freshness
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.raw_log.volume import log_volume

_SECONDS: Final = 60
_OBSERVED_US: Final = 600_000_000
"""µs between two observations of a log that something arrives in all the time: enough for a plot, few enough for the event log."""


def log_freshness_check() -> dg.AssetChecksDefinition:
    """Return the check `data_is_fresh` of the raw log; that of a view is evaluated with its rows."""

    @dg.asset_check(asset=RAW_LOG, name=LOG_FRESH.name, description=LOG_FRESH.description)
    def log_is_fresh(platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        try:
            return result(RAW_LOG, platform.ask(log_freshness))
        except UserError as error:
            return result(RAW_LOG, not_computed(LOG_FRESH.name, str(error)))

    return log_is_fresh


def watch_freshness(
    views: Sequence[FeatureView], settings: Settings | None = None, platform: Platform | None = None
) -> dg.SensorDefinition:
    """Return the sensor that looks at freshness each minute and records an evaluation when Dagster shows another one.

    It also observes the raw log when something has arrived. `platform` is asked; by default the servers of `settings`.
    """

    @dg.sensor(
        name="watch_freshness",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates data_is_fresh of each view and of the raw log, also while nothing runs, and observes the raw log.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _tick(context.instance, platform or LocalPlatform(settings), views, context.cursor)

    return watch


def _tick(
    instance: dg.DagsterInstance, platform: Platform, views: Sequence[FeatureView], cursor: str | None
) -> dg.SensorResult | dg.SkipReason:
    noted = _noted(cursor)
    try:
        volume = platform.ask(log_volume, totals_of(noted.get("settled")))
        fresh = platform.ask(views_freshness, views)
        found = {RAW_LOG: platform.ask(log_freshness)} | {features_key(view): fresh[view.name] for view in views}
    except UserError as error:
        return dg.SkipReason(f"Freshness is unknown: {error}")
    events: list[Any] = [*news(instance, found)]
    at = int(volume.at.timestamp() * 1_000_000)
    observed = noted.get("observed", {})
    if volume.version != observed.get("version") and abs(at - observed.get("at", 0)) >= _OBSERVED_US:  # the clock may be put back
        events.append(observation(volume))
        observed = {"version": volume.version, "at": at}
    late = sorted(key.to_user_string() for key, finding in found.items() if not finding.passed)
    words = f"Not fresh: {', '.join(late)}." if late else "All data is fresh."
    kept = {"settled": as_noted(volume.settled), "observed": observed}
    return dg.SensorResult(skip_reason=words, asset_events=events, cursor=json.dumps(kept))


def _noted(cursor: str | None) -> Mapping[str, Any]:
    """Return what the cursor holds, nothing for one that cannot be read."""
    try:
        noted = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}
