"""Golden rows: each view's features over small histories, worked out by hand (docs/feature-tests.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.engine.cases import run_case

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(GOLDEN.glob("*.yaml"))}
CASES = [pytest.param(content["view"], case, id=f"{name}: {case['name']}") for name, content in FILES.items() for case in content["cases"]]


def expectations(view: str) -> list[dict[str, Any]]:
    return [each for content in FILES.values() if content["view"] == view for case in content["cases"] for each in case["expect"]]


@pytest.mark.parametrize(("view", "case"), CASES)
def test_values_worked_out_by_hand_come_out(view: str, case: dict[str, Any]) -> None:
    result = run_case(view_named(view), case, case["name"])

    assert result.checked
    assert not result.mismatches


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_feature_has_a_value_worked_out_by_hand(view: FeatureView) -> None:
    covered = {name for each in expectations(view.name) for name, value in each["values"].items() if value is not None}

    assert [feature.name for feature in view.features if feature.name not in covered] == []


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_nullable_feature_is_seen_null(view: FeatureView) -> None:
    covered = {name for each in expectations(view.name) for name, value in each["values"].items() if value is None}

    assert [feature.name for feature in view.features if feature.nullable and feature.name not in covered] == []


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_agent_and_one_project_of_it_are_both_read(view: FeatureView) -> None:
    agents = {each.get("agent_id", view.agent) for each in expectations(view.name)}

    assert view.agent in agents
    assert any(agent.startswith(f"{view.agent}@") for agent in agents)
