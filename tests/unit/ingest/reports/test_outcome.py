"""An outcome that an agent states itself wins over what its prose seems to say."""

from __future__ import annotations

import pytest

from detektor_pipelines.ingest.reports.outcome import FENCE, with_stated_outcome


def block(body: str) -> str:
    return f"Some prose.\n\n```{FENCE}\n{body}\n```\n"


def test_lines_win_over_what_was_concluded() -> None:
    told = with_stated_outcome(
        block("verdict: rejected\nissues_found: 3\nissues_critical: 1"),
        "review",
        {"issues_found": 7, "issues_minor": 6, "review_round": 2},
        {"verdict": "approved", "outcome": "success"},
    )
    assert told.measures == {"review_round": 2, "issues_found": 3, "issues_critical": 1}
    assert told.categories == {"verdict": "rejected", "outcome": "success"}
    assert told.attributes == {"stated": True}


def test_what_it_does_not_state_stays() -> None:
    told = with_stated_outcome(block("verdict: approved"), "review", {"issues_found": 2}, {"verdict": None})
    assert (told.measures, told.categories) == ({"issues_found": 2}, {"verdict": "approved"})


def test_json_comments_quotes_and_unknown_values() -> None:
    assert with_stated_outcome(block('{"issues_found": 0, "verdict": "approved"}'), "review", {}, {}).measures == {"issues_found": 0}
    told = with_stated_outcome(
        block('# ours\n- tests_added: 4\n\ntask_kind: "bugfix"\nfiles_changed: null'), "implement", {"files_changed": 9}, {}
    )
    assert (told.measures, told.categories) == ({"files_changed": None, "tests_added": 4}, {"task_kind": "bugfix"})


def test_three_severities_are_all_issues() -> None:
    stated = block("issues_critical: 1\nissues_major: 0\nissues_minor: 2")
    assert with_stated_outcome(stated, "review", {}, {}).measures["issues_found"] == 3


def test_the_last_block_counts() -> None:
    text = block("verdict: rejected") + block("verdict: approved")
    assert with_stated_outcome(text, "review", {}, {}).categories == {"verdict": "approved"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("verdict: maybe", "verdict is none of approved, rejected"),
        ("issues_found: some", "issues_found is not an integer"),
        ("issues_found: -1", "issues_found is outside 0 to"),
        ("issues_found: 1\nissues_critical: 2", "add up to more"),
        ("duration_ms: 5", "duration_ms is measured"),
        ("mood: good", "mood is nothing that the operation review has"),
        ("approved", "is not name: value"),
        ("{approved}", "the block is not JSON"),
        ('{"issues_found": true}', "issues_found is not an integer"),
        ('{"verdict": 3}', "verdict is not a text"),
    ],
)
def test_a_block_with_a_mistake_is_not_believed_at_all(body: str, why: str) -> None:
    told = with_stated_outcome(block(f"review_round: 2\n{body}" if not body.startswith("{") else body), "review", {"issues_found": 1}, {})
    assert told.measures == {"issues_found": 1}
    assert why in str(told.attributes["not_believed"])


@pytest.mark.parametrize("text", ["", "verdict: approved", f"```{FENCE}\nverdict: approved", f"```\n{FENCE}\nverdict: approved\n```"])
def test_no_block_nothing_stated(text: str) -> None:
    assert with_stated_outcome(text, "review", {}, {"verdict": None}) == ({}, {"verdict": None}, {})
