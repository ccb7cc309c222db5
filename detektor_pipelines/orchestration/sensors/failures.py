"""A failed run is told to people: which views and days, why, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.checks import GATE
from detektor_pipelines.orchestration.keys import features_key, online_key
from detektor_pipelines.orchestration.problems import first_line, reason
from detektor_pipelines.orchestration.requests import REASON_TAG
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_SECONDS: Final = 10
_LETTERS: Final = 500
_NOT_LOADED: Final = ("Could not load job definition", "Run dequeue failed")
"""How Dagster's own events begin when a run's process, or the daemon before it, could not load the code."""


def run_failed(views: Sequence[FeatureView], settings: Settings | None = None) -> dg.SensorDefinition:
    """Return the sensor that alerts of each failed run, once: not of one that Dagster will start again, but of its last attempt.

    A run from the command line counts too: it may have been started by a machine.
    """

    @dg.run_failure_sensor(
        name="run_failed",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        monitor_all_code_locations=True,
        description="Tells of a failed run in the log file and by webhook: views, days, reason and link.",
    )
    def failed(context: dg.RunFailureSensorContext) -> None:
        if not _starts_again(context.dagster_run):
            _tell(context, views, settings or get_settings())

    return failed


def _tell(context: dg.RunFailureSensorContext, views: Sequence[FeatureView], settings: Settings) -> None:
    run = context.dagster_run
    steps = context.get_step_failure_events()
    failing = _views(views, [event.step_key or "" for event in steps]) or _selected(views, run)
    days = _failed_days(context) or _days_of(run)
    why = _why(context, steps)
    subject = f"{', '.join(failing)} failed" if failing else f"{run.job_name} failed"
    alert(
        settings,
        f"{subject}{f' for {days}' if days else ''}: {why}",
        link=page(settings, f"runs/{run.run_id}"),
        run_id=run.run_id,
        job=run.job_name,
        reason=why,
        started_for=run.tags.get(REASON_TAG),
        views=failing or None,
        days=days,
    )


def _views(views: Sequence[FeatureView], steps: Sequence[str]) -> list[str]:
    return [view.name for view in views if {_step(features_key(view)), _step(online_key(view))} & set(steps)]


def _selected(views: Sequence[FeatureView], run: dg.DagsterRun) -> list[str]:
    """Return the views of a run that died before a step could fail."""
    chosen = run.asset_selection or frozenset()
    return [view.name for view in views if {features_key(view), online_key(view)} & chosen]


def _step(key: dg.AssetKey) -> str:
    return key.to_python_identifier()


def _failed_days(context: dg.RunFailureSensorContext) -> str | None:
    """Return the days that did not pass the gate, as its check lists them."""
    records = context.instance.get_records_for_run(context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    days: set[str] = set()
    for record in records:
        event: Any = record.event_log_entry.dagster_event
        evaluation = event.asset_check_evaluation_data
        if evaluation.check_name == GATE and not evaluation.passed and "failed_days" in evaluation.metadata:
            days.update(evaluation.metadata["failed_days"].value.split(", "))
    return ", ".join(sorted(days)) or None


def _days_of(run: dg.DagsterRun) -> str | None:
    first, last = run.tags.get(ASSET_PARTITION_RANGE_START_TAG), run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first and last and first != last:
        return f"{first} to {last}"
    return first or run.tags.get(PARTITION_NAME_TAG)


def _why(context: dg.RunFailureSensorContext, steps: Sequence[dg.DagsterEvent]) -> str:
    """Return each different reason in one line; the run's own words when no step failed."""
    words = [" ".join(reason(event).split()) for event in steps] or [_unloaded(context) or first_line(context.failure_event.message)]
    return " ".join(dict.fromkeys(words))[:_LETTERS]


def _unloaded(context: dg.RunFailureSensorContext) -> str | None:
    """Return what was wrong with the code when the run's process could not load it: file, line and error; None when that was not it."""
    records = context.instance.get_records_for_run(context.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
    for record in reversed(records):
        event = record.event_log_entry.dagster_event
        data = event.engine_event_data if event else None
        if event and data and data.error and str(event.message).startswith(_NOT_LOADED):
            return " ".join(data.error.message.split())
    return None


def _starts_again(run: dg.DagsterRun) -> bool:
    """Say whether Dagster retries the run: it marks one of a command line too, and then finds that it does not know where to start it."""
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None
