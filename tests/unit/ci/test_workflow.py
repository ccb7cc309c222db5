"""The CI recipe for GitHub runs the steps of `.ci/run`, nothing else, with actions that cannot change under it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file())
RECIPE = ROOT / ".github/workflows/ci.yml"


def read(workflow: Path) -> dict[str, Any]:
    return yaml.safe_load(workflow.read_text())


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


def commands(workflow: Path) -> list[str]:
    lines = "\n".join(step["run"] for step in steps(workflow) if "run" in step).splitlines()
    return [line.strip() for line in lines if line.strip()]


def names_of_steps() -> list[str]:
    return subprocess.run(["bash", ROOT / ".ci/run", "--list"], capture_output=True, text=True, check=True).stdout.split()


def test_there_is_a_recipe() -> None:
    assert RECIPE in WORKFLOWS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_whole(workflow: Path) -> None:
    found = read(workflow)
    assert found[True], "on: is read as the boolean by YAML 1.1; GitHub reads it as the word"
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert re.fullmatch(r"ubuntu-\d+\.\d+", job["runs-on"]), "a named image does not change under us"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_whose_version_is_said(workflow: Path) -> None:
    used = re.findall(r"uses: *(\S+)(.*)", workflow.read_text())
    assert used
    assert [action for action, _ in used if not re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40}", action)] == []
    assert [action for action, comment in used if not re.search(r"# v\d+\.\d+\.\d+", comment)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_steps_that_exist(workflow: Path) -> None:
    known = names_of_steps()
    assert commands(workflow)
    for command in commands(workflow):
        program, script, *asked = command.split()
        assert (program, script) == ("bash", ".ci/run"), f"{command}: not a step of .ci/run, so nobody sees it at home"
        assert [name for name in asked if name not in known] == []


def test_the_recipe_runs_every_step() -> None:
    asked = {name for command in commands(RECIPE) for name in command.split()[2:]}
    assert asked == set(names_of_steps())


def test_steps_call_what_exists() -> None:
    text = (ROOT / ".ci/run").read_text()
    targets = re.findall(r"\bmake (?:--silent )?([a-z.-]+)", text)
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert [target for target in targets if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)] == []
    scripts = re.findall(r"bash (\.ci/[a-z]+)", text)
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    assert {"lint", "test"} <= set(targets)
    assert "detektor generate --check" in text
    assert "dagster asset materialize" in (ROOT / ".ci/materialize").read_text()


def test_an_unknown_step_is_refused_with_those_that_exist() -> None:
    done = subprocess.run(["bash", ROOT / ".ci/run", "lint", "polish"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no step polish" in done.stderr
    assert "materialize" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("script", [*SCRIPTS, *WORKFLOWS], ids=lambda path: path.name)
def test_no_address_is_in_ci(script: Path) -> None:
    assert "://" not in script.read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True, capture_output=True)
