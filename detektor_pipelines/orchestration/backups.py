"""The nightly backup: there when DETEKTOR_BACKUP_URL says where to; what it deletes, if anything, its run configuration says.

No `from __future__ import annotations` here: Dagster reads the annotations of ops.
"""

from typing import Final

import dagster as dg
from pydantic import Field

from detektor_pipelines.settings import Settings, get_settings

JOB: Final = "back_up"
LOGIN: Final = "backup"
"""On the servers of `detektor up` it logs in as who reads all tables, also those of MLflow, and changes none."""


class BackupConfig(dg.Config):
    """What becomes of older backups."""

    keep: int = Field(default=0, ge=0, description="How many of the newest backups stay; 0: all do, nothing is deleted.")


def back_up(settings: Settings | None = None) -> dg.JobDefinition:
    """Return the job; a failed one is told as every failed run is."""

    @dg.op(description="Makes a backup, consistent while everything goes on, and deletes older ones if it is asked to.")
    def make_backup(context: dg.OpExecutionContext, config: BackupConfig) -> None:
        from detektor_pipelines.recovery import listing, sealing
        from detektor_pipelines.recovery.create import create
        from detektor_pipelines.recovery.target import Target

        given = settings or get_settings().as_login(LOGIN)
        target = Target(given.backup_url or "")
        made = create(given, target, sealing.recipients(given), tell=context.log.debug)
        gone, _ = listing.prune(target, config.keep) if config.keep else ([], [])
        context.log.info("Backup %s: %d events, %.1f MB written.", made.manifest.backup, made.manifest.events, made.written / 1e6)
        context.add_output_metadata(
            {
                "backup": made.manifest.backup,
                "events": made.manifest.events,
                "bytes_written": made.written,
                "bytes": made.manifest.size,
                "encrypted": bool(made.manifest.recipients),
                "deleted": len(gone),
            }
        )

    @dg.job(
        name=JOB,
        executor_def=dg.in_process_executor,
        tags={"detektor/reason": "backup"},
        description="Backs up event log, features, registry, models and Dagster's history.",
    )
    def job() -> None:
        make_backup()

    return job


def nightly_backup(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule: each night after the day before is closed, on from the start."""
    return dg.ScheduleDefinition(
        name="nightly_backup",
        job=job,
        cron_schedule="45 1 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes a backup each night.",
    )
