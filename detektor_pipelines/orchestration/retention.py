"""Retention as a job: each night, what is older than a table keeps goes. Where nothing is set (`detektor retention --set`) nothing does.

No `from __future__ import annotations` here: Dagster reads the annotations of ops.
"""

import dagster as dg

from detektor_pipelines.settings import Settings, get_settings

JOB = "apply_retention"
LOGIN = "admin"
"""On the servers of `detektor up` the code location itself may delete no event; this job logs in as who may."""


def apply_retention(settings: Settings | None = None) -> dg.JobDefinition:
    """Return the job; it waits for everything else in the queue."""

    @dg.op(description="Removes what is older than its table keeps: events, rejections, feature rows, predictions, results of drift.")
    def remove_what_is_old(context: dg.OpExecutionContext) -> None:
        from detektor_pipelines.erasure.retention import apply

        cuts = [each for each in apply(settings or get_settings().as_login(LOGIN)) if each.days is not None]
        for each in cuts:
            context.log.info("%s keeps %d days: %d older ones removed.", each.name, each.days, each.rows)
        context.add_output_metadata({each.name: each.rows for each in cuts})

    @dg.job(
        name=JOB,
        executor_def=dg.in_process_executor,
        tags={"detektor/reason": "housekeeping", "dagster/priority": "-10"},
        description="Removes what is older than `detektor retention` says that its table keeps; what was computed of it stays.",
    )
    def job() -> None:
        remove_what_is_old()

    return job


def nightly_retention(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule: each night after the day was closed, on from the start."""
    return dg.ScheduleDefinition(
        name=f"{JOB}_nightly",
        job=job,
        cron_schedule="40 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes what is older than its table keeps, each night.",
    )
