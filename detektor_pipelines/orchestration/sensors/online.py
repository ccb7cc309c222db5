"""Online values follow the features that were materialized without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.keys import online_key
from detektor_pipelines.orchestration.requests import behind, tags_of, views_at_work
from detektor_pipelines.orchestration.sensors.bounds import RUNS, Attempts, Reported, WaitingViews, cause, digest
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_SECONDS: Final = 5
"""With the daemon's own five seconds, the queue and a process's start the values are there within half a minute of the features."""


def publish_online(views: Sequence[FeatureView], settings: Settings | None = None) -> dg.SensorDefinition:
    """Return the sensor that brings `online` up to date after `features` was materialized without it.

    Dagster starts no downstream asset when one day of a range failed, or when only `features` was selected; the good days' values would
    wait for the next full run. A run under way that will publish, or has just written features, is left to end first; one that failed is
    asked for again, three runs for the same features.
    """

    @dg.sensor(
        name="publish_online",
        target=dg.AssetSelection.assets(*map(online_key, views)),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes newest values to the online store when features are newer: after a backfill, or a range of which a day failed.",
    )
    def publish(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _tick(context, views, settings or get_settings())

    return publish


def _tick(context: dg.SensorEvaluationContext, views: Sequence[FeatureView], settings: Settings) -> dg.SensorResult:
    said = Reported(context.cursor)
    late = behind(context.instance, views)
    if not late:
        return dg.SensorResult(skip_reason="Online values are as new as the features.", cursor=said.cursor)
    busy = views_at_work(context.instance, list(late), backfills=False)
    attempts = Attempts(context.instance, "online")
    ready: dict[FeatureView, str] = {}
    waits = WaitingViews()
    for view, materialized in late.items():
        value = digest("online", view.name, materialized)
        verdict = attempts.verdict(view, value)
        if verdict.last_run and said.first_time(value):
            _give_up(settings, view, verdict.last_run)
        if view in busy:
            waits.add(view, f"{busy[view]} is under way")
        elif verdict.allowed:
            ready[view] = value
        else:
            waits.add(view, verdict.why)
    if not ready:
        return dg.SensorResult(skip_reason=str(waits), cursor=said.cursor)
    tags = tags_of("online")
    for view, value in ready.items():
        tags |= cause(view, value)
    request = dg.RunRequest(asset_selection=list(map(online_key, ready)), tags=tags)
    return dg.SensorResult(run_requests=[request], cursor=said.cursor)


def _give_up(settings: Settings, view: FeatureView, run_id: str) -> None:
    alert(
        settings,
        f"Online values of {view.name} are older than its features: {RUNS} runs failed to publish them. Fix what the last run says, then"
        " materialize the asset `online` of its group; the next materialization of features tries again by itself.",
        link=page(settings, f"runs/{run_id}"),
        run_id=run_id,
        views=[view.name],
        reason="gave up publishing online values",
    )
