"""Backfill of all eight views: from reading the events to both stores published and validated, beside its floor and pandas.

    .venv/bin/python benchmarks/backfill.py [--events 1000000] [--projects 25] [--days 184] [--pandas] [--dagster] [--json]

Everything runs in one process on servers of its own. The floor is what no implementation can avoid: COPY the events' used
columns out of PostgreSQL and COPY the finished rows in, both binary, nothing in between.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DETEKTOR_NOW", "2026-11-01T00:00:00Z")
END = dt.date(2026, 11, 1)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import embedded, postgres
    from detektor_pipelines.stores.schema import migrate

    with tempfile.TemporaryDirectory() as home, embedded.start_postgres(Path(home) / "pg") as pg, embedded.start_redis(Path(home) / "rd") as rd:
        postgres.create_database(pg.dsn(), "detektor")
        postgres.create_schemas(pg.dsn("detektor"))
        settings = Settings(home=Path(home) / "home", external_postgres_url=pg.dsn("detektor"), external_redis_url=rd.url())
        migrate(settings)
        figures = measure(settings, arguments)
    _print(figures, as_json=arguments.json)


def measure(settings, arguments) -> dict[str, object]:
    """Fill the log, then time each way over the same events."""
    from detektor_pipelines.ingest.simulator import simulate_table
    from detektor_pipelines.stores.events import append_table

    say = (lambda text: print(text, file=sys.stderr)) if sys.stderr.isatty() or True else (lambda _: None)
    table = simulate_table(days=arguments.days, projects=arguments.projects, seed=1, end=END, events=arguments.events)
    started = time.perf_counter()
    append_table(settings, table)
    figures: dict[str, object] = {"events": table.num_rows, "append_s": time.perf_counter() - started}
    say(f"appended {table.num_rows} events in {figures['append_s']:.1f} s")
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        connection.execute("ANALYZE")
    _warm(settings)
    figures |= _ours(settings, arguments, say)
    figures |= _floor(settings, arguments)
    figures["ours_over_floor"] = figures["ours_s"] / figures["floor_s"]
    if arguments.pandas:
        from backfill_pandas import run

        figures["pandas_s"] = run(settings, _days(arguments))
        figures["pandas_over_ours"] = figures["pandas_s"] / figures["ours_s"]
    return figures


def _days(arguments) -> list[dt.date]:
    return [END - dt.timedelta(days=number) for number in range(arguments.days, 0, -1)]


def _warm(settings) -> None:
    """Pay the imports before the clock runs: they are the same whatever the size."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.materialize import materialize
    from detektor_pipelines.engine.online import publish_online
    from detektor_pipelines.stores.connections import connect

    materialize(settings, VIEWS[0], [dt.date(2020, 1, 1)])
    publish_online(settings, VIEWS[0])
    with connect(settings) as connection:
        connection.execute("TRUNCATE ml_learning.partition_state")


def _ours(settings, arguments, say) -> dict[str, object]:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill

    started = time.perf_counter()
    rows = keys = 0
    for done in backfill(settings, VIEWS, _days(arguments)):
        rows += sum(day.written for day in done.materialization.days)
        keys += done.online.keys
        assert not done.materialization.failed
        say(f"  {done.view.name}: {done.materialization.seconds:.2f} s, {sum(d.rows for d in done.materialization.days)} rows")
    return {"ours_s": time.perf_counter() - started, "rows": rows, "online_keys": keys}


def _floor(settings, arguments) -> dict[str, object]:
    """COPY BINARY out what the views read, and COPY BINARY in what they wrote, into tables without an index."""
    import io

    import psycopg

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.stores.offline import row_table

    seconds_out = seconds_in = 0.0
    with psycopg.connect(settings.postgres_dsn) as connection, connection.cursor() as cursor:
        for view in VIEWS:
            columns = ", ".join(("occurred_at", "known_at", "event_id", "project", *plan(view).columns))
            started = time.perf_counter()
            with cursor.copy(f"COPY (SELECT {columns} FROM ml_learning.agent_events WHERE agent_type = '{view.agent}') TO STDOUT (FORMAT binary)") as out:
                for _ in out:
                    pass
            seconds_out += time.perf_counter() - started
            buffer = io.BytesIO()
            with cursor.copy(f'COPY feast."{row_table(view)}" TO STDOUT (FORMAT binary)') as out:
                for block in out:
                    buffer.write(block)
            cursor.execute(f'CREATE TABLE feast.floor (LIKE feast."{row_table(view)}")')
            connection.commit()
            started = time.perf_counter()
            with cursor.copy("COPY feast.floor FROM STDIN (FORMAT binary)") as into:
                into.write(buffer.getbuffer())
            connection.commit()
            seconds_in += time.perf_counter() - started
            cursor.execute("DROP TABLE feast.floor")
            connection.commit()
    return {"floor_out_s": seconds_out, "floor_in_s": seconds_in, "floor_s": seconds_out + seconds_in}


def _print(figures: dict[str, object], *, as_json: bool) -> None:
    rounded = {name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()}
    if as_json:
        print(json.dumps(rounded))
        return
    width = max(map(len, rounded))
    for name, value in rounded.items():
        print(f"{name:<{width}}  {value:>12,}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=25)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--pandas", action="store_true", help="also the pandas version")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
