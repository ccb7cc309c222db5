"""What `make demo` takes: from nothing to served features of all eight agents, and once more with nothing new.

    .venv/bin/python benchmarks/bench_demo.py [--events 200000] [--json]

Runs `detektor demo --fresh` and `detektor demo` in a state directory of its own: PostgreSQL, Redis and MLflow are started, a history is
simulated, ingested, computed through Dagster, published to both stores, logged. `again` finds the servers up and all days published.
Afterwards the servers are ended and the directory is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring
from measuring import timed

DETEKTOR = str(Path(sys.executable).with_name("detektor"))


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    figures = measuring.machine()
    figures["events"] = arguments.events
    with tempfile.TemporaryDirectory() as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DETEKTOR_")} | {"DETEKTOR_HOME": home}
        try:
            for name, switches in (("fresh_s", ["--fresh"]), ("again_s", [])):
                with timed(figures, name):
                    _run(["demo", "--events", str(arguments.events), *switches], environment)
        finally:
            _run(["down"], environment)
    measuring.show(figures, as_json=arguments.json)


def _run(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run([DETEKTOR, *words], env=environment, cwd=measuring.REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"detektor {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
