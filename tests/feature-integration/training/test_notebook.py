"""The notebook docs/notebooks/training.py, run as a program against real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.serving_client import running

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "docs/notebooks/training.py"


def test_it_is_in_the_percent_format() -> None:
    lines = NOTEBOOK.read_text(encoding="utf-8").splitlines()
    cells = [line for line in lines if line.startswith("# %%")]
    assert lines[0] == "# %% [markdown]"
    assert set(cells) == {"# %%", "# %% [markdown]"}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_runs_from_labels_to_a_served_model(servers: Settings, mlflow_uri: str, tmp_path: Path) -> None:
    addresses = {
        "DETEKTOR_EXTERNAL_POSTGRES_URL": servers.postgres_dsn,
        "DETEKTOR_EXTERNAL_REDIS_URL": os.environ["DETEKTOR_EXTERNAL_REDIS_URL"],
        "DETEKTOR_MLFLOW_TRACKING_URI": mlflow_uri,
        "DETEKTOR_HOME": str(tmp_path / "home"),
    }
    with running(tmp_path, "serve", environment=addresses) as server:
        variables = os.environ | addresses | {"DETEKTOR_SERVE_URL": f"http://127.0.0.1:{server.port}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, str(NOTEBOOK)], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "reworked     The task comes back from a review" in done.stdout
    assert "in production: True" in done.stdout
    assert "reworked with a probability of 0." in done.stdout
    assert "decisions have a prediction" in done.stdout
