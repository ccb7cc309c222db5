"""The same features in Spark SQL, in local mode: events from Parquet, rows to Parquet.

Two halves, because Spark has an interpreter of its own: `queries` writes one query a view (with this project's definitions), and this file
run as a program executes them, with nothing but pyspark. A window's sum is the running sum of what enters and what leaves, for a frame of
Spark's has a constant length and some windows open at midnights; extremes take RANGE frames, different values islands by `lead`.
What it leaves out says `peers`; it writes no store.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

    from detektor_pipelines.language.aggregations import Aggregation
    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.language.windows import Window

RUNNING: Final = "PARTITION BY agent_id ORDER BY h ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
CACHED: Final = ("hourly", "cells", "instants")
"""Steps that others read several times: Spark would compute them anew for each."""


def main() -> None:
    """Run the queries of a JSON file: `directory` with `<view>.parquet`, `queries` by view, `memory` of the driver; print what it cost."""
    from pyspark.sql import SparkSession

    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = time.perf_counter()
    spark = (
        SparkSession.builder.master("local[*]")
        .appName("side by side")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", work["memory"])
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    figures: dict[str, Any] = {"session_s": time.perf_counter() - started}
    jvm = spark.sparkContext._gateway.proc.pid  # noqa: SLF001 - the process whose memory and time are Spark's
    started, busy, jvm_busy = time.perf_counter(), time.process_time(), _cpu(jvm)
    for name, steps in work["queries"].items():
        spark.read.parquet(f"{work['directory']}/{name}.parquet").createOrReplaceTempView("events")
        for step, text in steps.items():
            found = spark.sql(text)
            if step in CACHED:
                found.cache()
            found.createOrReplaceTempView(step)
        found.write.mode("overwrite").parquet(f"{work['directory']}/{name}.rows")
        spark.catalog.clearCache()
    figures |= {
        "s": time.perf_counter() - started,
        "cpu_s": time.process_time() - busy + _cpu(jvm) - jvm_busy,
        "peak_mb": (_peak(jvm) + _peak("self")) / 1024,
    }
    print(json.dumps(figures))
    spark.stop()


def _cpu(pid: int) -> float:
    """Return the processor time of a process, s."""
    import os

    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int | str) -> int:
    """Return the greatest resident memory that a process has had, kB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])


# What it runs ------------------------------------------------------------------------------------------------------------------


def queries(views: tuple[FeatureView, ...], start: datetime, end: datetime) -> dict[str, dict[str, str]]:
    """Write each view's steps, by the name that the later ones read: from a table `events` to its rows."""
    return {view.name: _steps(view, start, end) for view in views}


def _steps(view: FeatureView, start: datetime, end: datetime) -> dict[str, str]:
    import peers

    cells, frames, deltas, windowed, joined = peers.Named("c"), peers.Named("w"), _Deltas(), {}, {}
    for number, (name, aggregation, window, where) in enumerate(peers.aggregated(view)):
        if aggregation.function == "distinct":
            joined[f"d{number}"] = _distinct(aggregation, window, where)
            windowed[name] = frames.name(f"coalesce(last(d{number}.n, true) OVER running, 0)")
        else:
            windowed[name] = _windowed(cells, frames, deltas, aggregation, window, where)
    return {
        "hourly": "SELECT *, (unix_micros(occurred_at) + 3599999999) div 3600000000 AS h FROM events",
        "keyed": f"""
            SELECT *, '{view.agent}' AS agent_id FROM hourly
            UNION ALL SELECT *, '{view.agent}@' || project FROM hourly WHERE project IS NOT NULL
        """,
        "cells": f"SELECT agent_id, h, {cells.select()} FROM keyed GROUP BY agent_id, h",
        "instants": peers.instants_sql(view, "(h + {0} - 1) div {0} * {0}"),
        "deltas": f"SELECT agent_id, h, {deltas.sums()} FROM ({deltas.entering_and_leaving()}) GROUP BY agent_id, h",
        **joined,
        "windowed": f"""
            SELECT agent_id, h, {frames.select()}
            FROM instants LEFT JOIN cells USING (agent_id, h) LEFT JOIN deltas USING (agent_id, h)
            {" ".join(f"LEFT JOIN {name} USING (agent_id, h)" for name in joined)}
            WINDOW running AS ({RUNNING})
        """,
        "rows": f"""
            SELECT agent_id, timestamp_seconds(h * 3600) AS event_timestamp, timestamp_seconds(h * 3600) AS created_at,
                {peers.features_sql(view, windowed)}
            FROM windowed WHERE h * 3600 > {int(start.timestamp())} AND h * 3600 <= {int(end.timestamp())}
        """,
    }


class _Deltas:
    """What enters and leaves windows: a column for each cell and window."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, Window], str] = {}

    def name(self, cell: str, window: Window) -> str:
        return self.columns.setdefault((cell, window), f"s{len(self.columns)}")

    def sums(self) -> str:
        return ", ".join(f"sum({name}) AS {name}" for name in self.columns.values())

    def entering_and_leaving(self) -> str:
        """Write what enters once, and what leaves once for each window, with zeros for the others' columns."""
        import peers

        windows = dict.fromkeys(window for _, window in self.columns)
        entering = ", ".join(f"{cell} AS {name}" for (cell, _), name in self.columns.items())
        selects = [f"SELECT agent_id, h, {entering} FROM cells"]
        for window in windows:
            leaving = ", ".join(f"{f'-{cell}' if of == window else '0'} AS {name}" for (cell, of), name in self.columns.items())
            hop = peers.hop(window)
            selects.append(f"SELECT agent_id, (h + {hop - 1}) div {hop} * {hop} + {peers.hours(window)} AS h, {leaving} FROM cells")
        return " UNION ALL ".join(selects)


def _windowed(cells: Any, frames: Any, deltas: _Deltas, aggregation: Aggregation, window: Window, where: Predicate | None) -> str:
    import peers

    match aggregation.function:
        case "last":
            operand = peers.sql(aggregation.operand)
            condition = f"{operand} IS NOT NULL" + (f" AND {peers.sql(where)}" if where is not None else "")
            latest = cells.name(f"max_by({operand}, struct(occurred_at, event_id)) FILTER (WHERE {condition})")
            seen = frames.name(f"last(CASE WHEN {latest} IS NOT NULL THEN h END, true) OVER running")
            hop = peers.hop(window)
            leaves = f"({seen} + {hop - 1}) div {hop} * {hop} + {peers.hours(window)}"
            return f"CASE WHEN {leaves} > h THEN {frames.name(f'last({latest}, true) OVER running')} END"
        case "maximum" | "minimum":
            function = aggregation.function[:3]
            return frames.name(_extreme(cells.name(peers.cell_sql(function, aggregation, where)), function, window))
        case _:
            sums = []
            for role in peers.parts(aggregation):
                name = deltas.name(cells.name(peers.cell_sql(role, aggregation, where)), window)
                sums.append(frames.name(f"coalesce(sum({name}) OVER running, 0)"))
            greatest = ""
            if aggregation.function == "quantile":
                greatest = frames.name(_extreme(cells.name(peers.cell_sql("max", aggregation, where)), "max", window))
            return peers.quotient_sql(aggregation, sums, greatest)


def _extreme(cell: str, function: str, window: Window) -> str:
    """Write an extreme over a RANGE frame; where the hop is a day, over the whole days and the day under way."""
    import peers

    if peers.hop(window) == 1:
        frame = f"PARTITION BY agent_id ORDER BY h RANGE BETWEEN {peers.hours(window) - 1} PRECEDING AND CURRENT ROW"
        return f"{function}({cell}) OVER ({frame})"
    length, day = peers.hours(window) // 24, "(h + 23) div 24"

    def whole(back: int) -> str:
        return f"{function}({cell}) OVER (PARTITION BY agent_id ORDER BY {day} RANGE BETWEEN {back} PRECEDING AND 1 PRECEDING)"

    ended = f"CASE WHEN h % 24 = 0 THEN {whole(length - 1)} ELSE {whole(length)} END"
    today = f"{function}({cell}) OVER (PARTITION BY agent_id, {day} ORDER BY h)"
    return f"{'greatest' if function == 'max' else 'least'}({ended}, {today})"


def _distinct(aggregation: Aggregation, window: Window, where: Predicate | None) -> str:
    """Write the number of different values from each instant on: each is there until it has left or comes again."""
    import peers

    operand, condition, hop = peers.sql(aggregation.operand), peers.sql(where) if where is not None else "TRUE", peers.hop(window)
    return f"""
        SELECT agent_id, h, sum(sum(step)) OVER ({RUNNING}) AS n FROM (
            SELECT agent_id, h, 1 AS step FROM (SELECT DISTINCT agent_id, h, {operand} AS value FROM keyed WHERE {condition})
            WHERE value IS NOT NULL
            UNION ALL
            SELECT agent_id, least((h + {hop - 1}) div {hop} * {hop} + {peers.hours(window)},
                lead(h) OVER (PARTITION BY agent_id, value ORDER BY h)) AS h, -1 AS step
            FROM (SELECT DISTINCT agent_id, h, {operand} AS value FROM keyed WHERE {condition}) WHERE value IS NOT NULL
        ) GROUP BY agent_id, h
    """


if __name__ == "__main__" and sys.argv[1:]:
    main()
