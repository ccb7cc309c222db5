"""Checks beside the gate in Dagster, with a fake engine: evaluated after publication, and never a reason to fail it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import view_named
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

    from detektor_pipelines.orchestration.assets.features import view_assets
    from detektor_pipelines.orchestration.keys import features_key
    from detektor_pipelines.orchestration.partitions import daily_partitions
    from detektor_pipelines.orchestration.resources import default_resources

    assets = view_assets(VIEW, daily_partitions(get_settings()))
    definitions = dg.Definitions(assets, resources=default_resources() | {"engine": engine, "platform": engine})
    job = definitions.get_repository_def().get_implicit_job_def_for_assets([features_key(VIEW)])
    tags = dict(zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), days, strict=True))
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=[features_key(VIEW)], tags=tags)


def evaluated(result: Any) -> dict[str, Any]:
    found = [event.asset_check_evaluation_data for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    return {check.check_name: check for check in found}


def test_each_check_says_what_it_looks_at_and_why_it_is_an_error_or_a_warning() -> None:
    from detektor_pipelines.orchestration.checks import beside_specs
    from detektor_pipelines.orchestration.keys import features_key

    specs = beside_specs(features_key(VIEW))
    assert [spec.name for spec in specs] == [
        "data_is_fresh",
        "rows_are_of_this_version",
        "volume_is_usual",
        "nulls_are_usual",
        "values_have_not_drifted",
        "rows_are_unique",
        "values_are_in_bounds",
        "rows_did_not_shrink",
    ]
    for spec in specs:
        assert not spec.blocking
        assert any(f"\n\n{severity}" in spec.description for severity in ("WARN", "ERROR"))


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


def records(instance: Any, names: list[str]) -> dict[str, tuple[str, Any]]:
    """Return of each check what the view's page shows: its status, resolved as Dagster does, and the evaluation."""
    import dagster as dg
    from dagster._core.loader import LoadingContextForTest

    from detektor_pipelines.orchestration.keys import features_key

    keys = [dg.AssetCheckKey(features_key(VIEW), name) for name in names]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert set(found) == set(keys)
    context = LoadingContextForTest(instance)
    return {key.name: (asyncio.run(record.resolve_status(context)).name, record.evaluation) for key, record in found.items()}


def whole_graph(engine: Any, instance: Any) -> Any:
    """Run both assets of the view as a person does from its page: with all checks that the definitions have of them."""
    from detektor_pipelines.orchestration.build import build_definitions
    from detektor_pipelines.orchestration.keys import features_key, online_key

    definitions = build_definitions({"engine": engine, "platform": engine}, settings=get_settings())
    keys = [features_key(VIEW), online_key(VIEW)]
    tags = {"dagster/asset_partition_range_start": "2026-05-01", "dagster/asset_partition_range_end": "2026-05-03"}
    job = definitions.get_repository_def().get_implicit_job_def_for_assets(keys)
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=keys, tags=tags)


def test_a_failed_day_leaves_every_other_check_of_the_asset_evaluated(engine: Any, instance: Any) -> None:
    engine.bad = {date(2026, 5, 2)}
    result = whole_graph(engine, instance)
    assert not result.success
    shown = records(instance, ["values_are_valid", *NAMES])
    assert {name: status for name, (status, _) in shown.items()} == {"values_are_valid": "FAILED"} | dict.fromkeys(NAMES, "SUCCEEDED")
    assert [event.step_key for event in result.all_events if event.is_step_start] == ["code_reviewer__features"]


@pytest.mark.parametrize("error", [UserError("The lock is held.", fix="Wait."), ZeroDivisionError()])
def test_a_step_that_raises_leaves_only_the_gate_unevaluated(engine: Any, instance: Any, error: Exception) -> None:
    """What is published stands and is judged; the gate has judged nothing, and Dagster says so."""
    engine.raising = {VIEW.name: error}
    assert not whole_graph(engine, instance).success
    shown = records(instance, ["values_are_valid", *NAMES])
    assert {name: status for name, (status, _) in shown.items()} == {"values_are_valid": "EXECUTION_FAILED"} | dict.fromkeys(
        NAMES, "SUCCEEDED"
    )
    assert engine.examined == [(VIEW.name, [])]


def test_a_run_of_a_view_has_no_steps_but_its_two_assets(engine: Any, instance: Any) -> None:
    result = whole_graph(engine, instance)
    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_start] == ["code_reviewer__features", "code_reviewer__online"]


def evaluate_log(engine: Any, instance: Any) -> Any:
    import dagster as dg

    from detektor_pipelines.orchestration.checks.freshness import log_freshness_check
    from detektor_pipelines.orchestration.keys import RAW_LOG
    from detektor_pipelines.orchestration.raw_log import raw_log

    definitions = dg.Definitions(
        [raw_log()],
        asset_checks=[log_freshness_check()],
        jobs=[dg.define_asset_job("fresh", dg.AssetSelection.checks(dg.AssetCheckKey(RAW_LOG, "data_is_fresh")))],
        resources={"platform": engine},
    )
    result = definitions.get_repository_def().get_job("fresh").execute_in_process(instance=instance)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    return check


def test_a_person_can_evaluate_the_freshness_of_the_log(engine: Any, instance: Any) -> None:
    assert evaluate_log(engine, instance).passed
    engine.late = {"": "warn"}
    assert not evaluate_log(engine, instance).passed


def test_freshness_of_the_log_that_cannot_be_asked_is_a_warning(engine: Any, instance: Any, dg: ModuleType) -> None:
    engine.blind = UserError("PostgreSQL does not answer.", fix="Run `detektor up`.")
    check = evaluate_log(engine, instance)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "PostgreSQL does not answer" in check.description


def tick(engine: Any, instance: Any, cursor: str | None = None) -> Any:
    """Evaluate the sensor and do with its events what the daemon does."""
    import dagster as dg

    from detektor_pipelines.orchestration.checks.freshness import watch_freshness

    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = watch_freshness((VIEW, OTHER), platform=engine).evaluate_tick(context)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result


def said(result: Any) -> list[tuple[str, str]]:
    """Return the assets with an evaluation or an observation, and what it says."""
    return [
        (event.asset_key.to_user_string(), f"{event.passed}" if hasattr(event, "passed") else "observed") for event in result.asset_events
    ]


def test_the_sensor_says_everything_once_and_then_only_what_has_changed(engine: Any, instance: Any) -> None:
    first = tick(engine, instance)
    assert said(first) == [
        ("agent_events", "True"),
        ("code_reviewer/features", "True"),
        ("deployment_specialist/features", "True"),
        ("agent_events", "observed"),
    ]
    again = tick(engine, instance, first.cursor)
    assert said(again) == []
    assert again.skip_message == "All data is fresh."
    engine.late = {VIEW.name: "warn"}
    late = tick(engine, instance, again.cursor)
    assert said(late) == [("code_reviewer/features", "False")]
    assert late.skip_message == "Not fresh: code_reviewer/features."
    engine.late = {VIEW.name: "error"}
    assert said(tick(engine, instance, late.cursor)) == [("code_reviewer/features", "False")]
    engine.late = {}
    assert said(tick(engine, instance, late.cursor)) == [("code_reviewer/features", "True")]


def test_the_same_verdict_in_other_words_is_said(engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are late still, but true up to another hour."""
    engine.late = {VIEW.name: "warn"}
    first = tick(engine, instance)
    now = {name: replace(finding, summary=f"{finding.summary} Still.") for name, finding in engine.views_freshness([VIEW, OTHER]).items()}
    monkeypatch.setattr(engine, "views_freshness", lambda _: now)
    assert said(tick(engine, instance, first.cursor)) == [("code_reviewer/features", "False"), ("deployment_specialist/features", "True")]


def test_the_log_is_observed_ten_minutes_apart_and_at_once_when_the_clock_was_put_back(
    engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, observed, cursor = engine.log_volume(), [], None
    for number, minutes in enumerate((0, 9, 10, 19, -10_000)):
        arrived = replace(volume, version=str(number), at=volume.at + timedelta(minutes=minutes))
        monkeypatch.setattr(engine, "log_volume", lambda _, arrived=arrived: arrived)
        result = tick(engine, instance, cursor)
        observed.append(("agent_events", "observed") in said(result))
        cursor = result.cursor
    assert observed == [True, False, True, False, True]


def test_what_a_run_has_evaluated_the_sensor_does_not_say_again(engine: Any, instance: Any) -> None:
    usual = engine.views_freshness([VIEW])[VIEW.name]
    engine.findings = {usual.check: usual}
    first = tick(engine, instance)
    materialize(engine, instance)
    assert said(tick(engine, instance, first.cursor)) == []
    engine.findings = {usual.check: replace(usual, passed=False)}  # as if a run had seen it late, and another than ours fixed it
    materialize(engine, instance)
    assert said(tick(engine, instance, first.cursor)) == [("code_reviewer/features", "True")]


def test_a_check_that_a_run_planned_and_lost_is_evaluated_by_the_sensor_but_not_at_once(
    engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed leaves the planned check, and the page says that it failed."""
    from detektor_pipelines.orchestration.checks import beside

    cursor = tick(engine, instance).cursor
    monkeypatch.setattr(beside, "result", lambda *_: killed())
    materialize(engine, instance)
    assert records(instance, ["data_is_fresh"])["data_is_fresh"][0] == "EXECUTION_FAILED"
    assert said(tick(engine, instance, cursor)) == []
    now = time.time()
    monkeypatch.setattr(beside.time, "time", lambda: now + 601)
    assert said(tick(engine, instance, cursor)) == [("code_reviewer/features", "True")]
    assert records(instance, ["data_is_fresh"])["data_is_fresh"][0] == "SUCCEEDED"


def killed() -> None:
    raise ZeroDivisionError


def test_the_sensor_goes_on_from_the_totals_it_knows_and_from_nothing_it_cannot_read(engine: Any, instance: Any) -> None:
    first = tick(engine, instance)
    tick(engine, instance, first.cursor)
    tick(engine, instance, "no json")
    tick(engine, instance, "[1]")
    assert [known is None for known in engine.asked] == [True, False, True, True]


def test_with_the_database_down_the_sensor_skips_and_keeps_what_it_knows(
    engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(known: Any = None) -> None:
        raise UserError("PostgreSQL does not answer.", fix="Run `detektor up`.")

    cursor = tick(engine, instance).cursor
    monkeypatch.setattr(engine, "log_volume", down)
    result = tick(engine, instance, cursor)
    assert "PostgreSQL does not answer" in result.skip_message
    assert not result.asset_events
    assert result.cursor == cursor


def test_drift_is_looked_at_by_a_job_that_shows_what_it_found(engine: Any, instance: Any) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.checks.drift import drift_job
    from detektor_pipelines.orchestration.keys import features_key

    engine.findings["values_have_not_drifted"] = Finding("values_have_not_drifted", passed=False, summary="They have.", fix="Look.")
    assert drift_job((VIEW, OTHER), platform=engine).execute_in_process(instance=instance).success
    keys = [dg.AssetCheckKey(features_key(view), "values_have_not_drifted") for view in (VIEW, OTHER)]
    shown = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert [shown[key].evaluation.description for key in keys] == ["They have. Look.", "They have. Look."]
    assert not any(shown[key].evaluation.passed for key in keys)
