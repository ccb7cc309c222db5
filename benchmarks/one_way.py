"""Compute the windows of all eight views in one way, in this process alone; print what it cost as one JSON object.

    .venv/bin/python benchmarks/one_way.py {ours,pandas,polars,duckdb} DAYS

`side_by_side.py` starts it: the servers' addresses are in the environment, the stores are empty. Imports are done before the clock starts;
`cpu_s` and `peak_mb` are of this process, not of PostgreSQL and Redis.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import measuring

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.settings import Settings

IMPORTS = {
    "ours": ("detektor_pipelines.engine.backfill", "duckdb", "pyarrow", "redis", "psycopg"),
    "pandas": ("pandas_peer", "pyarrow", "redis"),
    "polars": ("polars_peer", "pyarrow", "redis"),
    "duckdb": ("duckdb_peer", "duckdb", "pyarrow", "redis"),
}


def main() -> None:
    """Measure one way."""
    from detektor_pipelines.settings import Settings

    way, days = sys.argv[1], int(sys.argv[2])
    for name in (*IMPORTS[way], "adbc_driver_postgresql.dbapi", "detektor_pipelines.catalog"):
        importlib.import_module(name)
    settings = Settings()
    started, busy = time.perf_counter(), time.process_time()
    run: Callable[[], int] = (lambda: ours(settings, days)) if way == "ours" else (lambda: by_hand(settings, way, days))
    rows = run()
    figures = {"s": time.perf_counter() - started, "cpu_s": time.process_time() - busy, "rows": rows}
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(json.dumps(figures | {"peak_mb": int(status.partition("VmHWM:")[2].split()[0]) / 1024}))


def ours(settings: Settings, days: int) -> int:
    """Backfill with the engine."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill

    rows = 0
    for done in backfill(settings, VIEWS, measuring.last_days(days)):
        if done.materialization.failed:
            raise SystemExit(f"{done.view.name}: a day did not pass the gate")
        rows += sum(day.written for day in done.materialization.days)
    return rows


def by_hand(settings: Settings, way: str, days: int) -> int:
    """Backfill with a peer."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.online.values import redis_client

    peer = importlib.import_module(f"{way}_peer")
    start, end = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (measuring.last_days(days)[0], measuring.END))
    rows = 0
    with redis_client(settings) as client:
        for view in VIEWS:
            with connect_arrow(settings) as connection:
                rows += peer.backfill(connection, client, view, start, end, f"{way}_{view.group}")
    return rows


if __name__ == "__main__":
    main()
