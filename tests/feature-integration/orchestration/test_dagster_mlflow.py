"""Dagster's own command line on real PostgreSQL, Redis and MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.language.hashes import data_hash, metadata_hash
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
REVIEWS = view_named("code_review_features")


@pytest.fixture
def history(servers: Settings, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose log holds five simulated days; the clock stands at their end."""
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-06T00:00:00Z")
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-01")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", mlflow_uri)
    get_settings.cache_clear()
    append_table(servers, simulate_table(days=5, projects=2, seed=7, end=date(2026, 5, 6)))
    return get_settings()


@pytest.fixture
def rest(history: Settings) -> Iterator[Any]:
    from detektor_pipelines.stores.mlflow.rest import Rest

    rest = Rest(history.mlflow_uri)
    yield rest
    rest.close()


def dagster(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DAGSTER_HOME": str(settings.dagster_home)}
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "detektor_pipelines.definitions", *words]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)


def runs_of(rest: Any, where: str) -> list[dict[str, Any]]:
    """Return runs of MLflow as flat dictionaries, the oldest first."""
    name = {"experiment_name": "feature_materialization"}
    experiment = rest.answer("GET", "experiments/get-by-name", name)["experiment"]["experiment_id"]
    question = {"experiment_ids": [experiment], "filter": where, "order_by": ["attributes.start_time ASC"], "max_results": 50}
    return [
        {
            "id": run["info"]["run_id"],
            "status": run["info"]["status"],
            "tags": {pair["key"]: pair["value"] for pair in run["data"].get("tags", [])},
            "params": {pair["key"]: pair["value"] for pair in run["data"].get("params", [])},
            "metrics": {pair["key"]: pair["value"] for pair in run["data"].get("metrics", [])},
        }
        for run in rest.answer("POST", "runs/search", question).get("runs", [])
    ]


@pytest.mark.long
def test_one_partition_and_a_range_by_the_command_line_are_in_mlflow(history: Settings, rest: Any) -> None:
    one = dagster(history, "--select", "group:code_reviewer", "--partition", "2026-05-05")
    assert one.returncode == 0, one.stderr[-3000:]
    more = dagster(history, "--select", "group:code_reviewer", "--partition-range", "2026-05-01...2026-05-04")
    assert more.returncode == 0, more.stderr[-3000:]
    first, second = runs_of(rest, "tags.view = 'code_review_features'")[-2:]
    assert first["params"]["partition_count"] == "1"
    assert (
        second["params"].items()
        >= {
            "agent": "code-reviewer",
            "feature_version": f"v{REVIEWS.version}",
            "feast_feature_hash": data_hash(REVIEWS),
            "feature_metadata_hash": metadata_hash(REVIEWS),
            "partition_first": "2026-05-01",
            "partition_last": "2026-05-04",
            "partition_count": "4",
        }.items()
    )
    assert second["params"]["snapshot"].count(":") == 2
    assert second["params"]["event_first"] < second["params"]["event_last"]
    assert second["metrics"]["rows"] > 0
    assert second["metrics"]["rows_written"] == second["metrics"]["rows"]
    assert second["metrics"]["days_published"] == 4
    assert second["tags"]["dagster_run_id"] != first["tags"]["dagster_run_id"]
    assert second["tags"]["code_revision"]
    (parent,) = runs_of(rest, f"attributes.run_id = '{second['tags']['mlflow.parentRunId']}'")
    assert parent["tags"]["detektor.root"] == f"run:{second['tags']['dagster_root_run_id']}"
    assert (parent["status"], second["status"]) == ("FINISHED", "FINISHED")


def test_a_partition_that_does_not_exist_is_one_clear_message(history: Settings) -> None:
    done = dagster(history, "--select", "group:code_reviewer", "--partition", "2025-05-05")
    assert done.returncode == 1
    assert "There is no partition 2025-05-05." in done.stderr
    assert "from 2026-05-01 to 2026-05-06" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore")  # dagster-mlflow and mlflow warn of themselves
def test_an_asset_may_use_mlflows_own_functions_on_the_same_run(history: Settings, rest: Any) -> None:
    """dagster-mlflow by itself starts a run for each Dagster run; ours gives it the one that is there."""
    import dagster as dg

    from detektor_pipelines.orchestration.resources import mlflow_resource

    @dg.asset(required_resource_keys={"mlflow"})
    def trained(context) -> None:
        run = context.resources.mlflow
        run.functions.log_param("learning_rate", 0.1)
        run.functions.log_metric("auc", 0.7)

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([trained], instance=instance, resources={"mlflow": mlflow_resource(history)})
    (run,) = runs_of(rest, f"tags.`detektor.root` = 'run:{result.run_id}'")
    assert run["params"] == {"learning_rate": "0.1"}
    assert run["metrics"] == {"auc": 0.7}
    assert run["status"] == "FINISHED"


def test_the_runs_of_a_backfill_and_a_retry_share_a_parent(history: Settings, rest: Any) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.resources import mlflow_resource
    from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord

    def one(tags: dict[str, str]) -> None:
        @dg.op(required_resource_keys={"mlflow"})
        def log(context) -> None:
            mlflow = context.resources.mlflow
            record = MaterializationRecord(
                root=mlflow.root, agent="a", view="v", version="1.0.0", data_hash="d", metadata_hash="m", status="FINISHED",
                days=("2026-05-01", "2026-05-01", 1), rows_hash="r", counts={"rows": 1.0}, dagster=mlflow.dagster, started_ms=1, ended_ms=2,
            )  # fmt: skip
            assert mlflow.log(record).problem is None

        @dg.job(resource_defs={"mlflow": mlflow_resource(history)})
        def job() -> None:
            log()

        with dg.DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance, tags=tags).success

    one({"dagster/backfill": "backfill1"})
    one({"dagster/backfill": "backfill1"})
    family = runs_of(rest, "tags.`detektor.root` = 'backfill:backfill1'")
    (parent,) = [run for run in family if run["tags"].get("detektor.role") == "parent"]
    children = [run for run in family if run is not parent]
    assert len(children) == 2
    assert {run["tags"]["mlflow.parentRunId"] for run in children} == {parent["id"]}
    assert {run["tags"]["dagster_backfill_id"] for run in children} == {"backfill1"}
