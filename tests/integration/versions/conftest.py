"""A small installation whose definitions a test changes: servers of its own, a simulated history, a copy of the package."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.package_copy import PackageCopy

from detektor_pipelines import stack
from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.settings import Settings

DAYS, EVENTS = 20, 4_000


@dataclass
class Installation:
    """What a test works with; every command loads the copy of the package."""

    settings: Settings
    copy: PackageCopy

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(*words), capture_output=True, text=True, check=False)

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "detektor_pipelines", *words]

    def done(self, *words: str) -> str:
        """Call a command that has to end well; returns what it printed."""
        called = self.call(*words)
        assert called.returncode == 0, called.stdout + called.stderr
        return called.stdout

    def plan(self, code: int) -> dict[str, Any]:
        called = self.call("plan", "--json")
        assert called.returncode == code, called.stdout + called.stderr
        return dict(json.loads(called.stdout))

    def published(self) -> dict[tuple[str, str, str], str]:
        """Return (view, hash, day) → hash of the day's rows."""
        with connect(self.settings) as connection:
            rows = connection.execute("SELECT view, left(data_hash, 12), partition::text, hash FROM ml_learning.partition_state").fetchall()
        return {(view, digest, day): rows_hash for view, digest, day, rows_hash in rows}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageCopy:
    """The package that every program of a test loads, and every command."""
    made = PackageCopy(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    return made


@pytest.fixture
def installation(settings: Settings, copy: PackageCopy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """PostgreSQL and Redis with a history of twenty days; MLflow does not answer."""
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    try:
        begun = stack.up(settings, ("postgres", "redis"), free_ports=True).settings
        migrate(begun)
        append_table(begun, simulate_table(days=DAYS, projects=2, seed=5, end=from_us(now_us()).date(), events=EVENTS))
        yield Installation(begun, copy)
    finally:
        stack.down(settings)
