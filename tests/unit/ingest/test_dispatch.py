"""Files that hold several formats: each record is read by its own reader, however files are cut, put together and ordered."""

from __future__ import annotations

import gc
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import Journal, find_logs
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Record = dict[str, Any]


def at(second: int) -> str:
    return f"2026-09-01T08:{second // 60:02d}:{second % 60:02d}.000Z"


def claude(number: int) -> list[Record]:
    common = {"sessionId": f"claude-{number}", "cwd": "/home/kim/git/kiosk", "isSidechain": False}
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": "git push"}}
    message = {"id": f"msg_{number}", "model": "o", "stop_reason": "tool_use", "usage": {"output_tokens": number}, "content": [use]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "main -> main"}]}
    return [
        {"type": "assistant", "uuid": f"c{number}", "parentUuid": None, "timestamp": at(number), "message": message, **common},
        {"type": "user", "uuid": f"d{number}", "parentUuid": f"c{number}", "timestamp": at(number + 1), "message": result, **common},
    ]


def codex() -> list[Record]:
    meta = {"id": "thread-1", "cwd": "/home/kim/git/kiosk", "source": "cli", "cli_version": "0.150.0"}
    call = {"type": "function_call", "name": "exec_command", "arguments": '{"cmd": "pytest"}', "call_id": "call_codex"}
    output = {
        "type": "function_call_output",
        "call_id": "call_codex",
        "output": "Process exited with code 1\nOutput:\nx",
    }
    kinds = [("session_meta", meta), ("turn_context", {"model": "g"}), ("response_item", call), ("response_item", output)]
    return [{"timestamp": at(number), "type": kind, "payload": payload} for number, (kind, payload) in enumerate(kinds)]


def copilot(number: int) -> list[Record]:
    start, end = {"toolCallId": f"call_k{number}", "toolName": "view", "arguments": {}}, {"toolCallId": f"call_k{number}", "success": True}
    session = {"sessionId": f"k{number}", "context": {"cwd": "/home/kim/git/kiosk"}}
    kinds = [("session.start", session), ("tool.execution_start", start), ("tool.execution_complete", end)]
    return [
        {
            "type": kind,
            "data": data,
            "id": f"k{number}/{step}",
            "timestamp": at(step),
            "parentId": f"k{number}/{step - 1}" if step else None,
        }
        for step, (kind, data) in enumerate(kinds)
    ]


def qwen() -> list[Record]:
    common = {"sessionId": "qwen-1", "cwd": "/home/kim/git/kiosk", "parentUuid": None}
    call = {"role": "model", "parts": [{"functionCall": {"id": "call_qwen", "name": "read_file", "args": {}}}]}
    response = {"role": "user", "parts": [{"functionResponse": {"id": "call_qwen", "response": {"output": "x"}}}]}
    told = {"callId": "call_qwen", "status": "success"}
    return [
        {"uuid": "qwen-x", "type": "assistant", "timestamp": at(1), "message": call, **common},
        {"uuid": "qwen-y", "type": "tool_result", "timestamp": at(2), "message": response, "toolCallResult": told, **common},
    ]


def gemini() -> list[Record]:
    message = {"id": "gem-a", "timestamp": at(3), "type": "gemini", "content": "x", "tokens": {"input": 3, "output": 4}}
    return [{"sessionId": "gem", "projectHash": "p", "startTime": at(0)}, message]


def own() -> list[Record]:
    return [{"agent": "code-reviewer", "operation": "review", "occurred_at": at(9), "event_id": "own-a", "issues_found": 2}]


SEQUENCES = [claude(1), claude(2), codex(), copilot(1), copilot(2), qwen(), gemini(), own()]


def events_in(path: Path) -> set[tuple[Any, ...]]:
    journal = Journal()
    reading = Reading(find_logs([path], journal), journal, ReadContext(names=AgentNames.load()))
    found = list(reading.records())
    assert not [each for each in found if isinstance(each, Rejection)]
    assert not any(stats.strange for stats in reading.stats.values())
    events = [each for each in found if isinstance(each, AgentEvent)]
    assert len({event.event_id for event in events}) == len(events)
    return {
        (event.event_id, event.agent_type, event.operation, event.occurred_at, event.project, event.session_id, event.task_id,
         tuple(sorted(event.measures.items())), tuple(sorted(event.categories.items())))
        for event in events
    }  # fmt: skip


def write(path: Path, records: Sequence[Record], separators: random.Random | None = None) -> None:
    """Write records as lines; with `separators` some are spliced, or NULs stand before them."""
    text = ""
    for record in records:
        text += json.dumps(record) + ("\n" if separators is None else separators.choice(["\n", "\n", "", "\n\0\0\0"]))
    path.write_text(text)


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[Any, ...]]:
    """The events when each sequence is a file of its own, in a directory of its own."""
    root = tmp_path_factory.mktemp("separate")
    for number, records in enumerate(SEQUENCES):
        (root / str(number)).mkdir()
        write(root / str(number) / "log.jsonl", records)
    found = events_in(root)
    assert len(found) == 14
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), files=st.integers(1, 4), in_one_directory=st.booleans())
def test_however_files_are_mixed_spliced_and_ordered_the_events_are_those_of_separate_files(
    separate: set[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, *, seed: int, files: int, in_one_directory: bool
) -> None:
    chance = random.Random(seed)
    root = tmp_path_factory.mktemp("mixed")
    holding: list[list[list[Record]]] = [[] for _ in range(files)]
    for sequence in chance.sample(SEQUENCES, len(SEQUENCES)):
        chance.choice(holding).append(list(sequence))
    for number, sequences in enumerate(holding):
        mixed: list[Record] = []
        while any(sequences):  # the order within a sequence stays
            mixed.append(chance.choice([each for each in sequences if each]).pop(0))
        directory = root if in_one_directory else root / str(number)
        directory.mkdir(exist_ok=True)
        write(directory / f"{chance.randrange(1000)}-{number}.jsonl", mixed, chance)
    assert events_in(root) == separate


def test_lines_of_a_mixed_file_are_counted_once(tmp_path: Path) -> None:
    records = [record for sequence in SEQUENCES for record in sequence]
    write(tmp_path / "all.jsonl", records)
    (tmp_path / "beside.jsonl").write_text(json.dumps(own()[0] | {"event_id": "own-b"}) + "\n")
    journal = Journal()
    reading = Reading(find_logs([tmp_path], journal), journal, ReadContext())
    list(reading.records())
    assert journal.lines == len(records) + 1
    assert sum(stats.lines for stats in reading.stats.values()) == len(records) + 1


def test_a_record_that_nobody_knows_is_counted_by_the_reader_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [*claude(1), {"type": "odd", "sessionId": "x"}, {"no": "type"}, *copilot(1), {"data": 1, "type": "odder"}])
    journal = Journal()
    reading = Reading(find_logs([tmp_path / "a.jsonl"], journal), journal, ReadContext())
    list(reading.records())
    assert dict(reading.stats["claude-code"].strange) == {"odd": 1, "(no type)": 1, "odder": 1}
    assert not reading.stats["copilot"].strange


def test_the_search_for_cycles_is_as_it_was_after_a_reading_even_one_that_stops(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", claude(1))
    before = gc.get_threshold()
    journal = Journal()
    records = Reading(find_logs([tmp_path], journal), journal, ReadContext()).records()
    next(records)
    assert gc.get_threshold() != before
    records.close()  # type: ignore[attr-defined]
    assert gc.get_threshold() == before


def test_a_review_with_half_a_character_in_its_report_is_a_review_with_its_verdict(tmp_path: Path) -> None:
    common = {"sessionId": "s", "cwd": "/home/kim/git/kiosk", "isSidechain": False}
    use = {"type": "tool_use", "id": "toolu_h", "name": "Task", "input": {"subagent_type": "code-reviewer", "description": "Look"}}
    call = {"id": "msg_h", "model": "o", "usage": {}, "content": [use]}
    report = [{"type": "text", "text": "**Verdict:** rejected\n\n### Critical\n1. It overflows HALF"}]
    result = {"content": [{"type": "tool_result", "tool_use_id": "toolu_h", "content": report}]}
    told = {"status": "completed", "agentId": "a1", "content": report, "totalDurationMs": 7}
    lines = [
        {"type": "assistant", "uuid": "1", "timestamp": at(1), "message": call, **common},
        {"type": "user", "uuid": "2", "timestamp": at(8), "message": result, "toolUseResult": told, **common},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines).replace("HALF", "\\ud83d"))
    (review,) = [event for event in events_in(tmp_path) if event[2] == "review"]
    assert ("verdict", "rejected") in review[-1]
    assert ("issues_critical", 1) in review[-2]
