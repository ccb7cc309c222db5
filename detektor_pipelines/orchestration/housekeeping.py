"""Dagster's own growth kept in bounds: a weekly job that deletes from `event_logs` what no page shows any more.

Ticks have a retention in dagster.yaml; events have none, and every run leaves some. What may go is what Dagster's page "Cleaning older data
from your Dagster database" (docs.dagster.io/deployment/troubleshooting/database-tuning) lists, with these differences, each because a page
reads it (dagster/_core/storage/event_log/sql_event_log.py):

- of the planned materializations the newest of each partition stays: a planned one without a later materialization is how Dagster
  knows a partition that failed (`get_latest_asset_partition_materialization_attempts_without_materializations`) and when an asset was last
  asked for (`get_latest_planned_materialization_info`);
- PIPELINE_ENQUEUED and PIPELINE_STARTING stay, two rows a run: the run's page has its times from them (`get_stats_for_run`);
- of the observations that no run made (of the log, and of the stream each minute: half a million a year) the newest of each asset stays;
- planned checks go too: `asset_check_executions` has a copy, and that is what the check's page reads;
- runs that did not succeed keep everything longer, since somebody may yet ask why;
- rows of `runs` stay: materializations link to them, and deleting a run in Dagster deletes its materializations.

No `from __future__ import annotations` here: Dagster reads the annotations of ops.
"""

from dataclasses import dataclass
from typing import Final

import dagster as dg
from pydantic import Field

JOB: Final = "trim_event_log"
_BATCH: Final = 10_000
_ERROR_LEVEL: Final = 40
_DEBUG_LEVEL: Final = 10
_TRANSIENT: Final = (
    "ASSET_CHECK_EVALUATION_PLANNED",
    "ENGINE_EVENT",
    "HANDLED_OUTPUT",
    "LOADED_INPUT",
    "LOGS_CAPTURED",
    "PIPELINE_CANCELING",
    "PIPELINE_DEQUEUED",
    "RESOURCE_INIT_FAILURE",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "STEP_INPUT",
    "STEP_OUTPUT",
    "STEP_WORKER_STARTED",
    "STEP_WORKER_STARTING",
)
_PLANNED: Final = "ASSET_MATERIALIZATION_PLANNED"
_OBSERVED: Final = "ASSET_OBSERVATION"
_SUCCEEDED: Final = "SUCCESS"
_FAILED: Final = ("FAILURE", "CANCELED")

_DELETE: Final = """
    WITH old AS (
        SELECT log.id, log.dagster_event_type AS kind, log.asset_key, log.partition, run.run_id IS NULL AS of_no_run,
               -- a line of a logger: its level stands unescaped in the serialized entry only once
               CASE WHEN log.dagster_event_type IS NULL THEN substring(log.event FROM '(?<!\\\\)"level": ([0-9]+)')::int END AS level,
               log.timestamp < timezone('utc', now()) - make_interval(days => CASE
                   WHEN run.status = ANY(:failed) THEN :keep_failed_days ELSE :keep_days END) AS due,
               log.timestamp < timezone('utc', now()) - make_interval(days => :keep_debug_days) AS due_if_debug
        FROM event_logs AS log LEFT JOIN runs AS run USING (run_id)
        WHERE log.id > :after AND log.id <= :upto AND (run.run_id IS NULL OR run.status = :succeeded OR run.status = ANY(:failed))
    ), gone AS (
        DELETE FROM event_logs AS log USING old
        WHERE log.id = old.id AND (
            (old.due AND old.kind = ANY(:transient))
            OR (old.due AND old.level < :error_level)
            OR (old.due_if_debug AND old.level <= :debug_level)
            OR (old.due AND (old.kind = :planned OR (old.kind = :observed AND old.of_no_run)) AND EXISTS (
                SELECT FROM event_logs AS later
                WHERE later.asset_key = old.asset_key AND later.dagster_event_type = old.kind
                  AND later.partition IS NOT DISTINCT FROM old.partition AND later.id > old.id
            ))
        )
        RETURNING log.id, pg_column_size(log.event) AS bytes
    ), their_tags AS (
        DELETE FROM asset_event_tags AS tag USING gone WHERE tag.event_id = gone.id
    )
    SELECT count(*), coalesce(sum(bytes), 0) FROM gone
"""
_RANGE: Final = """
    SELECT coalesce(min(id), 0) - 1, coalesce(max(id) FILTER (WHERE timestamp < timezone('utc', now()) - make_interval(days => :days)), -1)
    FROM event_logs
"""
_LEFT: Final = "SELECT count(*), pg_total_relation_size('event_logs') FROM event_logs"


class TrimConfig(dg.Config):
    """How long what is kept."""

    keep_days: int = Field(default=30, ge=1, description="Days that a successful run keeps its event log, apart from what pages show.")
    keep_failed_days: int = Field(default=90, ge=1, description="The same for runs that failed or were cancelled.")
    keep_debug_days: int = Field(default=7, ge=1, description="Days that DEBUG lines are kept, of any run.")


@dataclass(frozen=True)
class TrimResult:
    """What one trim did.

    Attributes:
        rows: Events deleted.
        bytes: Bytes of those events as they were stored; PostgreSQL uses the place again.
        rows_left: Events that stay.
        table_bytes: Bytes on disk of the table with its indexes.

    """

    rows: int
    bytes: int
    rows_left: int
    table_bytes: int


def trim(instance: dg.DagsterInstance, config: TrimConfig, *, batch: int = _BATCH) -> TrimResult:
    """Delete old events, `batch` ids in a transaction: nobody waits for long, and a cancelled trim keeps what it did."""
    from dagster._core.storage.event_log import SqlEventLogStorage
    from sqlalchemy import text

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise dg.Failure("The event log is not kept in PostgreSQL: there is nothing to trim.", allow_retries=False)
    days = {name: getattr(config, name) for name in ("keep_days", "keep_failed_days", "keep_debug_days")}
    fixed = days | {
        "transient": list(_TRANSIENT),
        "planned": _PLANNED,
        "observed": _OBSERVED,
        "failed": list(_FAILED),
        "succeeded": _SUCCEEDED,
    }
    fixed |= {"error_level": _ERROR_LEVEL, "debug_level": _DEBUG_LEVEL}
    rows = size = 0
    with storage.index_connection() as connection:
        first, last = connection.execute(text(_RANGE), {"days": min(days.values())}).one()
        for after in range(first, last, batch):
            number, freed = connection.execute(text(_DELETE), fixed | {"after": after, "upto": min(after + batch, last)}).one()
            rows, size = rows + number, size + freed
        connection.execute(text("VACUUM (ANALYZE) event_logs"))
        left, table = connection.execute(text(_LEFT)).one()
    return TrimResult(rows, int(size), left, table)


@dg.op(description="Deletes events of finished runs that no page shows any more; materializations and checks stay.")
def delete_old_events(context: dg.OpExecutionContext, config: TrimConfig) -> None:
    """Trim the event log and say what went."""
    done = trim(context.instance, config)
    context.log.info("%d events deleted (%.1f MB), %d left.", done.rows, done.bytes / 1e6, done.rows_left)
    context.add_output_metadata(
        {
            "rows_deleted": done.rows,
            "bytes_deleted": done.bytes,
            "rows_left": done.rows_left,
            "table_bytes": done.table_bytes,
        }
    )


def trim_event_log() -> dg.JobDefinition:
    """Return the job; it waits for everything else in the queue."""

    @dg.job(
        name=JOB,
        executor_def=dg.in_process_executor,
        tags={"detektor/reason": "housekeeping", "dagster/priority": "-10"},
        description="Keeps Dagster's event log from growing for ever: deletes from it what no page shows any more.",
    )
    def job() -> None:
        delete_old_events()

    return job


def weekly_trim(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule of the trim: Sunday morning, on from the start."""
    return dg.ScheduleDefinition(
        name=f"{JOB}_weekly",
        job=job,
        cron_schedule="20 4 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Trims Dagster's event log once a week.",
    )
