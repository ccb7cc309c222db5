"""What Dagster has noted: backfills, and the verdicts of the checks. Read from its tables: a question by GraphQL costs it a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer

if TYPE_CHECKING:
    from detektor_pipelines.monitoring.exporter.question import Stores

GATE: Final = "values_are_valid"
"""As `orchestration.checks.gate` calls it, which is in a layer above."""

_THERE: Final = "SELECT to_regclass('dagster.runs') IS NOT NULL AND to_regclass('dagster.asset_check_executions') IS NOT NULL"

_BACKFILLS: Final = """
WITH part AS (
    SELECT coalesce(backfill_id, run_id) AS name, extract(epoch FROM create_timestamp AT TIME ZONE 'UTC') AS since,
           coalesce(end_time, extract(epoch FROM update_timestamp AT TIME ZONE 'UTC')) AS until,
           status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED') AS open
    FROM dagster.runs
    WHERE create_timestamp > now() AT TIME ZONE 'UTC' - interval '30 days' AND (backfill_id IS NOT NULL OR EXISTS (
        SELECT FROM dagster.run_tags AS tag
        WHERE tag.run_id = runs.run_id AND (key = 'dagster/backfill' OR (key = 'detektor/reason' AND value = 'backfill'))
    ))
    UNION ALL
    SELECT key, extract(epoch FROM timestamp AT TIME ZONE 'UTC'), NULL, status IN ('REQUESTED', 'CANCELING', 'FAILING')
    FROM dagster.bulk_actions WHERE timestamp > now() AT TIME ZONE 'UTC' - interval '30 days'
), whole AS (
    SELECT min(since) AS since, max(until) AS until, bool_or(open) AS open FROM part GROUP BY name
)
SELECT coalesce(max(extract(epoch FROM now()) - since) FILTER (WHERE open), 0)::float8,
       ((array_agg(until - since ORDER BY until DESC) FILTER (WHERE NOT open AND until IS NOT NULL))[1])::float8
FROM whole
"""
"""Backfills begun in Dagster are several runs, those of the command line one; the month keeps it short."""

_FAILURES: Final = """
SELECT asset_key, count(*) FROM dagster.asset_check_executions
WHERE asset_key = ANY(%s) AND check_name = %s AND execution_status = 'FAILED' GROUP BY 1
"""
_NEWEST: Final = """
SELECT DISTINCT ON (asset_key, check_name) asset_key, check_name, execution_status FROM dagster.asset_check_executions
WHERE asset_key = ANY(%s) AND execution_status IN ('SUCCEEDED', 'FAILED')
  AND id > (SELECT max(id) - 5000 FROM dagster.asset_check_executions)
ORDER BY asset_key, check_name, id DESC
"""
"""Five thousand verdicts are three days of hourly runs."""


def backfills(stores: Stores) -> Answer:
    """Say how long the longest backfill has been under way, and how long the one took that ended last."""
    if not _there(stores):
        return Answer({metrics.BACKFILL_RUNNING: {(): 0.0}})
    running, last = stores.postgres.execute(_BACKFILLS).fetchone() or (0.0, None)
    return Answer({metrics.BACKFILL_RUNNING: {(): running}, metrics.BACKFILL_LAST: {} if last is None else {(): last}})


def checks(stores: Stores) -> Answer:
    """Say how often the gate held rows back, and which checks did not pass when they were last computed."""
    keys = {json.dumps([view.group, "features"]): view.name for view in VIEWS}
    failures = dict.fromkeys(keys, 0)
    verdicts: list[tuple[str, str, str]] = []
    if _there(stores):
        failures |= dict(stores.postgres.execute(_FAILURES, (list(keys), GATE)).fetchall())
        verdicts = stores.postgres.execute(_NEWEST, (list(keys),)).fetchall()
    return Answer(
        {
            metrics.GATE_FAILURES: {(keys[key],): float(number) for key, number in failures.items()},
            metrics.CHECK_FAILING: {(keys[key], check): float(status == "FAILED") for key, check, status in verdicts},
        }
    )


def _there(stores: Stores) -> bool:
    return stores.postgres.execute(_THERE).fetchone() == (True,)
