"""A record of the usual shape is read without being made whole, and gives what it gives when it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import lines_of, written
from support.valid_records import CLAUDE

from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.claude_code.usual import usual_of
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.statistics import ReadStats

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = AgentNames.load()
AT = "2026-03-05T10:00:{:02}.5Z"


def record(kind: str, second: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "uuid": f"u-{second}", "sessionId": "s", "cwd": "/home/ada/rover", "timestamp": AT.format(second), **more}


def answer(number: int, *blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": number, "output_tokens": 5}
    return {
        "id": f"msg_{number}",
        "role": "assistant",
        "model": "m-1",
        "stop_reason": "end_turn",
        "content": blocks,
        "usage": usage,
        **more,
    }


def use(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}


def result(number: int, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "ok", **more}]}


def of_a_subagent(second: int, kind: str, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {
        "type": "agent_progress",
        "agentId": "a1",
        "message": {"type": kind, "timestamp": AT.format(second), "message": message, **more},
    }
    return record("progress", second, parentToolUseID="toolu_5", data=data)


_PATCH = [{"oldStart": 1, "lines": ["-a", "+b", "+c", " d"]}]
SESSION = [
    record("user", 0, message={"role": "user", "content": "Look at it"}),
    record("assistant", 1, message=answer(1, {"type": "thinking", "thinking": "…"}, use(1, "Read", file_path="/home/ada/rover/a.py"))),
    record("user", 2, message=result(1), toolUseResult={"type": "text", "durationMs": 12, "interrupted": False}),
    record("assistant", 3, message=answer(2, use(2, "Edit", file_path="/home/ada/rover/docs/a.md", old_string="a"), stop_reason=None)),
    record(
        "user", 4, message=result(2, is_error=False), toolUseResult={"filePath": "/home/ada/rover/docs/a.md", "structuredPatch": _PATCH}
    ),
    record("assistant", 5, message=answer(3, use(3, "Bash", command="pytest -q", description="Tests"))),
    record("user", 6, message=result(3), toolUseResult={"stdout": "3 passed in 0.1s", "interrupted": False}),
    record("assistant", 7, message=answer(4, use(4, "Bash", command="ls"))),
    record("user", 8, message=result(4), toolUseResult={"stdout": "a", "interrupted": True}),
    record("assistant", 9, message=answer(5, use(5, "Task", subagent_type="code-reviewer", description="Look", prompt="Look at it"))),
    of_a_subagent(10, "user", {"role": "user", "content": [{"type": "text", "text": "Look at it"}]}),
    of_a_subagent(11, "assistant", answer(6, use(6, "Grep", pattern="a"))),
    of_a_subagent(12, "user", result(6), toolUseResult="one"),
    of_a_subagent(13, "assistant", answer(7, {"type": "text", "text": "**Verdict:** approved"}, {"type": "text", "text": "Round 2"})),
    record("progress", 14, toolUseID="bash-0", data={"type": "bash_progress", "elapsedTimeSeconds": 2}),
    record("system", 15, subtype="turn_duration", durationMs=9),
    record("user", 16, message=result(5), toolUseResult={"status": "completed", "agentId": "a1", "totalDurationMs": 4_000}),
    record("assistant", 17, message=answer(8, {"type": "text", "text": "Done"})),
]


def read(lines: list[bytes], *, whole: bool) -> tuple[list[Any], ReadStats]:
    """Read lines as they are read; `whole`: with every record made whole."""
    stats = ReadStats()
    with pytest.MonkeyPatch.context() as patch:
        if whole:
            patch.setattr(transcripts, "usual_of", lambda _: None)
        found = transcripts.read(list(enumerate(lines, 1)), source="here", context=ReadContext(names=NAMES), stats=stats)
        return list(found), stats


@pytest.mark.parametrize("session", [SESSION, CLAUDE], ids=["usual", "all"])
@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_both_ways_give_the_same(session: list[Any], data: st.DataObject) -> None:
    lines = [line.strip() for line in data.draw(lines_of(session)) if b"\n" not in line and line.strip()]
    assert read(lines, whole=False) == read(lines, whole=True)


def test_most_of_a_session_is_not_made_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def noted(line: bytes) -> Any:
        made.append(line)
        return records_of(line)

    monkeypatch.setattr(transcripts, "records_of", noted)
    lines = [written(each) for each in SESSION]
    read(lines, whole=False)
    # The command whose output is read, the run's first message, which says which agent it is, and its result
    assert made == [lines[6], lines[10], lines[16]]


@pytest.mark.parametrize("tokens", [2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**20 + 1, 10**400])
def test_a_number_that_a_record_made_whole_holds_otherwise_is_read_there(tokens: int) -> None:
    said = answer(1, {"type": "text", "text": "Done"})
    lines = [written(record("assistant", 1, message={**said, "usage": {"input_tokens": tokens}}))]
    assert read(lines, whole=False) == read(lines, whole=True)


@pytest.mark.parametrize(
    "broken",
    [
        lambda line: line[:-1],
        lambda line: line + b"}",
        lambda line: line + line,
        lambda line: line.replace(b'"role"', b'"role\\x"'),
        lambda line: line.replace(b'"role": "user"', b'"role": 01'),
        lambda line: line.replace(b'"role": "user"', b'"role": nul'),
        lambda line: line.replace(b'"role": "user"', b'"role": "us\ner"'),
        lambda line: line.replace(b'"role": "user"', b'"role": [1,]'),
    ],
)
def test_what_is_no_json_is_of_no_usual_shape_where_nothing_is_read_of_it_either(broken: Callable[[bytes], bytes]) -> None:
    whole = written(SESSION[0])
    assert usual_of(whole) is not None
    assert broken(whole) != whole
    assert usual_of(broken(whole)) is None
