"""The disk is lost: everything is deleted but the backup, which brings everything back, by the commands that a person would call.

`pytest -s` shows how long each step took.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import DETEKTOR, Server

from detektor_pipelines import stack
from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.quality.freshness_report import history
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.recovery import contents
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

FEATURES = [f"{view.name}:{feature.name}" for view in DECLARED[:1] for feature in view.features]


class Drill:
    """A home directory that is lost, and the commands that are called in it."""

    def __init__(self, tmp_path: Path) -> None:
        self.home, self.safe = tmp_path / "home", tmp_path / "safe"
        self.safe.mkdir()
        self.environment = {**os.environ, "HOME": str(tmp_path), "DETEKTOR_HOME": str(self.home)}
        self.seconds: dict[str, float] = {}

    def call(self, *words: str) -> Any:
        """Call a command that has to end well; returns what it says as JSON."""
        started = time.monotonic()
        done = subprocess.run([DETEKTOR, *words, "--json"], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.seconds[" ".join(words[:2])] = round(time.monotonic() - started, 1)
        return json.loads(done.stdout)

    def settings(self) -> Settings:
        get_settings.cache_clear()
        return get_settings()

    def lose_the_disk(self) -> None:
        stack.down(self.settings())
        shutil.rmtree(self.home)
        get_settings.cache_clear()

    def said(self) -> None:
        sys.stdout.write("".join(f"{name}: {seconds:.1f} s\n" for name, seconds in self.seconds.items()))


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drill]:
    made = Drill(tmp_path)
    monkeypatch.setenv("DETEKTOR_HOME", str(made.home))
    yield made
    stack.down(made.settings())


def served(settings: Settings) -> dict[str, Any]:
    """Each feature's status and value, as the feature server answers."""
    answer = Server(settings.serve_port, None, Path()).read(FEATURES, [DECLARED[0].agent]).json
    assert answer["metadata"].get("source", "redis") != "fallback"
    columns = zip(answer["metadata"]["feature_names"][1:], answer["results"][1:], strict=True)
    return {name: (each["statuses"][0], each["values"][0]) for name, each in columns}


def hashes(settings: Settings) -> dict[str, Any]:
    """Every published day, every stale one, and all rows of every table but those that say where the log lives."""
    with connect(settings) as connection:
        days = connection.execute(
            "SELECT view, data_hash, partition, rows, hash FROM ml_learning.partition_state ORDER BY 1, 2, 3"
        ).fetchall()
        tables = {
            name: contents.of_table(connection, name)
            for name in contents.tables(connection)
            if not name.startswith(("dagster.", "mlflow."))
        }
        del tables["ml_learning.log_cluster"]
        stale = {view.name: stale_days(connection, view) for view in DECLARED}
        return {"days": days, "stale": stale, "log": contents.of_log(connection, 0, None), **tables}


@pytest.mark.long
def test_everything_is_deleted_but_the_backup(drill: Drill) -> None:
    settings = stack.up(drill.settings(), ("postgres", "redis"), free_ports=True).settings
    migrate(settings)
    append_table(settings, simulate_table(days=12, projects=2, seed=3, end=from_us(now_us()).date(), events=2_500))
    _publish(settings)
    model = settings.home / "servers" / "mlflow" / "artifacts" / "1" / "model.skops"
    model.parent.mkdir(parents=True)
    model.write_bytes(os.urandom(100_000))
    kept = model.read_bytes()
    settings = stack.up(settings, ("serve",), free_ports=True).settings
    before, values = hashes(settings), served(settings)
    key = drill.safe / "key"
    public = subprocess.run(
        [DETEKTOR, "backup", "key", key], env=drill.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    target = str(drill.safe / "backups")
    made = drill.call("backup", "create", target, "--encrypt-to", public)
    assert (made["events"], made["artifacts"]) == (before["log"].rows, 1)
    drill.lose_the_disk()

    started = time.monotonic()
    drill.environment["DETEKTOR_BACKUP_IDENTITY_FILE"] = str(key)
    said = drill.call("backup", "restore", target, "--free-ports")
    settings = stack.up(drill.settings(), ("serve",), free_ports=True).settings
    assert served(settings) == values
    drill.seconds["until the first value is served again"] = round(time.monotonic() - started, 1)
    assert hashes(settings) == before
    assert sum(said["keys_online"].values()) > 0
    found = check(settings, DECLARED)
    assert (sum(each.errors for each in found), all(each.compared for each in found)) == (0, True)
    assert (settings.home / "servers" / "mlflow" / "artifacts" / "1" / "model.skops").read_bytes() == kept
    rehearsed = drill.call("backup", "drill", target)
    assert rehearsed["problems"] == []
    drill.said()


@pytest.mark.long
def test_six_months_with_models_and_dagster(drill: Drill) -> None:
    """The demo's installation, 200,000 events in all views, with what MLflow and Dagster know of it."""
    drill.call("demo", "--events", "200000")
    target = str(drill.safe / "backups")
    settings = stack.up(drill.settings(), free_ports=True).settings
    before, values, knows = hashes(settings), served(settings), _known(settings)
    drill.call("backup", "create", target)
    drill.call("backup", "verify", target)
    drill.lose_the_disk()

    started = time.monotonic()
    drill.call("backup", "restore", target, "--free-ports")
    settings = stack.up(drill.settings(), ("serve",), free_ports=True).settings
    again = served(settings)
    drill.seconds["until the first value is served again"] = round(time.monotonic() - started, 1)
    assert again.keys() == values.keys()
    assert hashes(settings) == before
    found = check(settings, DECLARED)
    assert (sum(each.errors for each in found), all(each.compared for each in found)) == (0, True)
    drill.call("up", "--free-ports")
    assert _known(drill.settings()) == knows
    drill.said()


def _publish(settings: Settings) -> None:
    span = history(settings)
    assert span
    days = [span[0] + timedelta(days=number) for number in range((span[1] - span[0]).days + 1)]
    for _ in backfill(settings, DECLARED, days):
        pass


def _known(settings: Settings) -> dict[str, Any]:
    """What MLflow has recorded, and each file of it; how many runs Dagster knows."""
    from mlflow import MlflowClient

    client = MlflowClient(settings.mlflow_uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1_000)
    files = {run.info.run_id: sorted(each.path for each in client.list_artifacts(run.info.run_id)) for run in runs}
    with connect(settings) as connection:
        succeeded = connection.execute("SELECT count(*) FROM dagster.runs WHERE status = 'SUCCESS'").fetchone()
    return {"files": files, "succeeded": succeeded is not None and succeeded[0] > 0}
