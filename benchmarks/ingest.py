"""Ingest of real transcripts, and of a simulated table: records and events per second, beside a bare COPY of the same rows.

    .venv/bin/python benchmarks/ingest.py [PATH…] [--events 200000] [--json]

Without PATH it reads `entireio-cli/events.slim.jsonl.gz` of DETEKTOR_SHARED_DATA (default: `../shared/data` beside the repository).
Everything runs on a server of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

REAL_LOG = "entireio-cli/events.slim.jsonl.gz"
END = dt.date(2026, 3, 1)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import embedded, postgres
    from detektor_pipelines.stores.schema import migrate

    with tempfile.TemporaryDirectory() as home, embedded.start_postgres(Path(home) / "pg") as server:

        def database(name: str) -> Settings:
            postgres.create_database(server.dsn(), name)
            settings = Settings(home=Path(home), external_postgres_url=server.dsn(name))
            migrate(settings)
            return settings

        figures = {**real(database("real"), arguments.paths), **simulated(database("simulated"), arguments.events)}
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32} {value:>12,.1f}" if isinstance(value, float) else f"{name:32} {value:>12,}")


def real(settings: Settings, paths: list[str]) -> dict[str, float]:
    """Read real logs twice."""
    from detektor_pipelines.ingest.names import AgentNames
    from detektor_pipelines.ingest.run import IngestOptions, ingest

    options = IngestOptions(names=AgentNames.load())
    first, again = ingest(settings, paths, options), ingest(settings, paths, options)
    return {
        "lines": first.lines,
        "events": first.counts.added,
        "ingest_s": first.seconds,
        "lines_per_s": first.lines / first.seconds,
        "again_s": again.seconds,
        "again_added": again.counts.added,
    }


def simulated(settings: Settings, events: int) -> dict[str, float]:
    """Append a simulated table, then COPY the same rows into a temporary table without index: the floor."""
    from detektor_pipelines.ingest.simulator import simulate_table
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.events import append_table

    table = simulate_table(days=184, projects=8, seed=1, end=END, events=events)
    started = time.perf_counter()
    append_table(settings, table)
    append_s = time.perf_counter() - started
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.adbc_ingest("floor", table.select(filled), mode="create", temporary=True)
        floor_s = time.perf_counter() - started
    return {
        "appended": events,
        "append_s": append_s,
        "appended_per_s": events / append_s,
        "floor_s": floor_s,
        "over_floor": append_s / floor_s,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("DETEKTOR_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("paths", nargs="*", default=[str(data / REAL_LOG)])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
