"""What the step of a `features` asset does: the run's days through the engine, each recorded as soon as it is published."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata
from dagster._core.storage.tags import BACKFILL_ID_TAG, PARENT_BACKFILL_ID_TAG
from tenacity import RetryError, Retrying, stop_after_delay, wait_fixed

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.orchestration import checks, metadata
from detektor_pipelines.orchestration.assets import lineage
from detektor_pipelines.orchestration.keys import RAW_LOG
from detektor_pipelines.orchestration.raw_log import LOG_VERSION
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.connections import PostgresAwayError, postgres_errors
from detektor_pipelines.stores.offline.preview import newest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.engine.materialize import DayResult, Materialization
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.resources import Engine, MlflowRun, Platform

RESUME_TAG: Final = "detektor/resume"
"""Run tag: "true" keeps the days that are published and not stale."""

_TRIES: Final = 3
_AWAY_SECONDS: Final = 60
"""A killed PostgreSQL recovers in seconds; after a crash of the machine it may take a minute."""
_PAUSE_SECONDS: Final = 1.0
_PREVIEWED: Final = 3
"""Rows."""

_RECORDED: Final = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of a result whose events are in the log already: by it Dagster knows that it need not write them once more."""


def materialize(
    context: dg.AssetExecutionContext, key: dg.AssetKey, view: FeatureView, engine: Engine, platform: Platform, mlflow: MlflowRun
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Materialize the run's partitions of `view`; record the good days even when others fail the gate.

    Raises:
        dagster.Failure: A day did not pass, or a server is down.

    """
    days = [date.fromisoformat(each) for each in context.partition_keys]
    if not days:
        raise dg.Failure("The range holds no day: its first day is after its last. Give the earlier one first.", allow_retries=False)
    record = _Recorder(context, key, view, platform, mlflow)
    resume = context.retry_number > 0 or resumes(context.instance, context.run)
    try:
        with explained(context):
            result = engine.materialize(view, days, resume=resume, on_part=record.part)
    except dg.RetryRequested:
        raise
    except Exception:  # what is published stands, and is judged: a check that was planned and not evaluated shows as failed
        yield from checks.after_publication(key, view, [], platform)
        raise
    yield checks.gate_result(key, result.days)
    yield from checks.after_publication(key, view, [day.day for day in result.days if day.status != "failed"], platform)
    if any(day.status == "failed" for day in result.days):
        raise dg.Failure(checks.summary(result.days), metadata=_failure(result), allow_retries=False)
    yield dg.MaterializeResult(asset_key=key, metadata=_RECORDED)


def resumes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether a run goes on with what an earlier one began, rather than computing all its days again.

    It does when asked to by its tag, when it retries another run, and within a backfill of which a run was ended.
    """
    if RESUME_TAG in run.tags:
        return run.tags[RESUME_TAG] == "true"
    if run.parent_run_id or PARENT_BACKFILL_ID_TAG in run.tags:
        return True
    backfill = run.tags.get(BACKFILL_ID_TAG)
    if backfill is None:
        return False
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    return instance.get_runs_count(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill}, statuses=ended)) > 0


@contextmanager
def explained(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Turn a mistake that a person can fix into a failure with its words, without a stack.

    When PostgreSQL went away and is back the step is tried again: Dagster does that with a run whose process died, not with a failed step.
    """
    try:
        with postgres_errors(get_settings()):  # what is recorded meanwhile goes to the same server
            yield
    except UserError as error:
        if isinstance(error, PostgresAwayError) and context.retry_number < _TRIES and _comes_back(context):
            raise dg.RetryRequested(max_retries=_TRIES, seconds_to_wait=_PAUSE_SECONDS) from error
        raise dg.Failure(str(error)) from None


def _comes_back(context: dg.AssetExecutionContext) -> bool:
    """Wait for Dagster's storage to answer, without which no event can be written, for a minute at most."""
    again = Retrying(  # of whatever is raised: each driver and Dagster have their own
        stop=stop_after_delay(_AWAY_SECONDS), wait=wait_fixed(_PAUSE_SECONDS)
    )
    try:
        again(context.instance.get_run_by_id, context.run.run_id)
    except RetryError:
        return False
    return True


class _Recorder:
    """Tells MLflow and Dagster of each part of a materialization when it is published: partitions turn green while the run goes on."""

    def __init__(
        self, context: dg.AssetExecutionContext, key: dg.AssetKey, view: FeatureView, platform: Platform, mlflow: MlflowRun
    ) -> None:
        self._context, self._key, self._view, self._platform, self._mlflow = context, key, view, platform, mlflow
        self._started = time.time_ns()
        backfill = context.run.tags.get(BACKFILL_ID_TAG)
        # Dagster writes these by itself for a step's own result, and takes a materialization without them for one with a new dependency
        read = {get_input_data_version_tag(RAW_LOG): LOG_VERSION, get_input_event_pointer_tag(RAW_LOG): NULL_EVENT_POINTER}
        self._tags = {CODE_VERSION_TAG: data_hash(view)} | read | ({BACKFILL_ID_TAG: backfill} if backfill else {})

    def part(self, part: Materialization) -> None:
        """Record the days of `part` that passed."""
        good = [day for day in part.days if day.status != "failed"]
        kept = all(day.status == "kept" for day in part.days)
        shared = metadata.of_run(self._view, part)
        if kept:
            shared = {name: shared[name] for name in ("feature_version", "data_hash")}
        else:
            shared |= {"mlflow_run": self._logged(part)}
        events = [self._event(day, shared) for day in good]
        if good and not kept:
            events[-1] = events[-1].with_metadata({**events[-1].metadata, **_preview(self._view, self._platform, good[-1])})
        _record(self._context, events)
        self._started = time.time_ns()

    def _logged(self, part: Materialization) -> dg.MetadataValue[Any]:
        about = lineage.record(self._view, part, root=self._mlflow.root, dagster=self._mlflow.dagster, started_ns=self._started)
        logged = self._mlflow.log(about)
        if logged.problem:
            self._context.log.warning("Published, but not logged to MLflow; the next materialization sends it.\n%s", logged.problem)
        return dg.MetadataValue.url(logged.url) if logged.url else dg.MetadataValue.text("kept for later: MLflow was down")

    def _event(self, day: DayResult, shared: metadata.Metadata) -> dg.AssetMaterialization:
        """Return the day's materialization: as DataVersion its rows' hash, so that equal rows are not a change to what reads them."""
        tags = self._tags | {DATA_VERSION_TAG: day.hash, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
        details = metadata.of_day(day)
        if day.status == "kept":
            for counted in ("null_rates", "events", "event_range"):  # by the run that computed the day
                del details[counted]
        return dg.AssetMaterialization(self._key, partition=day.day.isoformat(), metadata=shared | details, tags=tags)


def _record(context: dg.AssetExecutionContext, events: Sequence[dg.AssetMaterialization]) -> None:
    """Do what `context.log_event` does, in one statement for all instead of one for each."""
    step, batch = context.get_step_execution_context(), str(uuid4())
    for number, event in enumerate(events, 1):
        recorded = DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, number == len(events)))
        context.op_execution_context._events.append(recorded)  # noqa: SLF001  else the run's result would not know of them


def _failure(result: Materialization) -> dict[str, Any]:
    return {"failing_rows": checks.failing_rows([day for day in result.days if day.status == "failed"])}


def _preview(view: FeatureView, platform: Platform, day: DayResult) -> metadata.Metadata:
    """Return the newest rows of the day; what cannot be shown is not a reason to fail what is published."""
    try:
        columns, rows = platform.ask(newest_rows, view, day.day, limit=_PREVIEWED)
    except UserError as error:
        return {"preview": dg.MetadataValue.text(f"not available: {error.what}")}
    return {"preview": metadata.preview(columns, rows)}
