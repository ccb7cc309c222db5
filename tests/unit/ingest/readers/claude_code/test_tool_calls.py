from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_call_and_its_result_are_one_event_at_the_results_time(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Glob", pattern="*")
    transcript.result(4, "toolu_1", details={"durationMs": 12, "numFiles": 3})
    (call,) = read(transcript).of("tool_call")
    assert call.event_id == "tool:toolu_1"
    assert call.occurred_at == parse_instant(shapes.at(4))
    assert call.measures == {"duration_ms": 12}
    assert call.categories == {"outcome": "success", "tool_name": "Glob"}
    assert call.attributes == {}


def test_a_call_without_a_result_is_open(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    (call,) = read(transcript).of("tool_call")
    assert call.occurred_at == parse_instant(shapes.at(1))
    assert "outcome" not in call.categories
    assert call.attributes == {"status": "open"}


@pytest.mark.parametrize(
    ("said", "error_type"),
    [
        ("The user doesn't want to proceed with this tool use.", "rejected_by_user"),
        ("[Request interrupted by user for tool use]", "interrupted"),
        ("Exit code 2\nmake: nothing to do", "exit_code"),
        ("<tool_use_error>String to replace not found in file.</tool_use_error>", "edit_mismatch"),
        ("<tool_use_error>File has not been read yet.</tool_use_error>", "stale_file"),
        ("<tool_use_error>InputValidationError: a number was expected</tool_use_error>", "input_validation"),
        ("<tool_use_error>Sibling tool call errored</tool_use_error>", "sibling_failed"),
        ("Agent type 'nobody' not found. Available agents: a, b", "unknown_tool"),
        ("ENOENT: no such file or directory", "not_found"),
        ("Command timed out after 2m", "timeout"),
        ("something else", "other"),
    ],
)
def test_an_error_is_a_failure_with_a_class(transcript: Any, read: Callable[..., Any], said: str, error_type: str) -> None:
    transcript.call(1, "toolu_1", "Bash", command="ls")
    transcript.result(2, "toolu_1", said, error=True, details=f"Error: {said}")
    (call,) = read(transcript).of("tool_call")
    assert call.categories == {"outcome": "failure", "tool_name": "Bash", "error_type": error_type}


def test_an_interrupted_command_is_cancelled(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Bash", command="sleep 100")
    transcript.result(2, "toolu_1", "", details={"stdout": "", "stderr": "", "interrupted": True})
    assert read(transcript).of("tool_call")[0].categories["outcome"] == "cancelled"


def test_a_result_without_its_call_is_counted_and_becomes_no_event(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.result(2, "toolu_lost", error=True)
    reading = read(transcript)
    assert reading.events == []
    assert reading.stats.orphan_results == 1


def test_inner_steps_in_progress_records_belong_to_the_subagent(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.progress(2, "toolu_t", "assistant", shapes.answer("msg_i", shapes.tool_use("toolu_i", "Read")))
    transcript.progress(3, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result("toolu_i", "no", error=True)]})
    reading = read(transcript)
    inner = reading.one("tool:toolu_i")
    assert (inner.agent_type, inner.raw_name, inner.task_id) == ("code-reviewer", "reviewer", "toolu_t")
    assert inner.categories["outcome"] == "failure"
    assert reading.one("tool:toolu_t").agent_type == "unmapped"
    assert reading.one("msg:msg_i").agent_type == "code-reviewer"


def test_the_same_record_twice_is_one_event_and_one_record(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    transcript.records *= 2
    reading = read(transcript)
    assert len(reading.of("tool_call")) == len(reading.of("chat")) == 1
    assert (reading.stats.lines, reading.stats.records) == (2, 1)
