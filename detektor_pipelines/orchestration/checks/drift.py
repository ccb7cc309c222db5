"""Drift once a day: a job that looks at all views and has Dagster show what it found, beside what each publication's check says of it.

No `from __future__ import annotations` here: Dagster reads the annotations of ops.
"""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.checks.beside import news
from detektor_pipelines.orchestration.keys import features_key
from detektor_pipelines.orchestration.resources import LocalPlatform, Platform
from detektor_pipelines.quality.findings import DRIFT, Finding, not_computed
from detektor_pipelines.settings import Settings

JOB: Final = "drift"


def drift_job(views: Sequence[FeatureView], settings: Settings | None = None, platform: Platform | None = None) -> dg.JobDefinition:
    """Return the job; `platform` is asked, by default the servers of `settings`."""

    @dg.op(description="Compares each feature's last seven published days with its reference, keeps what was found, and shows it.")
    def look_at_drift(context: dg.OpExecutionContext) -> None:
        asked = platform or LocalPlatform(settings)
        found = {features_key(view): _found(asked, view) for view in views}
        for event in news(context.instance, found):
            context.instance.report_runless_asset_event(event)
        for key, finding in found.items():
            context.log.info("%s: %s", key.to_user_string(), finding.summary)
        context.add_output_metadata({"drifted_views": sum(not finding.passed for finding in found.values())})

    @dg.job(
        name=JOB,
        executor_def=dg.in_process_executor,
        tags={"detektor/reason": "drift"},
        description="Looks whether features have drifted from their references.",
    )
    def job() -> None:
        look_at_drift()

    return job


def daily_drift(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the job's schedule: half an hour after the day before is closed."""
    return dg.ScheduleDefinition(
        name="daily_drift",
        job=job,
        cron_schedule="45 0 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compares each feature's last seven published days with its reference, and keeps what was found.",
    )


def _found(platform: Platform, view: FeatureView) -> Finding:
    from detektor_pipelines.quality.drift.finding import drift

    try:
        return platform.ask(drift, view)
    except UserError as error:
        return not_computed(DRIFT.name, str(error))
