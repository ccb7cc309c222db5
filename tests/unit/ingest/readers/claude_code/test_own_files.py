"""Subagents that keep their records in a file of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable


LAYOUTS = ("agent-a1b2c3d.jsonl", "{session}/subagents/agent-a1b2c3d.jsonl")


def of_agent(shapes: Any, *, finished: bool = True) -> Any:
    own = shapes.Transcript(agent_id="a1b2c3d", prefix="s")
    own.add("user", 10, message={"role": "user", "content": "Do it."})
    own.answer(12, "msg_s1", shapes.tool_use("toolu_s", "Read"), output=30, stop="tool_use")
    own.result(13, "toolu_s", "no", error=True)
    if finished:
        own.answer(40, "msg_s2", shapes.text("## Final Verdict\n\n**Request changes**: it leaks."), output=50, stop="end_turn")
    return own


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_in_an_own_file_are_joined_to_the_call(transcript: Any, shapes: Any, read: Callable[..., Any], layout: str) -> None:
    transcript.subagent(9, "toolu_t", "reviewer")
    transcript.finished(41, "toolu_t", "short", totalToolUseCount=1)
    reading = read({"session.jsonl": transcript, layout.format(session="session"): of_agent(shapes)})
    inner = reading.one("tool:toolu_s")
    assert (inner.agent_type, inner.task_id) == ("code-reviewer", "toolu_t")
    work = reading.one("work:toolu_t")
    assert work.measures["tool_errors"] == 1
    assert (work.measures["output_tokens"], work.attributes["tokens_from"]) == (80, "all_messages")
    assert work.categories["verdict"] == "rejected"


def test_a_background_run_without_a_notification_ends_with_its_own_file(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(9, "toolu_t", "reviewer")
    transcript.result(10, "toolu_t", details={"isAsync": True, "status": "async_launched", "agentId": "a1b2c3d"})
    reading = read({"session.jsonl": transcript, "session/subagents/agent-a1b2c3d.jsonl": of_agent(shapes)})
    work = reading.one("work:toolu_t")
    assert work.occurred_at == parse_instant(shapes.at(40))
    assert (work.measures["duration_ms"], work.attributes["duration_from"]) == (30_000, "own_records")
    assert reading.one("invoke:toolu_t").attributes["status"] == "completed"


def test_an_own_file_alone_is_named_by_its_meta_file(shapes: Any, read: Callable[..., Any]) -> None:
    reading = read(
        {
            "s/subagents/agent-a1b2c3d.jsonl": of_agent(shapes),
            "s/subagents/agent-a1b2c3d.meta.json": {"agentType": "reviewer", "toolUseId": "toolu_t", "spawnDepth": 1},
        }
    )
    work = reading.one("work:toolu_t")
    assert (work.agent_type, work.task_id) == ("code-reviewer", "toolu_t")
    assert work.measures["tool_calls"] == 1
    assert reading.of("invoke_agent") == []


def test_an_own_file_without_a_name_is_kept_as_unknown(shapes: Any, read: Callable[..., Any]) -> None:
    reading = read({"agent-a1b2c3d.jsonl": of_agent(shapes)})
    assert {event.raw_name for event in reading.events} == {"unknown"}
    assert {event.agent_type for event in reading.events} == {"unmapped"}


def test_a_subagent_still_at_work_has_done_no_work_yet(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(9, "toolu_t", "reviewer")
    reading = read({"session.jsonl": transcript, "agent-a1b2c3d.jsonl": of_agent(shapes, finished=False)})
    assert reading.of("review") == []


def test_the_same_steps_in_progress_records_and_in_an_own_file_count_once(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(9, "toolu_t", "reviewer")
    transcript.progress(12, "toolu_t", "assistant", shapes.answer("msg_s1", shapes.tool_use("toolu_s", "Read"), output=30, stop="tool_use"))
    transcript.progress(13, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result("toolu_s", "no", error=True)]})
    transcript.finished(41, "toolu_t", "short", totalToolUseCount=1)
    reading = read({"session.jsonl": transcript, "agent-a1b2c3d.jsonl": of_agent(shapes)})
    assert len(reading.of("tool_call")) == 2
    assert reading.one("work:toolu_t").measures["tool_errors"] == 1


def test_a_resumed_agents_steps_belong_to_the_run_they_fall_in(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(5, "toolu_1", "reviewer", "first")
    transcript.finished(8, "toolu_1", "ok")
    transcript.subagent(9, "toolu_2", "reviewer", "second")
    transcript.finished(41, "toolu_2", "ok", totalToolUseCount=1)
    reading = read({"session.jsonl": transcript, "agent-a1b2c3d.jsonl": of_agent(shapes)})
    assert reading.one("tool:toolu_s").task_id == "toolu_2"
