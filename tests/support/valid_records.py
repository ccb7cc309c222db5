"""One valid log of each format, written by hand, for what bends them: small, with every kind of record that a reader takes something of."""

# ruff: noqa: E501 (a record is a line)

from __future__ import annotations

from typing import Any, Final

AT: Final = "2026-03-05T10:00:{:02d}.000Z"
MILLISECONDS: Final = 1_772_704_800_000
REPORT: Final = "**Verdict:** rejected\n\n### Critical\n1. It overflows\n\nRound 2"


def _claude(kind: str, second: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "sessionId": "s-1",
        "uuid": f"u-{kind}-{second}",
        "cwd": "/home/ada/rover",
        "timestamp": AT.format(second),
        **more,
    }


def _answer(message_id: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10}
    return {"id": message_id, "role": "assistant", "model": "m-1", "stop_reason": None, "content": list(blocks), "usage": usage}


def _use(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def _result(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": content, **more}]}


_ENDED = {
    "status": "completed",
    "agentId": "a1",
    "totalDurationMs": 60_000,
    "totalToolUseCount": 1,
    "content": [{"type": "text", "text": REPORT}],
}
_NOTICE = "<task-notification><task-id>a1</task-id><status>completed</status><result>fine</result><usage><tool_uses>3</tool_uses></usage></task-notification>"
_PATCH = [{"oldStart": 1, "oldLines": 1, "newStart": 1, "newLines": 2, "lines": ["-a", "+b", "+c"]}]

CLAUDE: Final = [
    _claude("assistant", 1, message=_answer("msg_1", {"type": "text", "text": "On it."}, _use("toolu_1", "Bash", command="pytest -q"))),
    _claude("user", 2, message=_result("toolu_1", "3 passed in 0.1s"), toolUseResult={"stdout": "3 passed in 0.1s", "interrupted": False}),
    _claude("assistant", 3, message=_answer("msg_2", _use("toolu_2", "Edit", file_path="/home/ada/rover/docs/a.md", old_string="a"))),
    _claude("user", 4, message=_result("toolu_2", "ok"), toolUseResult={"structuredPatch": _PATCH, "filePath": "docs/a.md"}),
    _claude("assistant", 5, message=_answer("msg_3", _use("Task:0", "Task", subagent_type="code-reviewer", description="Look", prompt="Do it"))),
    _claude(
        "progress",
        6,
        parentToolUseID="Task:0",
        data={
            "type": "agent_progress",
            "agentId": "a1",
            "message": {"type": "assistant", "timestamp": AT.format(6), "message": _answer("msg_4", _use("toolu_4", "Bash", command="git push"))},
        },
    ),
    _claude("user", 7, message=_result("Task:0", [{"type": "text", "text": REPORT}]), toolUseResult=_ENDED),
    _claude("queue-operation", 8, operation="enqueue", content=_NOTICE),
    _claude("pr-link", 9, prRepository="acme/rover", prNumber=7),
    _claude("user", 10, message=_result("toolu_9", "Error: exit code 2", is_error=True), isSidechain=True, agentId="a2"),
    {"type": "summary", "summary": "Rover", "leafUuid": "u-1", "sessionId": "s-1"},
    {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": AT.format(1)}, "sessionId": "s-1"},
]  # fmt: skip


def _codex(second: int, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": AT.format(second), "type": kind, "payload": payload}


_TOTALS = {"input_tokens": 1000, "cached_input_tokens": 600, "output_tokens": 20}
CODEX: Final = [
    _codex(0, "session_meta", id="s1", cwd="/home/ada/rover", originator="cli", git={"repository_url": "git@h:acme/rover.git"}),
    _codex(1, "turn_context", model="m-1", cwd="/home/ada/rover"),
    _codex(1, "event_msg", type="user_message", message="Look at it"),
    _codex(2, "response_item", type="function_call", name="exec_command", call_id="call_1", arguments='{"cmd": "pytest -q"}'),
    _codex(3, "response_item", type="function_call_output", call_id="call_1", output="Wall time: 0.25 seconds\nProcess exited with code 0\nOutput:\n3 passed"),
    _codex(4, "event_msg", type="token_count", info={"total_token_usage": _TOTALS, "last_token_usage": _TOTALS}),
    _codex(5, "response_item", type="custom_tool_call", name="apply_patch", call_id="p1", input="*** Begin Patch\n*** Update File: a.md\n-a\n+b\n*** End Patch"),
    _codex(6, "event_msg", type="patch_apply_end", call_id="p1", success=True, changes={"a.md": {"update": {"unified_diff": "-a\n+b"}}}),
    _codex(7, "response_item", type="local_shell_call", call_id="l1", status="completed", action={"type": "exec", "command": ["bash", "-lc", "ls"]}),
    _codex(8, "response_item", type="function_call", name="spawn_agent", call_id="call_2", arguments='{"agent_type": "code-reviewer", "message": "Look"}'),
    _codex(9, "event_msg", type="collab_agent_spawn_end", call_id="call_2", new_thread_id="t2", prompt="Look", status="pending_init"),
    _codex(10, "event_msg", type="collab_waiting_end", call_id="call_3", statuses={"t2": {"completed": REPORT}}),
    _codex(11, "event_msg", type="exec_command_end", call_id="call_1", exit_code=0, duration={"secs": 1, "nanos": 5}, aggregated_output="x"),
    _codex(12, "event_msg", type="item_completed", thread_id="s1", turn_id="t", item={"type": "CommandExecution", "id": "i", "exit_code": 1}),
    _codex(13, "event_msg", type="mcp_tool_call_end", call_id="call_4", duration={"secs": 1, "nanos": 0}, result={"Ok": {"isError": False}}),
    _codex(14, "event_msg", type="task_complete", turn_id="t", last_agent_message=REPORT),
]  # fmt: skip


def _copilot(second: int, kind: str, /, **data: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "data": data,
        "id": f"e-{second}",
        "timestamp": AT.format(second),
        "parentId": f"e-{second - 1}" if second else None,
    }


COPILOT: Final = [
    _copilot(0, "session.start", sessionId="s-1", selectedModel="m-1", context={"cwd": "/home/ada/rover", "repository": "acme/rover"}),
    _copilot(1, "assistant.message", messageId="msg-1", content="On it.", outputTokens=7),
    _copilot(2, "tool.execution_start", toolCallId="call_1", toolName="bash", arguments={"command": "pytest -q"}),
    _copilot(3, "tool.execution_complete", toolCallId="call_1", success=True, result={"content": "3 passed\n<shellId: 4 completed with exit code 0>"}),
    _copilot(4, "tool.execution_start", toolCallId="call_2", toolName="task", arguments={"agent_type": "code-reviewer", "prompt": "Look"}),
    {**_copilot(5, "subagent.started", toolCallId="call_2", agentName="code-reviewer"), "agentId": "a1"},
    {**_copilot(6, "tool.execution_start", toolCallId="call_3", toolName="edit", arguments={"path": "docs/a.md"}), "agentId": "a1"},
    _copilot(7, "tool.execution_complete", toolCallId="call_3", success=True, result={"content": "x"}, toolTelemetry={"metrics": {"linesAdded": 3}}),
    {**_copilot(8, "assistant.message", messageId="msg-2", content=REPORT, parentToolCallId="call_2"), "agentId": "a1"},
    _copilot(9, "subagent.completed", toolCallId="call_2", agentName="code-reviewer", durationMs=5, totalToolCalls=1),
    _copilot(10, "tool.execution_complete", toolCallId="call_2", success=False, error={"message": "timed out"}),
    _copilot(11, "system.notification", content="", kind={"type": "shell_completed", "shellId": "8", "exitCode": 2}),
    _copilot(12, "abort", reason="user"),
]  # fmt: skip

_HEAD = {
    "sessionId": "aaaabbbb-1",
    "projectHash": "77",
    "startTime": AT.format(0),
    "lastUpdated": AT.format(0),
    "directories": ["/home/ada/rover"],
}


def _gemini_call(name: str, call_id: str, **more: Any) -> dict[str, Any]:
    result = [{"functionResponse": {"id": call_id, "name": name, "response": {"output": "Exit Code: 0\n3 passed in 0.1s"}}}]
    return {
        "id": call_id,
        "name": name,
        "args": {"command": "pytest"},
        "status": "success",
        "timestamp": AT.format(9),
        "result": result,
        **more,
    }


def _gemini(message_id: str, second: int, *calls: dict[str, Any]) -> dict[str, Any]:
    counts = {"input": 50, "output": 6, "cached": 20, "thoughts": 4, "tool": 0, "total": 60}
    at = AT.format(second)
    return {"id": message_id, "timestamp": at, "type": "gemini", "content": "x", "model": "g-3", "tokens": counts, "toolCalls": list(calls)}


_DIFF = {"fileDiff": "+++ a\n+b\n-c", "diffStat": {"model_added_lines": 2, "model_removed_lines": 1}}
GEMINI: Final = [
    _HEAD,
    {"id": "m0", "timestamp": AT.format(1), "type": "user", "content": "look"},
    _gemini("m1", 2, _gemini_call("run_shell_command", "call_1"), _gemini_call("replace", "call_2", resultDisplay=_DIFF)),
    _gemini("m2", 3, _gemini_call("delegate_to_agent", "call_3", agentId="a1", args={"agent_name": "code-reviewer", "objective": "Look"})),
    {"$set": {"lastUpdated": AT.format(9), "messages": [_gemini("m3", 4), _gemini("m4", 5, _gemini_call("ls", "call_4"))]}},
    {"$rewindTo": "m4"},
    {**_HEAD, "sessionId": "a1", "kind": "subagent"},
    _gemini("m5", 6),
]  # fmt: skip


def _qwen(kind: str, second: int, **more: Any) -> dict[str, Any]:
    return {"uuid": f"q-{second}", "sessionId": "s-1", "timestamp": AT.format(second), "type": kind, "cwd": "/home/ada/rover", **more}


QWEN: Final = [
    _qwen("user", 0, message={"role": "user", "parts": [{"text": "look"}]}),
    _qwen(
        "assistant",
        1,
        model="q-1",
        usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 3, "cachedContentTokenCount": 1, "thoughtsTokenCount": 1},
        message={
            "role": "model",
            "parts": [
                {"functionCall": {"id": "call_1", "name": "run_shell_command", "args": {"command": "pytest"}}},
                {"functionCall": {"id": "call_2", "name": "task", "args": {"subagent_type": "code-reviewer", "prompt": "Look"}}},
            ],
        },
    ),
    _qwen(
        "tool_result",
        2,
        toolCallResult={"callId": "call_1", "status": "success"},
        message={"role": "user", "parts": [{"functionResponse": {"id": "call_1", "response": {"output": "Exit Code: 0\n3 passed"}}}]},
    ),
    _qwen("system", 3, systemPayload={"uiEvent": {"event.name": "qwen-code.tool_call", "function_name": "task", "duration_ms": 7}}),
]  # fmt: skip


def _part(call_id: str, name: str, **state: Any) -> dict[str, Any]:
    time = {"start": MILLISECONDS, "end": MILLISECONDS + 10}
    return {
        "id": f"prt_{call_id}",
        "type": "tool",
        "tool": name,
        "callID": call_id,
        "state": {"status": "completed", "time": time, **state},
    }


def _opencode(name: str, *parts: dict[str, Any]) -> dict[str, Any]:
    tokens = {"input": 30, "output": 5, "reasoning": 0, "cache": {"read": 7, "write": 2}}
    time = {"created": MILLISECONDS, "completed": MILLISECONDS + 100}
    return {"info": {"id": name, "role": "assistant", "modelID": "m", "time": time, "tokens": tokens}, "parts": list(parts)}


OPENCODE: Final = [
    {
        "info": {"id": "ses_p", "directory": "/home/ada/rover", "agent": "build", "time": {"created": MILLISECONDS}},
        "messages": [
            _opencode("msg_1", _part("call_1", "bash", input={"command": "pytest"}, output="3 passed", metadata={"exit": 0})),
            _opencode("msg_2", _part("call_2", "edit", input={"filePath": "docs/a.md"}, metadata={"filediff": {"additions": 2, "deletions": 1}})),
            _opencode("msg_3", _part("call_3", "task", input={"subagent_type": "code-reviewer"}, metadata={"sessionId": "ses_c"}, output=REPORT)),
        ],
    },
    {
        "info": {"id": "ses_c", "parentID": "ses_p", "directory": "/home/ada/rover", "agent": "code-reviewer", "time": {"created": MILLISECONDS}},
        "messages": [_opencode("msg_4", {"id": "prt_t", "type": "text", "text": REPORT})],
    },
]  # fmt: skip

OWN: Final = [
    {"agent": "code-reviewer", "operation": "review", "occurred_at": AT.format(1), "outcome": "success", "verdict": "rejected",
     "issues_high": 2, "duration_ms": 5, "project": "rover", "session_id": "s-1", "task_id": "t-1", "attributes": {"evidence": "No.", "of": [1]}},
    {"agent": "main", "operation": "tool_call", "occurred_at": 1_772_704_802_000_000, "event_id": "own-1", "tool_name": "Bash"},
    {"agent": "detektor-coder", "operation": "implement", "occurred_at": AT.format(3), "known_at": AT.format(4), "derived": True},
]  # fmt: skip


def _otlp(name: str, **said: Any) -> dict[str, Any]:
    given = {"event.name": name, "session.id": "s1", **{key.replace("__", "."): each for key, each in said.items()}}
    pairs = [
        {"key": key, "value": {"stringValue": each} if isinstance(each, str) else {"intValue": str(each)}} for key, each in given.items()
    ]
    return {"timeUnixNano": str(MILLISECONDS * 1_000_000), "body": {"stringValue": f"claude_code.{name}"}, "attributes": pairs}


OTLP: Final = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "project", "value": {"stringValue": "rover"}}]},
            "scopeLogs": [
                {
                    "logRecords": [
                        _otlp("tool_result", tool_name="Bash", tool_use_id="toolu_1", success="true", duration_ms="12.6"),
                        _otlp("api_request", model="m-1", input_tokens=5, output_tokens=7, duration_ms=3, request_id="req_1"),
                        _otlp("api_error", model="m-1", status_code="529", error="Overloaded"),
                        _otlp("subagent_completed", agent_type="code-reviewer", agent_id="a1", total_tool_uses=3, duration_ms=9),
                        _otlp("user_prompt", prompt_length=5),
                        _otlp("something_new", event__sequence=4),
                    ]
                }
            ],
        }
    ]
}

HOOKS: Final = [
    {"hook_event_name": "PostToolUse", "session_id": "s-1", "cwd": "/home/ada/rover", "tool_name": "Bash", "tool_use_id": "toolu_1",
     "tool_response": {"stdout": "x", "interrupted": False}, "duration_ms": 12, "transcript_path": "/nowhere/s-1.jsonl"},
    {"hook_event_name": "PostToolUseFailure", "session_id": "s-1", "tool_name": "Edit", "tool_use_id": "toolu_2", "error": "File not found", "is_interrupt": False},
    {"hook_event_name": "SubagentStart", "session_id": "s-1", "agent_id": "a1", "agent_type": "code-reviewer"},
    {"hook_event_name": "SubagentStop", "session_id": "s-1", "agent_id": "a1", "agent_type": "code-reviewer", "last_assistant_message": REPORT,
     "agent_transcript_path": "/nowhere/agent-a1.jsonl"},
    {"hook_event_name": "PostToolUse", "session_id": "s-1", "tool_name": "Task", "tool_use_id": "toolu_3", "tool_input": {"subagent_type": "code-reviewer"},
     "tool_response": {"agentId": "a1", "status": "completed", "totalDurationMs": 9, "totalToolUseCount": 0, "usage": {"input_tokens": 1},
                       "content": [{"type": "text", "text": REPORT}]}},
    {"hook_event_name": "SessionEnd", "session_id": "s-1", "reason": "exit"},
]  # fmt: skip

LINES: Final = {
    "claude-code": CLAUDE,
    "codex": CODEX,
    "copilot": COPILOT,
    "gemini": GEMINI,
    "qwen": QWEN,
    "opencode": OPENCODE,
    "jsonl": OWN,
}
"""The formats of lines: a reader's name and its records."""
