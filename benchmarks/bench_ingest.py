"""Getting events in: real transcripts by the `detektor ingest` command, and a simulated history in bulk, each beside its floor.

    .venv/bin/python benchmarks/bench_ingest.py [PATH…] [--events 1000000] [--turns 3] [--beside CHECKOUT] [--json]

Without PATH it reads `entireio-cli/events.slim.jsonl.gz` of DETEKTOR_SHARED_DATA (default: `../shared/data` beside the repository), and
leaves real logs out when there is none. Every turn starts with empty tables; figures are medians of the turns.

- ingest: the whole command, from the start of the interpreter to its last line, into PostgreSQL; again: the same once more, nothing new.
- parse: its floor. Decompress and parse the JSON of every line, keep nothing.
- append: `append_table` of simulated events.
- copy: its floor. COPY the same columns into a table without index, in one piece.

With `--beside` nothing is simulated: `detektor ingest` of this checkout and of another one read each PATH in turn, each into a database
that its own build has set up. Peak memory is that of the command and its children, each page counted once; processor time is theirs too.
Both must count the same events.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from measuring import say, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]

REAL_LOG = "entireio-cli/events.slim.jsonl.gz"


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    data = Path(os.environ.get("DETEKTOR_SHARED_DATA") or measuring.REPOSITORY.parent / "shared" / "data")
    parser.add_argument("paths", nargs="*", type=Path, default=[data / REAL_LOG], metavar="PATH")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another checkout of this repository, with its .venv")
    arguments = parser.parse_args()
    figures = measuring.machine()
    if arguments.beside is not None:
        figures |= _beside(arguments.beside.resolve(), arguments.paths, arguments.turns)
        measuring.show(figures, as_json=arguments.json)
        return
    measuring.stop_the_clock()
    path = arguments.paths[0]
    table = measuring.history(arguments.events, 25, 184)
    if not path.exists():
        say(f"{path} is not there: real logs are left out (DETEKTOR_SHARED_DATA names the directory they are in)")
    measured: dict[str, list[Any]] = {}
    with measuring.servers() as (settings,):
        for turn in range(arguments.turns):
            found = _real(settings, path) if path.exists() else {}
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
    done = subprocess.run(
        _command(path, Path(sys.executable).with_name("detektor")), env=_environment(settings), check=True, capture_output=True, text=True
    )
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return counts


def _command(path: Path, script: Path) -> list[str]:
    return [str(script), "ingest", str(path), "--json"]


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.postgres_dsn,
        "DETEKTOR_NOW": "",
    }


# Another build beside this one ----------------------------------------------------------------------------------------------


_SET_UP = """
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.schema import migrate
migrate(get_settings())
"""
_SAMPLED_S = 0.02


def _beside(other: Path, paths: Sequence[Path], turns: int) -> Figures:
    checkouts = {"ours": measuring.REPOSITORY, "beside": other}
    measured: dict[str, list[float]] = {}
    with measuring.servers(tuple(checkouts)) as databases:
        builds = [(name, checkouts[name], settings) for name, settings in zip(checkouts, databases, strict=True)]
        for _, checkout, settings in builds:
            _empty_database(settings)
            subprocess.run([checkout / ".venv/bin/python", "-c", _SET_UP], cwd=checkout, env=_environment(settings), check=True)
        for path in paths:
            for turn in range(turns):
                found = {name: _measured(settings, path, checkout) for name, checkout, settings in (builds if turn % 2 else builds[::-1])}
                if found["ours"]["events"] != found["beside"]["events"]:
                    raise SystemExit(f"{path}: {found['ours']['events']} events here, {found['beside']['events']} there")
                for name, figures in found.items():
                    for each, value in figures.items():
                        measured.setdefault(f"{_called(path)}: {name}: {each}", []).append(value)
                say(f"{path}, turn {turn + 1}: ours {found['ours']['s']:.2f} s, beside {found['beside']['s']:.2f} s")
    medians: Figures = {name: statistics.median_low(values) for name, values in measured.items()}
    for path in paths:
        for each in ("s", "processor_s", "peak_mb"):
            medians[f"{_called(path)}: beside over ours: {each}"] = (
                medians[f"{_called(path)}: beside: {each}"] / medians[f"{_called(path)}: ours: {each}"]
            )
        for name in checkouts:
            medians[f"{_called(path)}: {name}: lines_per_s"] = (
                medians[f"{_called(path)}: {name}: lines"] / medians[f"{_called(path)}: {name}: s"]
            )
    return medians


def _called(path: Path) -> str:
    return f"{path.absolute().parent.name}/{path.name}"


def _empty_database(settings: Settings) -> None:
    """Leave nothing of this build's tables: the other one makes its own."""
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        connection.execute("DROP SCHEMA ml_learning CASCADE")


def _measured(settings: Settings, path: Path, checkout: Path) -> Figures:
    """Run one build's command on empty tables."""
    _empty(settings)
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(_command(path, checkout / ".venv/bin/detektor"), env=_environment(settings), stdout=told)
        peak = 0.0
        while True:
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, measuring.memory_of(process.pid))
            time.sleep(_SAMPLED_S)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{checkout}: detektor ingest {path} ended with {process.returncode}")
        told.seek(0)
        counts = json.loads(told.read().splitlines()[-1])
    return {
        "s": seconds,
        "processor_s": used.ru_utime + used.ru_stime,
        "peak_mb": peak,
        "lines": counts["lines"],
        "events": counts["added"],
    }


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
