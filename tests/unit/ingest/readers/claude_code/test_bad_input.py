from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


GOOD = {"type": "user", "uuid": "u1", "sessionId": "s", "timestamp": "2026-03-05T10:00:00Z", "message": {"role": "user", "content": "hi"}}


def test_bad_lines_are_rejected_with_file_line_and_a_masked_excerpt_and_good_ones_read(read: Callable[..., Any]) -> None:
    lines = [
        json.dumps(GOOD).encode(),
        b'{"type":"user","token":"sk-abcdefghijklmnopqrstuvwxyz0123456789","mail":"ada@example.org',
        b"[1,2]",
        b"\xff\xfe not text",
        b'"text"',
        json.dumps(GOOD | {"uuid": "u2", "timestamp": "yesterday"}).encode(),
        json.dumps({key: value for key, value in GOOD.items() if key != "timestamp"} | {"uuid": "u3"}).encode(),
        json.dumps(GOOD | {"uuid": "u4", "timestamp": "1931-01-01T00:00:00Z"}).encode(),
        json.dumps(GOOD | {"uuid": "u5", "message": None}).encode(),
        json.dumps({"type": "progress", "uuid": "u6", "data": {"type": "agent_progress", "message": 4}}).encode(),
    ]
    reading = read({"dir/a.jsonl": lines})
    assert [rejection.line for rejection in reading.rejections] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert {rejection.source for rejection in reading.rejections} == {"dir/a.jsonl"}
    reasons = [rejection.reason for rejection in reading.rejections]
    assert reasons[0].startswith("the line is torn or not JSON")
    assert "no object" in reasons[1]
    assert "'yesterday'" in reasons[4]
    assert "missing" in reasons[5]
    assert "1970" in reasons[6]
    assert "without a message" in reasons[7]
    assert "sk-abc" not in reading.rejections[0].excerpt
    assert "ada@" not in reading.rejections[0].excerpt
    assert all(len(rejection.excerpt) <= 200 for rejection in reading.rejections)
    assert (reading.stats.lines, reading.stats.records, reading.stats.rejected) == (1, 1, 9)


def test_types_without_events_are_counted_and_unknown_ones_are_strange(read: Callable[..., Any]) -> None:
    kinds = ["summary", "file-history-snapshot", "attachment", "system", "pr-link", "hologram"]
    lines = [json.dumps({"type": kind, "sessionId": f"s{number}", "leafUuid": str(number)}).encode() for number, kind in enumerate(kinds)]
    reading = read({"a.jsonl": [*lines, b'{"no":"type"}']})
    assert reading.events == []
    assert reading.rejections == []
    assert reading.stats.strange == {"hologram": 1, "(no type)": 1}
    assert reading.stats.types["summary"] == 1
    assert reading.stats.sessions == {"s0", "s1", "s2", "s3", "s4", "s5"}


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], {"a": 1}, True])
@pytest.mark.parametrize(
    "field", ["message", "toolUseResult", "sessionId", "cwd", "isSidechain", "agentId", "uuid", "type", "data", "content", "snapshot"]
)
def test_a_field_of_any_shape_is_read_or_rejected_but_never_raises(
    transcript: Any, read: Callable[..., Any], field: str, value: Any
) -> None:
    transcript.subagent(1, "toolu_t", "dev")
    transcript.finished(2, "toolu_t", "done")
    transcript.progress(2, "toolu_t", "assistant", {})
    transcript.notification(3, "<task-notification>")
    for record in transcript.records:
        record[field] = value
    reading = read(transcript)
    assert reading.stats.lines + reading.stats.rejected == 4


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [{"type": "tool_use"}], [{"type": "tool_result", "tool_use_id": {}}], [None, "x"]])
def test_content_of_any_shape_is_read(transcript: Any, read: Callable[..., Any], value: Any) -> None:
    transcript.answer(1, "msg_1")["message"]["content"] = value
    transcript.result(2, "toolu_1")["message"]["content"] = value
    assert len(read(transcript).of("chat")) == 1


def test_checkpoint_metadata_is_no_transcript(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    reading = read({"x/session.jsonl": transcript, "x/checkpoints_metadata.jsonl": [b'{"session_id":"s","strategy":"manual"}']})
    assert reading.stats.lines == 1
    assert reading.rejections == []
