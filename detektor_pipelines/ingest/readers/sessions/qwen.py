"""Reads the sessions of Qwen Code (`~/.qwen/projects/*/chats/*.jsonl`, seen 0.15.10): Claude Code's envelope, Gemini's content.

A message's `parts` hold text, calls (`functionCall`) and results (`functionResponse`); how a call ended stands in `toolCallResult`. How
long it took is told by a record of telemetry that names the tool alone: it belongs to the earliest call of that name that has none yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.sessions.gemini import EDITS, SHELLS, edit, finish, output_of, tokens_of
from detektor_pipelines.ingest.readers.sessions.session import Answer, Call, Run, Session, events_of, project_of
from detektor_pipelines.ingest.readers.shapes import (
    STRANGE_SHAPE,
    Record,
    UnreadableRecordError,
    count_of,
    instant_of,
    record_of,
    strange_shape,
    text_of,
)
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.language.records import AgentEvent

NAME: Final = "qwen"

_USAGE: Final = ("promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount", "thoughtsTokenCount")
_KINDS: Final = frozenset({"user", "assistant", "tool_result", "system"})
_TELEMETRY: Final = "qwen-code.tool_call"
_STATUS: Final = {"error": "error", "success": "success", "cancelled": "cancelled", "canceled": "cancelled"}


@dataclass(slots=True)
class _Sessions:
    """The sessions of one file, by their ids; a record stands in several files where one was copied, and counts once."""

    source: str
    context: ReadContext
    seen: set[str]
    found: dict[str, Session] = field(default_factory=dict)


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one file; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read files one after the other: a file's rejections, then its events by (occurred_at, event_id)."""
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    seen: set[str] = set()
    for file in sorted(files, key=lambda file: str(file.path or file.source)):
        sessions = _Sessions(file.source, context, seen)
        for number, line in file.open():
            for record in records_of(line):
                reason = record if isinstance(record, str) else _take(record, file, sessions, counted)
                if reason is not None:
                    counted.rejected += 1
                    yield Rejection(file.source, number, reason, excerpt(line))
        counted.sessions.update(sessions.found)
        events = [event for session in sessions.found.values() for event in events_of(session, names)]
        yield from sorted(events, key=lambda event: (event.occurred_at, event.event_id))


def _take(record: Record, file: SourceFile, sessions: _Sessions, stats: ReadStats) -> str | None:
    kind, session_id = text_of(record.get("type")), text_of(record.get("sessionId"))
    message = record.get("message")
    mine = session_id is not None and "uuid" in record and (not isinstance(message, dict) or "content" not in message)
    if not mine or session_id is None:
        if not stats.is_of_another(record, file.source, NAME):
            stats.strange[kind or "(no type)"] += 1
        return None
    stats.lines += 1
    uuid = str(record.get("uuid"))
    if uuid in sessions.seen:
        return None
    session = sessions.found.get(session_id)
    if session is None:
        project = project_of(sessions.context, directory=text_of(record.get("cwd")))
        session = sessions.found[session_id] = Session(sessions.source, session_id, project)
    try:
        if kind == "assistant":
            _answer(session, record, record_of(message), instant_of(record.get("timestamp")))
        elif kind == "tool_result":
            _result(session, record, record_of(message), instant_of(record.get("timestamp")))
        elif kind == "system":
            _telemetry(session, record_of(record_of(record.get("systemPayload")).get("uiEvent")))
    except UnreadableRecordError as error:
        return f"{kind}: {error}"
    except STRANGE_SHAPE as error:
        return strange_shape(kind, error)
    sessions.seen.add(uuid)
    stats.records += 1
    (stats.types if kind in _KINDS else stats.strange)[kind or "(no type)"] += 1
    return None


def _answer(session: Session, record: Record, message: Record, at: int) -> None:
    tokens = tokens_of(record_of(record.get("usageMetadata")), _USAGE)
    session.answers[str(record["uuid"])] = Answer(at, text_of(record.get("model")), tokens)
    for told in _in_parts(message, "functionCall"):
        call_id, name, arguments = text_of(told.get("id")), text_of(told.get("name")), record_of(told.get("args"))
        if call_id is None or call_id in session.calls:
            continue
        call = session.calls[call_id] = Call(at, name)
        if name in SHELLS:
            call.command = text_of(arguments.get("command"))
        elif name in EDITS:
            edit(call, arguments, {})
        elif name == "task":
            run = Run(text_of(arguments.get("subagent_type")) or "unknown", at, text_of(arguments.get("description")))
            run.prompt, run.is_whole = text_of(arguments.get("prompt")), False
            session.runs[call_id] = run


def _result(session: Session, record: Record, message: Record, at: int) -> None:
    told = record_of(record.get("toolCallResult"))
    for response in _in_parts(message, "functionResponse"):
        call_id = text_of(response.get("id")) or text_of(told.get("callId"))
        call = session.calls.get(call_id or "")
        if call is None or call_id is None:
            continue
        call.output = output_of({"functionResponse": response})
        finish(call, at, _STATUS.get(str(told.get("status"))))
        call.ended_at = at
        if call.name in EDITS:
            edit(call, {"file_path": call.path}, record_of(told.get("resultDisplay")))
        run = session.runs.get(call_id)
        if run is not None:
            run.ended_at, run.outcome, run.text = at, call.outcome, call.output or None


def _telemetry(session: Session, event: Record) -> None:
    if event.get("event.name") != _TELEMETRY:
        return
    name, duration = event.get("function_name"), count_of(event.get("duration_ms"))
    call_id = next((key for key, call in session.calls.items() if call.name == name and call.duration_ms is None), None)
    if call_id is not None:
        session.calls[call_id].duration_ms = duration
        if call_id in session.runs:
            session.runs[call_id].duration_ms = duration


def _in_parts(message: Record, kind: str) -> list[Record]:
    parts = message.get("parts")
    return [record_of(part[kind]) for part in parts if isinstance(part, dict) and kind in part] if isinstance(parts, list) else []
