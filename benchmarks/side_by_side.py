"""Ours beside stock Feast, pandas, Polars, DuckDB and Spark: one run, the same data, results held to ours; writes docs/performance.md anew.

    .venv/bin/python benchmarks/side_by_side.py [--quick] [--events 30000,1000000] [--agents 10000] [--turns 3] [--spark PYTHON]
        [--results benchmarks/results] [--json]

`make bench` ends with it. Four comparisons:

- windows: all features of all eight views from the events in PostgreSQL to rows in PostgreSQL and newest values in Redis, each way in a
  process of its own, in turns. Spark, local mode, reads and writes Parquet instead and runs once a size; it is left out where there is no
  interpreter with pyspark (`--spark` or SPARK_PYTHON; default .spark/bin/python), and of logs of more than `--spark-events`, where it
  takes many minutes. Polars needs build/bench, which `make bench` fills.
- online: stock `feast materialize` and ours, from offline rows to Redis.
- historical: `get_historical_features`, stock and ours.
- serving: `feast serve` and our server, the two SDKs.

Into `--results` go side_by_side.json and two plots; `--quick` takes a minute or two and writes to build/side_by_side, the page too.
`performance_page.py` makes the page of that JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]

HERE: Final = Path(__file__).resolve().parent
DAYS: Final = 184
PROJECTS: Final = 25
HAND: Final = ("pandas", "polars", "duckdb")
POLARS: Final = measuring.REPOSITORY / "build/bench"
NEAR: Final = 1e-9
"""Greatest relative difference of two floats that count as the same."""

SPARK_EVENTS: Final = 30_000
"""Of 300,000 events Spark in local mode took more than eight minutes."""


def main() -> None:
    """Measure, write the JSON, the plots and the page, print the table."""
    arguments = _arguments()
    measuring.stop_the_clock()
    figures: Figures = {
        "command": " ".join([".venv/bin/python benchmarks/side_by_side.py", *(word for word in sys.argv[1:] if word != "--json")]),
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "machine": machine(),
        "versions": versions(),
        "left_out": {},
        "windows": {},
    }
    started = time.perf_counter()
    for events in arguments.events:
        with measuring.servers() as (settings,):
            windows(settings, events, arguments, figures)
            save(figures, arguments.results)
    others(arguments, figures)
    figures["minutes"] = (time.perf_counter() - started) / 60
    write(figures, arguments.results)
    print(json.dumps(figures) if arguments.json else table(figures))


def _arguments() -> argparse.Namespace:
    parser = measuring.options(__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one turn")
    parser.add_argument("--events", help="sizes of the log, separated by commas")
    parser.add_argument("--agents", type=int, help="agents that are materialized")
    parser.add_argument("--labels", type=int, help="labels of the historical read")
    parser.add_argument("--turns", type=int)
    parser.add_argument("--spark", type=Path, default=Path(os.environ.get("SPARK_PYTHON", measuring.REPOSITORY / ".spark/bin/python")))
    parser.add_argument("--spark-events", type=int, default=SPARK_EVENTS, help="the largest log that Spark is given")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.events = [int(each) for each in (arguments.events or ("10000" if quick else "30000,1000000")).split(",")]
    arguments.agents = arguments.agents or (1_000 if quick else 10_000)
    arguments.labels = arguments.labels or (100 if quick else 1_000)
    arguments.turns = arguments.turns or (1 if quick else 3)
    arguments.results = arguments.results or (measuring.REPOSITORY / "build/side_by_side" if quick else HERE / "results")
    return arguments


# Windows -----------------------------------------------------------------------------------------------------------------------


def windows(settings: Settings, events: int, arguments: argparse.Namespace, figures: Figures) -> None:
    """Let the ways take turns over one log; what the page says of a size, and what a log costs (`capacity`), goes into `figures`."""
    import bench_backfill

    from detektor_pipelines.stores.raw_log.bulk import append_table

    say(f"{events:,} events")
    log = measuring.history(events, PROJECTS, DAYS)
    costs: Figures = {}
    with measuring.timed(costs, "append_s", processor="append_cpu_s"):
        append_table(settings, log)
    bench_backfill._vacuum(settings)  # noqa: SLF001 - what the backfill's own benchmark does between its turns
    ways = ["ours", *(way for way in HAND if way != "polars" or _has_polars(figures))]
    measured: dict[str, list[Figures]] = {way: [] for way in ways}
    unlike: dict[str, Any] = {}
    for turn in range(arguments.turns):
        for way in ways:
            measured[way].append(_in_its_process(settings, way))
            say(f"turn {turn + 1}: {way}, {measured[way][-1]['s']:.2f} s")
            if turn == 0 and way != "ours":
                unlike[way] = _compare(settings, way)
    found = {way: {name: statistics.median_low([each[name] for each in runs]) for name in runs[0]} for way, runs in measured.items()}
    if events <= arguments.spark_events and _has_spark(arguments.spark, figures):
        found["spark"], unlike["spark"] = _spark(settings, arguments.spark)
        say(f"spark, {found['spark']['s']:.2f} s")
    size = {"ways": found, "unlike_ours": unlike, "events": events, "projects": PROJECTS, "days": DAYS, "turns": arguments.turns}
    figures["windows"][str(events)] = size | {"costs": costs | _costs(settings, log)}


def _in_its_process(settings: Settings, way: str) -> Figures:
    """Run one way in a process of its own, ours into empty stores, a peer into empty tables; returns what it cost."""
    import bench_backfill

    from detektor_pipelines.catalog import VIEWS

    if way == "ours":
        bench_backfill._empty(settings)  # noqa: SLF001 - see above
    else:
        for view in VIEWS:
            bench_backfill._like(settings, view, way)  # noqa: SLF001 - see above
    return _run([sys.executable, str(HERE / "one_way.py"), way, str(DAYS)], environment(settings) | {"PYTHONPATH": str(POLARS)})


def _run(command: list[str], variables: Mapping[str, str]) -> Figures:
    """Run a process that prints a JSON object last; adds the wall and processor time of the whole process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=os.environ | dict(variables), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = {"process_s": time.perf_counter() - started}
    whole["process_cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout.strip().splitlines()[-1]) | whole


def environment(settings: Settings) -> dict[str, str]:
    """Return what a process needs to work with these servers."""
    return {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.external_postgres_url or "",
        "DETEKTOR_EXTERNAL_REDIS_URL": settings.external_redis_url or "",
        "DETEKTOR_MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }


def _compare(settings: Settings, way: str) -> Figures:
    """Hold every row that a way stored to ours; ends the benchmark where they differ."""
    import bench_backfill

    from detektor_pipelines.catalog import VIEWS

    pairs = ((view.name, *bench_backfill._both(settings, view, f"{way}_{view.group}")) for view in VIEWS)  # noqa: SLF001 - see above
    return _differences(way, pairs)


def _differences(way: str, pairs: Any) -> Figures:
    import pandas_peer

    rows, worst = 0, 0.0
    for name, ours, theirs in pairs:
        unequal, difference = pandas_peer.differences(ours, theirs)
        if unequal or difference > NEAR:
            raise SystemExit(f"{way}, {name}: {unequal} of {len(ours)} rows are unlike ours, floats differ by up to {difference:g}")
        rows, worst = rows + len(ours), max(worst, difference)
    return {"rows_compared": rows, "rows_unlike": 0, "greatest_relative_difference": worst}


def _spark(settings: Settings, interpreter: Path) -> tuple[Figures, Figures]:
    """Run Spark once, over the events as Parquet."""
    import bench_backfill
    import pandas as pd
    import peers
    import pyarrow.parquet as pq
    import spark_peer

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect_arrow

    start, end = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (measuring.last_days(DAYS)[0], measuring.END))
    with tempfile.TemporaryDirectory() as directory:
        for view in VIEWS:
            with connect_arrow(settings) as connection, connection.cursor() as cursor:
                cursor.execute(peers.events_query(view, start, end))
                pq.write_table(cursor.fetch_arrow_table(), f"{directory}/{view.name}.parquet")
        work = Path(directory) / "work.json"
        queries = spark_peer.queries(VIEWS, start, end)
        work.write_text(json.dumps({"directory": directory, "queries": queries, "memory": "4g"}), encoding="utf-8")
        found = _run([str(interpreter), str(HERE / "spark_peer.py"), str(work)], {"PYTHONPATH": ""})
        pairs = (
            (
                view.name,
                bench_backfill._both(settings, view, f"duckdb_{view.group}")[0],  # noqa: SLF001 - see above
                pd.read_parquet(f"{directory}/{view.name}.rows", dtype_backend="pyarrow"),
            )
            for view in VIEWS
        )
        same = _differences("spark", pairs)
    return found | {"rows": same["rows_compared"]}, same


def _has_polars(figures: Figures) -> bool:
    return _present(figures, "polars", POLARS / "polars", "build/bench (`make bench` fills it)")


def _has_spark(interpreter: Path, figures: Figures) -> bool:
    return _present(figures, "spark", interpreter, f"Spark environment: no {interpreter} (`--spark` or SPARK_PYTHON names one)")


def _present(figures: Figures, way: str, path: Path, missing: str) -> bool:
    if not path.exists():
        figures["left_out"][way] = f"no {missing}"
        say(f"{way} is left out: no {missing}")
    return path.exists()


def _costs(settings: Settings, log: pa.Table) -> Figures:
    """Return what the log, the rows and the values of ours take, for the capacity model."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import row_table
    from detektor_pipelines.stores.online.values import redis_client

    size = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    with connect(settings) as connection, redis_client(settings) as client:

        def number(query: str) -> int:
            row = connection.execute(query.encode()).fetchone()
            return int(row[0]) if row else 0

        events = number(f"{size} WHERE n.nspname = 'ml_learning' AND c.relkind = 'r' AND c.relname ~ '^(agent_events|event_ids)'")
        tables = [f'feast."{row_table(view)}"' for view in VIEWS]
        rows = sum(number(f"SELECT count(*) FROM {table}") for table in tables)
        row_bytes = sum(number(f"SELECT pg_total_relation_size('{table}')") for table in tables)
        agents = sum(number(f"SELECT count(DISTINCT agent_id) FROM {table}") for table in tables)
        hours = _agent_hours(log)
        keys = [key for key in client.scan_iter(count=1_000) if client.type(key) in (b"string", "string")]
        sample = keys[:: max(1, len(keys) // 500)]
        bytes_of_keys = statistics.mean(int(client.memory_usage(key) or 0) for key in sample)
    return {
        "log_bytes": events,
        "rows": rows,
        "row_bytes": row_bytes,
        "agent_ids": agents,
        "agent_hours": hours,
        "redis_bytes_a_key": bytes_of_keys,
    }


def _agent_hours(log: pa.Table) -> int:
    """Count the hours with events: of each agent in each project, and of each agent across them."""
    import duckdb

    with duckdb.connect() as engine:
        engine.register("log", log)
        query = """
            SELECT count(*) FROM (
                SELECT DISTINCT agent_type, project, occurred_at // 3600000000 FROM hours WHERE project IS NOT NULL
                UNION ALL SELECT DISTINCT agent_type, NULL, occurred_at // 3600000000 FROM hours
            )
        """.replace("hours", "(SELECT agent_type, project, epoch_us(occurred_at) AS occurred_at FROM log)")
        row = engine.execute(query).fetchone()
    return int(row[0]) if row else 0


# Online, historical, serving ---------------------------------------------------------------------------------------------------


def others(arguments: argparse.Namespace, figures: Figures) -> None:
    """Run what other benchmarks measure of stock Feast, on servers of their own."""
    import bench_online_write
    import serving
    import training

    say("Online: materialize")
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        figures["online"] = bench_online_write.measure(settings, Path(directory), arguments.agents, arguments.turns)
    say("Historical reads")
    labels = str(arguments.labels)
    with measuring.servers() as (settings,):
        sizes = argparse.Namespace(rows=1_840 if arguments.quick else 184_000, frames=labels, stock_frames=labels, turns=arguments.turns)
        figures["historical"] = {"labels": arguments.labels} | training.historical(settings, sizes)
    say("Serving")
    requests, seconds = (100, 0.5) if arguments.quick else (1_000, 2.0)
    os.environ.pop("DETEKTOR_NOW")  # values are of now
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        asked = argparse.Namespace(requests=requests, seconds=seconds, turns=arguments.turns)
        checkouts = dict.fromkeys((serving.OURS[0], *serving.STOCK), measuring.REPOSITORY)
        figures["serving"] = serving.measure(settings, Path(directory), checkouts, asked)


# What is said of it ------------------------------------------------------------------------------------------------------------


def machine() -> Figures:
    """Return what the figures depend on."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return measuring.machine() | {"processor": model, "memory_gb": round(memory), "python": platform.python_version()}


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    from importlib import metadata

    found = {name: metadata.version(name) for name in ("feast", "pandas", "duckdb", "pyarrow")}
    for file in POLARS.glob("polars-*.dist-info"):
        found["polars"] = file.name.removeprefix("polars-").removesuffix(".dist-info")
    return found


def write(figures: Figures, results: Path) -> None:
    """Write the JSON, the plots and the page."""
    import performance_page

    save(figures, results)
    performance_page.plots(_rounded(figures), results)
    performance_page.main(results)


def save(figures: Figures, results: Path) -> None:
    """Write what has been measured so far."""
    results.mkdir(parents=True, exist_ok=True)
    (results / "side_by_side.json").write_text(json.dumps(_rounded(figures), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return {name: _rounded(each) for name, each in value.items()} if isinstance(value, dict) else value


def table(figures: Figures) -> str:
    """Lay the figures out in 80 columns."""
    lines = [f"{'windows':<24}{'wall s':>9}{'process s':>11}{'processor s':>13}{'peak MB':>9}{'× ours':>8}"]
    for size in figures["windows"].values():
        lines.append(f"{size['events']:,} events → {size['ways']['ours']['rows']:,} rows")
        ours = size["ways"]["ours"]["s"]
        for way, each in size["ways"].items():
            costs = f"{each['s']:>9.2f}{each['process_s']:>11.2f}{each['cpu_s']:>13.2f}{each['peak_mb']:>9,.0f}"
            lines.append(f"  {way:<22}{costs}{each['s'] / ours:>8.2f}")
    lines += [f"  {way:<22} left out: {why}"[:80] for way, why in figures["left_out"].items()]
    rates = figures["online"]["rows_per_second"]
    lines.append(f"{'online':<44}{'rows/s':>12}{'× stock':>12}")
    lines += [f"  {name:<42}{rate:>12,.0f}{rate / rates['stock materialize']:>12.1f}" for name, rate in rates.items()]
    found, labels = figures["historical"], figures["historical"]["labels"]
    lines.append(f"{f'historical, {labels:,} labels':<44}{'s':>12}{'× ours':>12}")
    for name in ("ours", "asof_read", "stock"):
        lines.append(f"  {name:<42}{found[f'{name}_{labels}_s']:>12.2f}{found[f'{name}_{labels}_s'] / found[f'ours_{labels}_s']:>12.2f}")
    lines.append(f"{'serving':<44}{'p50 ms':>12}{'p99 ms':>12}")
    lines += [f"  {name:<42}{each['p50_ms']:>12.2f}{each['p99_ms']:>12.2f}" for name, each in figures["serving"]["latency"].items()]
    lines += [f"  {f'requests/s: {name}':<42}{rate:>12,.0f}" for name, rate in figures["serving"]["requests_per_second_of"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
