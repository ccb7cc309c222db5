"""Backfill of all eight views: from reading the events to both stores published and validated, beside its floor, pandas and Dagster.

    .venv/bin/python benchmarks/bench_backfill.py [--events 30000,1000000] [--projects 25] [--days 184] [--turns 3]
                                                  [--ways ours,process,floor,pandas,dagster] [--beside CHECKOUT] [--json]

On servers of its own, one pair a size. `first` is ours right after the events were appended, when PostgreSQL still has to mark what it
wrote. Then the log is vacuumed, as PostgreSQL does by itself within minutes, and the ways take turns over the same events, each into empty
stores; figures are medians of the turns. Several sizes make a curve: each figure then begins with its number of events.

- ours: `engine.backfill`, in this process.
- process: the same in a process of its own, which tells its memory: `one_backfill.py`.
- beside: `ours` of another checkout of this repository (`--beside`) with its .venv, by its own benchmark on servers of its own.
- floor: what no implementation can avoid. COPY the events' used columns out of PostgreSQL and COPY the finished rows into tables without
  an index, both binary, nothing in between.
- pandas: `pandas_peer`; its values are compared with ours, row by row.
- dagster: `orchestration.materialize_range`, the same work as one Dagster run; bookkeeping is what is not the engine's.

After each turn the stores are asked what they hold; a way that left out anything ends the benchmark with an error. Floor and pandas take
the rows that ours of the same turn published, so `ours` comes before them.
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]
    Way = Callable[[Settings, int], Figures]


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", default="1000000", help="how many, or several sizes: 30000,1000000")
    parser.add_argument("--projects", type=int, default=25)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ways", default="ours,process,floor,pandas,dagster")
    parser.add_argument("--beside", type=Path, help="another checkout, with its .venv")
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    sizes = [int(each) for each in arguments.events.split(",")]
    for size in sizes:
        with measuring.servers() as (settings,):
            ways = {way: _WAYS[way] for way in arguments.ways.split(",")}
            if arguments.beside:
                ways["beside"] = partial(_beside, checkout=arguments.beside, events=size, projects=arguments.projects)
            found = append(settings, size, arguments.projects, arguments.days)
            found |= measure(settings, arguments.days, arguments.turns, ways)
        found |= _ratios(found)
        figures |= found if len(sizes) == 1 else {f"{size}_{name}": value for name, value in found.items()}
    measuring.show(figures, as_json=arguments.json)


def append(settings: Settings, events: int, projects: int, days: int) -> Figures:
    """Fill the log."""
    from detektor_pipelines.stores.raw_log.bulk import append_table

    figures: Figures = {"events": 0}
    for table in measuring.histories(events, projects, days):
        with timed(figures, "append_s", processor="append_cpu_s"):
            figures["events"] += append_table(settings, table).added
        say(f"{figures['events']:,} events in {figures['append_s']:.1f} s")
    return figures | {"appended_per_s": figures["events"] / figures["append_s"]}


def measure(settings: Settings, days: int, turns: int, ways: Mapping[str, Way]) -> Figures:
    """Let the ways take turns over the same events."""
    _warm(settings)
    first = _ours(settings, days)
    figures: Figures = {"first_s": first["ours_s"], "rows": first["rows"], "online_values": first["online_values"]}
    say(f"first backfill in {first['ours_s']:.1f} s")
    _vacuum(settings)
    measured: dict[str, list[Any]] = {}
    for turn in range(turns):
        for way, run in ways.items():
            for name, value in run(settings, days).items():
                measured.setdefault(name, []).append(value)
            say(f"turn {turn + 1}: {way}, {measured[f'{way}_s'][-1]:.2f} s")
    return figures | {name: statistics.median_low(values) for name, values in measured.items()}


def _ratios(figures: Figures) -> Figures:
    ratios = {
        "ours_over_floor": ("ours_s", "floor_s"),
        "process_over_floor": ("process_s", "floor_s"),
        "ours_over_beside": ("ours_s", "beside_s"),
        "ours_over_beside_cpu": ("ours_cpu_s", "beside_cpu_s"),
        "pandas_over_ours": ("pandas_s", "ours_s"),
        "pandas_over_ours_cpu": ("pandas_cpu_s", "ours_cpu_s"),
        "dagster_over_ours": ("dagster_s", "ours_s"),
    }
    return {name: figures[top] / figures[bottom] for name, (top, bottom) in ratios.items() if top in figures and bottom in figures}


def _warm(settings: Settings) -> None:
    """Pay the imports before the clock runs: they are the same whatever the size."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill

    list(backfill(settings, VIEWS[:1], measuring.last_days(1)))


def _ours(settings: Settings, days: int) -> Figures:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill

    _empty(settings)
    figures: Figures = {}
    rows: dict[str, int] = {}
    with timed(figures, "ours_s", processor="ours_cpu_s"):
        for done in backfill(settings, VIEWS, measuring.last_days(days)):
            _refuse(done.materialization.failed, f"{done.view.name}: a day did not pass the gate")
            rows[done.view.name] = sum(day.written for day in done.materialization.days)
    return figures | {"rows": sum(rows.values()), "online_values": _check(settings, rows, days)}


def _process(settings: Settings, days: int) -> Figures:
    """Do it in a process of its own, which tells its processor time and its peak memory."""
    _empty(settings)
    servers = ("--postgres", settings.postgres_dsn, "--redis", settings.redis_url, "--home", settings.home)
    first, last = measuring.last_days(days)[0], measuring.last_days(1)[0]
    found = _told(sys.executable, Path(__file__).with_name("one_backfill.py"), *servers, "--first", str(first), "--last", str(last))
    _check(settings, found.pop("rows"), days)
    return {f"process_{name}": value for name, value in found.items()}


def _beside(_: Settings, days: int, *, checkout: Path, events: int, projects: int) -> Figures:
    size = ("--events", str(events), "--projects", str(projects), "--days", str(days))
    python, script = checkout.resolve() / ".venv/bin/python", checkout.resolve() / "benchmarks/bench_backfill.py"
    found = _told(python, script, *size, "--turns", "1", "--ways", "ours", "--json")
    return {"beside_s": found["ours_s"], "beside_cpu_s": found["ours_cpu_s"]}


def _told(*command: str | Path) -> Figures:
    """Return the figures that a process prints last."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    _refuse(done.returncode, f"{command[1]}: {done.stderr[-3000:]}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def _dagster(settings: Settings, days: int) -> Figures:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.orchestration.run import materialize_range

    _empty(settings)
    figures: Figures = {}
    range_ = measuring.last_days(days)
    settings = settings.model_copy(update={"start_date": range_[0]})
    with timed(figures, "dagster_s"):
        summary = materialize_range(settings, VIEWS, range_[0], range_[-1])
    _refuse(not summary.succeeded, f"the Dagster run did not succeed: {summary.problems}")
    _check(settings, {name: sum(day.written for day in each.days) for name, each in summary.materializations.items()}, days)
    engine = sum(each.seconds for each in (*summary.materializations.values(), *summary.publications.values()))
    return figures | {"dagster_engine_s": engine, "dagster_bookkeeping_s": figures["dagster_s"] - engine}


def _pandas(settings: Settings, days: int) -> Figures:
    """Store what pandas makes in tables and keys of its own, beside ours of the turn before it."""
    import pandas as pd
    import pandas_peer

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.online.values import redis_client

    start, end = pd.Timestamp(measuring.last_days(days)[0], tz="UTC"), pd.Timestamp(measuring.END, tz="UTC")
    figures: Figures = {}
    unequal, worst, agents = 0, 0.0, 0
    with redis_client(settings) as client:
        for view in VIEWS:
            target = _like(settings, view, "pandas")
            with timed(figures, "pandas_s", processor="pandas_cpu_s"), connect_arrow(settings) as connection:
                pandas_peer.backfill(connection, client, view, start, end, target)
            ours, theirs = _both(settings, view, target)
            rows, difference = pandas_peer.differences(ours, theirs)
            unequal, worst, agents = unequal + rows, max(worst, difference), agents + theirs["agent_id"].nunique()
        keys = sum(1 for _ in client.scan_iter("pandas:*", count=1000))
        _refuse(keys != agents, f"pandas wrote {keys} keys for {agents} agent_ids")
    return figures | {"pandas_rows_unlike_ours": unequal, "pandas_greatest_relative_difference": worst}


def _both(settings: Settings, view: FeatureView, target: str) -> list[pd.DataFrame]:
    """Return what ours and the peer stored of a view."""
    import pandas as pd

    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline.rows import row_table

    names = ", ".join(f'"{name}"' for name in ("agent_id", "event_timestamp", "created_at", *(each.name for each in view.features)))
    with connect_arrow(settings) as connection:
        return [
            pd.read_sql(f'SELECT {names} FROM feast."{table}"', connection, dtype_backend="pyarrow") for table in (row_table(view), target)
        ]


def _floor(settings: Settings, _days: int) -> Figures:
    """Copy out the events, then in the rows that ours of the turn before it published."""
    import psycopg

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.stores.offline.rows import row_table

    figures: Figures = {}
    for view in VIEWS:
        target = _like(settings, view, "floor", indexed=False)
        columns = ", ".join(("occurred_at", "known_at", "event_id", "project", *plan(view).columns))
        events = f"SELECT {columns} FROM ml_learning.agent_events WHERE agent_type = '{view.agent}'"
        with psycopg.connect(settings.postgres_dsn) as connection, connection.cursor() as cursor:
            with timed(figures, "floor_out_s"), cursor.copy(f"COPY ({events}) TO STDOUT (FORMAT binary)") as out:
                for _ in out:
                    pass
            rows = io.BytesIO()
            with cursor.copy(f'COPY feast."{row_table(view)}" TO STDOUT (FORMAT binary)') as out:
                rows.writelines(out)
            with timed(figures, "floor_in_s"):
                with cursor.copy(f"COPY feast.{target} FROM STDIN (FORMAT binary)") as into:
                    into.write(rows.getbuffer())
                connection.commit()
    return figures | {"floor_s": figures["floor_out_s"] + figures["floor_in_s"]}


def _like(settings: Settings, view: FeatureView, prefix: str, *, indexed: bool = True) -> str:
    """Make an empty table like the view's, with its primary key or without; return its name."""
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import row_table

    name = f"{prefix}_{view.group}"
    with connect(settings) as connection:
        connection.execute(f"DROP TABLE IF EXISTS feast.{name}".encode())
        connection.execute(f'CREATE TABLE feast.{name} (LIKE feast."{row_table(view)}" {"INCLUDING ALL" if indexed else ""})'.encode())
    return name


def _check(settings: Settings, rows: Mapping[str, int], days: int) -> int:
    """Hold the stores to what a way says it has published; return the number of online values."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import row_table
    from detektor_pipelines.stores.online.values import read, redis_client

    values = 0
    with connect(settings) as connection, redis_client(settings) as client:
        for view in VIEWS:
            stored = dict(connection.execute(f'SELECT agent_id, count(*) FROM feast."{row_table(view)}" GROUP BY 1'.encode()).fetchall())
            _refuse(sum(stored.values()) != rows[view.name], f"{view.name}: {sum(stored.values())} rows, not {rows[view.name]}, are stored")
            done = connection.execute("SELECT count(*) FROM ml_learning.partition_state WHERE view = %s", (view.name,)).fetchone()
            _refuse(done != (days,), f"{view.name}: {done} days are published, not {days}")
            absent = read(client, settings.project, view, list(stored)).count(None)
            _refuse(absent, f"{view.name}: {absent} of {len(stored)} agent_ids have no online value")
            values += len(stored)
    return values


def _vacuum(settings: Settings) -> None:
    import psycopg

    with psycopg.connect(settings.postgres_dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _empty(settings: Settings) -> None:
    """Empty both stores; the log stays."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import ensure_tables, row_table
    from detektor_pipelines.stores.online.values import redis_client

    ensure_tables(settings, VIEWS)
    tables = ", ".join(f'feast."{row_table(view)}"' for view in VIEWS)
    with connect(settings) as connection, redis_client(settings) as client:
        connection.execute(f"TRUNCATE ml_learning.partition_state, {tables}".encode())
        client.flushdb()


def _refuse(wrong: object, message: str) -> None:
    if wrong:
        raise SystemExit(message)


_WAYS: Final[dict[str, Way]] = {"ours": _ours, "process": _process, "floor": _floor, "pandas": _pandas, "dagster": _dagster}

if __name__ == "__main__":
    main()
