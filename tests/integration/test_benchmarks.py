"""The benchmarks run, at a size that says nothing about speed: so that they do not rot, and pandas goes on agreeing with the engine."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def figures(script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, BENCHMARKS / script, *arguments, "--json"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.long
def test_pandas_computes_what_the_engine_computes() -> None:
    found = figures(
        "bench_backfill.py", "--events", "6000", "--projects", "3", "--days", "50", "--turns", "1", "--ways", "ours,floor,pandas"
    )
    assert found["rows"] > 500
    assert found["pandas_rows_unlike_ours"] == 0
    assert found["pandas_greatest_relative_difference"] < 1e-12


@pytest.mark.long
def test_a_backfill_through_dagster_publishes_the_same() -> None:
    found = figures("bench_backfill.py", "--events", "3000", "--projects", "2", "--days", "3", "--turns", "1", "--ways", "ours,dagster")
    assert found["dagster_s"] > found["dagster_engine_s"] > 0


FIGURES = {
    "bench_ingest.py": "append_s",
    "bench_startup.py": "help_s",
    "bench_backup.py": "first_read_s",
    "bench_hook.py": "quick_call_p50_ms",
    "bench_dagster.py": "ours_range_s",
    "bench_online_write.py": "rows_per_second",
    "live.py": "p99_ms",
    "bench_stream.py": "log_end_events_s",
    "serving.py": "requests_per_second",
    "bench_report.py": "report_mb",
    "bench_operating.py": "online_s",
}
"""Of each benchmark that no other test here runs, something that it measures."""


@pytest.mark.long
@pytest.mark.parametrize(("script", "figure"), FIGURES.items())
def test_the_others_run(script: str, figure: str, tmp_path: Path) -> None:
    """As `make bench QUICK=1` runs them."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run_all.py", "--quick", "--only", script, "--results", tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))[script][figure]


@pytest.mark.long
def test_the_soak_runs() -> None:
    assert figures("soak_serving.py", "--minutes", "0.1", "--share", "0.3")["requests"]


@pytest.mark.long
def test_ours_beside_the_others_computes_the_same(tmp_path: Path) -> None:
    """Of the peers that are installed; each is held to ours by the benchmark itself."""
    found = figures("side_by_side.py", "--quick", "--events", "3000", "--agents", "50", "--results", str(tmp_path))
    (size,) = found["windows"].values()
    assert size["unlike_ours"]["duckdb"]["rows_compared"] == size["ways"]["pandas"]["rows"] == size["ways"]["ours"]["rows"] > 500
    assert {each.name for each in tmp_path.iterdir()} == {"side_by_side.json", "windows.svg", "feast.svg", "performance.md"}


@pytest.mark.long
def test_bytes_of_a_history_are_as_the_capacity_model_predicts(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In PostgreSQL with its indexes, in Redis by MEMORY USAGE; docs/scaling.md names the factor."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_backfill
    import capacity
    import side_by_side

    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    monkeypatch.setenv("DETEKTOR_NOW", "2026-11-01T00:00:00Z")
    events, days = 60_000, 120
    log = simulate_table(days=days, projects=12, seed=3, end=dt.date(2026, 11, 1), events=events)
    append_table(servers, log)
    bench_backfill._vacuum(servers)
    bench_backfill._ours(servers, days)
    seen = side_by_side._costs(servers, log)
    of = capacity.read_constants()
    predicted = capacity.needs(capacity.Load(events, days, seen["agent_ids"]), of)
    for name, here, model in (
        ("rows", seen["rows"], predicted.rows),
        ("log", seen["log_bytes"], predicted.log_gb * 1e9),
        ("rows' bytes", seen["row_bytes"], predicted.rows_gb * 1e9),
        ("a key", seen["redis_bytes_a_key"], of.bytes_a_key),
    ):
        assert here / 1.5 < model < here * 1.5, name


def test_every_benchmark_has_its_section_and_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run_all

    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert {script.name for script in BENCHMARKS.glob("bench_*.py")} | {"live.py", "serving.py", "training.py"} == {
        each.script for each in run_all.RUNS
    }
    assert [script.name for script in BENCHMARKS.glob("bench_*.py") if f"benchmarks/{script.name}" not in readme] == []


@pytest.mark.long
def test_every_way_to_a_training_set_gives_a_row_a_label() -> None:
    sizes = ("--events", "5000", "--projects", "3", "--labels", "100", "--rows", "1840", "--frames", "10", "--stock-frames", "10")
    found = figures("training.py", *sizes, "--turns", "1")
    assert 0 < found["exact_labels"] <= 100
    assert found["ours_10_s"] > 0
    assert found["ours_over_stock_10"] > 0


@pytest.mark.long
def test_parity_finds_the_one_value_that_was_planted() -> None:
    found = figures("bench_parity.py", "--history", "3000", "--keys", "40", "--turns", "1")
    assert found["healthy_compared"] == found["later_compared"] > 40
    assert (found["healthy_mismatches"], found["later_mismatches"]) == (1, 1)
