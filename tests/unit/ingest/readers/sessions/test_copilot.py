from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.files import Journal, find_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.ingest.files import LogFiles
    from detektor_pipelines.language.records import AgentEvent

SHARED = Path(os.environ.get("DETEKTOR_SHARED_DATA") or Path(__file__).parents[5].parent / "shared" / "data")
REAL = SHARED.parent / "logs-2026" / "agentv-rollouts"


class Log:
    """Events of one session, a second apart unless told."""

    def __init__(self, session: str = "s-1", **context: Any) -> None:
        self.records: list[dict[str, Any]] = []
        self.seconds = 0
        self.session = session
        self.add("session.start", sessionId=session, selectedModel="gpt-9", context={"cwd": "/home/kim/git/kiosk", **context})

    def add(self, kind: str, /, agent: str | None = None, after: float = 1, **data: Any) -> None:
        self.seconds += int(after * 1000)
        at = f"2026-09-01T08:{self.seconds // 60_000:02d}:{self.seconds // 1000 % 60:02d}.{self.seconds % 1000:03d}Z"
        number = len(self.records)
        parent = self.records[-1]["id"] if self.records else None
        record = {"type": kind, "data": data, "id": f"{self.session}/{number}", "timestamp": at, "parentId": parent}
        self.records.append(record | ({"agentId": agent} if agent else {}))

    def shell(self, call: str, command: str, output: str, *, after: float = 2, agent: str | None = None, **result: Any) -> None:
        self.add("tool.execution_start", agent, toolCallId=call, toolName="bash", arguments={"command": command})
        self.add("tool.execution_complete", agent, after, toolCallId=call, success=True, result={"content": output, **result})


def test_a_shell_commands_outcome_is_its_exit_code_not_the_tools_success(read_records: Any) -> None:
    log = Log(repository="acme/Kiosk-App")
    log.shell("call_red", "pytest -q", "3 failed, 9 passed in 1.20s\n<shellId: 4 completed with exit code 1>", after=7.5)
    log.shell("call_green", "ls", "a\n<shellId: 4 completed with exit code 0>")
    log.shell("call_stated", "false", "", contents=[{"type": "shell_exit", "exitCode": 3}])
    events, rejections = read_records(*log.records)
    assert not rejections
    red = events["tool:call_red"]
    assert (red.project, red.session_id, red.measures) == ("kiosk-app", "s-1", {"duration_ms": 7500})
    assert red.categories == {"outcome": "failure", "tool_name": "bash", "error_type": "exit_code"}
    assert events["test:call_red"].categories == {"outcome": "failure"}
    assert events["test:call_red"].derived
    assert events["tool:call_green"].categories["outcome"] == "success"
    assert events["tool:call_stated"].categories["error_type"] == "exit_code"


def test_a_command_that_goes_on_is_open_until_its_end_is_told(read_records: Any) -> None:
    log = Log()
    log.shell("call_1", "npm test", "<command with shellId: 8 is still running after 30 seconds. Use read_bash.>")
    log.shell("call_2", "make test", "<command with shellId: 9 is still running after 30 seconds. Use read_bash.>")
    assert "outcome" not in read_records(*log.records)[0]["tool:call_1"].categories
    log.add("system.notification", content="", kind={"type": "shell_completed", "shellId": "8", "exitCode": 2})
    events, _ = read_records(*log.records)
    assert [events[f"tool:call_{number}"].categories.get("outcome") for number in (1, 2)] == ["failure", None]
    assert [events[f"test:call_{number}"].categories.get("outcome") for number in (1, 2)] == ["failure", None]


def test_a_subagents_records_are_its_run(read_records: Any) -> None:
    log = Log()
    arguments = {"agent_type": "code-reviewer", "description": "Look at the till", "prompt": "…"}
    log.add("tool.execution_start", toolCallId="call_t", toolName="task", arguments=arguments)
    log.add("subagent.started", toolCallId="call_t", agentName="code-reviewer")
    log.add("tool.execution_start", "kid", toolCallId="call_v", toolName="view", arguments={"path": "x"}, parentToolCallId="call_t")
    log.add("tool.execution_complete", "kid", 0.25, toolCallId="call_v", success=False, error={"message": "Path does not exist"})
    log.add("assistant.message", "kid", messageId="m-kid", content="# Review\n\n**Verdict:** approved", outputTokens=11, model="gpt-9-mini")
    log.add("subagent.completed", toolCallId="call_t", agentName="code-reviewer", durationMs=2500, totalToolCalls=1, totalTokens=900)
    log.add("tool.execution_complete", toolCallId="call_t", success=True, result={"content": "done"})
    log.add("assistant.message", messageId="m-main", content="ok", outputTokens=4)
    events, _ = read_records(*log.records)
    assert events["tool:call_v"].measures == {"duration_ms": 250}
    assert (events["tool:call_v"].raw_name, events["tool:call_v"].task_id) == ("code-reviewer", "call_t")
    assert events["tool:call_v"].categories["error_type"] == "not_found"
    work = events["work:call_t"]
    assert (work.agent_type, work.operation, work.categories["verdict"]) == ("code-reviewer", "review", "approved")
    assert work.measures == {"duration_ms": 2500, "tool_calls": 1, "tool_errors": 1, "output_tokens": 11}
    assert events["invoke:call_t"].categories == {"outcome": "success", "model": "gpt-9-mini"}
    assert (events["msg:m-kid"].task_id, events["msg:m-main"].task_id) == ("call_t", None)
    assert events["msg:m-main"].measures == {"output_tokens": 4}
    assert events["msg:m-main"].categories["model"] == "gpt-9"


def test_a_subagent_may_state_its_outcome_itself(read_records: Any) -> None:
    report = "LGTM on the whole.\n\n```detektor-outcome\nverdict: rejected\nissues_found: 3\n```"
    log = Log()
    log.add("subagent.started", toolCallId="call_t", agentName="code-reviewer")
    log.add("assistant.message", "kid", messageId="m-kid", content=report, outputTokens=11, parentToolCallId="call_t")
    log.add("subagent.completed", toolCallId="call_t", agentName="code-reviewer", durationMs=2500)
    work = read_records(*log.records)[0]["work:call_t"]
    assert (work.categories["verdict"], work.measures["issues_found"], work.attributes["stated"]) == ("rejected", 3, True)


@pytest.mark.parametrize(("end", "outcome"), [({"cancelled": True}, "cancelled"), ({"error": "boom"}, "failure")])
def test_a_subagent_that_does_not_finish_reviews_nothing(read_records: Any, end: dict[str, Any], outcome: str) -> None:
    log = Log()
    log.add("subagent.started", toolCallId="call_t", agentName="code-reviewer")
    log.add("subagent.failed" if "error" in end else "subagent.completed", toolCallId="call_t", agentName="code-reviewer", **end)
    events, _ = read_records(*log.records)
    assert {event_id: event.categories["outcome"] for event_id, event in events.items()} == {"invoke:call_t": outcome}


def test_an_abort_cancels_what_is_open_and_a_document_is_an_edit_that_succeeded(read_records: Any) -> None:
    log = Log()
    log.add("tool.execution_start", toolCallId="call_d", toolName="create", arguments={"path": "/home/kim/git/kiosk/docs/till.md"})
    telemetry = {"metrics": {"linesAdded": 12, "linesRemoved": 2}}
    log.add("tool.execution_complete", toolCallId="call_d", success=True, result={"content": "Created"}, toolTelemetry=telemetry)
    log.add("tool.execution_start", toolCallId="call_o", toolName="bash", arguments={"command": "sleep 9"})
    log.add("abort", reason="user_initiated")
    events, _ = read_records(*log.records)
    assert events["document:call_d"].measures == {"docs_updated": 1, "lines_added": 12, "lines_removed": 2}
    assert events["tool:call_o"].categories == {"outcome": "cancelled", "tool_name": "bash", "error_type": "interrupted"}


def test_a_file_copied_while_it_grew_repeats_its_events_and_they_count_once(read_records: Any) -> None:
    log = Log()
    log.shell("call_1", "ls", "<shellId: 1 completed with exit code 0>")
    once, _ = read_records(*log.records)
    assert read_records(*log.records, *log.records)[0] == once


def test_sessions_put_together_in_one_file_are_told_apart_by_their_parents(read_records: Any) -> None:
    one, two = Log("s-1", repository="acme/one"), Log("s-2", repository="acme/two")
    one.shell("call_1", "ls", "<shellId: 1 completed with exit code 0>")
    two.shell("call_2", "ls", "<shellId: 1 completed with exit code 0>")
    mixed = [record for pair in zip(one.records, two.records, strict=True) for record in pair]
    events, _ = read_records(*mixed)
    assert [(event.session_id, event.project) for _, event in sorted(events.items())] == [("s-1", "one"), ("s-2", "two")]


def test_a_record_without_a_timestamp_is_rejected_and_the_rest_is_read(read_records: Any) -> None:
    log = Log()
    log.shell("call_1", "ls", "<shellId: 1 completed with exit code 0>")
    broken = {**log.records[1], "id": "other", "timestamp": "soon"}
    events, rejections = read_records(*log.records, broken)
    assert set(events) == {"tool:call_1"}
    assert [(each.line, each.reason) for each in rejections] == [(4, "tool.execution_start: timestamp 'soon' is not a timestamp")]


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared logs are not here (DETEKTOR_SHARED_DATA)")
def test_real_files_come_to_what_an_independent_count_says(read_found: Callable[[LogFiles, Journal], dict[str, AgentEvent]]) -> None:
    paths = sorted(REAL.glob("copilot-*"))
    records = [json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()]
    journal = Journal()
    events = read_found(find_logs(paths, journal), journal).values()
    kinds = Counter(record["type"] for record in records)
    counted = Counter(event.operation for event in events)
    assert counted["tool_call"] == kinds["tool.execution_start"] == 129
    assert counted["chat"] == kinds["assistant.message"] == 114
    tokens = sum(record["data"].get("outputTokens", 0) for record in records if record["type"] == "assistant.message")
    assert sum(event.measures.get("output_tokens", 0) for event in events if event.operation == "chat") == tokens
    failed = [event for event in events if event.operation == "tool_call" and event.categories.get("error_type") == "exit_code"]
    assert len(failed) == 3  # of 106 shell commands, all of them a success by the tool's word
