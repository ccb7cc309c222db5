"""Every agent's features over time, one value a day: what the published rows say at the day's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.engine.as_of import values_of_nothing
from detektor_pipelines.language.calendar import end_us, owner, owner_sql
from detektor_pipelines.language.events import AGENTS
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.report.contents import MISSING, NULL, Series, ViewSeries
from detektor_pipelines.stores.offline.newest import ROW, newest_of_each
from detektor_pipelines.stores.offline.rows import SCHEMA, published_days, row_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import Feature, FeatureView
    from detektor_pipelines.report.contents import Period


def series_of(connection: Connection, view: FeatureView, period: Period) -> ViewSeries:
    """Return the view's features for its agent across all projects.

    A row is true until the next one, so a day without a row has the value of the day before, and one before all rows that of empty windows;
    a day that is not published has none.
    """
    published = {each.day for each in published_days(connection, view)}
    rows = _last_rows(connection, view) if published else []
    at_ends: list[dict[str, Any] | None] = []
    last, position = dict(zip((each.name for each in view.features), values_of_nothing(view), strict=True)), 0
    for day in period.days:
        while position < len(rows) and rows[position]["event_timestamp"] <= end_us(day):
            last, position = rows[position], position + 1
        at_ends.append(last if day in published else None)
    decides = next(agent.decides for agent in AGENTS if agent.agent_type == view.agent)
    found = tuple(_series(each, period.days, at_ends) for each in view.features if each.value_type != "text")  # no line to draw
    within = sum(period.first <= owner(row["event_timestamp"]) <= period.last for row in rows)
    return ViewSeries(view.name, view.version, view.agent, decides, view.description, within, found)


def _last_rows(connection: Connection, view: FeatureView) -> list[dict[str, Any]]:
    """Return each day's last row in its newest version, the oldest day first; timestamps as µs UTC."""
    import pyarrow as pa

    names = ", ".join(f'"{each.name}"' for each in view.features)
    source = f"(SELECT *, {owner_sql('event_timestamp')} AS day FROM {SCHEMA}.\"{row_table(view)}\" WHERE agent_id = '{view.agent}') AS own"
    with connection.cursor() as cursor:
        cursor.execute(newest_of_each(f"event_timestamp, {names}", source, ("day",), ROW))
        table = cursor.fetch_arrow_table()
    columns = {name: table[name].cast("int64") if pa.types.is_timestamp(table[name].type) else table[name] for name in table.column_names}
    found: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return found


def _series(feature: Feature, days: Sequence[date], at_ends: Sequence[dict[str, Any] | None]) -> Series:
    """Return one feature's values."""
    values: list[float | int | str] = []
    now = clock.now_us()
    for day, row in zip(days, at_ends, strict=True):
        if row is None:
            values.append(MISSING)
        elif row[feature.name] is None:
            values.append(NULL)
        elif feature.value_type == "instant":
            values.append(round((min(end_us(day), now) - row[feature.name]) / DAY, 3))
        else:
            values.append(row[feature.name])
    unit = "days since, at the day's end" if feature.value_type == "instant" else feature.unit
    return Series(feature.name, unit, feature.description, feature.null_means, feature.value_type, tuple(values))
