from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.files import Journal, find_logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detektor_pipelines.ingest.files import LogFiles
    from detektor_pipelines.language.records import AgentEvent

    ReadFound = Callable[[LogFiles, Journal], dict[str, AgentEvent]]

START = 1_788_000_000_000
PARENT = {"id": "ses_p", "directory": "/home/kim/git/kiosk", "agent": "build", "time": {"created": START}}
CHILD = {"id": "ses_c", "parentID": "ses_p", "directory": "/home/kim/git/kiosk", "agent": "code-reviewer", "time": {"created": START}}


def tool(call: str, name: str, at: int = 0, took: int = 10, status: str = "completed", **state: Any) -> dict[str, Any]:
    time = {"start": START + at, "end": START + at + took}
    return {"id": f"prt_{call}", "type": "tool", "tool": name, "callID": call, "state": {"status": status, "time": time, **state}}


def answer(name: str, *parts: dict[str, Any], at: int = 0, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    tokens = {"input": 30, "output": 5, "reasoning": 0, "cache": {"read": 7, "write": 2}}
    time = {"created": START + at, "completed": START + at + 100}
    return {"id": name, "role": "assistant", "modelID": "m", "time": time, "tokens": tokens, **more}, list(parts)


Messages = list[tuple[dict[str, Any], list[dict[str, Any]]]]


def export(info: dict[str, Any], messages: Messages) -> dict[str, Any]:
    return {"info": info, "messages": [{"info": message, "parts": parts} for message, parts in messages]}


REPORT = '<task id="ses_c">\n<task_result>\n**Verdict:** rejected\n\n### Critical\n1. It overflows\n</task_result>\n</task>'
CALLED: Messages = [
    answer(
        "msg_1",
        tool("call_r", "task", 500, 9_000, input={"subagent_type": "code-reviewer", "description": "Look", "prompt": "…"}, output=REPORT,
             metadata={"sessionId": "ses_c"}),
    )
]  # fmt: skip
WORKED: Messages = [
    ({"id": "msg_u", "role": "user", "time": {"created": START}}, [{"id": "prt_u", "type": "text", "text": "look"}]),
    answer("msg_2", tool("call_i", "read", status="error", error="File not found: x"), {"id": "prt_t", "type": "text", "text": "fine"}),
]


def test_bash_is_completed_whatever_its_exit_code(read_records: Any) -> None:
    log = export(PARENT, [
        answer(
            "msg_1",
            tool("call_a", "bash", took=4_000, input={"command": "pytest"}, output="= 1 failed, 2 passed in 0.1s =", metadata={"exit": 1}),
            tool("call_b", "bash", input={"command": "ls"}, output="x", metadata={"exit": 0}),
            tool("call_c", "bash", input={"command": "sleep 99"}, output="<bash_metadata>\ntimed out after 1 s", metadata={}),
            tool("call_d", "bash", input={"command": "true"}, output="", metadata={}),
            tool("call_e", "bash", status="running", input={"command": "top"}),
        )
    ])  # fmt: skip
    events, _ = read_records(log)
    assert [events[f"tool:call_{each}"].categories.get("error_type") for each in "abcd"] == ["exit_code", None, "timeout", None]
    assert [events[f"tool:call_{each}"].categories.get("outcome") for each in "abcd"] == ["failure", "success", "failure", None]
    assert "tool:call_e" not in events  # a part is rewritten while it runs
    assert events["test:call_a"].measures == {"duration_ms": 4000, "tests_passed": 2, "tests_failed": 1}
    assert (events["tool:call_a"].project, events["tool:call_a"].session_id, events["tool:call_a"].raw_name) == ("kiosk", "ses_p", "main")


def test_a_misspelt_tool_is_a_failure_under_its_own_name(read_records: Any) -> None:
    events, _ = read_records(export(PARENT, [answer("msg_1", tool("call_a", "invalid", input={"tool": "grepp"}, output="no"))]))
    assert events["tool:call_a"].categories == {"outcome": "failure", "tool_name": "grepp", "error_type": "unknown_tool"}


def test_an_answers_tokens_are_its_own(read_records: Any) -> None:
    thinking = {"input": 10, "output": 5, "reasoning": 3, "total": 25, "cache": {"read": 7, "write": 0}}
    unfinished = {"id": "msg_3", "role": "assistant", "time": {"created": START}}
    failed = {"id": "msg_4", "role": "assistant", "time": {"created": START}, "error": {"name": "APIError"}}
    events, _ = read_records(export(PARENT, [answer("msg_1"), answer("msg_2", tokens=thinking), (unfinished, []), (failed, [])]))
    assert events["msg:msg_1"].measures == {"input_tokens": 30, "output_tokens": 5, "cache_read_tokens": 7, "cache_creation_tokens": 2}
    assert events["msg:msg_2"].measures["output_tokens"] == 8
    assert "msg:msg_3" not in events
    assert events["msg:msg_4"].categories == {"outcome": "failure", "error_type": "APIError"}


def test_an_edit_of_a_document_counts_its_lines(read_records: Any) -> None:
    new = {"filePath": "/home/kim/git/kiosk/README.md", "content": "a\nb\n"}
    changed = {"filediff": {"file": "x", "additions": 4, "deletions": 1}}
    events, _ = read_records(export(PARENT, [
        answer(
            "msg_1",
            tool("call_n", "write", input=new, metadata={"exists": False}),
            tool("call_e", "edit", input={"filePath": "docs/api/x.md"}, metadata=changed),
            tool("call_d", "edit", input={"filePath": "notes.md"}, metadata={"diff": "--- a\n+++ b\n-x\n+y\n+z\n"}),
        )
    ]))  # fmt: skip
    lines = [(event.measures["lines_added"], event.measures["lines_removed"], event.categories["doc_kind"])
             for event in (events[f"document:call_{each}"] for each in "ned")]  # fmt: skip
    assert lines == [(2, 0, "readme"), (4, 1, "api"), (2, 1, "other")]


def check_the_review(events: dict[str, AgentEvent]) -> None:
    work = events["work:call_r"]
    assert (work.agent_type, work.operation, work.categories["verdict"], work.session_id) == (
        "code-reviewer",
        "review",
        "rejected",
        "ses_p",
    )
    assert work.measures["issues_critical"] == 1
    assert (work.measures["duration_ms"], work.measures["tool_calls"], work.measures["tool_errors"]) == (9_000, 1, 1)
    assert work.measures["output_tokens"] == 5
    assert (events["tool:call_i"].task_id, events["tool:call_i"].raw_name) == ("call_r", "code-reviewer")
    assert events["invoke:call_r"].attributes["agent_id"] == "ses_c"


def test_a_subagents_session_is_the_run_of_its_call_whichever_stands_first(read_records: Any) -> None:
    one, _ = read_records(export(PARENT, CALLED), export(CHILD, WORKED))
    other, _ = read_records(export(CHILD, WORKED), export(PARENT, CALLED))
    assert one == other
    check_the_review(one)


def test_a_subagents_session_without_its_caller_is_a_run_that_nobody_called(read_records: Any) -> None:
    events, _ = read_records(export(CHILD, WORKED))
    assert set(events) == {"tool:call_i", "msg:msg_2", "work:ses_c"}
    assert events["work:ses_c"].raw_name == "code-reviewer"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as OpenCode makes it, with the newest rows in its write-ahead log."""
    path = tmp_path / "opencode" / "opencode.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE `session` (id text, parent_id text, directory text, agent text, time_created integer)")
        connection.execute("CREATE TABLE `message` (id text, session_id text, time_created integer, data text)")
        connection.execute("CREATE TABLE `part` (id text, message_id text, session_id text, time_created integer, data text)")
    return path


def fill(connection: sqlite3.Connection) -> None:
    for info, messages in ((PARENT, CALLED), (CHILD, WORKED)):
        row = (info["id"], info.get("parentID"), info["directory"], info["agent"], START)
        connection.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", row)
        for message, parts in messages:
            rest = {key: value for key, value in message.items() if key != "id"}
            connection.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (message["id"], info["id"], START, json.dumps(rest)))
            for part in parts:
                rest = {key: value for key, value in part.items() if key != "id"}
                row = (part["id"], message["id"], info["id"], START, json.dumps(rest))
                connection.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()


def test_a_database_in_use_is_read_with_its_write_ahead_log(database: Path, read_found: ReadFound, read_records: Any) -> None:
    writer = sqlite3.connect(database)
    fill(writer)  # not closed: the rows are in opencode.db-wal alone
    assert database.with_name("opencode.db-wal").stat().st_size > 0
    journal = Journal()
    events = read_found(find_logs([database.parent], journal), journal)
    writer.close()
    check_the_review(events)
    exported, _ = read_records(export(PARENT, CALLED), export(CHILD, WORKED))
    assert {event_id: (event.measures, event.categories) for event_id, event in events.items()} == {
        event_id: (event.measures, event.categories) for event_id, event in exported.items()
    }


def test_another_database_is_not_called_a_log(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE session (id text)")
    (tmp_path / "log.jsonl").write_text('{"type": "user", "sessionId": "s"}\n')
    assert find_logs([tmp_path]).others == {".db": 1}


def test_the_files_of_older_versions_are_read(tmp_path: Path, read_found: ReadFound) -> None:
    storage = tmp_path / "storage"
    for info, messages in ((PARENT, CALLED), (CHILD, WORKED)):
        (storage / "session" / "p1").mkdir(parents=True, exist_ok=True)
        (storage / "session" / "p1" / f"{info['id']}.json").write_text(json.dumps({**info, "projectID": "p1"}, indent=2))
        for message, parts in messages:
            (storage / "message" / str(info["id"])).mkdir(parents=True, exist_ok=True)
            (storage / "message" / str(info["id"]) / f"{message['id']}.json").write_text(json.dumps({**message, "sessionID": info["id"]}))
            (storage / "part" / message["id"]).mkdir(parents=True)
            for part in parts:
                (storage / "part" / message["id"] / f"{part['id']}.json").write_text(json.dumps({**part, "sessionID": info["id"]}))
    journal = Journal()
    check_the_review(read_found(find_logs([tmp_path], journal), journal))
