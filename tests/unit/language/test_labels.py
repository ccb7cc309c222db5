"""What a label may say, and what its hash covers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detektor_pipelines.language import DefinitionError, Label, days, event, label_hash

REVIEW = event.operation == "review"
REJECTED = Label("rejected", event.verdict == "rejected", "code-reviewer", REVIEW, "x", null_means="x")
AGAIN = replace(REJECTED, later=REVIEW, within_next=days(7), otherwise=False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Rejected"}, "lower_snake_case"),
        ({"name": "class"}, "lower_snake_case"),
        ({"agent": "nobody"}, "none of the agents"),
        ({"description": ""}, "description and a unit"),
        ({"null_means": ""}, "null_means"),
        ({"where": event.issues_found}, "where takes a condition"),
        ({"value": event.verdict}, "a value is a condition"),
        ({"decided_at": event.verdict}, "decided_at is an instant"),
        ({"later": REVIEW}, "belong together"),
        ({"within_next": days(1)}, "belong together"),
        ({"otherwise": False}, "no within_next"),
        ({"later": REVIEW, "within_next": 7}, "length of time"),
        ({"later": REVIEW, "within_next": days(1), "otherwise": True, "value": event.issues_found}, "otherwise is for conditions"),
        ({"value": event.verdict.is_in(("approved", "rejected") * 120)}, "nested"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        replace(REJECTED, **changed)


def test_a_condition_is_a_truth_and_a_value_a_number() -> None:
    assert REJECTED.value_type == "bool"
    assert replace(REJECTED, value=event.issues_found).value_type == "float64"


def test_a_label_that_says_what_nothing_means_needs_no_null() -> None:
    assert replace(AGAIN, null_means="").null_means == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"value": event.verdict == "approved"},
        {"agent": "debugger"},
        {"where": REVIEW & (event.review_round == 1)},
        {"decided_at": event.occurred_at},
        {"later": event.operation == "feedback"},
        {"within_next": days(8)},
        {"otherwise": True},
    ],
)
def test_the_hash_changes_with_all_that_values_depend_on(changed: dict[str, Any]) -> None:
    assert label_hash(replace(AGAIN, **changed)) != label_hash(AGAIN)


def test_the_hash_does_not_change_with_a_text() -> None:
    other = replace(AGAIN, name="other", description="y", unit="z", null_means="w")
    assert label_hash(other) == label_hash(AGAIN)


def test_the_columns_are_those_that_a_label_reads() -> None:
    assert REJECTED.columns() == {"operation", "verdict", "duration_ms", "task_id"}
    assert replace(REJECTED, decided_at=event.occurred_at).columns() == {"operation", "verdict", "task_id"}
