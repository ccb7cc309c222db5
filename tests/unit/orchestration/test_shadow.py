"""The assets of shadow runs on an ephemeral instance: what they say, and that nothing they lack makes a run fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import LABELS, VIEWS, view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.training.learning.metrics import Estimate
from detektor_pipelines.training.outcomes import AHEAD, RETROSPECTIVE, Figures, Judgement, Week
from detektor_pipelines.training.shadow import Shadow

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")]

VIEW = view_named("detektor-coder")
FIGURES = Figures(50, 0.4, 0.5, 0.6, 0.7, 0.4, 0.6, 0.65)
GAINED = {"log loss": Estimate(0.05, 0.01, 0.09)}
BEHIND = Judgement(AHEAD, FIGURES, GAINED, ("log loss",), 20)
FOUND = Shadow(
    agent=VIEW.agent,
    label="reworked",
    version="3",
    run_id="abc",
    decisions=100,
    written=2,
    predicted=60,
    without={"some reason": 40},
    pending=10,
    no_value=0,
    gone=0,
    ahead=BEHIND,
    retrospective=Judgement(RETROSPECTIVE, None, {}, (), 0),
    weeks=(Week(date(2026, 5, 4), AHEAD, FIGURES),),
)


class FakePlatform:
    """Answers what it was given, or raises it."""

    def __init__(self, answer: Shadow | UserError) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def ask(self, _: Any, *given: Any) -> Shadow:
        self.asked += given
        if isinstance(self.answer, UserError):
            raise self.answer
        return self.answer


def materialized(dg: ModuleType, answer: Shadow | UserError) -> tuple[dict[str, Any], Any]:
    """Return metadata and check of a run of the coder's asset."""
    from detektor_pipelines.orchestration.assets.shadow import shadow_assets

    platform = FakePlatform(answer)
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(shadow_assets([VIEW]), resources={"platform": platform}, instance=instance)
    assert done.success
    assert platform.asked == [VIEW.agent]
    (event,) = done.get_asset_materialization_events()
    (check,) = done.get_asset_check_evaluations()
    return {name: value.value for name, value in event.materialization.metadata.items()}, check


def test_what_was_found_stands_at_the_asset(dg: ModuleType) -> None:
    said, check = materialized(dg, FOUND)
    assert (said["predicted"], said["written"], said["pending"], said["model_version"]) == (60, 2, 10, "3")
    assert said["without_prediction"] == "- 40: some reason"
    assert said["ahead_agreement"] == 0.6
    assert "retrospective_outcomes" not in said
    assert "| 2026-05-04 | ahead | 50 | 60% (60%) | 0.700 (0.650) | 50% | 40% |" in said["weeks"]
    assert not check.passed
    assert check.severity.name == "WARN"
    assert "BEHIND the prior rate in log loss" in check.description


def test_a_model_that_is_not_behind_passes(dg: ModuleType) -> None:
    _, check = materialized(dg, replace(FOUND, ahead=replace(BEHIND, behind=())))
    assert check.passed


def test_without_a_model_or_with_mlflow_away_it_says_so_and_does_not_fail(dg: ModuleType) -> None:
    said, check = materialized(dg, UserError("No model of detektor-coder is in production.", fix="Train one."))
    assert "No model of detektor-coder is in production." in said["skipped"]
    assert "Train one." in said["skipped"]
    assert check.passed
    assert check.description.startswith("Nothing is predicted")


def test_with_the_real_platform_and_no_mlflow_it_is_skipped(dg: ModuleType) -> None:
    from detektor_pipelines.orchestration.assets.shadow import shadow_assets
    from detektor_pipelines.orchestration.resources import LocalPlatform

    platform = LocalPlatform(Settings(mlflow_tracking_uri="http://127.0.0.1:1"))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(shadow_assets([VIEW]), resources={"platform": platform}, instance=instance)
    assert done.success
    (event,) = done.get_asset_materialization_events()
    assert "MLflow does not answer" in event.materialization.metadata["skipped"].value


def test_each_agent_with_labels_has_one_and_others_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.orchestration.assets import shadow

    agents = {label.agent for label in LABELS}
    keys = {asset.key.to_user_string() for asset in shadow.shadow_assets(VIEWS)}
    assert keys == {f"{view.group}/shadow" for view in VIEWS if view.agent in agents}
    monkeypatch.setattr(shadow, "_WITH_LABELS", frozenset({"pisarz"}))
    assert shadow.shadow_assets([VIEW]) == []
    assert shadow.hourly_shadow([VIEW]) == []
