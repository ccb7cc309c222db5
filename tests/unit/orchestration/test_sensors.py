from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = pytest.mark.slow

REVIEWS, DEPLOYMENTS = view_named("code_review_features"), view_named("deployment_features")


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def happened(dg: ModuleType, instance: Any, *keys: str) -> None:
    for key in keys:
        partition = "2026-05-03" if key.endswith("features") else None
        instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/"), partition=partition))


def tick(dg: ModuleType, instance: Any) -> Any:
    from detektor_pipelines.orchestration.sensors import publish_online

    return publish_online(VIEWS)(dg.build_sensor_context(instance=instance))


def test_nothing_to_do_at_first(dg: ModuleType, instance: Any) -> None:
    assert isinstance(tick(dg, instance), dg.SkipReason)


def test_newer_features_are_published_for_those_views_alone(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "deployment_specialist/features", "deployment_specialist/online", "code_reviewer/features")
    request = tick(dg, instance)
    assert [key.to_user_string() for key in request.asset_selection] == ["code_reviewer/online"]


def test_published_values_need_nothing(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "code_reviewer/features", "code_reviewer/online")
    assert isinstance(tick(dg, instance), dg.SkipReason)


def test_the_same_features_are_asked_for_once(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "code_reviewer/features")
    before = tick(dg, instance).run_key
    assert tick(dg, instance).run_key == before
    happened(dg, instance, "code_reviewer/features")
    assert tick(dg, instance).run_key != before


def test_a_publication_that_failed_is_asked_for_again(dg: ModuleType, instance: Any) -> None:
    happened(dg, instance, "code_reviewer/features")
    before = tick(dg, instance).run_key

    @dg.asset(key=["code_reviewer", "online"])
    def online() -> None:
        raise dg.Failure("Redis does not answer.")

    assert not dg.materialize([online], instance=instance, raise_on_error=False).success
    assert tick(dg, instance).run_key != before  # Dagster starts one run a key, however it ends


def test_a_run_that_still_works_on_the_view_is_left_to_end(dg: ModuleType, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.orchestration import sensors

    happened(dg, instance, "code_reviewer/features", "deployment_specialist/features")
    monkeypatch.setattr(sensors, "_runs_of", lambda _, view: {"busy"} if view is REVIEWS else set())
    monkeypatch.setattr(sensors, "_active", lambda *_: {"busy"})
    assert [key.to_user_string() for key in tick(dg, instance).asset_selection] == ["deployment_specialist/online"]
