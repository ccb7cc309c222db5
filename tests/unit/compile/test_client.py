from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.client import AgentValues, agents
from detektor_pipelines.compile import client
from detektor_pipelines.language.expressions import DefinitionError
from detektor_pipelines.language.views import ANSWER_NAMES

ROOT = Path(__file__).resolve().parents[3]
VIEW = VIEWS[0]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_each_view_has_its_class(view: client.FeatureView) -> None:
    kind = agents.KINDS[view.agent]
    assert (kind.__name__, kind.AGENT, kind.VIEW) == (client.class_name(view), view.agent, view.name)
    assert tuple(each.name for each in view.features) == kind.FEATURES
    assert {each.name for each in view.features if each.value_type == "instant"} == kind.INSTANTS
    declared = {name: text for name, text in kind.__annotations__.items() if not name.isupper()}
    types = {"int64": "int | None", "float64": "float | None", "instant": "datetime | None"}
    assert declared == {each.name: types[each.value_type] for each in view.features}


def test_every_class_is_given_to_the_public() -> None:
    from detektor_pipelines import client as public

    assert {client.class_name(view) for view in VIEWS} <= set(public.__all__)


def test_a_feature_cannot_be_called_what_an_answer_has_already() -> None:
    with pytest.raises(DefinitionError, match="feature name 'status': Python, or the client's answers, have that name already"):
        replace(VIEW.features[0], name="status")
    assert {name for name in dir(AgentValues) if not name.startswith("_") and not name.isupper()} <= ANSWER_NAMES
    assert {name for name in AgentValues.__annotations__ if not name.isupper()} <= ANSWER_NAMES


def test_texts_cannot_end_a_docstring() -> None:
    said = replace(VIEW.features[0], description='Said \\ """ twice.')
    (text,) = client.render([replace(VIEW, description='A """ of \\N.', features=(said,))]).values()
    compile(text, "agents.py", "exec")


@pytest.mark.slow
def test_a_type_checker_knows_the_features(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from detektor_pipelines import AgentFeatures\n"
        "found = AgentFeatures('code-reviewer', timeout=1).get()\n"
        "reveal_type(found.recent_reviews_count)\n"
        "reveal_type(found.last_rejection_at)\n"
        "reveal_type(AgentFeatures('deployment_features').get_many(['a']))\n"
        "found.deployment_success_rate\n"
        "AgentFeatures('code-reviewer', retries=1)\n"
        "name: str = 'code-reviewer'\n"
        "reveal_type(AgentFeatures(name).get())\n",
    )
    words = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path), str(program)]
    lines = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    said = {int(line.split(":")[1]): line for line in lines if ": error: " in line or "Revealed type" in line}
    assert '"int | None"' in said[3]
    assert '"datetime.datetime | None"' in said[4]
    assert "list[detektor_pipelines.client.agents.DeploymentFeatures]" in said[5]
    assert "has no attribute" in said[6]
    assert "No overload variant" in said[7]
    assert "AgentValues" in said[9]
