"""What a person sees of a view and of its materializations on Dagster's pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines.language.hashes import data_hash, metadata_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.engine.materialize import DayResult, Materialization
    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import Feature, FeatureView

Metadata = dict[str, Any]

_KEY_COLUMNS: Final = (
    dg.TableColumn("agent_id", "string", "The agent across all projects, or `agent@project`.", dg.TableColumnConstraints(nullable=False)),
    dg.TableColumn("event_timestamp", "timestamp", "The time the values hold from, UTC.", dg.TableColumnConstraints(nullable=False)),
    dg.TableColumn("created_at", "timestamp", "When the values were known, UTC.", dg.TableColumnConstraints(nullable=False)),
)


def of_definition(view: FeatureView) -> Metadata:
    """Return what is true of the view whatever was materialized: columns, version, hashes."""
    return {
        "dagster/column_schema": dg.TableSchema(columns=[*_KEY_COLUMNS, *map(_column, view.features)]),
        "agent": view.agent,
        "view": view.name,
        "feature_version": f"v{view.version}",
        "data_hash": data_hash(view),
        "metadata_hash": metadata_hash(view),
        "features": len(view.features),
        "longest_window": view.longest.label,
    }


def of_run(view: FeatureView, result: Materialization) -> Metadata:
    """Return what all days of one run share: how much was read, with what their windows reach back to, and by which definition."""
    return {
        "feature_version": f"v{view.version}",
        "data_hash": data_hash(view),
        "events_read": result.event_count,
        "snapshot": str(result.snapshot),
        "run_seconds": round(result.seconds, 3),
    }


def of_day(day: DayResult) -> Metadata:
    """Return what differs between the days of a run: the events are those of the day itself."""
    first, last = day.event_range or (None, None)
    return {
        "events": day.events,
        "event_range": f"{first} … {last}" if first else "none",
        "dagster/row_count": day.rows,
        "rows_written": day.written,
        "rows_hash": day.hash,
        "status": day.status,
        "null_rates": dg.MetadataValue.md(null_rates(day.null_rates)),
    }


def of_publication(publication: OnlinePublication) -> Metadata:
    """Return what an online publication wrote, and what became of what was refused."""
    return {
        "keys": publication.keys,
        "written": publication.written,
        "from_log": publication.from_log,
        "withheld": publication.withheld,
        "refused": publication.refused,
        "made_good": publication.made_good,
        "lost": publication.lost,
        "as_of": str(publication.as_of or "nothing is published offline yet"),
        "seconds": round(publication.seconds, 3),
    }


def null_rates(rates: Mapping[str, float] | None) -> str:
    """Return the shares of nulls of the features that have some, as a Markdown table, the greatest first."""
    if rates is None:
        return "No rows."
    some = sorted(((name, rate) for name, rate in rates.items() if rate), key=lambda pair: (-pair[1], pair[0]))
    if not some:
        return "No nulls."
    return "\n".join(["| feature | null |", "|---|---:|", *(f"| {name} | {rate:.1%} |" for name, rate in some)])


def preview(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.TableMetadataValue:
    """Return a few rows as a table that lies on its side: a line for each column, since views are wider than a page."""
    names = ["column", *(f"row {number}" for number in range(1, len(rows) + 1))]
    lines = [[column, *(_cell(row[position]) for row in rows)] for position, column in enumerate(columns)]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(dict(zip(names, line, strict=True))) for line in lines],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in names]),
    )


def _column(feature: Feature) -> dg.TableColumn:
    kind = {"int64": "int", "float64": "float", "instant": "timestamp", "text": "string"}[feature.value_type]
    text = f"{feature.description} Unit: {feature.unit}." + (f" Null: {feature.null_means}" if feature.nullable else "")
    least, greatest = feature.within
    bounds = [f">= {least}" if least is not None else "", f"<= {greatest}" if greatest is not None else ""]
    constraints = dg.TableColumnConstraints(nullable=feature.nullable, other=[bound for bound in bounds if bound])
    return dg.TableColumn(feature.name, kind, text, constraints)


def _cell(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
