"""All benchmarks, one after another, and ours beside the others at the end: what `make bench` runs.

    .venv/bin/python benchmarks/run_all.py [--quick] [--only bench_hook.py,live.py] [--results DIRECTORY]

Each prints its table when it is through. One that fails is named and does not keep the others from running; the exit code says so at the
end. Into `--results` (benchmarks/results) go all.json, stream.json, side_by_side.json and the plots, of which docs/performance.md and
docs/scaling.md are made. `--quick` has the smallest sizes, takes some minutes, says nothing of speed, and writes all of that, the two
pages too, to build/benchmarks. What needs Java or real logs is left out where there is none, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import measuring
from measuring import say

HERE: Final = Path(__file__).resolve().parent
SPARK: Final = measuring.REPOSITORY / ".spark/bin/python"


@dataclass(frozen=True, slots=True)
class Run:
    """A benchmark, its arguments in a quick run and in a whole one; RESULTS stands for the directory.

    `python`: an interpreter of its own; where it is missing the benchmark is left out.
    """

    script: str
    quick: str
    whole: str = ""
    python: Path | None = None


RUNS: Final = (
    Run("bench_startup.py", "--turns 1"),
    Run("bench_hook.py", "--turns 2"),
    Run("bench_ingest.py", "--events 3000 --turns 1"),
    Run("bench_masking.py", "--turns 1"),
    Run("bench_backfill.py", "--events 3000 --projects 2 --days 3 --turns 1", "--events 30000,1000000"),
    Run("bench_online_write.py", "--agents 20 --turns 1"),
    Run("serving.py", "--requests 40 --seconds 0.5 --turns 1"),
    Run("bench_health.py", "--seconds 2 --agents 200"),
    Run("bench_dagster.py", "--days 2"),
    Run("bench_operating.py", "--events 3000 --days 3 --no-browser"),
    Run("bench_demo.py", "--events 3000"),
    Run("live.py", "--seconds 2 --history 3000 --rate 20"),
    Run(
        "bench_stream.py",
        "--history 3000 --keys 50 --burst 500 --workers 2 --seconds 1 --senders 1,2 --results RESULTS",
        "--results RESULTS",
    ),
    Run("bench_report.py", "--events 3000 --projects 2 --turns 1"),
    Run("bench_parity.py", "--history 3000 --keys 40 --turns 1"),
    Run("bench_metrics.py", "--events 3000 --projects 2 --seconds 2 --requests 20 --turns 1"),
    Run(
        "training.py", "--events 5000 --projects 3 --labels 100 --rows 1840 --frames 10 --stock-frames 10 --turns 1", "--stock-frames 1000"
    ),
    Run("bench_backup.py", "--events 3000 --encrypt"),
    Run("bench_drift.py", "--projects 2 --histories 1 --turns 1"),
    Run("bench_spark.py", "--events 3000 --days 30", python=SPARK),
)
SIDE_BY_SIDE: Final = Run(
    "side_by_side.py", "--quick --events 2000,6000 --agents 50 --spark-events 2000 --results RESULTS", "--results RESULTS"
)


def main() -> int:
    """Run them; returns how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: does everything run?")
    parser.add_argument("--only", help="scripts, separated by commas")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    results: Path = (arguments.results or (measuring.REPOSITORY / "build/benchmarks" if arguments.quick else HERE / "results")).resolve()
    results.mkdir(parents=True, exist_ok=True)
    wanted = None if arguments.only is None else set(arguments.only.split(","))
    found: dict[str, Any] = {}
    failed = []
    for run in (*RUNS, SIDE_BY_SIDE):
        if wanted is not None and run.script not in wanted:
            continue
        if run.python is not None and not run.python.exists():
            say(f"== {run.script} is left out: no {run.python}")
            continue
        figures = _figures(run, results, quick=arguments.quick)
        if figures is None:
            failed.append(run.script)
        elif run is not SIDE_BY_SIDE:  # it writes its own
            found[run.script] = figures
            (results / "all.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if wanted is None and not failed:
        subprocess.run([sys.executable, HERE / "capacity.py", "--page", "--results", results], check=True)
    say(f"Written to {results}" if not failed else f"Failed: {', '.join(failed)}")
    return len(failed)


def _figures(run: Run, results: Path, *, quick: bool) -> dict[str, Any] | None:
    """Run one and print its table; None when it failed."""
    # The page names the command: no path of this machine
    directory = str(results.relative_to(measuring.REPOSITORY) if results.is_relative_to(measuring.REPOSITORY) else results)
    words = [directory if word == "RESULTS" else word for word in (run.quick if quick else run.whole).split()]
    say(f"== {run.script} {' '.join(words)}")
    started = time.perf_counter()
    done = subprocess.run(
        [run.python or sys.executable, HERE / run.script, *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=measuring.REPOSITORY,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    say(f"== {run.script}: {time.perf_counter() - started:.0f} s")
    if done.returncode:
        say(f"{run.script} ended with {done.returncode}")
        return None
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if run is SIDE_BY_SIDE:
        import side_by_side

        print(side_by_side.table(figures), flush=True)
    else:
        measuring.show(figures, as_json=False)
    return figures


if __name__ == "__main__":
    sys.exit(main())
