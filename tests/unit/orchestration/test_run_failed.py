"""The sensor `run_failed`: which runs it tells of, and what it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.automation import made

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")]

RANGE = {"dagster/asset_partition_range_start": "2026-05-02", "dagster/asset_partition_range_end": "2026-05-04"}


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch, dg: ModuleType) -> list[dict[str, Any]]:
    from detektor_pipelines.orchestration.sensors import failures

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(failures, "alert", lambda _, text, **more: told.append({"text": text, **more}))
    return told


class Sensor:
    """The sensor as the daemon evaluates it: with its cursor from tick to tick."""

    def __init__(self, dg: ModuleType, instance: Any) -> None:
        from detektor_pipelines.orchestration.sensors import run_failed

        self._dg, self._instance, self._cursor = dg, instance, None
        self._sensor = run_failed(VIEWS, Settings())
        self._definitions = dg.Definitions(sensors=[self._sensor])
        self.tick()  # the first only notes where the log stands

    def tick(self) -> None:
        context = self._dg.build_sensor_context(
            instance=self._instance, cursor=self._cursor, repository_def=self._definitions.get_repository_def()
        )
        self._cursor = self._sensor.evaluate_tick(context).cursor


@pytest.fixture
def sensor(dg: ModuleType, instance: Any, alerts: list[dict[str, Any]]) -> Sensor:
    return Sensor(dg, instance)


def test_a_day_that_fails_the_gate_is_named_with_its_reason_and_a_link(
    dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    @dg.asset(
        key=["code_reviewer", "features"],
        check_specs=[dg.AssetCheckSpec("values_are_valid", asset=["code_reviewer", "features"])],
        partitions_def=dg.DailyPartitionsDefinition("2026-05-01"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def features() -> Any:
        yield dg.AssetCheckResult(passed=False, check_name="values_are_valid", metadata={"failed_days": "2026-05-03"})
        raise dg.Failure("1 of 3 days did not pass\nand were not published: 2026-05-03.", allow_retries=False)

    run = dg.materialize([features], instance=instance, tags=RANGE | {"detektor/reason": "nightly"}, raise_on_error=False)
    sensor.tick()
    (told,) = alerts
    why = "1 of 3 days did not pass and were not published: 2026-05-03."
    assert told["text"] == f"code_review_features failed for 2026-05-03: {why}"
    assert told["link"] == f"http://127.0.0.1:3000/runs/{run.run_id}"
    assert (told["run_id"], told["views"], told["days"]) == (run.run_id, ["code_review_features"], "2026-05-03")
    assert (told["reason"], told["started_for"]) == (why, "nightly")


def test_without_a_check_the_days_are_the_runs(dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]) -> None:
    @dg.asset(
        key=["code_reviewer", "features"],
        partitions_def=dg.DailyPartitionsDefinition("2026-05-01"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def features() -> None:
        raise RuntimeError("out of paper")

    dg.materialize([features], instance=instance, tags=RANGE, raise_on_error=False)
    sensor.tick()
    assert alerts[0]["text"] == "code_review_features failed for 2026-05-02 to 2026-05-04: RuntimeError: out of paper"


def test_each_failure_is_told_once_and_a_success_not_at_all(
    dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    @dg.asset(key=["debugger", "online"])
    def online(context) -> None:
        if "bad" in context.run.tags:
            raise dg.Failure("Redis does not answer.")

    for tags in ({}, {"bad": "1"}, {}, {"bad": "2"}):
        dg.materialize([online], instance=instance, tags=tags, raise_on_error=False)
    for _ in range(3):
        sensor.tick()
    assert [told["text"] for told in alerts] == ["debugging_features failed: Redis does not answer."] * 2


def test_code_that_could_not_be_loaded_is_named_with_its_file_and_line(
    dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    from dagster._core.events import EngineEventData
    from dagster_shared.error import SerializableErrorInfo

    run = instance.get_run_by_id(made(instance, "STARTED"))
    error = SerializableErrorInfo('  File "catalog/debugger.py", line 63\n    over=days(\nSyntaxError: never closed\n', [], None)
    instance.report_engine_event("Could not load job definition.", run, EngineEventData(error=error))
    instance.report_run_failed(run)
    sensor.tick()
    assert 'File "catalog/debugger.py", line 63 over=days( SyntaxError: never closed' in alerts[0]["text"]


def test_a_run_that_will_be_started_again_is_told_of_at_its_last_attempt(
    instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    for again, told in (("true", 0), ("false", 1)):
        run = instance.get_run_by_id(made(instance, "STARTED", {"dagster/will_retry": again}))
        instance.report_run_failed(run, message="Its process 71 is gone.")
        sensor.tick()
        assert len(alerts) == told


def test_a_run_of_the_command_line_is_not_started_again_whatever_its_tag_says(
    dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    """Dagster marks a run that lost its process so, and then finds that it does not know where to start it."""

    @dg.asset(key=["debugger", "online"])
    def online() -> None:
        raise dg.Failure("crashed")

    dg.materialize([online], instance=instance, tags={"dagster/will_retry": "true"}, raise_on_error=False)
    sensor.tick()
    assert len(alerts) == 1


def test_of_an_error_with_many_lines_the_first_is_told(dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]) -> None:
    @dg.asset(key=["debugger", "online"])
    def online() -> None:
        raise OSError("server closed the connection unexpectedly\n\tThis probably means that it\n\twas killed.\n\n[SQL: SELECT 1]")

    dg.materialize([online], instance=instance, raise_on_error=False)
    sensor.tick()
    assert alerts[0]["text"] == "debugging_features failed: OSError: server closed the connection unexpectedly"


def test_a_reason_of_a_thousand_letters_is_cut(dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]) -> None:
    @dg.asset(key=["debugger", "online"])
    def online() -> None:
        raise dg.Failure("x" * 1000)

    dg.materialize([online], instance=instance, raise_on_error=False)
    sensor.tick()
    assert alerts[0]["reason"] == "x" * 500


def test_a_run_whose_process_died_names_the_views_it_was_for(
    dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]
) -> None:
    run_id = made(instance, "STARTED", RANGE, [dg.AssetKey(["code_reviewer", "features"])])
    run = instance.get_run_by_id(run_id)
    instance.report_run_failed(run, message="The process of the run is gone.")
    sensor.tick()
    assert alerts[0]["text"] == "code_review_features failed for 2026-05-02 to 2026-05-04: The process of the run is gone."


def test_a_job_of_no_view_is_told_by_its_name(dg: ModuleType, instance: Any, sensor: Sensor, alerts: list[dict[str, Any]]) -> None:
    run = instance.get_run_by_id(made(instance, "STARTED", job="trim_event_log", keys=[]))
    instance.report_run_failed(run, message="no space")
    sensor.tick()
    assert alerts[0]["text"] == "trim_event_log failed: no space"
    assert alerts[0]["views"] is None
