"""What the benchmarks share: servers of their own, a history to work on, and how figures are printed.

Belongs here: nothing that one benchmark alone measures.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from detektor_pipelines.settings import Settings

REPOSITORY: Final = Path(__file__).resolve().parents[1]
END: Final = dt.date(2026, 11, 1)
"""Simulated histories end at this day's 00:00 UTC, and so does the platform's clock."""


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the benchmark's docstring, with `--json`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser


def stop_the_clock() -> None:
    """Set the platform's clock to END: no day of the history is still open."""
    os.environ["DETEKTOR_NOW"] = f"{END}T00:00:00Z"


def last_days(days: int) -> list[dt.date]:
    """Return the `days` days before END."""
    return [END - dt.timedelta(days=number) for number in range(days, 0, -1)]


_AT_ONCE: Final = 5_000_000
_WEEKS: Final = 28


@contextmanager
def servers(databases: Sequence[str] = ("detektor",)) -> Iterator[list[Settings]]:
    """Run a PostgreSQL and a Redis, set up as those of `detektor up`; yield the settings of each migrated database."""
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.servers import embedded, postgres
    from detektor_pipelines.stores.schema import migrate

    with (
        tempfile.TemporaryDirectory() as scratch,
        embedded.start_postgres(Path(scratch) / "postgres", durable=True) as pg,
        embedded.start_redis(Path(scratch) / "redis") as redis,
    ):
        found = []
        for name in databases:
            postgres.create_database(pg.dsn(), name)
            postgres.create_schemas(pg.dsn(name))
            found.append(
                Settings(
                    home=Path(scratch) / "home",
                    external_postgres_url=pg.dsn(name),
                    external_redis_url=redis.url(),
                    mlflow_tracking_uri="http://127.0.0.1:1",
                )
            )
            migrate(found[-1])
        yield found


def history(events: int, projects: int, days: int) -> pa.Table:
    """Simulate the same history every time."""
    from detektor_pipelines.simulation.simulator import simulate_table

    return simulate_table(days=days, projects=projects, seed=1, end=END, events=events)


def histories(events: int, projects: int, days: int) -> Iterator[pa.Table]:
    """Simulate the same history every time, four weeks at once where the whole of it would take several gigabytes."""
    from detektor_pipelines.simulation.simulator import simulate_table

    if events <= _AT_ONCE:
        yield history(events, projects, days)
        return
    made = 0
    for first in range(0, days, _WEEKS):
        behind = min(first + _WEEKS, days)
        wanted = events * behind // days - made
        made += wanted
        yield simulate_table(days=behind - first, projects=projects, seed=1, end=END - dt.timedelta(days=days - behind), events=wanted)


@contextmanager
def timed(figures: dict[str, Any], name: str, *, processor: str = "") -> Iterator[None]:
    """Add the seconds that the block takes to figure `name`, and this process's processor time to figure `processor`."""
    started, busy = time.perf_counter(), time.process_time()
    yield
    figures[name] = figures.get(name, 0.0) + time.perf_counter() - started
    if processor:
        figures[processor] = figures.get(processor, 0.0) + time.process_time() - busy


def memory_of(process: int) -> float:
    """Return the megabytes (2²⁰ bytes) that a process and its children hold, what they share counted once; 0 for one that has ended."""
    kilobytes = 0
    processes = [process]
    for each in processes:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                processes += map(int, (task / "children").read_text().split())
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024


def say(text: str) -> None:
    """Tell how far the benchmark is, beside its figures."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: cores, and how busy others keep them (load of the last minute; take it before the run)."""
    return {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the figures, one a line."""
    rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}
    if as_json:
        print(json.dumps(rounded))
        return
    width = max(map(len, rounded))
    for name, value in rounded.items():
        text = f"{value:,}" if isinstance(value, int | float) else str(value)
        print(f"{name:<{width}}  {text:>14}")
