"""The examples of docs/training.md on labels and sets, run as they stand there over a simulated log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.training.sets import TrainingSet

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
LAST = "### Labels of one's own"
"""The part on sets ends with the block below this heading."""


@pytest.mark.slow
def test_every_example_runs(database: Settings, tmp_path: Path) -> None:
    append_table(database, simulate_table(days=60, projects=3, seed=2, end=date(2026, 11, 1), events=12_000))
    page = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    end = page.index("\n```\n", page.index("```sh", page.index(LAST))) + len("\n```\n")
    examples = re.findall(r"^```(python|sh)\n(.*?)^```", page[:end], flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^```", page[:end], flags=re.MULTILINE)) == 2 * len(examples)
    paths = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    variables = os.environ | paths | {"DETEKTOR_NOW": "2026-11-01T00:00:00Z", "COLUMNS": "200"}

    def run(kind: str, text: str) -> str:
        program = [sys.executable, "-c"] if kind == "python" else ["bash", "-euo", "pipefail", "-c"]
        done = subprocess.run([*program, text], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        return done.stdout

    _, listed, sets, _, own = [run(*each) for each in examples]
    assert "rejected_again" in listed
    assert "decided before the first event of its agent_id" in sets
    assert "2 given of code-reviewer" in own
    assert TrainingSet.read(tmp_path / "wide.parquet").feature_columns[-1] == "rework_rate"
    assert TrainingSet.read(tmp_path / "mine.parquet").classes == {True: 1, False: 1}
