"""From a materialization to the record that MLflow keeps of it."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from detektor_pipelines.compile.lineage import columns_read
from detektor_pipelines.language.hashes import data_hash, metadata_hash
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord, code_revision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.engine.materialize import DayResult, Materialization
    from detektor_pipelines.language.views import FeatureView


def record(view: FeatureView, result: Materialization, *, root: str, dagster: dict[str, str], started_ns: int) -> MaterializationRecord:
    """Return what MLflow is told: which definition, which days, what was read, what came out."""
    failed = tuple(day.day.isoformat() for day in result.days if day.status == "failed")
    days = [day.day.isoformat() for day in result.days]
    first, last = result.event_range or (None, None)
    return MaterializationRecord(
        root=root,
        agent=view.agent,
        view=view.name,
        version=view.version,
        data_hash=data_hash(view),
        metadata_hash=metadata_hash(view),
        status="FAILED" if failed else "FINISHED",
        days=(days[0], days[-1], len(days)),
        failed_days=failed,
        rows_hash=rows_hash(result.days),
        counts=_counts(result),
        null_rates=_null_rates(result.days),
        events=(str(first), str(last)) if first is not None else None,
        snapshot=str(result.snapshot),
        made_from=columns_read(view),
        dagster=dagster,
        started_ms=started_ns // 1_000_000,
        ended_ms=time.time_ns() // 1_000_000,
        code_revision=code_revision(),
    )


def rows_hash(days: Sequence[DayResult]) -> str:
    """SHA-256 (hex) over the hashes of the days that passed, in order of day: the same rows give the same hash, however they were split."""
    lines = (f"{day.day.isoformat()} {day.hash}\n" for day in sorted(days, key=lambda day: day.day) if day.status != "failed")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _counts(result: Materialization) -> dict[str, float]:
    statuses = [day.status for day in result.days]
    return {
        "rows": sum(day.rows for day in result.days),
        "rows_written": sum(day.written for day in result.days),
        "events": result.event_count,
        "seconds": result.seconds,
        "days_published": statuses.count("published"),
        "days_unchanged": statuses.count("unchanged"),
        "days_failed": statuses.count("failed"),
    }


def _null_rates(days: Sequence[DayResult]) -> dict[str, float]:
    """Return the share of nulls by feature over all days, each day by its rows."""
    rows = sum(day.rows for day in days if day.null_rates)
    if not rows:
        return {}
    nulls: dict[str, float] = {}
    for day in days:
        for name, rate in (day.null_rates or {}).items():
            nulls[name] = nulls.get(name, 0.0) + rate * day.rows
    return {name: count / rows for name, count in nulls.items()}
