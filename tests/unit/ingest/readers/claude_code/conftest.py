"""Transcripts written by hand, record by record, in the shapes that `docs` and real logs show; none of their content is from a real log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = "2026-03-05T10:{:02d}:{:02d}.000Z"
SESSION = "11111111-2222-4333-8444-555555555555"


def at(seconds: int) -> str:
    return START.format(seconds // 60, seconds % 60)


@dataclass
class Transcript:
    """Builds one file's records; each method adds one record and returns it, so that a test can bend it."""

    session: str = SESSION
    cwd: str = "/home/ada/code/rover"
    records: list[dict[str, Any]] = field(default_factory=list)
    agent_id: str | None = None
    prefix: str = "u"

    def add(self, kind: str, seconds: int | None, **more: Any) -> dict[str, Any]:
        record: dict[str, Any] = {"type": kind, "sessionId": self.session}
        if kind in {"assistant", "user", "progress", "system"}:
            record |= {
                "uuid": f"{self.prefix}-{self.session[:8]}-{len(self.records)}",
                "cwd": self.cwd,
                "version": "2.1.40",
                "isSidechain": False,
            }
        if self.agent_id:
            record |= {"isSidechain": True, "agentId": self.agent_id}
        if seconds is not None:
            record["timestamp"] = at(seconds)
        self.records.append(record | more)
        return self.records[-1]

    def answer(
        self, seconds: int, message_id: str, *blocks: dict[str, Any], output: int = 5, stop: str | None = None, **more: Any
    ) -> dict[str, Any]:
        message = answer(message_id, *blocks, output=output, stop=stop)
        return self.add("assistant", seconds, message=message, requestId="req", **more)

    def call(self, seconds: int, call_id: str, tool: str, message_id: str | None = None, **arguments: Any) -> dict[str, Any]:
        return self.answer(seconds, message_id or f"msg_{call_id}", tool_use(call_id, tool, **arguments))

    def result(
        self, seconds: int, call_id: str, content: Any = "done", *, error: bool | None = None, details: Any = None
    ) -> dict[str, Any]:
        more = {} if details is None else {"toolUseResult": details}
        return self.add("user", seconds, message={"role": "user", "content": [tool_result(call_id, content, error)]}, **more)

    def subagent(self, seconds: int, call_id: str, name: str, description: str = "a task", tool: str = "Task") -> dict[str, Any]:
        return self.call(seconds, call_id, tool, subagent_type=name, description=description, prompt="Do it.")

    def finished(self, seconds: int, call_id: str, text: str, agent_id: str = "a1b2c3d", **details: Any) -> dict[str, Any]:
        result = {
            "status": "completed",
            "agentId": agent_id,
            "prompt": "Do it.",
            "content": [{"type": "text", "text": text}],
            "totalDurationMs": 60_000,
            "totalTokens": 900,
            "totalToolUseCount": 0,
            "usage": {"input_tokens": 7, "output_tokens": 70, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 23},
        }
        return self.result(seconds, call_id, [{"type": "text", "text": text}], details=result | details)

    def progress(
        self, seconds: int, parent: str, kind: str, message: dict[str, Any], agent_id: str = "a1b2c3d", **inner: Any
    ) -> dict[str, Any]:
        data = {
            "type": "agent_progress",
            "agentId": agent_id,
            "message": {"type": kind, "timestamp": at(seconds), "message": message, **inner},
        }
        return self.add("progress", seconds, data=data, parentToolUseID=parent, toolUseID="agent_x")

    def notification(self, seconds: int, text: str, operation: str = "enqueue") -> dict[str, Any]:
        return self.add("queue-operation", seconds, operation=operation, content=text)


def answer(
    message_id: str, *blocks: dict[str, Any], output: int = 5, stop: str | None = None, model: str = "some-model-1"
) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": output, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10}
    return {"id": message_id, "role": "assistant", "model": model, "stop_reason": stop, "content": list(blocks), "usage": usage}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def tool_use(call_id: str, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": tool, "input": arguments}


def tool_result(call_id: str, content: Any = "done", error: bool | None = None) -> dict[str, Any]:  # noqa: FBT001
    return {"type": "tool_result", "tool_use_id": call_id, "content": content} | ({} if error is None else {"is_error": error})


@dataclass
class Reading:
    """What came out of reading."""

    events: list[AgentEvent]
    rejections: list[Rejection]
    stats: ReadStats

    def one(self, event_id: str) -> AgentEvent:
        (found,) = [event for event in self.events if event.event_id == event_id]
        return found

    def of(self, operation: str) -> list[AgentEvent]:
        return [event for event in self.events if event.operation == operation]


class Shapes:
    """The functions above, for tests that build messages themselves."""

    answer = staticmethod(answer)
    text = staticmethod(text)
    tool_use = staticmethod(tool_use)
    tool_result = staticmethod(tool_result)
    at = staticmethod(at)
    Transcript = Transcript


@pytest.fixture
def shapes() -> type[Shapes]:
    return Shapes


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Reading]:
    """Write transcripts to files (a Transcript, lines of bytes, or a dict for a `.meta.json`) and read them together."""

    def run(files: Transcript | dict[str, Any], **context: Any) -> Reading:
        given = files if isinstance(files, dict) else {"session.jsonl": files}
        sources = []
        for name, content in given.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict):
                path.write_text(json.dumps(content))
                continue
            lines = content if isinstance(content, list) else [json.dumps(record).encode() for record in content.records]
            sources.append(SourceFile(path, name, 0, lambda lines=lines: iter(enumerate(lines, 1))))
        stats = ReadStats()
        context.setdefault("names", AgentNames.load())
        out = list(transcripts.read_many(sources, ReadContext(**context), stats))
        return Reading([item for item in out if isinstance(item, AgentEvent)], [item for item in out if isinstance(item, Rejection)], stats)

    return run
