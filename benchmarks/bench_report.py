"""`detektor report` and `detektor validate --check-all` on the demo's history: how long each takes, as whole commands.

    .venv/bin/python benchmarks/bench_report.py [--events 200000] [--projects 8] [--turns 3] [--json]

184 simulated days of eight agents, published to both stores and registered with Feast; nobody else works on them. `report_s` is the
command from start to end, `report_mb` the page; `validate_s` the same of the validation, which has to pass, and `check_…_s` what its
checks took. Medians of the turns. `own_cpu_s`: processor time of the commands, without that of PostgreSQL and Redis.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import measuring
from measuring import say

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

DETEKTOR = str(Path(sys.executable).with_name("detektor"))
DAYS = 184


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--projects", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    figures = measuring.machine()
    measuring.stop_the_clock()
    with measuring.servers() as (settings,), tempfile.TemporaryDirectory() as scratch:
        _fill(settings, arguments.events, arguments.projects)
        figures["events"] = arguments.events
        found: dict[str, list[float]] = defaultdict(list)
        page = Path(scratch) / "report.html"
        for turn in range(arguments.turns):
            say(f"turn {turn + 1} of {arguments.turns}")
            _run(settings, found, "report", "report", "--out", str(page))
            answer = json.loads(_run(settings, found, "validate", "validate", "--check-all", "--json"))
            for each in answer["checks"]:
                found[f"check_{each['check'].replace(' ', '_')}_s"].append(each["seconds"])
        figures["report_mb"] = page.stat().st_size / 1_000_000
        figures |= {name: statistics.median(values) for name, values in found.items()}
    measuring.show(figures, as_json=arguments.json)


def _fill(settings: Settings, events: int, projects: int) -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill
    from detektor_pipelines.stores.feast.registry import apply
    from detektor_pipelines.stores.raw_log.bulk import append_table

    say(f"{events:,} events of {DAYS} days, published and registered")
    append_table(settings, measuring.history(events, projects, DAYS))
    list(backfill(settings, VIEWS, measuring.last_days(DAYS)))
    apply(settings)


def _run(settings: Settings, found: dict[str, list[float]], name: str, *words: str) -> str:
    """Run a command on the servers; note how long it took and its own processor time."""
    environment = os.environ | {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(settings.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": str(settings.external_redis_url),
    }
    before, started = os.times(), time.perf_counter()
    done = subprocess.run([DETEKTOR, *words], env=environment, check=False, capture_output=True, text=True)
    found[f"{name}_s"].append(time.perf_counter() - started)
    after = os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    found[f"{name}_own_cpu_s"].append(own)
    if done.returncode:
        raise SystemExit(f"detektor {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
