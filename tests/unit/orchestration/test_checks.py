"""Checks beside the gate in Dagster, with a fake engine: evaluated after publication, and never a reason to fail it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.quality.findings import BESIDE_THE_GATE, Finding
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is currently in beta")]

VIEW = view_named("code_review_features")
OTHER = view_named("deployment_features")
NAMES = [check.name for check in BESIDE_THE_GATE]


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


def materialize(engine: Any, instance: Any, days: tuple[str, str] = ("2026-05-01", "2026-05-02")) -> Any:
    import dagster as dg

    from detektor_pipelines.orchestration.assets import features_key, view_assets
    from detektor_pipelines.orchestration.partitions import daily_partitions
    from detektor_pipelines.orchestration.resources import default_resources

    assets = view_assets(VIEW, daily_partitions(get_settings()))
    definitions = dg.Definitions(assets, resources=default_resources() | {"engine": engine})
    job = definitions.get_repository_def().get_implicit_job_def_for_assets([features_key(VIEW)])
    tags = dict(zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), days, strict=True))
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=[features_key(VIEW)], tags=tags)


def evaluated(result: Any) -> dict[str, Any]:
    found = [event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    return {check.check_name: check for check in found}


def test_each_check_says_what_it_looks_at_and_why_it_is_an_error_or_a_warning() -> None:
    from detektor_pipelines.orchestration.assets import features_key
    from detektor_pipelines.orchestration.checks import beside_specs

    specs = beside_specs(features_key(VIEW))
    assert [spec.name for spec in specs] == [
        "volume_is_usual",
        "nulls_are_usual",
        "rows_are_unique",
        "values_are_in_bounds",
        "rows_did_not_shrink",
    ]
    for spec in specs:
        assert not spec.blocking
        assert any(f"\n\n{severity}: " in spec.description for severity in ("WARN", "ERROR"))


def test_they_are_evaluated_after_the_days_that_were_published(engine: Any, instance: Any) -> None:
    result = materialize(engine, instance)
    assert result.success
    assert engine.examined == [(VIEW.name, [date(2026, 5, 1), date(2026, 5, 2)])]
    assert {name: check.passed for name, check in evaluated(result).items()} == {"values_are_valid": True} | dict.fromkeys(NAMES, True)


def test_of_a_range_with_a_failed_day_the_others_are_judged(engine: Any, instance: Any) -> None:
    engine.bad = {date(2026, 5, 2)}
    result = materialize(engine, instance)
    assert not result.success
    assert engine.examined == [(VIEW.name, [date(2026, 5, 1)])]
    assert set(evaluated(result)) == {"values_are_valid", *NAMES}


def test_a_failing_check_names_the_rows_and_what_to_do_and_fails_nothing(engine: Any, instance: Any, dg: ModuleType) -> None:
    case = {"day": "2026-05-01", "agent_id": "code-reviewer", "column": "rejection_rate", "value": "2"}
    finding = Finding("values_are_in_bounds", False, "1 row breaks a bound.", "error", "Correct it.", (case,), {"rows_out_of_bounds": 1})  # noqa: FBT003
    engine.findings = {finding.check: finding}
    result = materialize(engine, instance)
    assert result.success
    check = evaluated(result)[finding.check]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description == "1 row breaks a bound. Correct it."
    assert [record.data for record in check.metadata["cases"].records] == [case]
    assert check.metadata["rows_out_of_bounds"].value == 1


@pytest.mark.parametrize("error", [UserError("PostgreSQL does not answer.", fix="Run `detektor up`."), ZeroDivisionError()])
def test_a_check_that_cannot_look_is_a_warning_with_the_reason(engine: Any, instance: Any, dg: ModuleType, error: Exception) -> None:
    engine.blind = error
    result = materialize(engine, instance)
    assert result.success
    found = evaluated(result)
    assert found["values_are_valid"].passed
    for name in NAMES:
        assert (found[name].passed, found[name].severity) == (False, dg.AssetCheckSeverity.WARN)
        assert (str(error) or "ZeroDivisionError") in found[name].description


def evaluate_freshness(engine: Any, instance: Any, keys: list[Any]) -> dict[str, Any]:
    import dagster as dg

    from detektor_pipelines.orchestration.assets import all_assets
    from detektor_pipelines.orchestration.checks.freshness import freshness_checks
    from detektor_pipelines.orchestration.partitions import daily_partitions
    from detektor_pipelines.orchestration.resources import default_resources

    views = (VIEW, OTHER)
    definitions = dg.Definitions(
        all_assets(views, daily_partitions(get_settings())),
        asset_checks=[freshness_checks(views)],
        jobs=[dg.define_asset_job("fresh", dg.AssetSelection.checks(*(dg.AssetCheckKey(key, "data_is_fresh") for key in keys)))],
        resources=default_resources() | {"engine": engine},
    )
    result = definitions.get_repository_def().get_job("fresh").execute_in_process(instance=instance)
    assert result.success
    return {
        event.asset_check_evaluation_data.asset_key.to_user_string(): event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    }


def test_a_person_can_evaluate_freshness_of_all_or_of_one(engine: Any, instance: Any, dg: ModuleType) -> None:
    from detektor_pipelines.orchestration.assets import features_key
    from detektor_pipelines.orchestration.raw_log import RAW_LOG

    engine.late = {OTHER.name: "error"}
    found = evaluate_freshness(engine, instance, [RAW_LOG, features_key(VIEW), features_key(OTHER)])
    assert {key: check.passed for key, check in found.items()} == {
        "agent_events": True,
        "code_reviewer/features": True,
        "deployment_specialist/features": False,
    }
    assert found["deployment_specialist/features"].severity == dg.AssetCheckSeverity.ERROR
    assert list(evaluate_freshness(engine, instance, [features_key(VIEW)])) == ["code_reviewer/features"]


def test_freshness_that_cannot_be_asked_is_a_warning(engine: Any, instance: Any, dg: ModuleType) -> None:
    from detektor_pipelines.orchestration.assets import features_key

    engine.blind = UserError("PostgreSQL does not answer.", fix="Run `detektor up`.")
    (check,) = evaluate_freshness(engine, instance, [features_key(VIEW)]).values()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "PostgreSQL does not answer" in check.description


def tick(engine: Any, cursor: str | None = None) -> Any:
    import dagster as dg

    from detektor_pipelines.orchestration.checks.freshness import watch_freshness

    sensor = watch_freshness((VIEW, OTHER), engine=engine)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance, cursor=cursor) as context:
        return sensor.evaluate_tick(context)


def said(result: Any) -> list[tuple[str, str]]:
    """Return the assets with an evaluation or an observation, and what it says."""
    return [
        (event.asset_key.to_user_string(), f"{event.passed}" if hasattr(event, "passed") else "observed") for event in result.asset_events
    ]


def test_the_sensor_says_everything_once_and_then_only_what_has_changed(engine: Any) -> None:
    first = tick(engine)
    assert said(first) == [
        ("agent_events", "True"),
        ("code_reviewer/features", "True"),
        ("deployment_specialist/features", "True"),
        ("agent_events", "observed"),
    ]
    again = tick(engine, first.cursor)
    assert said(again) == []
    assert again.skip_message == "All data is fresh."
    engine.late = {VIEW.name: "warn"}
    late = tick(engine, again.cursor)
    assert said(late) == [("code_reviewer/features", "False")]
    assert late.skip_message == "Not fresh: code_reviewer/features."
    engine.late = {VIEW.name: "error"}
    later = tick(engine, late.cursor)
    assert said(later) == [("code_reviewer/features", "False")]
    engine.late = {}
    assert said(tick(engine, later.cursor)) == [("code_reviewer/features", "True")]


def test_the_sensor_goes_on_from_the_totals_it_knows_and_from_nothing_it_cannot_read(engine: Any) -> None:
    first = tick(engine)
    tick(engine, first.cursor)
    tick(engine, "no json")
    tick(engine, "[1]")
    assert [known is None for known in engine.asked] == [True, False, True, True]


def test_with_the_database_down_the_sensor_skips_and_keeps_what_it_knows(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(known: Any = None) -> None:
        raise UserError("PostgreSQL does not answer.", fix="Run `detektor up`.")

    cursor = tick(engine).cursor
    monkeypatch.setattr(engine, "log_volume", down)
    result = tick(engine, cursor)
    assert "PostgreSQL does not answer" in result.skip_message
    assert not result.asset_events
    assert result.cursor == cursor


def test_all_views_are_watched() -> None:
    from detektor_pipelines.orchestration.checks.freshness import freshness_checks

    assert len(list(freshness_checks(VIEWS).check_specs)) == len(VIEWS) + 1
