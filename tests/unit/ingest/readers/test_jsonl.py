from __future__ import annotations

import json
from typing import Any

import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.readers.interface import ReadContext, detect
from detektor_pipelines.ingest.readers.jsonl import read
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

MARCH = "2026-03-05T10:00:00Z"
RECORD: dict[str, Any] = {"agent": "code-reviewer", "operation": "review", "occurred_at": MARCH, "issues_found": 3, "verdict": "rejected"}


def read_one(line: bytes | dict[str, Any], context: ReadContext | None = None) -> AgentEvent | Rejection:
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    (result,) = read([(7, text)], source="a.jsonl", context=context or ReadContext())
    return result


def event(line: dict[str, Any], context: ReadContext | None = None) -> AgentEvent:
    result = read_one(line, context)
    assert isinstance(result, AgentEvent), result
    return result


def rejection(line: bytes | dict[str, Any]) -> Rejection:
    result = read_one(line)
    assert isinstance(result, Rejection), result
    assert (result.source, result.line) == ("a.jsonl", 7)
    return result


def test_a_record_becomes_an_event_of_history() -> None:
    found = event({**RECORD, "event_id": "e1", "project": "My Shop", "task_id": "t", "attributes": {"ticket": 4}, "model": None})
    assert found == AgentEvent(
        event_id="e1",
        agent_type="code-reviewer",
        raw_name="code-reviewer",
        operation="review",
        occurred_at=parse_instant(MARCH),
        known_at=parse_instant(MARCH),
        source="a.jsonl",
        project="my-shop",
        task_id="t",
        measures={"issues_found": 3},
        categories={"verdict": "rejected"},
        attributes={"ticket": 4},
    )


def test_known_at_and_microseconds_are_taken_as_given() -> None:
    found = event({**RECORD, "occurred_at": parse_instant(MARCH), "known_at": "2026-03-06T12:00:00+02:00"})
    assert (found.occurred_at, found.known_at) == (parse_instant(MARCH), parse_instant("2026-03-06T10:00:00Z"))


def test_without_an_id_the_record_itself_is_the_identity() -> None:
    assert event(RECORD).event_id == event(dict(reversed(RECORD.items()))).event_id
    assert event(RECORD).event_id != event({**RECORD, "issues_found": 4}).event_id


def test_names_are_mapped_and_unknown_ones_kept() -> None:
    assert event({**RECORD, "agent": "stranger"}).agent_type == "unmapped"
    assert event({**RECORD, "agent": "stranger"}).raw_name == "stranger"
    assert event({**RECORD, "agent": "reviewer"}, ReadContext(names=AgentNames.load())).agent_type == "code-reviewer"


def test_the_users_project_wins_over_the_records_and_the_remotes() -> None:
    remote = "git@example.org:team/Shop.git"
    assert event(RECORD, ReadContext(git_remote=remote)).project == "shop"
    assert event({**RECORD, "project": "said"}, ReadContext(git_remote=remote)).project == "said"
    assert event({**RECORD, "project": "said"}, ReadContext(project="given", git_remote=remote)).project == "given"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"agent": "x", ', "the line is torn or not JSON"),
        (b"\xff\xfe", "the line is torn or not JSON"),
        (b"[1]", "the line is not a JSON object"),
        ({**RECORD, "issues_fond": 3}, "unknown field 'issues_fond', is 'issues_found' meant?"),
        ({**RECORD, "colour": 3}, "unknown field 'colour': put it under 'attributes'"),
        ({"agent": "x", "operation": "review"}, "the field 'occurred_at' is missing"),
        ({**RECORD, "agent": None}, "the field 'agent' is missing"),
        ({**RECORD, "agent": 3}, "the field 'agent' is not text"),
        ({**RECORD, "event_id": 3}, "the field 'event_id' is not text"),
        ({**RECORD, "simulated": 1}, "the field 'simulated' is not true or false"),
        ({**RECORD, "attributes": [1]}, "the field 'attributes' is not a JSON object"),
        ({**RECORD, "occurred_at": "yesterday"}, "the field 'occurred_at' is not a timestamp such as 2026-03-05T10:00:00Z"),
        ({**RECORD, "occurred_at": True}, "the field 'occurred_at' is not a timestamp such as 2026-03-05T10:00:00Z"),
        ({**RECORD, "occurred_at": 10**30}, "the field 'occurred_at' is not a timestamp such as 2026-03-05T10:00:00Z"),
        ({**RECORD, "occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at is in the future"),
        ({**RECORD, "operation": "juggle"}, "unknown operation"),
        ({**RECORD, "duration_ms": -5}, "duration_ms is below its minimum 0"),
    ],
)
def test_a_bad_record_is_rejected_with_file_line_and_reason(line: bytes | dict[str, Any], reason: str) -> None:
    assert rejection(line).reason == reason


def test_a_rejection_shows_the_value_and_hides_secrets() -> None:
    found = rejection({**RECORD, "event_id": "e1", "duration_ms": -5, "attributes": {"by": "someone@example.org"}})
    assert found.excerpt.startswith("-5 in {")
    assert "someone@example.org" not in found.excerpt
    assert found.event_id == "e1"


def test_records_of_each_format_are_told_apart() -> None:
    assert detect([{"strange": 1}, RECORD]) == "jsonl"
    assert detect([{"type": "session_meta", "payload": {}}]) == "codex"
    assert detect([{"type": "summary", "leafUuid": "x"}]) == "claude-code"
    assert detect([{"type": "assistant", "sessionId": "x", "operation": "y", "agent": "z"}]) == "claude-code"
    assert detect([{"agent": "cli", "session_id": "x"}]) == "unknown"
    assert detect([]) == "unknown"
