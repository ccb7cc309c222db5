"""The gate as a Dagster check: what a failed day looks like to the person who has to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.engine.materialize import DayResult
    from detektor_pipelines.language.views import FeatureView

GATE: Final = "values_are_valid"
_ROWS_SHOWN: Final = 50


def gate_spec(view: FeatureView, key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the blocking check of a `features` asset."""
    return dg.AssetCheckSpec(
        name=GATE,
        asset=key,
        blocking=True,
        description="The rows of each day pass the view's Pandera schema (types, nulls, bounds, order) before any of them is published.",
        metadata={"bounds": dg.MetadataValue.table(records=_bounds(view))},
    )


def gate_result(key: dg.AssetKey, days: Sequence[DayResult]) -> dg.AssetCheckResult:
    """Say whether all `days` passed; of those that did not, list the day and up to 50 failing rows."""
    failed = [day for day in days if day.status == "failed"]
    rows = sum(day.rows for day in days)
    if not failed:
        return dg.AssetCheckResult(passed=True, asset_key=key, check_name=GATE, metadata={"rows": rows, "days": len(days)})
    return dg.AssetCheckResult(
        passed=False,
        asset_key=key,
        check_name=GATE,
        severity=dg.AssetCheckSeverity.ERROR,
        description=summary(days),
        metadata={
            "failed_days": ", ".join(day.day.isoformat() for day in failed),
            "failed_day_count": len(failed),
            "published_day_count": len(days) - len(failed),
            "failing_rows": failing_rows(failed),
        },
    )


def summary(days: Sequence[DayResult]) -> str:
    """Return one sentence: which days failed, and that the others are published."""
    failed = [day.day.isoformat() for day in days if day.status == "failed"]
    shown = ", ".join(failed[:10]) + (f" and {len(failed) - 10} more" if len(failed) > 10 else "")  # noqa: PLR2004
    good = len(days) - len(failed)
    were = "was" if len(failed) == 1 else "were"
    return f"{len(failed)} of {len(days)} days did not pass and {were} not published: {shown}." + (
        f" The other {good} {'is' if good == 1 else 'are'} published." if good else ""
    )


def failing_rows(failed: Sequence[DayResult]) -> dg.TableMetadataValue:
    """Return what the gate says of the failing rows, the day first, as a table of text."""
    cases = [{"day": day.day.isoformat()} | _texts(case) for day in failed for case in day.failures or ()]
    columns = list(dict.fromkeys(column for case in cases for column in case)) or ["day"]
    return dg.MetadataValue.table(
        records=[dg.TableRecord({column: case.get(column, "") for column in columns}) for case in cases[:_ROWS_SHOWN]],
        schema=dg.TableSchema(columns=[dg.TableColumn(column) for column in columns]),
    )


def _texts(case: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): "null" if value is None else str(value) for name, value in case.items()}


def _bounds(view: FeatureView) -> list[dg.TableRecord]:
    def text(bound: float | None) -> str:
        return "" if bound is None else str(bound)

    return [
        dg.TableRecord(
            {
                "feature": each.name,
                "type": each.value_type,
                "least": text(each.within[0]),
                "greatest": text(each.within[1]),
                "null": each.null_means if each.nullable else "never",
            }
        )
        for each in view.features
    ]
