"""What the tests of the rules do on real PostgreSQL: run days by name, read rows and states back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from detektor_pipelines.clock import to_us
from detektor_pipelines.engine.materialize import Materialization, materialize
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import PublishedDay, published_days, row_table
from detektor_pipelines.stores.offline.staleness import stale_days
from support.rule_views import short

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings


def days_of(first: str, last: str) -> list[date]:
    """The days from "2026-03-05" to another, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def run(settings: Settings, view: FeatureView, first: str, last: str | None = None) -> Materialization:
    """Materialize the days."""
    return materialize(settings, view, days_of(first, last or first))


def stored(settings: Settings, view: FeatureView) -> list[dict[str, Any]]:
    """Every stored row by key and order of writing: agent_id, `at`, `known`, features."""
    names = ", ".join(f'"{each.name}"' for each in view.features)
    with connect(settings) as connection:
        cursor = connection.execute(
            f'SELECT agent_id, event_timestamp AS at, created_at AS known, {names} FROM feast."{row_table(view)}"'
            " ORDER BY agent_id, event_timestamp, created_at, written_at"
        )
        assert cursor.description is not None
        columns = [column.name for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return [{**row, "at": short(to_us(row["at"])), "known": short(to_us(row["known"]))} for row in rows]


def published(settings: Settings, view: FeatureView) -> dict[str, PublishedDay]:
    """What is published, by day as text."""
    with connect_arrow(settings) as connection:
        return {day.day.isoformat(): day for day in published_days(connection, view)}


def stale(settings: Settings, view: FeatureView) -> list[str]:
    """Days that newer events reach, as text."""
    with connect(settings) as connection:
        return [day.isoformat() for day in stale_days(connection, view)]
