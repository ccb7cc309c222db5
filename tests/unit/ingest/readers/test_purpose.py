"""What a call is for: by description and prompt, by rules that a user can add to; measured on labelled sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from labelled import figures

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.names import AgentNames, agent_names

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 0.95


@pytest.fixture(scope="module")
def packaged() -> AgentNames:
    return AgentNames.load()


@pytest.mark.parametrize("part", ["rules", "holdout", "second"])
def test_purposes_are_right_on_calls_of_our_own_wording(part: str) -> None:
    scores = figures.score_calls(call for call in figures.own_calls() if call.part == part)
    assert {"review", "implement", "diagnose", "document"} <= scores.keys()
    assert {purpose: score for purpose, score in scores.items() if score.precision < ENOUGH or score.recall < 0.9} == {}


@pytest.mark.slow
@pytest.mark.skipif(not figures.DATA.is_dir(), reason=f"no real transcripts in {figures.DATA}")
@pytest.mark.parametrize("part", ["rules", "holdout"])
def test_purposes_are_right_on_real_calls(part: str) -> None:
    scores = figures.score_calls(call for call in figures.shared_calls() if call.part == part)
    assert {purpose: score for purpose, score in scores.items() if score.precision < ENOUGH} == {}
    assert scores["review"].recall > 0.85
    assert scores["implement"].recall > 0.9


@pytest.mark.slow
@pytest.mark.skipif(not figures.DATA.is_dir(), reason=f"no real transcripts in {figures.DATA}")
def test_verdicts_and_counts_are_right_on_real_reviews() -> None:
    scores = figures.score_reports(figures.shared_reports())
    assert {kind: score for kind, score in scores.items() if score.precision < ENOUGH or score.recall < 0.8} == {}
    assert sum(score.said for score in scores.values()) > 100


@pytest.mark.parametrize(
    ("name", "description", "prompt", "expected"),
    [
        ("general-purpose", "Code quality review", "Look at it.", ("code-reviewer", "review", True)),
        ("GENERAL-PURPOSE", "Task 4: Add the export", "", ("detektor-coder", "implement", True)),
        ("worker", None, "You are implementing the export. Write its test first.", ("detektor-coder", "implement", True)),
        ("general-purpose", "Helper", "Review the changes on this branch and list what is wrong.", ("code-reviewer", "review", True)),
        ("general-purpose", "Verify: the export is empty", "", ("unmapped", "analysis", False)),
        ("Explore", "Research export formats", "", ("unmapped", "research", False)),
        ("Explore", "Add the export", "Add it.", ("unmapped", None, False)),
        ("Explore", "Review how exports work", "I need to understand the exports.", ("unmapped", "analysis", False)),
        ("general-purpose", "Add the export", "Only describe how; do not write any code.", ("unmapped", None, False)),
        ("general-purpose", "Add the export", "You are reviewing whether the export does what was asked.", ("unmapped", None, False)),
        ("general-purpose", None, None, ("unmapped", None, False)),
        ("reviewer", "Add the export", "", ("code-reviewer", "review", False)),
        ("nobody-knows", "Code quality review", "", ("unmapped", None, False)),
        ("main", "Code quality review", "", ("unmapped", None, False)),
    ],
)
def test_whose_work_a_call_is(
    packaged: AgentNames, name: str, description: str | None, prompt: str | None, expected: tuple[str, str | None, bool]
) -> None:
    assert packaged.agent_for(name, description, prompt) == expected


def test_a_prompt_that_was_cut_is_read_up_to_the_cut(packaged: AgentNames) -> None:
    assert packaged.agent_for("fork", None, "Review the diff…[+900 chars]do not write any code.").purpose == "review"


def test_a_users_rules_extend_and_override(tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(
        '[agents]\nfork = "pisarz"\n[generic]\ncrew-member = true\nworker = false\nagent = ["document"]\n'
        "[purposes.implement]\nagent = \"debugger\"\nstarts = ['hammer\\b']\n"
        "[purposes.release]\nagent = \"deployment-specialist\"\nsays = ['\\bship\\b']\n"
    )
    names = agent_names(tmp_path)
    assert names.agent_for("fork", "Code quality review") == ("pisarz", "research", False)
    assert names.agent_for("crew-member", "Code quality review") == ("code-reviewer", "review", True)
    assert names.agent_for("worker", "Code quality review") == ("unmapped", None, False)
    assert names.agent_for("agent", "Code quality review") == ("unmapped", None, False)
    assert names.agent_for("general-purpose", "Hammer the export into shape") == ("debugger", "implement", True)
    assert names.agent_for("general-purpose", "Add the export") == ("debugger", "implement", True)
    assert names.agent_for("general-purpose", "We ship tonight") == ("deployment-specialist", "release", True)


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("[generic]\nfork = 3\n", 2, "neither true nor false nor a list"),
        ('[purposes.review]\nagent = "critic"\n', 2, "'critic', which is not an agent"),
        ('[purposes.review]\nstart = ["x"]\n', 2, "'start' means nothing in [purposes.review]"),
        ('[purposes.review]\nstarts = "x"\n', 2, "is not a list of texts"),
        ("[purposes.review]\nstarts = [\n    'fine',\n    'bro(ken',\n]\n", 4, "is no regular expression"),
        ("[purposes]\nreview = 3\n", 2, "purposes.review is not a table"),
        ("generic = 3\n", 1, "generic is not a table"),
    ],
)
def test_a_broken_rule_is_refused_with_file_and_line(tmp_path: Path, content: str, line: int, why: str) -> None:
    (tmp_path / "agents.toml").write_text(content)
    with pytest.raises(UserError) as refused:
        agent_names(tmp_path)
    assert why in refused.value.what
    assert refused.value.where == f"{tmp_path / 'agents.toml'}, line {line}"
