"""The same features in DuckDB's SQL: what a good analyst would write by hand.

One query a view over the events as an Arrow table: hourly cells by GROUPING SETS, and RANGE frames over them, whose start is an expression
of the row where a window hops by the day; `count(DISTINCT …) OVER` for different values, `last_value(… IGNORE NULLS)` for the latest.
What it leaves out says `peers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import peers
from peers import Named, aggregated, cell_sql, hop, hours

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa
    import redis
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.aggregations import Aggregation
    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.language.windows import Window


def backfill(connection: Connection, client: redis.Redis, view: FeatureView, start: datetime, end: datetime, target: str) -> int:
    """Read the view's events, compute its rows in (start, end], store them in both stores (`peers.store`); return their number."""
    import duckdb

    with connection.cursor() as cursor:
        cursor.execute(peers.events_query(view, start, end))
        events = cursor.fetch_arrow_table()
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("events", events)
        rows: pa.Table = engine.sql(query(view, start, end)).to_arrow_table()
    peers.store(connection, client, view, rows, target)
    return rows.num_rows


def query(view: FeatureView, start: datetime, end: datetime) -> str:
    """Write the view's query over a table `events`."""
    cells, frames, windowed, joined = Named("c"), Named("w"), {}, []
    for number, (name, aggregation, window, where) in enumerate(aggregated(view)):
        if aggregation.function == "distinct":
            joined.append((f"d{number}", _distinct(aggregation, window, where)))
            windowed[name] = frames.name(f"d{number}.n")
        else:
            windowed[name] = _windowed(cells, frames, aggregation, window, where)
    hour = "(epoch_us(occurred_at) + 3_599_999_999) // 3_600_000_000"
    return f"""
        WITH hourly AS (SELECT *, {hour} AS h FROM events),
        cells AS (
            SELECT CASE WHEN grouping(project) = 1 THEN '{view.agent}' ELSE '{view.agent}@' || project END AS agent_id, h, {cells.select()}
            FROM hourly GROUP BY GROUPING SETS ((h), (h, project)) HAVING grouping(project) = 1 OR project IS NOT NULL
        ),
        keyed AS (
            SELECT *, '{view.agent}' AS agent_id FROM hourly
            UNION ALL SELECT *, '{view.agent}@' || project FROM hourly WHERE project IS NOT NULL
        ),
        instants AS ({peers.instants_sql(view, "(h + {0} - 1) // {0} * {0}")}),
        {"".join(f"{name} AS ({text}), " for name, text in joined)}
        filled AS (SELECT * FROM instants LEFT JOIN cells USING (agent_id, h)),
        windowed AS (
            SELECT agent_id, h, {frames.select()}
            FROM filled {" ".join(f"JOIN {name} USING (agent_id, h)" for name, _ in joined)}
            WINDOW {", ".join(f"{_name(window)} AS ({_frame(window)})" for window in view.windows)}
        )
        SELECT agent_id, make_timestamptz(h * 3_600_000_000) AS event_timestamp, event_timestamp AS created_at,
            {peers.features_sql(view, windowed)}
        FROM windowed WHERE event_timestamp > '{start}' AND event_timestamp <= '{end}' ORDER BY ALL
    """


def _windowed(cells: Named, frames: Named, aggregation: Aggregation, window: Window, where: Predicate | None) -> str:
    """Write a feature as an expression of window functions over the cells."""

    def over(function: str, role: str) -> str:
        return frames.name(f"{function}({cells.name(cell_sql(role, aggregation, where))}) OVER {_name(window)}")

    match aggregation.function:
        case "last":
            operand = peers.sql(aggregation.operand)
            condition = f"{operand} IS NOT NULL" + (f" AND {peers.sql(where)}" if where is not None else "")
            latest = cells.name(f"arg_max({operand}, (occurred_at, event_id)) FILTER (WHERE {condition})")
            return frames.name(f"last_value({latest} IGNORE NULLS) OVER {_name(window)}")
        case "maximum" | "minimum":
            return over(aggregation.function[:3], aggregation.function[:3])
        case _:
            sums = [f"coalesce({over('sum', role)}, 0)" for role in peers.parts(aggregation)]
            greatest = over("max", "max") if aggregation.function == "quantile" else ""
            return peers.quotient_sql(aggregation, sums, greatest)


def _distinct(aggregation: Aggregation, window: Window, where: Predicate | None) -> str:
    """Write the number of different values at each instant: a row without a value stands for it."""
    operand, condition = peers.sql(aggregation.operand), peers.sql(where) if where is not None else "TRUE"
    return f"""
        SELECT agent_id, h, n FROM (
            SELECT agent_id, h, value, count(DISTINCT value) OVER ({_frame(window)}) AS n FROM (
                SELECT agent_id, h, NULL AS value FROM instants
                UNION ALL SELECT DISTINCT agent_id, h, {operand} FROM keyed WHERE {condition} AND {operand} IS NOT NULL
            )
        ) WHERE value IS NULL
    """


def _name(window: Window) -> str:
    return f"w{hours(window)}"


def _frame(window: Window) -> str:
    """Write the hours of (opening, h]; a window that hops by the day opens at a midnight."""
    back = f"{hours(window) - 1}" if hop(window) == 1 else f"h % {hop(window)} + {hours(window) - 1}"
    return f"PARTITION BY agent_id ORDER BY h RANGE BETWEEN {back} PRECEDING AND CURRENT ROW"
