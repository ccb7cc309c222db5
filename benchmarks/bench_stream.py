"""The stream worker by itself: its start, a burst, a midnight, its memory.

    .venv/bin/python benchmarks/bench_stream.py [--history 1000000] [--keys 10000] [--burst 100000] [--json]

The history is simulated, 184 days of eight agents; on top of it each of `--keys` projects of the code-reviewer has three reviews on the
days before, so that as many agent_ids are in the windows. `start_s` is from nothing to every key written. The burst is committed in
transactions of ten events while the worker is away and then worked off tick by tick; `burst_own_cpu_share` is the worker's part of a core
meanwhile, the rest of the time it waited for PostgreSQL and Redis. At midnight the windows of 30 days let a day of all keys go at once:
the lag is how long the tick took in which they did.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stream.worker import Worker

MIDNIGHT: Final = dt.datetime.combine(measuring.END, dt.time(), dt.UTC)
_DAY: Final = dt.timedelta(days=1)


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--burst", type=int, default=100_000)
    arguments = parser.parse_args()
    figures = measuring.machine() | vars(arguments)
    figures.pop("json")
    with measuring.servers() as (settings,):
        measure(settings, arguments, figures)
    measuring.show(figures, as_json=arguments.json)


def measure(settings: Settings, arguments: Any, figures: dict[str, Any]) -> None:
    """Fill the figures."""
    import resource

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stream.worker import Worker

    say(f"Writing {arguments.history} events of history and {arguments.keys} further agent_ids")
    append_table(settings, measuring.history(arguments.history, 20, 184))
    append_table(settings, reviews(3 * arguments.keys, arguments.keys, MIDNIGHT - 3 * _DAY, 2 * _DAY, "k"))
    clock_at(MIDNIGHT - dt.timedelta(minutes=5))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Worker(settings, VIEWS) as worker:
        started = time.perf_counter()
        worker.tick()
        figures["start_s"] = time.perf_counter() - started
        figures["keys_in_windows"] = worker.health.keys
        figures["rss_mb"] = current_rss()
        figures["rss_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures["rss_before_mb"] = before / 1024
        say(f"A burst of {arguments.burst}")
        commit_in_tens(settings, reviews(arguments.burst, 200, MIDNIGHT - dt.timedelta(minutes=10), dt.timedelta(minutes=4), "b"))
        burst(worker, figures)
        say("Midnight, and the midnight after which the reviews of a day are 30 days old")
        clock_at(MIDNIGHT + 28 * _DAY - dt.timedelta(seconds=1))
        worker.tick()
        clock_at(MIDNIGHT + 28 * _DAY + dt.timedelta(microseconds=1))
        written, started = worker.health.values, time.perf_counter()
        worker.tick()
        figures["midnight_lag_ms"] = 1000 * (time.perf_counter() - started)
        figures["midnight_values"] = worker.health.values - written


def burst(worker: Worker, figures: dict[str, Any]) -> None:
    """Work off what was committed."""
    events, ticks = worker.health.events, 0
    started, busy = time.perf_counter(), time.process_time()
    while worker.tick() or worker.health.behind:
        ticks += 1
    seconds = time.perf_counter() - started
    figures["burst_events_s"] = (worker.health.events - events) / seconds
    figures["burst_ticks"] = ticks
    figures["burst_own_cpu_share"] = (time.process_time() - busy) / seconds


def reviews(number: int, projects: int, start: dt.datetime, span: dt.timedelta, name: str) -> pa.Table:
    """Reviews spread evenly over a span and over projects."""
    import pyarrow as pa

    instants = [start + span * (position / number) for position in range(number)]
    stamps = pa.array(instants, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "event_id": [f"{name}-{position}" for position in range(number)],
            "agent_type": ["code-reviewer"] * number,
            "raw_name": ["bench"] * number,
            "project": [f"{name}{position % projects}" for position in range(number)],
            "operation": ["review"] * number,
            "occurred_at": stamps,
            "known_at": stamps,
            "ingested_at": stamps,
            "source": ["bench"] * number,
            "simulated": [True] * number,
            "duration_ms": [1000 * (position % 900) for position in range(number)],
            "issues_found": [position % 7 for position in range(number)],
            "verdict": ["approved" if position % 3 else "rejected" for position in range(number)],
            "task_id": [f"t{position % 500}" for position in range(number)],
        }
    )


def commit_in_tens(settings: Settings, table: pa.Table) -> None:
    """Insert a table, ten events a transaction, as live writers would."""
    import psycopg

    rows = table.append_column("revision", [[1] * table.num_rows]).append_column("reader_revision", [[1] * table.num_rows])
    for flag in ("derived", "retracted"):
        rows = rows.append_column(flag, [[False] * table.num_rows])
    names = rows.column_names
    insert = f"INSERT INTO ml_learning.agent_events ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"
    records = rows.to_pylist()
    with psycopg.connect(settings.postgres_dsn, options="-c synchronous_commit=off") as connection, connection.cursor() as cursor:
        for start in range(0, len(records), 10):
            cursor.executemany(insert, records[start : start + 10])
            connection.commit()


def clock_at(instant: dt.datetime) -> None:
    """Set the platform's clock."""
    os.environ["DETEKTOR_NOW"] = instant.isoformat()


def current_rss() -> float:
    """Return the resident memory of this process, MB."""
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
