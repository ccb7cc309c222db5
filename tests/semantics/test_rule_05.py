"""Rule 5: the project is the repository's name, of few characters and without an @; an agent in a project is agent@project."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_views import happened, rows_of, view_of

from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote
from detektor_pipelines.language import count, days
from detektor_pipelines.language.records import AgentEvent


@pytest.mark.parametrize(
    "cwd",
    [
        "/home/ada/entireio-cli",
        "/home/ada/entireio-cli/.worktrees/7/cmd",
        "/home/ada/entireio-cli/.claude/worktrees/brave-fox",
        "/home/ada/entireio-cli.worktrees/fix",
        "/Users/ada/conductor/workspaces/entireio-cli/lima",
        "C:\\Users\\ada\\entireio-cli\\.claude\\worktrees\\x",
        "D:\\code\\Entireio CLI",
    ],
)
def test_05_all_directories_of_a_repository_are_one_project(cwd: str) -> None:
    assert project_of_directory(cwd) == "entireio-cli"


@pytest.mark.parametrize("url", ["git@example.org:ada/entireio-cli.git", "https://example.org/ada/entireio-cli"])
def test_05_a_remote_names_the_project(url: str) -> None:
    assert project_of_remote(url) == "entireio-cli"


@given(st.text())
def test_05_a_project_has_no_other_characters(text: str) -> None:
    name = project_name(text)

    assert name is None or re.fullmatch(r"[a-z0-9._-]+", name)


@pytest.mark.parametrize("project", ["Shop", "a@b", "a b", "a/b", "żółw", ""])
def test_05_ingest_rejects_a_project_of_other_characters(project: str) -> None:
    good = AgentEvent("e", "code-reviewer", "reviewer", "review", now_us(), "test", project="shop-1.0_x")

    assert problem(good) is None
    assert problem(replace(good, project=project)) is not None


def test_05_agent_id_is_derived_from_agent_and_project() -> None:
    rows = rows_of(view_of(number=(count(), days(1))), [happened("2026-03-05 10:00", project="entireio-cli")])

    assert {row["agent_id"] for row in rows} == {"code-reviewer", "code-reviewer@entireio-cli"}
