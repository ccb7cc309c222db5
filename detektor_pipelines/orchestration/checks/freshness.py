"""Freshness of data when nothing runs: a check that a person can evaluate, and a sensor that says it when the answer changes.

No `from __future__ import annotations` here: Dagster reads the annotations of check functions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.assets import features_key
from detektor_pipelines.orchestration.checks.beside import evaluation, result, spec
from detektor_pipelines.orchestration.raw_log import RAW_LOG, as_noted, observation, settled
from detektor_pipelines.orchestration.resources import Engine, LocalEngine
from detektor_pipelines.quality.findings import FRESH, LOG_FRESH, Finding, not_computed
from detektor_pipelines.settings import Settings

_SECONDS: Final = 60
_OBSERVED_US: Final = 600_000_000
"""µs between two observations of a log that something arrives in all the time: enough for a plot, few enough for the event log."""


def freshness_checks(views: Sequence[FeatureView]) -> dg.AssetChecksDefinition:
    """Return the check `data_is_fresh` of all views and of the raw log."""

    @dg.multi_asset_check(
        name="freshness_of_data",
        specs=[spec(LOG_FRESH, RAW_LOG), *(spec(FRESH, features_key(view)) for view in views)],
        can_subset=True,
    )
    def freshness_of_data(context: dg.AssetCheckExecutionContext, engine: dg.ResourceParam[Engine]) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.asset_key for key in context.selected_asset_check_keys}
        for key, finding in _findings(engine, [view for view in views if features_key(view) in wanted], log=RAW_LOG in wanted).items():
            yield result(key, finding)

    return freshness_of_data


def watch_freshness(views: Sequence[FeatureView], settings: Settings | None = None, engine: Engine | None = None) -> dg.SensorDefinition:
    """Return the sensor that evaluates freshness each minute and records an evaluation when it has become another one.

    It also observes the raw log when something has arrived. `engine` looks; by default the one on the servers of `settings`.
    """

    @dg.sensor(
        name="watch_freshness",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates data_is_fresh of each view and of the raw log, also while nothing runs, and observes the raw log.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _tick(engine or LocalEngine(settings), views, context.cursor)

    return watch


def _tick(engine: Engine, views: Sequence[FeatureView], cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    noted = _noted(cursor)
    try:
        volume = engine.log_volume(settled(noted.get("settled")))
    except UserError as error:
        return dg.SkipReason(f"Freshness is not known: {error}")
    found = _findings(engine, views, log=True)
    states = {key.to_user_string(): _state(finding) for key, finding in found.items()}
    known = noted.get("states", {})
    events: list[Any] = [evaluation(key, finding) for key, finding in found.items() if known.get(key.to_user_string()) != _state(finding)]
    at = int(volume.at.timestamp() * 1_000_000)
    observed = noted.get("observed", {})
    if volume.version != observed.get("version") and at - observed.get("at", 0) >= _OBSERVED_US:
        events.append(observation(volume))
        observed = {"version": volume.version, "at": at}
    late = sorted(name for name, state in states.items() if state != "fresh")
    words = f"Not fresh: {', '.join(late)}." if late else "All data is fresh."
    kept = {"states": states, "settled": as_noted(volume.settled), "observed": observed}
    return dg.SensorResult(skip_reason=words, asset_events=events, cursor=json.dumps(kept))


def _findings(engine: Engine, views: Sequence[FeatureView], *, log: bool) -> dict[dg.AssetKey, Finding]:
    """Judge the log, if asked to, and the views; where the database does not answer that is the finding."""
    try:
        found = engine.freshness(views) if views else {}
        return ({RAW_LOG: engine.log_freshness()} if log else {}) | {features_key(view): found[view.name] for view in views}
    except UserError as error:
        keys = [*([RAW_LOG] if log else []), *map(features_key, views)]
        return {key: not_computed(FRESH.name, str(error)) for key in keys}


def _state(finding: Finding) -> str:
    return "fresh" if finding.passed else finding.severity


def _noted(cursor: str | None) -> Mapping[str, Any]:
    """Return what the cursor holds, nothing for one that cannot be read."""
    try:
        noted = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}
