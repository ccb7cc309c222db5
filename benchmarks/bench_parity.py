"""`detektor parity`: how long it takes to ask of 10,000 agents whether what a reader gets is right.

    .venv/bin/python benchmarks/bench_parity.py [--history 1000000] [--keys 10000] [--turns 3] [--beside CHECKOUT] [--json]

The history is simulated, 184 days of eight agents; on top of it each of `--keys` projects of the code-reviewer has three reviews on the
days before. A worker writes every value and ends. `healthy_s`: all agents of all views, right to the bit, with one wrong value planted.
`later_s`: the same 26 hours later with nobody at work, so that almost every value is looked at again, and again from its own knowledge.
Medians of the turns; `own_cpu_s` is this process's processor time, the rest is PostgreSQL, Redis, and two seconds of waiting for a worker
that might move what differs. `--beside` runs the same in another checkout, on servers of its own (`…_beside`); an earlier
build compares what it is told to (`--sample`), each value for its own instant.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.settings import Settings

MIDNIGHT: Final = dt.datetime.combine(measuring.END, dt.time(), dt.UTC)
_DAY: Final = dt.timedelta(days=1)


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--beside", metavar="CHECKOUT", help="another checkout to run the same in")
    arguments = parser.parse_args()
    figures = measuring.machine() | {name: getattr(arguments, name) for name in ("history", "keys", "turns")}
    with measuring.servers() as (settings,):
        measure(settings, arguments, figures)
    if arguments.beside:
        figures |= {f"{name}_beside": value for name, value in beside(arguments).items() if name.startswith("healthy_")}
    measuring.show(figures, as_json=arguments.json)


def beside(arguments: Any) -> dict[str, Any]:
    """Run this benchmark with another checkout's package."""
    say(f"The same in {arguments.beside}")
    words = [f"--{name}={getattr(arguments, name)}" for name in ("history", "keys", "turns")]
    environment = os.environ | {"PYTHONPATH": os.path.abspath(arguments.beside)}  # noqa: PTH100
    done = subprocess.run([sys.executable, __file__, *words, "--json"], check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(settings: Settings, arguments: Any, figures: dict[str, Any]) -> None:
    """Fill the figures."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stream.worker import Worker

    say(f"Writing {arguments.history} events of history and {arguments.keys} further agent_ids")
    append_table(settings, measuring.history(arguments.history, 20, 184))
    append_table(settings, reviews(3 * arguments.keys, arguments.keys))
    clock_at(MIDNIGHT)
    with Worker(settings, VIEWS) as worker:
        for _ in range(4):
            worker.tick()
    plant(settings, f"{VIEWS[0].agent}@k{arguments.keys // 2}")
    seconds(settings, arguments, figures, "healthy")
    clock_at(MIDNIGHT + dt.timedelta(hours=26))
    seconds(settings, arguments, figures, "later")


def seconds(settings: Settings, arguments: Any, figures: dict[str, Any], name: str) -> None:
    """Time the turns, and keep what the last one found."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.quality.parity.check import check

    say(name)
    spent, busy = [], []
    for _ in range(arguments.turns):
        started, before = time.perf_counter(), time.process_time()
        found = check(settings, VIEWS, 8 * 2 * arguments.keys)  # an earlier build shares the sample between the views
        spent.append(time.perf_counter() - started)
        busy.append(time.process_time() - before)
    figures[f"{name}_s"] = statistics.median(spent)
    figures[f"{name}_own_cpu_s"] = statistics.median(busy)
    figures[f"{name}_compared"] = sum(each.compared for each in found)
    figures[f"{name}_mismatches"] = sum(len(each.mismatches) for each in found)


def plant(settings: Settings, agent_id: str) -> None:
    """Put a wrong number in the place of one, with its stamps."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online import values as online

    client, key = online.redis_client(settings), online.value_key(settings.project, VIEWS[0], agent_id)
    (row,) = online.read(client, settings.project, VIEWS[0], [agent_id])
    if row is None:
        message = f"{agent_id} is not online"
        raise RuntimeError(message)
    from dataclasses import replace

    client.delete(key)
    wrong = replace(row, values={**row.values, "recent_reviews_count": 99})
    online.write_values(client, settings.project, VIEWS[0], [wrong], valid_through_us=row.as_of)
    client.close()


def reviews(number: int, projects: int) -> pa.Table:
    """Reviews spread evenly over two days and over projects."""
    import pyarrow as pa

    start = MIDNIGHT - 3 * _DAY
    stamps = pa.array([start + 2 * _DAY * (position / number) for position in range(number)], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "event_id": [f"k-{position}" for position in range(number)],
            "agent_type": ["code-reviewer"] * number,
            "raw_name": ["bench"] * number,
            "project": [f"k{position % projects}" for position in range(number)],
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


def clock_at(instant: dt.datetime) -> None:
    """Stop the platform's clock."""
    os.environ["DETEKTOR_NOW"] = instant.isoformat()


if __name__ == "__main__":
    main()
