"""Days by Spark through Dagster: another process computes and publishes, this one records what it records of DuckDB's."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.orchestration.run import RunSummary

pytestmark = [pytest.mark.slow, pytest.mark.spark]

FIRST, LAST = date(2026, 5, 1), date(2026, 5, 2)
VIEW = view_named("documentation_features")
CONF = """
spark.driver.extraJavaOptions        -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto
spark.sql.shuffle.partitions         2
spark.default.parallelism            2
spark.sql.adaptive.enabled           false
spark.sql.codegen.wholeStage         false
spark.sql.codegen.factoryMode        NO_CODEGEN
"""


@pytest.fixture
def history(servers: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return settings by which Spark computes; the log holds three simulated days."""
    pytest.importorskip("pyspark", reason="pyspark is not in this environment: `make spark-test` runs these in their own")
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    (tmp_path / "spark-defaults.conf").write_text(CONF)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-04T00:00:00Z")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("DETEKTOR_ENGINE", "spark")
    monkeypatch.setenv("DETEKTOR_SPARK_MASTER", "local[2]")
    monkeypatch.setenv("DETEKTOR_SPARK_PYTHON", sys.executable)
    get_settings.cache_clear()
    append_table(servers, simulate_table(days=3, projects=1, seed=7, end=date(2026, 5, 4)))
    return get_settings()


def run(settings: Settings) -> RunSummary:
    from detektor_pipelines.orchestration.run import materialize_range

    return materialize_range(settings, (VIEW,), FIRST, LAST)


def recorded(settings: Settings, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the metadata of each partition of the features."""
    import dagster as dg

    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(settings) as instance:
        records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    events = [each.asset_materialization for each in records]
    return {
        each.partition: {
            name: value.value for name, value in each.metadata.items() if name not in {"seconds", "snapshot", "status", "written"}
        }
        for each in events
        if each is not None and each.partition
    }


def test_the_pages_show_of_spark_what_they_show_of_duckdb(history: Settings) -> None:
    by_spark = run(history)
    assert by_spark.problems == {}
    assert {day.status for day in by_spark.materializations[VIEW.name].days} == {"published"}
    assert by_spark.publications[VIEW.name].keys

    by_duckdb = run(history.model_copy(update={"engine": "duckdb"}))
    assert {day.status for day in by_duckdb.materializations[VIEW.name].days} == {"unchanged"}
    shown, expected = recorded(history, by_spark.run_id), recorded(history, by_duckdb.run_id)
    assert shown.keys() == expected.keys() == {"2026-05-01", "2026-05-02"}
    for partition, metadata in expected.items():
        assert shown[partition].keys() == metadata.keys()
        for name in ("data_hash", "feature_version", "null_rates", "events", "event_range"):
            assert shown[partition][name] == metadata[name], name


def test_what_spark_lacks_is_said_on_the_run_as_any_mistake_is(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere/java")
    summary = run(history)
    assert "Spark needs Java, and there is none." in summary.problems[VIEW.name]
    assert "openjdk-17" in summary.problems[VIEW.name]
