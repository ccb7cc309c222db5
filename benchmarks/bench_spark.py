"""The rows of one view by DuckDB and by Spark in local mode, of the same events in memory: where a cluster would begin to pay.

    make spark
    .spark/bin/python benchmarks/bench_spark.py [--events 1000000] [--projects 25] [--days 184] [--view coding_features] [--json]

Each way takes one turn, in a process of its own (Spark's is Java's), from events in Parquet to rows in Arrow; the hashes of the days are
compared. Seconds on the clock, and seconds of processors, Java's too. `session` is what Spark takes before it has computed anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from measuring import say

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView

_WAYS = ("duckdb", "spark")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=25)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--view", default="coding_features")
    parser.add_argument("--way", choices=_WAYS, help="one way, on the events in --directory: what this script calls itself with")
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    if arguments.way:
        print(json.dumps(_measured(arguments.way, arguments.view, arguments.days, arguments.directory)))
        return
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as scratch:
        figures |= _written(measuring.history(arguments.events, arguments.projects, arguments.days), arguments.view, Path(scratch))
        for way in _WAYS:
            words = ["--way", way, "--view", arguments.view, "--days", str(arguments.days), "--directory", scratch]
            done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
            figures |= json.loads(done.stdout.splitlines()[-1])
            say(f"{way}: {figures[f'{way}_s']:.1f} s, {figures[f'{way}_cpu_s']:.1f} s of processors")
    figures["same_rows"] = figures.pop("duckdb_rows") == figures.pop("spark_rows")
    measuring.show(figures, as_json=arguments.json)


def _written(table: pa.Table, name: str, directory: Path) -> dict[str, Any]:
    """Write the view's events as the log would hand them over."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from detektor_pipelines.catalog import view_named
    from detektor_pipelines.engine.compute import event_schema

    view = view_named(name)
    schema = event_schema(view)
    own = table.filter(pc.equal(table["agent_type"].cast("string"), view.agent))
    instants = {"ts": own["occurred_at"].cast("int64"), "known": own["known_at"].cast("int64")}
    made = instants | {"live": pa.array([True] * own.num_rows), "until": pa.nulls(own.num_rows, pa.int64())}
    columns = [made[field.name] if field.name in made else own[field.name].cast(field.type) for field in schema]
    pq.write_table(pa.table(columns, schema=schema), directory / "events.parquet")
    return {"events": own.num_rows}


def _measured(way: str, name: str, days: int, directory: Path) -> dict[str, Any]:
    from detektor_pipelines.catalog import view_named
    from detektor_pipelines.language.calendar import end_us, start_us
    from detektor_pipelines.stores.offline.rows import hashes_by_day

    view, some = view_named(name), measuring.last_days(days)
    bounds = {"start": start_us(some[0]), "end": end_us(some[-1])}
    file = directory / "events.parquet"
    figures, rows = _by_spark(view, file, bounds) if way == "spark" else _by_duckdb(view, file, bounds)
    hashes = sorted(f"{day} {found}" for day, found in hashes_by_day(rows, some).items())
    return figures | {"rows": rows.num_rows, f"{way}_rows": hashes}


def _by_duckdb(view: FeatureView, file: Path, bounds: dict[str, int]) -> tuple[dict[str, Any], pa.Table]:
    import pyarrow.parquet as pq

    from detektor_pipelines.engine.compute import compute

    started, busy = time.perf_counter(), time.process_time()
    rows = compute(view, pq.read_table(file), **bounds)
    return {"duckdb_s": time.perf_counter() - started, "duckdb_cpu_s": time.process_time() - busy}, rows


def _by_spark(view: FeatureView, file: Path, bounds: dict[str, int]) -> tuple[dict[str, Any], pa.Table]:
    import psutil

    from detektor_pipelines.engine.spark import calculated, spark_session
    from detektor_pipelines.settings import get_settings

    started = time.perf_counter()
    with spark_session(get_settings(), spark__driver__memory="4g") as session:
        begun = time.perf_counter()
        rows, _ = calculated(session, view, session.read.parquet(file.as_uri()), **bounds)
        ended = time.perf_counter()
        java = psutil.Process(session.sparkContext._gateway.proc.pid).cpu_times()  # noqa: SLF001  there is no other way to Java's process
        busy = java.user + java.system + time.process_time()
    return {"session_s": begun - started, "spark_s": ended - begun, "spark_cpu_s": busy}, rows


if __name__ == "__main__":
    main()
