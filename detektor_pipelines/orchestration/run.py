"""A range of days through Dagster in this process: what `detektor demo` and `detektor backfill` call.

One Dagster run, recorded on the persistent instance like any other, so that it shows on Dagster's pages.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING, Final

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._core.utils import make_new_run_id

from detektor_pipelines.orchestration.assets.materialization import RESUME_TAG
from detektor_pipelines.orchestration.build import build_definitions
from detektor_pipelines.orchestration.instance import persistent_instance
from detektor_pipelines.orchestration.keys import features_key, online_key
from detektor_pipelines.orchestration.launcher import HOST_TAG
from detektor_pipelines.orchestration.partitions import daily_partitions, days_between
from detektor_pipelines.orchestration.problems import reason
from detektor_pipelines.orchestration.resources import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from dagster import EventLogEntry

    from detektor_pipelines.engine.materialize import DayResult, Materialization, OnPart
    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.resources import Engine
    from detektor_pipelines.settings import Settings

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Hundreds of debug lines would bury the caller's progress bar, and a failure is in the summary; all of it is on the run's page."""


@dataclass
class RunSummary:
    """What one run did.

    Attributes:
        run_id: Dagster's id of the run.
        succeeded: All days of all views passed and were published, online too.
        cancelled: Ctrl-C ended it; what was published before stands.
        materializations: By view name; absent for a view whose step failed before it published.
        publications: By view name, the online ones; absent for a view of which a day failed.
        problems: By view name, in words, for each view that did not succeed.
        seconds: From the first step's start to the last one's end.

    """

    run_id: str = ""
    succeeded: bool = False
    cancelled: bool = False
    materializations: dict[str, Materialization] = field(default_factory=dict)
    publications: dict[str, OnlinePublication] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def materialize_range(
    settings: Settings,
    views: Sequence[FeatureView],
    first: date,
    last: date,
    on_progress: Callable[[FeatureView, DayResult], None] | None = None,
    *,
    resume: bool = False,
    engine: Engine | None = None,
) -> RunSummary:
    """Materialize the days from `first` to `last` of `views`, features and online, in one Dagster run.

    A day that does not pass the gate, or a server that goes down meanwhile, fails its view; the others go on, and the summary says what
    happened. Ctrl-C (or SIGTERM) cancels the run as the button in Dagster's UI does.

    Args:
        settings: Where the servers are.
        views: At least one.
        first: First day, UTC.
        last: Last day, included.
        on_progress: Called after each published, kept or failed day.
        resume: Keep the days that are published and not stale.
        engine: Computes and publishes; for tests.

    Raises:
        UserError: There is no such partition, or PostgreSQL does not answer.

    """
    partitions = daily_partitions(settings)
    keys = days_between(partitions, first, last)
    summary = RunSummary()
    watched = _Watched(engine or LocalEngine(settings), summary, on_progress)
    definitions = build_definitions({"engine": watched}, views=views, partitions=partitions, settings=settings)
    selection = [key for view in views for key in (features_key(view), online_key(view))]
    job = definitions.get_repository_def().get_implicit_job_def_for_assets(selection)
    if job is None:
        message = "the views share no partitions"
        raise dg.DagsterInvariantViolationError(message)
    started = time.monotonic()
    summary.run_id = make_new_run_id()
    with persistent_instance(settings) as instance:
        instance.add_event_listener(summary.run_id, partial(_accompany, instance))
        result = job.execute_in_process(
            run_id=summary.run_id,
            instance=instance,
            run_config=_QUIET,
            asset_selection=selection,
            raise_on_error=False,
            tags={
                ASSET_PARTITION_RANGE_START_TAG: keys[0],
                ASSET_PARTITION_RANGE_END_TAG: keys[-1],
                "detektor/reason": "backfill",
                RESUME_TAG: str(resume).lower(),
                HOST_TAG: gethostname(),
            },
        )
        ended = instance.get_run_by_id(summary.run_id)
    summary.succeeded = result.success
    summary.cancelled = ended is not None and ended.status == dg.DagsterRunStatus.CANCELED
    summary.seconds = time.monotonic() - started
    summary.problems = _problems(result, views)
    return summary


def _accompany(instance: dg.DagsterInstance, event: EventLogEntry) -> None:
    """Do what a launcher does for its runs: name the process, so that a dead one is noticed, and ask for the end that Ctrl-C means.

    Without the asking Dagster calls an interrupted run a failure, and everybody is alerted.
    """
    kind = event.dagster_event_type
    if kind == dg.DagsterEventType.RUN_START:
        instance.report_engine_event(f"Started process for run (pid: {os.getpid()}).", run_id=event.run_id, job_name=event.job_name)
    elif kind == dg.DagsterEventType.STEP_FAILURE and event.get_dagster_event().step_failure_data.error_source == ErrorSource.INTERRUPT:
        run = instance.get_run_by_id(event.run_id)
        if run and run.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_canceling(run, message="Cancelled at the terminal.")


class _Watched:
    """An engine that reports each day and remembers what came out."""

    def __init__(self, engine: Engine, summary: RunSummary, on_progress: Callable[[FeatureView, DayResult], None] | None) -> None:
        self._engine = engine
        self._summary = summary
        self._on_progress = on_progress

    def materialize(
        self, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: OnPart | None = None
    ) -> Materialization:
        def report(part: Materialization) -> None:
            if on_part:
                on_part(part)
            if self._on_progress:
                for day in part.days:
                    self._on_progress(view, day)

        result = self._engine.materialize(view, days, resume=resume, on_part=report)
        self._summary.materializations[view.name] = result
        return result

    def publish_online(self, view: FeatureView, run_id: str | None = None) -> OnlinePublication:
        publication = self._engine.publish_online(view, run_id)
        self._summary.publications[view.name] = publication
        return publication


def _problems(result: dg.ExecuteInProcessResult, views: Sequence[FeatureView]) -> dict[str, str]:
    failures = {event.node_name: event for event in result.all_node_events if event.is_step_failure}
    found: dict[str, str] = {}
    for view in views:
        for key in (features_key(view), online_key(view)):
            event = failures.get(key.to_python_identifier())
            if event is not None and view.name not in found:
                found[view.name] = reason(event)
    return found
