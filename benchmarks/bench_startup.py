"""How long commands take to start: what a person waits for each time, and what Dagster's code location costs each process.

    .venv/bin/python benchmarks/bench_startup.py [--turns 7] [--json]

Each is a process of its own, wall time, the first (which may compile or read from disk) left out, median of the turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import measuring
from measuring import timed

DETEKTOR = str(Path(sys.executable).with_name("detektor"))
COMMANDS = {
    "python_s": (sys.executable, "-c", ""),
    "help_s": (DETEKTOR, "--help"),
    "ingest_help_s": (DETEKTOR, "ingest", "--help"),
    "env_s": (DETEKTOR, "env"),
    "catalog_s": (sys.executable, "-c", "import detektor_pipelines.catalog"),
    "import_dagster_s": (sys.executable, "-c", "import dagster"),
    "definitions_s": (sys.executable, "-W", "ignore", "-c", "import detektor_pipelines.definitions"),
}


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    figures = measuring.machine()
    measured: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(arguments.turns + 1):
        for name, command in COMMANDS.items():
            spent: dict[str, Any] = {}
            with timed(spent, name):
                subprocess.run(command, check=True, capture_output=True, cwd=measuring.REPOSITORY)
            if turn:
                measured[name].append(spent[name])
    figures |= {name: statistics.median(values) for name, values in measured.items()}
    measuring.show(figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
