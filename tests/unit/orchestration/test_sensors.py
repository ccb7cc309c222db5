"""The sensor `publish_online`: what it asks for, when it waits, when it gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.automation import made, start

from detektor_pipelines.catalog import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = pytest.mark.slow

HOUR = 3600.0


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch, dg: ModuleType) -> list[str]:
    from detektor_pipelines.orchestration.sensors import online

    told: list[str] = []
    monkeypatch.setattr(online, "alert", lambda _, text, **__: told.append(text))
    return told


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, dg: ModuleType) -> Any:
    """Return a function that moves the sensors' clock on, by seconds."""
    from detektor_pipelines.orchestration.sensors import bounds

    real, passed = bounds._now, [0.0]
    monkeypatch.setattr(bounds, "_now", lambda: real() + passed[0])

    def move(seconds: float) -> None:
        passed[0] += seconds

    return move


def happened(dg: ModuleType, instance: Any, *keys: str) -> None:
    for key in keys:
        partition = "2026-05-03" if key.endswith("features") else None
        instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/"), partition=partition))


def tick(dg: ModuleType, instance: Any, cursor: str | None = None) -> Any:
    from detektor_pipelines.orchestration.sensors import publish_online

    return publish_online(VIEWS)(dg.build_sensor_context(instance=instance, cursor=cursor))


def asked(result: Any) -> list[str]:
    return [key.to_user_string() for request in result.run_requests or () for key in request.asset_selection]


def test_nothing_to_do_at_first(dg: ModuleType, instance: Any) -> None:
    assert tick(dg, instance).skip_reason.skip_message == "Online values are as new as the features."


def test_newer_features_are_published_for_those_views_alone(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "deployment_specialist/features", "deployment_specialist/online", "code_reviewer/features")
    result = tick(dg, instance)
    assert asked(result) == ["code_reviewer/online"]
    assert result.run_requests[0].tags["detektor/reason"] == "online"
    assert result.run_requests[0].run_key is None  # with one Dagster would never start a second run


def test_published_values_need_nothing(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "code_reviewer/features", "code_reviewer/online")
    assert asked(tick(dg, instance)) == []


def test_all_views_behind_are_one_run(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, *(f"{view.group}/features" for view in VIEWS))
    (request,) = tick(dg, instance).run_requests
    assert len(request.asset_selection) == len(VIEWS)


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_that_still_works_on_the_view_is_left_to_end(dg: ModuleType, instance: Any, status: str) -> None:
    happened(dg, instance, "code_reviewer/features", "deployment_specialist/features")
    made(instance, status, keys=[dg.AssetKey(["code_reviewer", "features"])])
    assert asked(tick(dg, instance)) == ["deployment_specialist/online"]


def test_a_run_of_all_assets_is_left_to_end_and_a_housekeeping_job_is_not(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "code_reviewer/features")
    made(instance, "STARTED", job="trim_event_log")
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]
    made(instance, "STARTED")
    assert "is under way" in tick(dg, instance).skip_reason.skip_message


def test_a_run_that_was_made_but_never_launched_blocks_for_ten_minutes_only(
    dg: ModuleType, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon was killed between making the run and handing it on, and did not come back to its tick."""
    import time

    from detektor_pipelines.orchestration import requests

    happened(dg, instance, "code_reviewer/features")
    (request,) = tick(dg, instance).run_requests
    start(instance, request, "NOT_STARTED")
    assert asked(tick(dg, instance)) == []
    now = time.time()
    monkeypatch.setattr(requests.time, "time", lambda: now + 601)
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]


def test_a_backfill_that_dagster_has_not_called_done_yet_is_not_waited_for(dg: ModuleType, instance: Any) -> None:
    """Its days are there, and the daemon's next look at it is half a minute away."""
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    happened(dg, instance, "code_reviewer/features")
    keys = [dg.AssetKey(["code_reviewer", "features"])]
    status = BulkActionStatus.REQUESTED
    instance.add_backfill(PartitionBackfill("b", status, from_failure=False, tags={}, backfill_timestamp=0.0, asset_selection=keys))
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]


def test_a_publication_that_failed_is_asked_for_again_after_a_minute(dg: ModuleType, instance: Any, later: Any) -> None:
    happened(dg, instance, "code_reviewer/features")
    start(instance, tick(dg, instance).run_requests[0])
    assert "the next is asked for in" in tick(dg, instance).skip_reason.skip_message
    later(61)
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]


def test_a_clock_that_was_put_back_does_not_make_the_pause_longer(dg: ModuleType, instance: Any, later: Any) -> None:
    happened(dg, instance, "code_reviewer/features")
    start(instance, tick(dg, instance).run_requests[0])
    later(-30 * 24 * HOUR)
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]


def test_after_three_failures_it_gives_up_and_says_so_once(dg: ModuleType, instance: Any, later: Any, alerts: list[str]) -> None:
    happened(dg, instance, "code_reviewer/features")
    for _ in range(3):
        start(instance, tick(dg, instance).run_requests[0])
        later(HOUR)
    assert alerts == []
    given_up = tick(dg, instance)
    assert asked(given_up) == []
    assert "given up after 3 runs" in given_up.skip_reason.skip_message
    later(100 * HOUR)
    assert asked(tick(dg, instance, given_up.cursor)) == []
    assert len(alerts) == 1
    assert "materialize the asset `online`" in alerts[0]


def test_newer_features_are_another_cause(dg: ModuleType, instance: Any, later: Any, alerts: list[str]) -> None:
    happened(dg, instance, "code_reviewer/features")
    for _ in range(3):
        start(instance, tick(dg, instance).run_requests[0])
        later(HOUR)
    happened(dg, instance, "code_reviewer/features")
    assert asked(tick(dg, instance)) == ["code_reviewer/online"]
    assert alerts == []


def test_views_that_fail_do_not_use_up_the_attempts_of_others(dg: ModuleType, instance: Any, later: Any, alerts: list[str]) -> None:
    """Which views are asked for together differs from tick to tick: what counts is each view's own."""
    happened(dg, instance, "code_reviewer/features")
    for _ in range(3):
        start(instance, tick(dg, instance).run_requests[0])
        later(HOUR)
    happened(dg, instance, "deployment_specialist/features")
    assert asked(tick(dg, instance)) == ["deployment_specialist/online"]


def test_an_unreadable_cursor_is_an_empty_one(dg: ModuleType, instance: Any) -> None:
    for cursor in ("", "{", "7", "null", '["x"]'):
        assert tick(dg, instance, cursor).cursor == "[]"


def test_what_was_said_is_forgotten_when_it_no_longer_matters(dg: ModuleType) -> None:
    """Else the cursor grows for ever, and a mistake that comes back is not told."""
    from detektor_pipelines.orchestration.sensors.bounds import Reported

    first = Reported(None)
    assert first.first_time("a")
    second = Reported(first.cursor)
    assert [second.first_time(mark) for mark in "ab"] == [False, True]
    third = Reported(second.cursor)
    assert not third.first_time("b")
    assert Reported(third.cursor).first_time("a")
