"""What Dagster itself costs: a command-line range run of 184 days over all views with an engine that does nothing.

    python benchmarks/dagster_bookkeeping.py
    python benchmarks/dagster_bookkeeping.py --stock    # and the storage classes of dagster-postgres beside ours: minutes

Starts a throw-away PostgreSQL. Each run is one process, as `dagster asset materialize` starts it; the wall time holds the interpreter's
start, Dagster's import, and the records of 1,480 planned and 1,480 done materializations. MLflow is down, as far as this run knows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.views import FeatureView

DAYS = 184
REPOSITORY = Path(__file__).resolve().parents[1]


class NoEngine:
    """Says that every day is published, with the metadata a real one has."""

    def materialize(self, view: FeatureView, days: Sequence[date], _on_day: Any = None) -> SimpleNamespace:
        """Return made-up results."""
        rates = {each.name: 0.125 for each in view.features}
        return SimpleNamespace(
            days=tuple(
                SimpleNamespace(day=day, status="published", rows=240, hash="0" * 64, written=240, null_rates=rates, failures=None)
                for day in days
            ),
            snapshot="1000:1000:",
            event_count=100_000,
            event_range=(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)),
            seconds=0.0,
        )

    def publish_online(self, _: FeatureView) -> SimpleNamespace:
        """Return made-up counts."""
        return SimpleNamespace(keys=9, written=9, as_of=datetime(2026, 6, 30, tzinfo=UTC), seconds=0.0)

    def newest_rows(self, view: FeatureView, _: date) -> tuple[list[str], list[tuple[object, ...]]]:
        """Return one made-up row."""
        return ["agent_id", *(each.name for each in view.features)], [(view.agent, *(1.5 for _ in view.features))]


def definitions() -> Any:
    """Return the real definitions with this engine; Dagster's command line calls it."""
    from detektor_pipelines.orchestration.build import build_definitions

    return build_definitions({"engine": NoEngine()})


def main() -> None:
    """Measure and print."""
    from detektor_pipelines.stack import embedded, postgres

    with tempfile.TemporaryDirectory() as scratch, embedded.start_postgres(Path(scratch) / "postgres") as server:
        for name in ("ours", "stock"):
            postgres.create_database(server.dsn(), name)
            postgres.create_schemas(server.dsn(name))
        cases = [("our storage", _home_of_ours(), server.dsn("ours"))]
        if "--stock" in sys.argv:
            cases.append(("stock storage", _home_of_stock(Path(scratch), server.dsn("stock")), server.dsn("stock")))
        for title, home, dsn in cases:
            first = _range(dsn, home, scratch, 1)
            seconds = _range(dsn, home, scratch, DAYS)
            print(f"{title}: {DAYS} days x 8 views in {seconds:.1f} s; one day x 8 views, which makes the tables, in {first:.1f} s")


def _home_of_ours() -> Path:
    return REPOSITORY / "dagster_home"


def _home_of_stock(scratch: Path, dsn: str) -> Path:
    home = scratch / "stock"
    home.mkdir()
    url = f"postgresql+psycopg2://{dsn.split('://', 1)[1]}?options=-csearch_path%3Ddagster"
    manager = "compute_logs:\n  module: dagster._core.storage.noop_compute_log_manager\n  class: NoOpComputeLogManager\n"
    (home / "dagster.yaml").write_text(f"storage:\n  postgres:\n    postgres_url: '{url}'\n{manager}", encoding="utf-8")
    return home


def _range(dsn: str, home: Path, scratch: str, days: int) -> float:
    last = datetime.now(UTC).date()
    first = last - timedelta(days=days - 1)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DETEKTOR_HOME": f"{scratch}/home",
        "DETEKTOR_EXTERNAL_POSTGRES_URL": dsn,
        "DETEKTOR_MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
        "DETEKTOR_START_DATE": (last - timedelta(days=DAYS)).isoformat(),
    }
    words = ["dagster", "asset", "materialize", "-f", __file__, "-a", "definitions", "--select", "kind:feast"]
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:], "--partition-range", f"{first}...{last}"]
    started = time.perf_counter()
    subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
