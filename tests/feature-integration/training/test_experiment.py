"""Experiments over a simulated history of half a year, on real PostgreSQL and MLflow: logged, and made again from their run alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import pytest
from support.log_rows import insert
from support.oracle import Event
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import DAY, HOUR, days
from detektor_pipelines.settings import get_settings
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.mlflow.model_versions import model_versions
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord, Tracker
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.training import lineage, references, tracking
from detektor_pipelines.training.experiment import Experiment, run
from detektor_pipelines.training.reproduction import reproduce
from detektor_pipelines.training.tracking import Logged, client, log
from detektor_pipelines.versions.lock import released

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # mlflow and matplotlib warn of themselves

NOW = "2026-06-01T00:00:00Z"
VIEW = view_named("code-reviewer")
CODER = view_named("detektor-coder")
FEATURES = [VIEW.name, f"{CODER.name}:rework_rate", f"{CODER.name}@all:weekly_implementations_count"]
DAGSTER_RUN = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def installation(module_database: Settings, mlflow_uri: str) -> Iterator[Settings]:
    """Return settings of a log with what coder and reviewer did in half a year, and of an MLflow with one materialization."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETEKTOR_NOW", NOW)
        table = simulate_table(days=184, projects=8, seed=1, end=datetime(2026, 6, 1, tzinfo=UTC).date())
        of_both = pc.is_in(table["operation"], value_set=pc.cast(["review", "implement", "feedback"], table["operation"].type))
        append_table(module_database, table.filter(of_both))
        settings = module_database.model_copy(update={"mlflow_tracking_uri": mlflow_uri})
        _materialized(settings)
        yield settings


@pytest.fixture(scope="module")
def done(installation: Settings) -> tuple[Experiment, Logged]:
    made = run(installation, agent="code-reviewer", label="rejected", features=FEATURES)
    return made, log(installation, made)


@pytest.fixture(scope="module")
def logged_run(installation: Settings, done: tuple[Experiment, Logged]) -> Any:
    with client(installation) as mlflow:
        return mlflow.MlflowClient().get_run(done[1].run_id)


def _materialized(settings: Settings) -> None:
    tracker = Tracker(settings)
    tracker.log(
        MaterializationRecord(
            root="run:1",
            agent=VIEW.agent,
            view=VIEW.name,
            version=VIEW.version,
            data_hash=data_hash(VIEW),
            metadata_hash="m",
            status="FINISHED",
            days=("2026-05-01", "2026-05-01", 1),
            rows_hash="r",
            counts={},
            started_ms=1,
            ended_ms=2,
            dagster={"dagster_run_id": DAGSTER_RUN, "dagster_root_run_id": DAGSTER_RUN},
        )
    )
    tracker.close()


def test_the_run_says_what_it_was_made_of(done: tuple[Experiment, Logged], logged_run: Any) -> None:
    made, logged = done
    tags, params = logged_run.data.tags, logged_run.data.params
    assert tags["feature_version"] == f"v{VIEW.version}"
    assert tags["feast_feature_hash"] == data_hash(VIEW)
    assert tags["training_set_hash"] == made.found.set_hash
    assert (tags["label"], tags["label_hash"], tags["snapshot"]) == ("rejected", made.found.label_hash, made.found.snapshot)
    assert {each["name"]: each["data_hash"] for each in json.loads(tags["views"])} == {
        VIEW.name: data_hash(VIEW),
        CODER.name: data_hash(CODER),
    }
    assert json.loads(tags["dagster_runs"]) == {VIEW.name: [DAGSTER_RUN]}
    assert DAGSTER_RUN in tags["mlflow.note.content"]
    assert made.summary() in tags["mlflow.note.content"]
    assert params["seed"] == str(made.seed)
    assert params["first_event"] < params["last_event"]
    assert logged_run.info.status == "FINISHED"
    assert logged.run_id == logged_run.info.run_id
    assert {"auc", "auc_low", "auc_high", "log_loss", "brier", "prior_rate_auc", "last_rate_log_loss"} <= logged_run.data.metrics.keys()


def test_it_leads_back_to_features_runs_and_events(installation: Settings, done: tuple[Experiment, Logged]) -> None:
    found = lineage.of_run(installation, done[1].run_id)
    assert {each.view for each in found.rows} == {VIEW.name, CODER.name}
    assert DAGSTER_RUN in found.dagster_runs
    assert {VIEW.agent, CODER.agent} <= set(found.events.agents)
    assert found.events.count > 0
    of_feature = lineage.of_feature(installation, CODER, "rework_rate")
    assert done[1].run_id in {each.run_id for each in of_feature.trained}


def test_its_datasets_carry_our_hash(done: tuple[Experiment, Logged], logged_run: Any) -> None:
    inputs = logged_run.inputs.dataset_inputs
    assert {tag.value for each in inputs for tag in each.tags} == {"training", "validation", "testing"}
    assert {each.dataset.digest for each in inputs} == {done[0].found.set_hash[:36]}


def test_plots_tables_and_record_lie_beside_it(installation: Settings, done: tuple[Experiment, Logged]) -> None:
    with client(installation) as mlflow:
        names = {each.path for each in mlflow.MlflowClient().list_artifacts(done[1].run_id)}
    assert {"experiment.json", "calibration.png", "calibration.json", "shap.png", "shap.json", "shap.parquet", "dagster_runs.json"} <= names
    assert "labels.parquet" not in names


def test_the_model_is_registered_with_a_signature_by_names(installation: Settings, done: tuple[Experiment, Logged]) -> None:
    made, logged = done
    with client(installation) as mlflow:
        signature = mlflow.models.get_model_info(f"models:/code-reviewer/{logged.version}").signature
    assert signature.inputs.has_input_names()
    kinds = dict(zip(signature.inputs.input_names(), [each.name for each in signature.inputs.input_types()], strict=True))
    assert kinds.pop("agent_id") == "string"
    assert set(kinds.values()) == {"double"}
    assert list(kinds) == [each["name"] for each in made.rows.inputs]
    (version,) = (each for each in model_versions(installation) if each.version == logged.version)
    assert version.uses(data_hash(VIEW)[:12])
    assert version.uses(data_hash(CODER)[:12])


def test_nothing_is_learnt_from_within_the_embargo(done: tuple[Experiment, Logged]) -> None:
    rows, parts = done[0].rows, done[0].parts
    assert parts.embargo >= days(30).size
    assert rows.decided_at[parts.refit].max() < rows.decided_at[parts.test].min() - parts.embargo
    assert rows.decided_at[parts.train].max() < rows.decided_at[parts.validation].min() - parts.embargo
    assert rows.known_at[parts.refit].max() < rows.decided_at[parts.test].min()


def test_the_first_model_is_in_production_and_a_second_one_only_when_it_is_told_to(
    installation: Settings, done: tuple[Experiment, Logged]
) -> None:
    made, first = done
    assert first.production
    second = log(installation, made)
    assert not second.production
    third = log(installation, made, promote=True)
    assert third.production
    with client(installation) as mlflow:
        assert mlflow.MlflowClient().get_model_version_by_alias("code-reviewer", "production").version == third.version


def test_a_run_is_made_again_after_late_events_and_another_catalogue(
    installation: Settings, done: tuple[Experiment, Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, logged = done
    late = parse_instant("2026-04-01T10:00:00Z")
    project = made.rows.agent_ids[0].partition("@")[2]
    values = {"verdict": "rejected", "review_round": 1, "issues_found": 9}
    events = [Event(f"late{number}", late + number * HOUR, late + 30 * DAY, project, values=values) for number in range(50)]
    insert(installation, events)
    other = replace(VIEW, version="9.0.0", features=VIEW.features[:3])
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr(references, "VIEWS", (other, CODER))
    again = reproduce(installation, logged.run_id)
    assert [each.name for each in again.compared if not each.equal] == []
    assert again.equal
    assert again.made.found.set_hash == made.found.set_hash
    now = run(installation, agent="code-reviewer", label="rejected", features=[other.name])
    assert now.found.table.num_rows > made.found.table.num_rows, "the late events do count for those who come later"


def test_a_run_that_differs_says_what(installation: Settings, done: tuple[Experiment, Logged], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    real = tracking.read_record
    record = None

    def changed(*words: Any) -> Any:
        nonlocal record
        record, labels = real(*words)
        record.content["set"]["hash"] = "0" * 64
        record.content["packages"]["numpy"] = "1.0"
        return record, labels

    monkeypatch.setattr("detektor_pipelines.training.reproduction.read_record", changed)
    found = reproduce(installation, done[1].run_id)
    assert not found.equal
    assert "training set" in found.summary()
    assert "numpy was 1.0" in found.summary()


def test_a_run_of_somebody_else_or_of_nobody_is_refused(installation: Settings) -> None:
    with pytest.raises(UserError, match="no such run"):
        reproduce(installation, "0" * 32)
    with client(installation) as mlflow:
        other = mlflow.MlflowClient().create_run("0").info.run_id
    with pytest.raises(UserError, match=r"no experiment\.json"):
        reproduce(installation, other)


def test_labels_of_ones_own_are_kept_with_the_run_and_it_is_made_again(
    installation: Settings, done: tuple[Experiment, Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    given = done[0].found.table.select(["agent_id", "decided_at", "label", "task_id"])
    logged = log(installation, run(installation, agent="code-reviewer", label=given))
    assert reproduce(installation, logged.run_id).equal


def test_a_log_that_fails_leaves_no_model_behind(
    installation: Settings, done: tuple[Experiment, Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trusts_nothing(_: Any) -> list[str]:
        return []

    with client(installation) as mlflow:
        experiment = mlflow.MlflowClient().get_experiment_by_name("training/code-reviewer").experiment_id
        before = len(mlflow.MlflowClient().search_logged_models([experiment]))
        monkeypatch.setattr(tracking, "_trusted", trusts_nothing)
        with pytest.raises(Exception, match="skops"):
            log(installation, done[0])
        assert len(mlflow.MlflowClient().search_logged_models([experiment])) == before
        failed = mlflow.MlflowClient().search_runs([experiment], "attributes.status = 'FAILED'")
        assert len(failed) == 1


def test_the_same_rows_give_the_same_figures(installation: Settings, done: tuple[Experiment, Logged]) -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.training.experiment import learn

    made = done[0]
    again = learn(made.found, VIEWS, label=made.label)
    assert again.digests == made.digests
    assert again.metrics == made.metrics
    np.testing.assert_array_equal(again.attributions.shap, made.attributions.shap)


def test_by_command(installation: Settings, done: tuple[Experiment, Logged], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", installation.postgres_dsn)
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", installation.mlflow_uri)
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    get_settings.cache_clear()
    app = build_app()
    asked = ["experiment", "--agent", "code-reviewer", "--features", f"v{VIEW.version}"]
    answer = CliRunner().invoke(app, [*asked, "--json"])
    assert answer.exit_code == 0, answer.output
    said = json.loads(answer.stdout)
    assert (said["label"], said["views"][VIEW.name]["version"], said["production"]) == ("rejected", VIEW.version, False)
    assert said["metrics"]["model"]["auc"]["low"] <= said["metrics"]["model"]["auc"]["value"] <= said["metrics"]["model"]["auc"]["high"]
    again = CliRunner().invoke(app, ["reproduce", said["run_id"], "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["equal"]
    plain = CliRunner().invoke(app, [*asked, "--label", "rejected", "--from", "2025-12-15T00:00:00Z"])
    assert plain.exit_code == 0, plain.output
    assert "against it" in plain.stdout
    assert "detektor reproduce" in plain.stdout
    refused = CliRunner().invoke(app, [*asked, "--label", "rejected", "--from", "2026-05-01T00:00:00Z"])
    assert isinstance(refused.exception, UserError)
    assert "Too little data" in refused.exception.what
    number = CliRunner().invoke(app, [*asked, "--label", "issues_found"])
    assert isinstance(number.exception, UserError)
    assert "is a number" in number.exception.what
    unreleased = CliRunner().invoke(app, ["experiment", "--agent", "code-reviewer", "--features", "v9.9.9"])
    assert isinstance(unreleased.exception, UserError)
    assert "has no version" in unreleased.exception.what


def test_an_earlier_version_is_learnt_from_by_its_own_definition(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue has gone on; the version before it lies among those released."""
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr(references, "VIEWS", (replace(VIEW, version="9.0.0", features=VIEW.features[:3]), CODER))
    definitions = released("code-reviewer", VIEW.version)
    assert [data_hash(each) for each in definitions] == [data_hash(VIEW)]
    assert released("code-reviewer", "9.0.0") == ()
    made = run(installation, agent="code-reviewer", version=VIEW.version, definitions=definitions)
    assert [(each.version, each.data_hash) for each in made.found.views] == [(VIEW.version, data_hash(VIEW))]
