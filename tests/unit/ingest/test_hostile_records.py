"""What programs never write and people may: each line here once ended a whole reading in a traceback, hung it, or was lost."""

# ruff: noqa: E501 (a record is a line)

from __future__ import annotations

import json
import os
import sqlite3
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from support.mangled import not_for_ever
from support.valid_records import CLAUDE, COPILOT, GEMINI, MILLISECONDS, OPENCODE, OWN, QWEN

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import Journal, find_logs
from detektor_pipelines.ingest.live.hook_records import HookReader
from detektor_pipelines.ingest.readers.formats import format_named
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.projects import remote_of_directory
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from pathlib import Path

NAMES = AgentNames.load()
DIGITS = "9" * 5_000
"""More than Python makes a number of."""


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def read(name: str, *lines: bytes | dict[str, Any]) -> tuple[list[AgentEvent], list[Rejection]]:
    written = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    reader = import_module(format_named(name).module)
    found = list(reader.read(list(enumerate(written, 1)), source="here", context=ReadContext(names=NAMES)))
    return [each for each in found if isinstance(each, AgentEvent)], [each for each in found if isinstance(each, Rejection)]


def read_file(path: Path) -> tuple[list[AgentEvent], list[Rejection]]:
    journal = Journal()
    found = list(Reading(find_logs([path], journal), journal, ReadContext(names=NAMES)).records())
    return [each for each in found if isinstance(each, AgentEvent)], [each for each in found if isinstance(each, Rejection)]


def with_exit_code(record: dict[str, Any], said: str, digits: str) -> bytes:
    return json.dumps(record).replace(said, said.replace("0", digits)).encode()


@pytest.mark.parametrize(
    ("name", "before", "line"),
    [
        ("gemini", GEMINI[:1], b'{"$rewindTo": [1]}'),
        ("gemini", GEMINI[:1], b'{"id": "m", "type": ["user"], "content": ""}'),
        ("gemini", GEMINI[:1], b'{"$set": {"messages": [{"id": "m", "type": {"gemini": 1}}]}}'),
        ("gemini", GEMINI[:1], with_exit_code(GEMINI[2], "Exit Code: 0", DIGITS)),
        ("gemini", GEMINI[:1], json.dumps(GEMINI[2]).replace('"call_1", "name"', f'"c", "result": {nested(900)}, "name"').encode()),
        ("qwen", QWEN[:2], b'{"sessionId": "s-1", "uuid": "q", "type": ["user"], "message": {"parts": []}}'),
        ("qwen", QWEN[:2], with_exit_code(QWEN[2], "Exit Code: 0", DIGITS)),
        ("copilot", COPILOT[:3], with_exit_code(COPILOT[3], "exit code 0", DIGITS)),
        ("opencode", [], json.dumps(OPENCODE[0]).replace('"status": "completed"', '"status": ["completed"]').encode()),
        ("claude-code", [], b'{"type": "summary", "sessionId": "s", "summary": ' + nested(900).encode() + b"}"),
        ("claude-code", [], json.dumps(CLAUDE[7]).replace("<tool_uses>3<", f"<tool_uses>{DIGITS}<").encode()),
        ("codex", [], b'{"timestamp": "2026-03-05T10:00:00Z", "type": "response_item", "payload": {"type": "function_call_output", "call_id": '
                      + nested(900).encode() + b"}}"),
    ],
)  # fmt: skip
def test_a_hostile_record_costs_nothing_but_itself(name: str, before: list[dict[str, Any]], line: bytes) -> None:
    alone, _ = read(name, *before)
    events, _ = read(name, *before, line, *([] if name == "opencode" else [line]))
    assert {event.event_id for event in alone} <= {event.event_id for event in events}


@pytest.mark.parametrize("inside", [nested(300), "1" * 400, "[NaN, " + "9" * 30 + "]"])
def test_an_own_record_that_cannot_be_written_again_is_rejected(inside: str) -> None:
    line = b'{"agent": "main", "operation": "chat", "occurred_at": "2026-03-05T10:00:00Z", "attributes": {"a": ' + inside.encode() + b"}}"
    events, rejections = read("jsonl", line, json.dumps(OWN[1]).encode())
    assert [event.event_id for event in events if event.event_id == "own-1"] == ["own-1"]
    assert len(events) + len(rejections) == 2


def test_half_a_pair_in_what_is_nested_deep_is_a_torn_line() -> None:
    (found,) = records_of(b'{"a": "\\ud83d", "b": ' + nested(600).encode() + b"}")
    assert isinstance(found, str)


@pytest.mark.parametrize("tail", [b'{"a' * 200_000, b'{"' + b"x" * 2_000_000, b'{ "a":"' * 300_000])
def test_a_torn_text_is_not_looked_through_for_ever(tail: bytes) -> None:
    with not_for_ever():
        assert all(isinstance(each, str) for each in records_of(b'{"type": "user", "x": "' + b'{"b": "c' * 1_200 + tail))


@pytest.mark.parametrize("attributes", [{"a": json.loads(nested(32))}, {"a": "\x00"}, {"a\x00": [1]}])
def test_attributes_that_nobody_can_store_are_refused(attributes: dict[str, Any]) -> None:
    record = {"agent": "main", "operation": "chat", "occurred_at": "2026-03-05T10:00:00Z", "attributes": attributes}
    events, (rejection,) = read("jsonl", record)
    assert not events
    assert rejection.reason.startswith("attributes")


def test_attributes_may_speak_of_signs_and_brackets() -> None:
    attributes = {"a": "[" * 500, "b": "\\u0000 is written so", "c": {"d": [[["e"]]]}, "f": "\\\\u0000"}
    (event,) = read("jsonl", {"agent": "main", "operation": "chat", "occurred_at": "2026-03-05T10:00:00Z", "attributes": attributes})[0]
    assert problem(event) is None


def test_a_guest_that_is_nested_deep_is_its_readers_to_reject(tmp_path: Path) -> None:
    guest = (
        b'{"agent": "main", "operation": "chat", "occurred_at": "2026-03-05T10:00:00Z", "attributes": {"a": ' + nested(400).encode() + b"}}"
    )
    (tmp_path / "log.jsonl").write_bytes(json.dumps(CLAUDE[0]).encode() + b"\n" + guest + b"\n")
    events, rejections = read_file(tmp_path / "log.jsonl")
    assert {event.event_id for event in events} == {"tool:toolu_1", "msg:msg_1", "test:toolu_1"}
    assert len(rejections) == 1


def test_a_document_with_a_record_that_is_nested_deep_is_read(tmp_path: Path) -> None:
    deep = '{"agent": "main", "operation": "chat", "occurred_at": "2026-03-05T10:00:00Z", "attributes": {"a": ' + nested(1_000) + "}}"
    (tmp_path / "log.json").write_text(f"[{json.dumps(OWN[1])},\n{deep}]")
    events, rejections = read_file(tmp_path / "log.json")
    assert [event.event_id for event in events] == ["own-1"]
    assert len(rejections) == 1


# Gemini and OpenCode --------------------------------------------------------------------------------------------------------


def test_what_two_files_tell_of_one_subagent_is_joined() -> None:
    head = {**GEMINI[0], "sessionId": "a1", "kind": "subagent"}
    events, _ = read("gemini", head, {**GEMINI[2], "id": "m1"}, head, {**GEMINI[7], "id": "m2"})
    assert sum(event.event_id.startswith("msg:m") for event in events) == 2


def test_sessions_that_called_each_other_are_read() -> None:
    one, two = (json.loads(json.dumps(each)) for each in OPENCODE)
    one["info"]["parentID"] = "ses_c"
    events, _ = read("opencode", one, two)
    straight, _ = read("opencode", *OPENCODE)
    assert {event.event_id for event in events} >= {event.event_id for event in straight if event.event_id.startswith(("tool:", "msg:"))}
    alone = {**OPENCODE[0], "info": {**OPENCODE[0]["info"], "parentID": "ses_p"}}
    assert {event.event_id for event in read("opencode", alone)[0]} >= {"tool:call_1", "tool:call_2", "msg:msg_1"}


def database(path: Path, message: Any, part: Any) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE session (id, directory, time_created); CREATE TABLE message (id, session_id, time_created, data);"
            "CREATE TABLE part (id, message_id, session_id, time_created, data);"
        )
        connection.execute("INSERT INTO session VALUES ('ses_p', '/home/ada/rover', ?)", (MILLISECONDS,))
        connection.execute("INSERT INTO message VALUES ('msg_1', 'ses_p', 1, ?)", (message,))
        connection.execute("INSERT INTO part VALUES ('prt_1', 'msg_1', 'ses_p', 1, ?)", (part,))
    connection.close()
    return path


@pytest.mark.parametrize("data", [2**40, 1.5, None, b"\xff\xfe", "[]", "x"])
def test_a_database_whose_texts_are_none_is_read(data: Any, tmp_path: Path) -> None:
    part = json.dumps(OPENCODE[0]["messages"][0]["parts"][0])
    events, rejections = read_file(database(tmp_path / "opencode.db", data, part))
    assert [event.event_id for event in events if event.operation == "tool_call"] == ["tool:call_1"]
    assert not rejections


def test_a_database_without_a_column_is_rejected(tmp_path: Path) -> None:
    path = database(tmp_path / "opencode.db", "{}", "{}")
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE part RENAME COLUMN data TO content")
    connection.close()
    _, (rejection,) = read_file(path)
    assert rejection.reason.startswith("the database cannot be read")


@pytest.mark.parametrize("named", ["..", "../../elsewhere", "/elsewhere", "a\x00b", "."])
def test_an_id_leads_to_no_other_directory(named: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    storage = tmp_path / "storage"
    for directory in (elsewhere, storage / "session" / "p", storage / "message", storage / "part"):
        directory.mkdir(parents=True)
    answer = OPENCODE[0]["messages"][0]["info"]
    for place in (elsewhere, storage, storage / "message"):
        (place / "x.json").write_text(json.dumps(answer))
    named = named.replace("/elsewhere", str(elsewhere)) if named.startswith("/") else named
    session = {"id": named, "projectID": "p", "directory": "/home/ada/rover", "time": {"created": MILLISECONDS}}
    (storage / "session" / "p" / "x.json").write_text(json.dumps(session))
    assert read_file(storage / "session" / "p" / "x.json") == ([], [])


# What stands beside ---------------------------------------------------------------------------------------------------------


def test_a_pipe_beside_a_log_is_not_waited_for(tmp_path: Path) -> None:
    record = {**CLAUDE[0], "isSidechain": True, "agentId": "a1"}
    (tmp_path / "agent-a1.jsonl").write_text(json.dumps(record) + "\n")
    os.mkfifo(tmp_path / "agent-a1.meta.json")
    assert read_file(tmp_path / "agent-a1.jsonl")[0]
    note = {"at_ns": 1_772_704_800_000_000_000, "hook_event_name": "SubagentStart", "session_id": "s", "agent_id": "a1"}
    note["agent_transcript_path"] = str(tmp_path / "agent-a1.jsonl")
    assert HookReader(NAMES, {}, {}).read(json.dumps(note).encode()) == []


@pytest.mark.parametrize("kind", ["pipe", "configuration", "bytes", "nul"])
def test_a_repository_that_is_none_has_no_remote(kind: str, tmp_path: Path) -> None:
    git = tmp_path / ".git"
    if kind == "pipe":
        os.mkfifo(git)
    elif kind == "configuration":
        git.mkdir()
        os.mkfifo(git / "config")
    else:
        git.write_bytes(b"gitdir: \xff\xfe" if kind == "bytes" else b"gitdir: a\x00b")
    assert remote_of_directory(str(tmp_path)) is None


def test_a_deep_note_of_a_hook_is_rejected() -> None:
    for line in (b'{"at_ns": 1, "text": ' + nested(900).encode() + b"}", b'{"at_ns": 1, "hook_event_name": ' + nested(900).encode() + b"}"):
        (found,) = HookReader(NAMES, {}, {}).read(line)
        assert isinstance(found, Rejection)


def test_a_database_whose_error_quotes_other_bytes_is_no_log(tmp_path: Path) -> None:
    path = database(tmp_path / "opencode.db", "{}", "{}")
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE session", b"CREATE\x80TABLE session"))
    with pytest.raises(UserError):
        read_file(path)


def test_a_file_of_nuls_is_told(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(bytes(5_000))
    _, (rejection,) = read_file(tmp_path / "log.jsonl")
    assert rejection.reason == "the file holds nothing but NULs"
