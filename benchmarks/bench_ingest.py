"""Getting events in: real transcripts by the `detektor ingest` command, and a simulated history in bulk, each beside its floor.

    .venv/bin/python benchmarks/bench_ingest.py [PATH] [--events 1000000] [--turns 3] [--json]

Without PATH it reads `entireio-cli/events.slim.jsonl.gz` of DETEKTOR_SHARED_DATA (default: `../shared/data` beside the repository), and
leaves real logs out when there is none. Every turn starts with empty tables; figures are medians of the turns.

- ingest: the whole command, from the start of the interpreter to its last line, into PostgreSQL; again: the same once more, nothing new.
- parse: its floor. Decompress and parse the JSON of every line, keep nothing.
- append: `append_table` of simulated events.
- copy: its floor. COPY the same columns into a table without index, in one piece.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from measuring import say, timed

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]

REAL_LOG = "entireio-cli/events.slim.jsonl.gz"


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    data = Path(os.environ.get("DETEKTOR_SHARED_DATA") or measuring.REPOSITORY.parent / "shared" / "data")
    parser.add_argument("path", nargs="?", type=Path, default=data / REAL_LOG)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    table = measuring.history(arguments.events, 25, 184)
    if not arguments.path.exists():
        say(f"{arguments.path} is not there: real logs are left out (DETEKTOR_SHARED_DATA names the directory they are in)")
    measured: dict[str, list[Any]] = {}
    with measuring.servers() as (settings,):
        for turn in range(arguments.turns):
            found = _real(settings, arguments.path) if arguments.path.exists() else {}
            for name, value in (found | _simulated(settings, table)).items():
                measured.setdefault(name, []).append(value)
            say(f"turn {turn + 1}: " + ", ".join(f"{name} {values[-1]:.1f} s" for name, values in measured.items() if name.endswith("_s")))
    figures |= {name: statistics.median_low(values) for name, values in measured.items()}
    measuring.show(figures | _rates(figures), as_json=arguments.json)


def _rates(figures: Figures) -> Figures:
    rates: Figures = {
        "appended_per_s": figures["appended"] / figures["append_s"],
        "append_over_copy": figures["append_s"] / figures["copy_s"],
    }
    if "ingest_s" in figures:
        rates |= {"lines_per_s": figures["lines"] / figures["ingest_s"], "ingest_over_parse": figures["ingest_s"] / figures["parse_s"]}
    return rates


def _real(settings: Settings, path: Path) -> Figures:
    _empty(settings)
    figures: Figures = {}
    with timed(figures, "ingest_s"):
        first = _ingest(settings, path)
    with timed(figures, "again_s"):
        again = _ingest(settings, path)
    if again["added"] or not first["added"]:
        raise SystemExit(f"the first run added {first['added']} events, the second {again['added']}")
    with timed(figures, "parse_s"):
        figures["lines"] = _parse(path)
    return figures | {"events": first["added"]}


def _ingest(settings: Settings, path: Path) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("detektor")), "ingest", str(path), "--json"]
    environment = os.environ | {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.postgres_dsn,
        "DETEKTOR_NOW": "",
    }
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return counts


def _parse(path: Path) -> int:
    import orjson

    lines = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            orjson.loads(line)
            lines += 1
    return lines


def _simulated(settings: Settings, table: pa.Table) -> Figures:
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.raw_log.bulk import append_table

    _empty(settings)
    figures: Figures = {"appended": table.num_rows}
    with timed(figures, "append_s"):
        append_table(settings, table)
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    with connect_arrow(settings) as connection, connection.cursor() as cursor, timed(figures, "copy_s"):
        cursor.adbc_ingest("floor", table.select(filled), mode="create", db_schema_name="ml_learning")
        connection.commit()
    return figures


def _empty(settings: Settings) -> None:
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.rejected_events, ml_learning.log_origin")
        connection.execute("DROP TABLE IF EXISTS ml_learning.floor")


if __name__ == "__main__":
    main()
