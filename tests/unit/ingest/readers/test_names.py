from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.names import AgentNames, agent_names
from detektor_pipelines.language.events import AGENT_TYPES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def packaged() -> AgentNames:
    return AgentNames.load()


@pytest.mark.parametrize(
    ("raw_name", "agent"),
    [
        ("reviewer", "code-reviewer"),
        ("code-reviewer", "code-reviewer"),
        ("superpowers:code-reviewer", "code-reviewer"),
        ("some-plugin:review:code-simplicity-reviewer", "code-reviewer"),
        ("some-plugin:review:security-sentinel", "code-reviewer"),
        ("security-reviewer", "code-reviewer"),
        ("dev", "detektor-coder"),
        ("gsd-executor", "detektor-coder"),
        ("general-purpose", "unmapped"),
        ("code-simplifier:code-simplifier", "detektor-coder"),
        ("architecture-strategist", "architecture-advisor"),
        ("some-plugin:review:architecture-strategist", "architecture-advisor"),
        ("Plan", "architecture-advisor"),
        ("gsd-planner", "architecture-advisor"),
        ("technical-writer", "documentation-keeper"),
        ("Explore", "unmapped"),
        ("superpowers:receiving-code-review", "unmapped"),
        ("some-plugin:research:best-practices-researcher", "unmapped"),
        ("gsd-plan-checker", "unmapped"),
        ("main", "unmapped"),
        ("nobody-knows", "unmapped"),
        ("", "unmapped"),
    ],
)
def test_the_packaged_table(packaged: AgentNames, raw_name: str, agent: str) -> None:
    assert packaged.agent_type(raw_name) == agent


@pytest.mark.parametrize("agent", AGENT_TYPES)
def test_the_eight_agents_own_names_need_no_table(packaged: AgentNames, agent: str) -> None:
    assert packaged.agent_type(agent) == AgentNames().agent_type(agent) == agent


def test_without_a_table_only_the_own_names_are_known() -> None:
    assert AgentNames().agent_type("reviewer") == "unmapped"


def test_a_users_table_extends_and_overrides(tmp_path: Path) -> None:
    home, given = tmp_path / "agents.toml", tmp_path / "mine.toml"
    home.write_text('[agents]\ndev = "debugger"\n"acme:*" = "pisarz"\nreviewer = "debugger"\n')
    given.write_text('[agents]\nReviewer = "pipeline-debugger"\n"acme:chief" = "unmapped"\n')
    names = agent_names(tmp_path, given)
    assert names.agent_type("dev") == "debugger"
    assert names.agent_type("ACME:writer") == "pisarz"
    assert names.agent_type("acme:chief") == "unmapped"
    assert names.agent_type("reviewer") == "pipeline-debugger"
    assert names.agent_type("gsd-executor") == "detektor-coder"


def test_no_table_at_home_is_fine(tmp_path: Path) -> None:
    assert agent_names(tmp_path).agent_type("reviewer") == "code-reviewer"


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ('[agents]\ndev = "detektor-coder"\nqa = "tester"\n', 3, "'qa' maps to 'tester', which is not an agent"),
        ("[agents]\nqa = 3\n", 2, "which is not an agent"),
        ("[agents]\n\nqa = \n", 3, "not TOML"),
        ('[agent]\nqa = "debugger"\n', 1, "the tables are [agents]"),
        ('agents = "debugger"\n', 1, "agents is not a table"),
    ],
)
def test_a_broken_table_is_refused_with_file_line_and_what_is_allowed(tmp_path: Path, content: str, line: int, why: str) -> None:
    (tmp_path / "agents.toml").write_text(content)
    with pytest.raises(UserError) as refused:
        agent_names(tmp_path)
    assert why in refused.value.what
    assert refused.value.where == f"{tmp_path / 'agents.toml'}, line {line}"
    assert refused.value.fix is not None
    assert all(agent in refused.value.fix for agent in (*AGENT_TYPES, "unmapped"))


def test_a_given_table_must_exist_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        agent_names(tmp_path, tmp_path / "none.toml")
    (tmp_path / "agents.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be"):
        agent_names(tmp_path)
