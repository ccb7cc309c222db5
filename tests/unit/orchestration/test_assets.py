"""Runs on an ephemeral instance with a fake engine, MLflow down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")
FEATURES = ["code_reviewer", "features"]
ONLINE = ["code_reviewer", "online"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-01")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(engine: Any, instance: Any, *, first: str, last: str | None = None, views: Any = (VIEW,)) -> Any:
    from dagster import AssetKey

    from detektor_pipelines.orchestration.build import build_definitions

    definitions = build_definitions({"engine": engine, "platform": engine}, views=views)
    selection = [AssetKey([view.group, name]) for view in views for name in ("features", "online")]
    job = definitions.get_repository_def().get_implicit_job_def_for_assets(selection)
    days: dict[str, Any] = (
        {"tags": {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}}
        if last
        else {"partition_key": first}
    )
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=selection, **days)


def materialized(result: Any, key: list[str]) -> dict[str | None, dict[str, Any]]:
    events = [event for event in result.all_events if event.is_step_materialization and event.asset_key.path == key]
    return {
        event.partition: {name: getattr(value, "records", value.value) for name, value in event.materialization.metadata.items()}
        for event in events
    }


def checks_of(result: Any) -> dict[str, Any]:
    found = [event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    return {check.check_name: check for check in found}


def test_one_partition_is_materialized_with_what_a_person_wants_to_know(engine: Any, instance: Any) -> None:
    result = run(engine, instance, first="2026-05-03")
    assert result.success
    assert engine.computed == [(VIEW.name, [date(2026, 5, 3)])]
    assert engine.published == [VIEW.name]
    (day, metadata), *others = materialized(result, FEATURES).items()
    assert day == "2026-05-03"
    assert not others
    assert metadata["dagster/row_count"] == 24
    assert metadata["rows_hash"] == "hash-of-2026-05-03"
    assert metadata["data_hash"] == data_hash(VIEW)
    assert metadata["feature_version"] == f"v{VIEW.version}"
    assert metadata["events_read"] == 10
    assert metadata["snapshot"] == "771:771:"
    assert "| avg_issues_per_review | 25.0% |" in metadata["null_rates"]
    assert [record.data for record in metadata["preview"]] == [
        {"column": "agent_id", "row 1": "code-reviewer", "row 2": "code-reviewer@2026-05-03"},
        {"column": "recent_reviews_count", "row 1": "4", "row 2": "null"},
    ]
    assert next(iter(materialized(result, ONLINE).values()))["keys"] == 3
    check = checks_of(result)["values_are_valid"]
    assert check.passed


def test_what_was_refused_online_stands_with_the_run_and_its_trouble_in_the_log(engine: Any, instance: Any) -> None:
    engine.publication = replace(engine.publication, refused=5, made_good=3, lost=2, withheld=1, from_log=7)
    result = run(engine, instance, first="2026-05-03")
    assert result.success
    assert engine.runs == [result.run_id]
    (metadata,) = materialized(result, ONLINE).values()
    assert {name: metadata[name] for name in ("refused", "made_good", "lost", "withheld", "from_log")} == {
        "refused": 5,
        "made_good": 3,
        "lost": 2,
        "withheld": 1,
        "from_log": 7,
    }
    said = [entry.user_message for entry in instance.all_logs(result.run_id) if "not made good" in entry.user_message]
    assert said == [engine.publication.trouble()]


def test_a_range_is_one_run_with_metadata_of_each_day(engine: Any, instance: Any) -> None:
    result = run(engine, instance, first="2026-05-01", last="2026-05-04")
    assert result.success
    days = materialized(result, FEATURES)
    assert sorted(days) == ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]
    assert {metadata["rows_hash"] for metadata in days.values()} == {f"hash-of-2026-05-0{n}" for n in range(1, 5)}
    assert [day for day, metadata in days.items() if "preview" in metadata] == ["2026-05-04"]
    assert len(engine.computed) == 1


def test_a_failed_day_is_not_materialized_and_the_others_are(engine: Any, instance: Any) -> None:
    engine.bad = {date(2026, 5, 2)}
    result = run(engine, instance, first="2026-05-01", last="2026-05-04")
    assert not result.success
    assert sorted(materialized(result, FEATURES)) == ["2026-05-01", "2026-05-03", "2026-05-04"]
    assert not materialized(result, ONLINE)
    assert not engine.published
    check = checks_of(result)["values_are_valid"]
    assert not check.passed
    assert check.metadata["failed_days"].value == "2026-05-02"
    (row,) = check.metadata["failing_rows"].records
    assert row.data == {
        "day": "2026-05-02",
        "agent_id": "code-reviewer",
        "column": "recent_reviews_count",
        "check": "at least 0",
        "value": "-1",
    }
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 of 4 days did not pass and was not published: 2026-05-02" in failure.step_failure_data.user_failure_data.description


def test_one_view_that_fails_leaves_the_others_alone(engine: Any, instance: Any) -> None:
    other = view_named("deployment_features")
    engine.raising[VIEW.name] = UserError("PostgreSQL does not answer.", where="127.0.0.1:1", fix="Run `detektor up`.")
    result = run(engine, instance, first="2026-05-03", views=(VIEW, other))
    assert not result.success
    assert engine.published == [other.name]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "Run `detektor up`" in failure.step_failure_data.user_failure_data.description


def test_with_mlflow_down_the_rows_are_published_and_the_record_is_kept(engine: Any, instance: Any, environment: Settings) -> None:
    result = run(engine, instance, first="2026-05-03")
    assert result.success
    (metadata,) = materialized(result, FEATURES).values()
    assert metadata["mlflow_run"].startswith("kept for later")
    assert len(list((environment.home / "mlflow-outbox").glob("*.json"))) == 1


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_column_schema_describes_every_feature(view: Any) -> None:
    from detektor_pipelines.orchestration import metadata

    schema = metadata.of_definition(view)["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [
        "agent_id",
        "event_timestamp",
        "created_at",
        *(feature.name for feature in view.features),
    ]
    assert all(column.description for column in schema.columns)
