from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.checks import FUTURE_TOLERANCE_US, problem
from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS
from detektor_pipelines.language.records import AgentEvent

NOW = parse_instant("2026-03-05T10:00:00Z")
REVIEW = AgentEvent("r1", "code-reviewer", "reviewer", "review", NOW, "test", project="cli", known_at=NOW, measures={"issues_found": 3})


def reason(event: AgentEvent) -> str | None:
    found = problem(event, NOW)
    return found[0] if found else None


def test_a_good_event_passes() -> None:
    assert reason(REVIEW) is None
    assert reason(replace(REVIEW, agent_type="unmapped", project=None, known_at=None, measures={})) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"operation": "juggle"}, "unknown operation"),
        ({"measures": {"duration_ms": -5}}, "duration_ms is below its minimum 0"),
        ({"measures": {"duration_ms": 604_800_001}}, "duration_ms is above its maximum 604800000"),
        ({"measures": {"issues_found": 2.5}}, "issues_found is not a whole number"),
        ({"measures": {"issues_found": True}}, "issues_found is not a whole number"),
        ({"measures": {"issues_found": "3"}}, "issues_found is not a whole number"),
        ({"measures": {"karma": 3}}, "unknown measure or category"),
        ({"measures": {"frames_dropped": 3}}, "review has no frames_dropped"),
        ({"categories": {"verdict": "maybe"}}, "verdict is not one of approved, rejected"),
        ({"categories": {"verdict": 1}}, "verdict is not text"),
        ({"categories": {"model": "m" * 257}}, "model is longer than 256 characters"),
        ({"operation": "feedback", "measures": {}}, "feedback lacks score_milli"),
        ({"occurred_at": NOW + FUTURE_TOLERANCE_US + 1, "known_at": None}, "occurred_at is in the future"),
        ({"known_at": NOW + FUTURE_TOLERANCE_US + 1}, "known_at is in the future"),
        ({"occurred_at": 0}, "occurred_at is before 2020"),
        ({"occurred_at": "2026-03-05"}, "occurred_at is not a timestamp in µs"),
        ({"agent_type": "Reviewer"}, "agent_type is not one of the agents"),
        ({"event_id": ""}, "event_id is empty"),
        ({"event_id": "e" * 201}, "event_id is longer than 200 characters"),
        ({"event_id": None}, "event_id is not text"),
        ({"session_id": "a\x00b"}, "session_id holds a character that cannot be stored (U+0000 or half a surrogate pair)"),
        ({"raw_name": "\ud800"}, "raw_name holds a character that cannot be stored (U+0000 or half a surrogate pair)"),
        ({"project": "my@project"}, "project holds other characters than a-z 0-9 . _ -"),
        ({"attributes": {"text": "x" * 16_384}}, "attributes are longer than 16 KiB of JSON"),
        ({"attributes": {1: object()}}, "attributes are not a JSON object"),
    ],
)
def test_each_fault_has_its_reason(changes: dict[str, Any], expected: str) -> None:
    assert reason(replace(REVIEW, **changes)) == expected


def test_five_seconds_ahead_of_the_clock_are_allowed() -> None:
    ahead = NOW + FUTURE_TOLERANCE_US
    assert reason(replace(REVIEW, occurred_at=ahead, known_at=ahead)) is None


@given(operation=st.sampled_from(sorted(OPERATIONS)), data=st.data())
def test_whatever_the_declarations_allow_passes(operation: str, data: st.DataObject) -> None:
    declared = OPERATIONS[operation]
    measures = {
        name: data.draw(st.integers(MEASURES[name].minimum, MEASURES[name].maximum))
        for name in declared.measures
        if name in declared.required or data.draw(st.booleans())
    }
    categories = {name: data.draw(st.sampled_from(CATEGORIES[name].values or ("anything",))) for name in declared.categories}
    assert reason(replace(REVIEW, operation=operation, measures=measures, categories=categories)) is None


@given(name=st.sampled_from(sorted(MEASURES)), beyond=st.integers(1, 2**40), above=st.booleans())
def test_whatever_is_outside_a_range_fails(name: str, beyond: int, *, above: bool) -> None:
    operation = next(operation for operation in OPERATIONS.values() if name in operation.measures)
    value = MEASURES[name].maximum + beyond if above else MEASURES[name].minimum - beyond
    expected = f"{name} is {'above its maximum' if above else 'below its minimum'}"
    assert (reason(replace(REVIEW, operation=operation.name, measures={name: value})) or "").startswith(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"event_id": ""}, "event_id is empty"),
        ({"task_id": "t" * 201}, "task_id is longer than 200 characters"),
        ({"occurred_at": NOW + FUTURE_TOLERANCE_US + 1}, "occurred_at is in the future"),
        ({"known_at": NOW + FUTURE_TOLERANCE_US + 1}, "known_at is in the future"),
        ({"measures": {"issues_found": -1}}, "issues_found is below its minimum 0"),
        ({"attributes": {"text": "x" * 16_384}}, "attributes are longer than 16 KiB of JSON"),
        ({"extra": {"karma": 1}}, "extra holds what no detektor.toml declares"),
        ({"categories": {"verdict": "maybe"}}, "verdict is not one of approved, rejected"),
        ({"session_id": 1}, "session_id is not text"),
        ({"session_id": True}, "session_id is not text"),
    ],
)
def test_an_event_like_many_good_ones_before_it_is_looked_at_all_the_same(changes: dict[str, Any], expected: str) -> None:
    usual = replace(REVIEW, task_id="t1", session_id="s1", categories={"verdict": "approved"})
    assert [reason(replace(usual, event_id=f"r{number}")) for number in range(3)] == [None] * 3
    assert reason(replace(usual, **changes)) == expected
    assert reason(usual) is None
