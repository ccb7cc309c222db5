"""Reads the events of GitHub Copilot CLI (`~/.copilot/session-state/<session>/events.jsonl`), as versions 1.0.64 to 1.0.68 write them.

A file is one session, a line one event `{type, data, id, timestamp, parentId, agentId?}`. A file that was copied while it grew repeats
events: an `id` counts once. `success` of a shell tool says that the tool worked; the command's exit code stands in the last line of its
output, or for a command that went on in the background in a later notification. Input tokens are told per model at a session's end only,
so answers have output tokens alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.failures import error_type
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.sessions.session import Answer, Call, Run, Session, events_of, milliseconds, project_of
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

NAME: Final = "copilot"

SHELLS: Final = frozenset({"bash", "powershell"})
EDITS: Final = frozenset({"edit", "create", "str_replace", "insert", "write"})
_EXITED: Final = re.compile(
    r"<(?:shellId|command with shellId): (?P<shell>\w+),? (?:has )?(?:completed|exited) with exit code (?P<code>-?\d{1,10})>\s*\Z"
)
_GOES_ON: Final = re.compile(r"<command (?:with shellId: (?P<one>\w+) is still running|started in background with shellId: (?P<two>\w+))")
_EVENTS: Final = frozenset(
    {
        "abort",
        "assistant.message",
        "session.start",
        "session.resume",
        "session.model_change",
        "subagent.completed",
        "subagent.failed",
        "subagent.started",
        "system.notification",
        "tool.execution_complete",
        "tool.execution_start",
    }
)
_WITHOUT_EVENTS: Final = ("hook.", "permission.", "session.", "assistant.", "user.", "system.", "tool.", "subagent.", "skill.", "mcp.")


@dataclass(slots=True)
class _State:
    """One session's state while its events are read, in the order of the file."""

    session: Session
    context: ReadContext
    model: str | None = None
    run_of_agent: dict[str, str] = field(default_factory=dict)
    call_of_shell: dict[str, str] = field(default_factory=dict)


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one file; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read event files one after the other: a file's rejections, then its events by (occurred_at, event_id)."""
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    seen: set[str] = set()
    for file in sorted(files, key=lambda file: str(file.path or file.source)):
        reading = _Reading(file, context, counted, seen)
        yield from reading.rejections()
        counted.sessions.update(state.session.session_id for state in reading.sessions if state.session.session_id)
        events = [event for state in reading.sessions for event in events_of(state.session, names)]
        yield from sorted(events, key=lambda event: (event.occurred_at, event.event_id))


class _Reading:
    """One file: usually one session, several where files were put together; an event belongs to the session of its parent."""

    def __init__(self, file: SourceFile, context: ReadContext, stats: ReadStats, seen: set[str]) -> None:
        self.sessions: list[_State] = []
        self._file = file
        self._context = context
        self._stats = stats
        self._seen = seen
        self._by_event: dict[str, _State] = {}

    def rejections(self) -> Iterator[Rejection]:
        """Take all lines; yield what cannot be read."""
        for number, line in self._file.open():
            for record in records_of(line):
                reason = record if isinstance(record, str) else self._take(record)
                if reason is not None:
                    self._stats.rejected += 1
                    yield Rejection(self._file.source, number, reason, excerpt(line))

    def _take(self, record: Record) -> str | None:
        kind, data = text_of(record.get("type")), record.get("data")
        if kind is None or not isinstance(data, dict) or "parentId" not in record:
            if not self._stats.is_of_another(record, self._file.source, NAME):
                self._stats.strange[kind or "(no type)"] += 1
            return None
        self._stats.lines += 1
        own_id = text_of(record.get("id"))
        if own_id is not None and own_id in self._seen:
            return None
        try:
            state = self._state_of(record, kind, data)
            if kind in _EVENTS:
                _add(state, kind, data, instant_of(record.get("timestamp")), text_of(record.get("agentId")))
        except UnreadableRecordError as error:
            return f"{kind}: {error}"
        except STRANGE_SHAPE as error:
            return strange_shape(kind, error)
        if own_id is not None:
            self._seen.add(own_id)
            self._by_event[own_id] = state
        self._stats.records += 1
        counter = self._stats.types if kind in _EVENTS or kind.startswith(_WITHOUT_EVENTS) else self._stats.strange
        counter[kind] += 1
        return None

    def _state_of(self, record: Record, kind: str, data: Record) -> _State:
        parent = self._by_event.get(str(record.get("parentId")))
        if kind == "session.start" or not self.sessions:
            session = Session(self._file.source, text_of(data.get("sessionId")) if kind == "session.start" else None)
            state = _State(session, self._context)
            self.sessions.append(state)
            return state
        return parent or self.sessions[-1]


def _add(state: _State, kind: str, data: Record, at: int, agent_id: str | None) -> None:
    if kind.startswith("session."):
        _of_session(state, data)
    elif kind == "assistant.message":
        _answer(state, data, at, _run_of(state, data, agent_id))
    elif kind == "tool.execution_start":
        _start(state, data, at, _run_of(state, data, agent_id))
    elif kind == "tool.execution_complete":
        _complete(state, data, at)
    elif kind.startswith("subagent."):
        _subagent(state, kind, data, at, agent_id)
    elif kind == "system.notification":
        _notification(state, record_of(data.get("kind")))
    elif kind == "abort":
        for call in state.session.calls.values():
            if call.ended_at is None:
                call.cancel(at)


def _of_session(state: _State, data: Record) -> None:
    """Where a session works, and with which model: at its start, its resumption, a change of the model."""
    state.model = text_of(data.get("newModel")) or text_of(data.get("selectedModel")) or state.model
    context = record_of(data.get("context"))
    directory = text_of(context.get("gitRoot")) or text_of(context.get("cwd"))
    remote = text_of(context.get("repository"))
    if state.session.project is None and (remote or directory):
        state.session.project = project_of(state.context, remote=remote, directory=directory)


def _run_of(state: _State, data: Record, agent_id: str | None) -> str | None:
    """The run in which something happened: by the call that started it, or by the subagent's own id; None for the main session.

    A subagent that was never said to start is a run of its own.
    """
    parent = text_of(data.get("parentToolCallId"))
    if agent_id is None:
        return parent
    if agent_id not in state.run_of_agent:
        runs = state.session.runs
        free = [key for key, run in runs.items() if run.outcome is None and key not in state.run_of_agent.values()]
        known = parent or (agent_id if agent_id in runs else free[0] if len(free) == 1 else f"agent:{state.session.session_id}:{agent_id}")
        state.run_of_agent[agent_id] = known
    return state.run_of_agent[agent_id]


def _answer(state: _State, data: Record, at: int, run: str | None) -> None:
    message_id = text_of(data.get("messageId"))
    text = text_of(data.get("content"))
    if run in state.session.runs and text:
        state.session.runs[run].text = text
    if message_id is not None:
        model = text_of(data.get("model")) or state.model
        state.session.answers[message_id] = Answer(at, model, {"output_tokens": count_of(data.get("outputTokens"))}, run)


def _start(state: _State, data: Record, at: int, run: str | None) -> None:
    call_id = text_of(data.get("toolCallId"))
    if call_id is None or call_id in state.session.calls:
        return
    name, arguments = text_of(data.get("toolName")), record_of(data.get("arguments"))
    call = state.session.calls[call_id] = Call(at, name, run)
    if name in SHELLS:
        call.command = text_of(arguments.get("command"))
    elif name in EDITS:
        call.path = text_of(arguments.get("path"))
    elif name == "task":
        given = text_of(arguments.get("agent_type")) or text_of(arguments.get("agentName"))
        if given:
            _called(state, call_id, given, at, arguments)


def _called(state: _State, call_id: str, name: str, at: int, arguments: Record) -> Run:
    run = state.session.runs.setdefault(call_id, Run(name, at))
    run.description = run.description or text_of(arguments.get("description"))
    run.prompt = run.prompt or text_of(arguments.get("prompt"))
    return run


def _complete(state: _State, data: Record, at: int) -> None:
    call = state.session.calls.get(str(data.get("toolCallId")))
    if call is None:
        return
    call.duration_ms = milliseconds(call.at, at)
    result, error = record_of(data.get("result")), record_of(data.get("error"))
    call.output = text_of(result.get("content")) or ""
    metrics = record_of(record_of(data.get("toolTelemetry")).get("metrics"))
    call.added, call.removed = count_of(metrics.get("linesAdded")), count_of(metrics.get("linesRemoved"))
    if data.get("success") is False:
        call.fail(at, error_type(text_of(error.get("message")) or text_of(error.get("code")) or ""))
        return
    call.succeed(at)
    if call.name in SHELLS:
        _exit(state, str(data.get("toolCallId")), call, result)
    elif ended := _EXITED.search(call.output):  # read_bash saw the end of a command that went on in the background
        _exited(state, ended["shell"], int(ended["code"]))


def _exit(state: _State, call_id: str, call: Call, result: Record) -> None:
    """A shell command's own outcome: unknown as long as nobody says with which code it ended."""
    contents = result.get("contents")
    stated = [record_of(each) for each in contents] if isinstance(contents, list) else []
    code = next((each.get("exitCode") for each in stated if each.get("type") == "shell_exit"), None)
    ended = _EXITED.search(call.output)
    if ended:
        code = int(ended["code"])
        call.output = call.output[: ended.start()]
    if isinstance(code, int):
        _set_exit_code(call, code)
        return
    call.outcome = None
    going_on = _GOES_ON.search(call.output)
    if going_on:
        state.call_of_shell[going_on["one"] or going_on["two"]] = call_id


def _exited(state: _State, shell: str, code: int) -> None:
    call = state.session.calls.get(state.call_of_shell.get(shell, ""))
    if call is not None and call.outcome is None:
        _set_exit_code(call, code)


def _set_exit_code(call: Call, code: int) -> None:
    call.outcome, call.error_type = ("failure", "exit_code") if code else ("success", None)


def _notification(state: _State, kind: Record) -> None:
    code = kind.get("exitCode")
    if kind.get("type") == "shell_completed" and isinstance(code, int):
        _exited(state, str(kind.get("shellId")), code)


def _subagent(state: _State, kind: str, data: Record, at: int, agent_id: str | None) -> None:
    call_id = text_of(data.get("toolCallId"))
    if call_id is None:
        return
    run = _called(state, call_id, text_of(data.get("agentName")) or "unknown", at, {})
    run.name = text_of(data.get("agentName")) or run.name
    run.model = text_of(data.get("model")) or run.model
    if agent_id:
        run.agent_id = agent_id
        state.run_of_agent.setdefault(agent_id, call_id)
    if kind == "subagent.started":
        return
    run.ended_at = at
    run.outcome = "cancelled" if data.get("cancelled") is True else "failure" if kind == "subagent.failed" else "success"
    run.duration_ms = count_of(data.get("durationMs"))
    run.tool_calls = count_of(data.get("totalToolCalls"))
