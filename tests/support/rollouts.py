"""Rollouts of Codex written by hand, record by record, in the shapes of real ones; none of their content is from a real log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from detektor_pipelines.ingest.readers import codex
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from detektor_pipelines.ingest.readers.statistics import ReadStats


def at(seconds: float) -> str:
    return f"2026-03-05T10:{int(seconds) // 60:02d}:{seconds % 60:06.3f}Z"


def line(seconds: float | None, kind: str, **payload: Any) -> dict[str, Any]:
    return ({} if seconds is None else {"timestamp": at(seconds)}) | {"type": kind, "payload": payload}


def meta(thread: str = "s1", seconds: int = 0, cwd: str = "/home/ada/rover", **more: Any) -> dict[str, Any]:
    return line(seconds, "session_meta", id=thread, cwd=cwd, originator="cli", cli_version="0.99", **more)


def call(seconds: float, call_id: str, name: str = "exec_command", **arguments: Any) -> dict[str, Any]:
    return line(seconds, "response_item", type="function_call", name=name, call_id=call_id, arguments=json.dumps(arguments))


def output(seconds: float, call_id: str, text: Any) -> dict[str, Any]:
    return line(seconds, "response_item", type="function_call_output", call_id=call_id, output=text)


def tokens(seconds: float, total: tuple[int, int, int], last: tuple[int, int, int] | None = None) -> dict[str, Any]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    info = {"total_token_usage": dict(zip(names, total, strict=True))}
    if last:
        info["last_token_usage"] = dict(zip(names, last, strict=True))
    return line(seconds, "event_msg", type="token_count", info=info, rate_limits={})


def exited(code: int, text: str = "", wall: str = "0.2500") -> str:
    return f"Chunk ID: abc\nWall time: {wall} seconds\nProcess exited with code {code}\nOriginal token count: 5\nOutput:\n{text}"


def read(*records: dict[str, Any] | bytes, stats: ReadStats | None = None, **context: Any) -> list[AgentEvent | Rejection]:
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    given = ReadContext(names=AgentNames.load(), **context)
    return list(codex.read(enumerate(lines, 1), source="rollout.jsonl", context=given, stats=stats))


def one(found: list[AgentEvent | Rejection], event_id: str) -> AgentEvent:
    (event,) = [item for item in found if isinstance(item, AgentEvent) and item.event_id == event_id]
    return event


def item(seconds: float, called: str, thread: str = "s1", **more: Any) -> dict[str, Any]:
    """A completed item of 0.153 and later."""
    return line(seconds, "event_msg", type="item_completed", thread_id=thread, turn_id="t", item={"type": called, **more})


def read_files(*files: list[dict[str, Any]], names: list[str] | None = None) -> list[AgentEvent]:
    """Read several rollouts together, named a.jsonl, b.jsonl and so on."""
    sources = [
        SourceFile(None, name, 0, lambda records=records: iter([(at, json.dumps(record).encode()) for at, record in enumerate(records, 1)]))
        for name, records in zip(names or [f"{letter}.jsonl" for letter in "abcdef"], files, strict=False)
    ]
    found = list(codex.read_many(sources, ReadContext(names=AgentNames.load())))
    assert not [each for each in found if isinstance(each, Rejection)]
    return [each for each in found if isinstance(each, AgentEvent)]
