"""Lineage both ways, as a real MLflow and a real log tell it: a materialization, a training run with a model, the events behind."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import append, publish
from support.log_rows import partition_log
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.compile.lineage import columns_read
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.mlflow.rest import Rest
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord, Tracker
from detektor_pipelines.training.lineage import of_feature, of_run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

VIEW, CODER = view_named("code_review_features"), view_named("coding_features")
HASH = data_hash(VIEW)


@pytest.fixture
def settings(database: Settings, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", mlflow_uri)
    monkeypatch.setenv("DETEKTOR_DAGSTER_PUBLIC_URL", "https://dagster.example")
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def history(settings: Settings) -> tuple[str, str]:
    """Three reviews, of which the last came after the snapshot; two days published; the snapshot and the materialization's run."""
    partition_log(settings)
    append(settings, VIEW, "2026-03-01 10:00", "2026-03-02 11:00")
    with connect(settings) as connection:
        row = connection.execute("SELECT ml_learning.log_snapshot()::text").fetchone()
    assert row
    publish(settings, VIEW, [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 9)])
    append(settings, VIEW, "2026-03-02 10:30")
    tracker = Tracker(settings)
    run = tracker.log(
        MaterializationRecord(
            root=f"run:{time.time_ns()}",
            agent=VIEW.agent,
            view=VIEW.name,
            version=VIEW.version,
            data_hash=HASH,
            metadata_hash="m" * 64,
            status="FINISHED",
            days=("2026-03-01", "2026-03-02", 2),
            rows_hash="r" * 64,
            counts={"rows": 10},
            started_ms=1_000,
            ended_ms=2_000,
            events=("2026-03-01T10:00:00+00:00", "2026-03-02T11:00:00+00:00"),
            snapshot=str(row[0]),
            made_from=columns_read(VIEW),
            dagster={"dagster_run_id": "d-1", "dagster_root_run_id": "d-1"},
        )
    )
    tracker.close()
    return str(row[0]), run


@pytest.fixture
def rest(mlflow_uri: str) -> Iterator[Rest]:
    rest = Rest(mlflow_uri)
    yield rest
    rest.close()


def trained(rest: Rest, snapshot: str, **tags: str) -> str:
    views = [{"name": VIEW.name, "version": VIEW.version, "data_hash": HASH}]
    said = {
        "training_set_hash": "s" * 64,
        "label": "rejected",
        "feature_version": f"v{VIEW.version}",
        "feast_feature_hash": HASH,
        "snapshot": snapshot,
        "views": json.dumps(views),
        "event_first": "2026-03-01T00:00:00+00:00",
        "event_last": "2026-03-02T10:45:00+00:00",
        "dagster_runs": json.dumps(["d-7"]),
    } | tags
    pairs = [{"key": key, "value": value} for key, value in said.items()]
    created = rest.answer("POST", "runs/create", {"experiment_id": "0", "run_name": "reviewer", "start_time": 5, "tags": pairs})
    return str(created["run"]["info"]["run_id"])


def test_a_materialization_leads_to_days_rows_and_events(settings: Settings, history: tuple[str, str]) -> None:
    snapshot, run = history
    found = of_run(settings, run)
    assert (found.kind, found.status) == ("materialization", "FINISHED")
    (days,) = found.rows
    assert (days.view, days.data_hash, days.version) == (VIEW.name, HASH, VIEW.version)
    assert (days.first, days.last, days.days) == (date(2026, 3, 1), date(2026, 3, 2), 2)  # of its own span only
    assert days.table == f"feast.{VIEW.name}__{HASH[:12]}"
    assert found.events.count == 2  # what came after its snapshot is not behind it
    assert found.events.snapshot == snapshot
    assert (found.events.first, found.events.last) == (datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC))
    assert found.dagster_runs == ("d-1",)
    assert found.dagster_pages == ("https://dagster.example/runs/d-1",)


def test_a_training_run_leads_to_materializations_and_models(settings: Settings, history: tuple[str, str], rest: Rest) -> None:
    snapshot, materialized = history
    run = trained(rest, snapshot)
    rest.answer("POST", "registered-models/create", {"name": "code-reviewer"})
    rest.answer("POST", "model-versions/create", {"name": "code-reviewer", "source": "s3://models/reviewer", "run_id": run})
    found = of_run(settings, run)
    assert found.kind == "training"
    assert [each.days for each in found.rows] == [3]
    assert materialized in {each.run_id for each in found.computed_by}
    assert {"d-7", "d-1"} <= set(found.dagster_runs)
    assert found.models == ("code-reviewer 1",)
    assert found.events.count == 1  # up to its last event, as its snapshot saw the log


def test_a_feature_leads_to_columns_runs_and_models_and_back(settings: Settings, history: tuple[str, str], rest: Rest) -> None:
    snapshot, materialized = history
    whole, one, other = (
        trained(rest, snapshot),
        trained(rest, snapshot, references=json.dumps([f"{VIEW.name}:rejection_rate"])),
        trained(rest, snapshot, references=json.dumps([f"{VIEW.name}:max_review_round"])),
    )
    found = of_feature(settings, VIEW, "rejection_rate")
    assert found.columns == columns_read(VIEW)["rejection_rate"]
    assert found.rows[0].days == 3
    ids = {each.run_id for each in found.trained}
    assert {whole, one} <= ids
    assert other not in ids
    assert materialized in {each.run_id for each in found.computed_by}
    for each in found.trained:
        assert VIEW.name in {days.view for days in of_run(settings, each.run_id).rows}
    assert of_feature(settings, CODER, "rework_rate").rows[0].days == 0
    with pytest.raises(UserError, match="no feature"):
        of_feature(settings, VIEW, "nope")


def test_an_earlier_version_that_has_rows_is_named(settings: Settings, history: tuple[str, str]) -> None:
    publish(settings, VIEW, [date(2026, 2, 1)], digest="a" * 64)
    found = of_feature(settings, VIEW, "rejection_rate")
    assert [(each.data_hash, each.version, each.days) for each in found.rows] == [(HASH, VIEW.version, 3), ("a" * 64, None, 1)]


def test_the_command_says_both(settings: Settings, history: tuple[str, str]) -> None:
    _, run = history

    def said(*words: str) -> str:
        done = CliRunner().invoke(build_app(), ["lineage", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert json.loads(said(run, "--json"))["rows"][0]["days"] == 2
    assert json.loads(said("code-reviewer:rejection_rate", "--json"))["feature"] == f"{VIEW.name}:rejection_rate"
    assert "verdict" in said(f"{VIEW.name}:rejection_rate")
    assert "raw events" in said(run)


@pytest.mark.parametrize(("what", "message"), [("f" * 32, "no MLflow run"), ("nope:x", "no feature view")])
def test_what_there_is_none_of_is_said(settings: Settings, what: str, message: str) -> None:
    done = CliRunner().invoke(build_app(), ["lineage", what])
    assert isinstance(done.exception, UserError)
    assert message in done.exception.what


def test_a_run_that_says_nothing_of_features(settings: Settings, rest: Rest) -> None:
    run = rest.answer("POST", "runs/create", {"experiment_id": "0", "start_time": 5})["run"]["info"]["run_id"]
    with pytest.raises(UserError, match="does not say which features"):
        of_run(settings, run)


def test_with_mlflow_away_a_feature_still_leads_to_the_log(settings: Settings, history: tuple[str, str]) -> None:
    away: Any = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    found = of_feature(away, VIEW, "rejection_rate")
    assert found.columns
    assert "does not answer" in str(found.problem)
