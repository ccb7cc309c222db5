from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from detektor_pipelines.ingest.files import Journal, find_logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detektor_pipelines.ingest.files import LogFiles
    from detektor_pipelines.language.records import AgentEvent

    ReadFound = Callable[[LogFiles, Journal], dict[str, AgentEvent]]

HEAD = {"sessionId": "aaaabbbb-1", "projectHash": "77", "startTime": "2026-09-01T08:00:00.000Z", "lastUpdated": "2026-09-01T08:00:00.000Z"}


def drawn(name: str) -> str:
    """A message's id as the program draws one."""
    return str(uuid5(NAMESPACE_OID, name))


def answer(name: str, second: int, *calls: dict[str, Any], content: str = "", **tokens: int) -> dict[str, Any]:
    at = f"2026-09-01T08:00:{second:02d}.000Z"
    counts = {"input": 50, "output": 6, "cached": 20, "thoughts": 4, "tool": 0, "total": 60, **tokens}
    return {
        "id": drawn(name),
        "timestamp": at,
        "type": "gemini",
        "content": content,
        "model": "g-3",
        "tokens": counts,
        "toolCalls": list(calls),
    }


def call(name: str, call_id: str, status: str = "success", output: str = "", **more: Any) -> dict[str, Any]:
    result = [{"functionResponse": {"id": call_id, "name": name, "response": {"output": output}}}]
    return {"id": call_id, "name": name, "args": {}, "status": status, "timestamp": "2026-09-01T08:00:09.000Z", "result": result, **more}


def test_a_document_and_the_lines_that_make_it_give_the_same_events(tmp_path: Path, read_found: ReadFound) -> None:
    first, second, third = answer("m1", 1), answer("m2", 2, call("ls", "call_x")), answer("m3", 3)
    whole = {**HEAD, "messages": [first, second]}
    lines: list[dict[str, Any]] = [
        HEAD,
        first,
        {**second, "toolCalls": [], "tokens": None},
        second,
        third,
        {"$rewindTo": drawn("m3")},
        {"$set": {"lastUpdated": "2026-09-01T08:00:09.000Z"}},
    ]
    (tmp_path / "session-2026-09-01T08-00-aaaabbbb.json").write_text(json.dumps(whole, indent=2))
    found, journal = find_logs([tmp_path]), Journal()
    document = read_found(found, journal)
    (tmp_path / "session-2026-09-01T08-00-aaaabbbb.json").unlink()
    (tmp_path / "session-2026-09-01T08-00-aaaabbbb.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    as_lines = read_found(find_logs([tmp_path]), journal)
    assert set(document) == set(as_lines) == {f"msg:{drawn('m1')}", f"msg:{drawn('m2')}", "tool:call_x"}
    assert [event.measures for event in document.values()] == [event.measures for event in as_lines.values()]


def test_a_document_is_one_whatever_its_file_is_called(tmp_path: Path, read_found: ReadFound) -> None:
    (tmp_path / "kept.jsonl").write_text(json.dumps({**HEAD, "messages": [answer("m1", 1, call("ls", "call_x"))]}, indent=2))
    journal = Journal()
    assert set(read_found(find_logs([tmp_path], journal), journal)) == {f"msg:{drawn('m1')}", "tool:call_x"}
    assert not journal.take_rejections()


def test_ids_that_two_sessions_share_are_two_answers(read_records: Any) -> None:
    other = {**HEAD, "sessionId": "ccccdddd-2"}
    events, _ = read_records(HEAD, {**answer("", 1), "id": "m2"}, other, {**answer("", 5), "id": "m2"})
    assert sorted(event.session_id for event in events.values()) == ["aaaabbbb-1", "ccccdddd-2"]


def test_a_set_with_messages_replaces_them_all(read_records: Any) -> None:
    events, _ = read_records(HEAD, answer("m1", 1), answer("m2", 2), {"$set": {"messages": [answer("m9", 9)]}})
    assert set(events) == {f"msg:{drawn('m9')}"}


def test_input_is_without_what_was_cached_and_output_with_what_was_thought(read_records: Any) -> None:
    events, _ = read_records(HEAD, answer("m1", 1))
    assert events[f"msg:{drawn('m1')}"].measures == {"input_tokens": 30, "output_tokens": 10, "cache_read_tokens": 20}


def test_a_tool_call_has_an_outcome_and_no_duration(read_records: Any) -> None:
    red = call("run_shell_command", "call_t", output="Output: x\nExit Code: 2", args={"command": "npm test"})
    gone = call("read_file", "call_g", "error", "File not found: x")
    stopped = call("read_file", "call_s", "cancelled")
    edited = call("write_file", "call_e", args={"file_path": "docs/a.md"}, resultDisplay={"fileDiff": "--- a\n+++ b\n+one\n"})
    events, _ = read_records(HEAD, answer("m1", 1, red, gone, stopped, edited), project="kiosk")
    assert events["tool:call_t"].categories == {"outcome": "failure", "tool_name": "run_shell_command", "error_type": "exit_code"}
    assert events["tool:call_t"].measures == {}
    assert events["test:call_t"].categories["outcome"] == "failure"
    assert events["tool:call_g"].categories["error_type"] == "not_found"
    assert events["tool:call_s"].categories["outcome"] == "cancelled"
    assert (events["document:call_e"].measures["lines_added"], events["document:call_e"].project) == (1, "kiosk")


def test_ids_that_count_are_told_apart_by_their_instants(read_records: Any) -> None:
    counted = call("run_shell_command", "run_shell_command-1")
    other = {**HEAD, "sessionId": "other"}
    later = answer("n1", 30, {**counted, "timestamp": "2026-09-01T09:00:00.000Z"})
    events, _ = read_records(HEAD, answer("m1", 1, counted), other, later)
    assert sum(event.operation == "tool_call" for event in events.values()) == 2


def test_a_subagents_own_file_is_joined_to_its_call(tmp_path: Path, read_found: ReadFound) -> None:
    chats = tmp_path / "chats"
    (chats / "aaaabbbb-1").mkdir(parents=True)
    task = call("code-reviewer", "call_k", output="**Verdict:** approved", agentId="kid1")
    (chats / "session-2026-09-01T08-00-aaaabbbb.jsonl").write_text("\n".join(json.dumps(each) for each in (HEAD, answer("m1", 1, task))))
    kid = [{**HEAD, "sessionId": "kid1", "kind": "subagent"}, answer("k1", 2, call("ls", "call_l")), answer("k2", 5)]
    (chats / "aaaabbbb-1" / "kid1.jsonl").write_text("\n".join(json.dumps(each) for each in kid))
    journal = Journal()
    events = read_found(find_logs([tmp_path], journal), journal)
    work = events["work:call_k"]
    assert (work.agent_type, work.categories["verdict"]) == ("code-reviewer", "approved")
    assert work.measures == {"duration_ms": 7000, "tool_calls": 1, "tool_errors": 0, "input_tokens": 60, "output_tokens": 20}
    assert {events[each].task_id for each in ("tool:call_l", f"msg:{drawn('k1')}", f"msg:{drawn('k2')}")} == {"call_k"}


# Qwen Code ------------------------------------------------------------------------------------------------------------------


def qwen(kind: str, uuid: str, second: int, **more: Any) -> dict[str, Any]:
    at = f"2026-09-01T08:00:{second:02d}.000Z"
    return {"uuid": uuid, "parentUuid": None, "sessionId": "q-1", "timestamp": at, "type": kind, "cwd": "/home/kim/git/kiosk", **more}


def qwen_call(call_id: str, name: str, second: int, **args: Any) -> dict[str, Any]:
    usage = {"promptTokenCount": 40, "candidatesTokenCount": 3, "thoughtsTokenCount": 2, "cachedContentTokenCount": 10}
    parts = [{"text": "x"}, {"functionCall": {"id": call_id, "name": name, "args": args}}]
    return qwen("assistant", f"{call_id}-a", second, model="q3", message={"role": "model", "parts": parts}, usageMetadata=usage)


def qwen_result(call_id: str, name: str, second: int, status: str, output: str) -> dict[str, Any]:
    parts = [{"functionResponse": {"id": call_id, "name": name, "response": {"output": output}}}]
    told = {"callId": call_id, "status": status}
    return qwen("tool_result", f"{call_id}-r", second, message={"role": "user", "parts": parts}, toolCallResult=told)


def telemetry(name: str, second: int, duration: int) -> dict[str, Any]:
    event = {"event.name": "qwen-code.tool_call", "function_name": name, "duration_ms": duration}
    return qwen("system", f"t-{second}", second, subtype="ui_telemetry", systemPayload={"uiEvent": event})


def test_qwens_calls_answers_and_durations(read_records: Any) -> None:
    records = (
        qwen("user", "u", 0, message={"role": "user", "parts": [{"text": "go"}]}),
        qwen_call("call_1", "run_shell_command", 1, command="go test ./..."),
        telemetry("run_shell_command", 5, 4000),
        qwen_result("call_1", "run_shell_command", 5, "success", "FAIL\tkiosk\nExit Code: 1"),
        qwen_call("call_2", "task", 6, subagent_type="code-reviewer", description="Look", prompt="…"),
        telemetry("task", 9, 2500),
        qwen_result("call_2", "task", 9, "success", "**Verdict:** rejected"),
    )
    events, rejections = read_records(*records)
    assert not rejections
    assert events["msg:call_1-a"].measures == {"input_tokens": 30, "output_tokens": 5, "cache_read_tokens": 10}
    assert events["tool:call_1"].measures == {"duration_ms": 4000}
    assert events["tool:call_1"].categories == {"outcome": "failure", "tool_name": "run_shell_command", "error_type": "exit_code"}
    assert events["test:call_1"].categories == {"outcome": "failure"}
    assert (events["work:call_2"].measures, events["work:call_2"].categories["verdict"]) == ({"duration_ms": 2500}, "rejected")
    assert {event.project for event in events.values()} == {"kiosk"}
    assert read_records(*records, *records)[0] == events
