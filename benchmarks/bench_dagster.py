"""What Dagster itself costs: a command-line range run of 184 days over all views with an engine that does nothing.

    .venv/bin/python benchmarks/bench_dagster.py [--days 184] [--stock] [--json]

Each run is one process, as `dagster asset materialize --partition-range` starts it, on a PostgreSQL of its own; the wall time holds the
interpreter's start, Dagster's import, and the records of one planned and one done materialization for each of days × 8 views. MLflow is
down, as far as the run knows. The first run, of one day, makes Dagster's tables. `--stock` adds the storage classes of dagster-postgres
beside ours: a minute more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from measuring import say, timed

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--stock", action="store_true")
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as scratch, measuring.servers(("ours", "stock")) as (ours, stock):
        homes = {"ours": (ours, ours.dagster_home)}
        if arguments.stock:
            homes["stock"] = (stock, _stock_home(Path(scratch), stock))
        for name, (settings, home) in homes.items():
            for label, days in (("first_day", 1), ("range", arguments.days)):
                with timed(figures, f"{name}_{label}_s"):
                    _materialize(settings, home, days)
                say(f"{name}: {days} days in {figures[f'{name}_{label}_s']:.1f} s")
    measuring.show(figures, as_json=arguments.json)


def _stock_home(scratch: Path, settings: Settings) -> Path:
    url = settings.sqlalchemy_url("dagster")
    manager = "compute_logs:\n  module: dagster._core.storage.noop_compute_log_manager\n  class: NoOpComputeLogManager\n"
    (scratch / "dagster.yaml").write_text(f"storage:\n  postgres:\n    postgres_url: '{url}'\n{manager}", encoding="utf-8")
    return scratch


def _materialize(settings: Settings, home: Path, days: int) -> None:
    range_ = measuring.last_days(days)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.postgres_dsn,
        "DETEKTOR_MLFLOW_TRACKING_URI": str(settings.mlflow_tracking_uri),
        "DETEKTOR_START_DATE": range_[0].isoformat(),
    }
    dagster = str(Path(sys.executable).with_name("dagster"))
    target = ["-f", str(Path(__file__).with_name("idle_engine.py")), "-a", "definitions", "--select", "kind:feast"]
    command = [dagster, "asset", "materialize", *target, "--partition-range", f"{range_[0]}...{range_[-1]}"]
    done = subprocess.run(command, env=environment, cwd=measuring.REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
