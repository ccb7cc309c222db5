"""One backfill of all views in a process of its own: how long, how much processor time, how much memory at most.

    .venv/bin/python benchmarks/one_backfill.py --postgres URL --redis URL --home DIR --first 2026-05-01 --last 2026-10-31

`bench_backfill.py` runs it, on servers that it has filled. The last line is JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


def main() -> None:
    """Backfill and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--postgres", "--redis", "--home"):
        parser.add_argument(name, required=True)
    for name in ("--first", "--last"):
        parser.add_argument(name, required=True, type=dt.date.fromisoformat)
    arguments = parser.parse_args()

    from detektor_pipelines.settings import Settings

    settings = Settings(
        home=Path(arguments.home),
        external_postgres_url=arguments.postgres,
        external_redis_url=arguments.redis,
        mlflow_tracking_uri="http://127.0.0.1:1",
    )
    length = (arguments.last - arguments.first).days + 1
    days = [arguments.first + dt.timedelta(days=number) for number in range(length)]
    print(json.dumps(backfilled(settings, days)))


def backfilled(settings: Settings, days: list[dt.date]) -> dict[str, Any]:
    """Backfill `days` of all views."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill

    list(backfill(settings, VIEWS[:1], days[-1:]))  # the imports, and what a connection costs first
    started, busy = time.perf_counter(), time.process_time()
    rows = {}
    for done in backfill(settings, VIEWS, days):
        if done.materialization.failed:
            raise SystemExit(f"{done.view.name}: a day did not pass the gate")
        rows[done.view.name] = sum(day.rows for day in done.materialization.days)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    return {"s": seconds, "cpu_s": busy, "peak_mib": peak_mib(), "rows": rows}


def peak_mib() -> float:
    """Return the most memory that this process ever had, by the kernel's count."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


if __name__ == "__main__":
    main()
