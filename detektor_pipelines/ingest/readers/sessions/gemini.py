"""Reads the sessions of Gemini CLI (`~/.gemini/tmp/<project>/chats/`): one JSON document each, since 2026 a file of lines.

A line is the session's head, a message (one with an id that was seen before replaces it), `{"$set": …}` (changes the head; with `messages`
all of them) or `{"$rewindTo": id}` (takes that message and what follows back). A document is the same at its end. A tool call has one
instant, so no duration. A project is a hash of its directory: it is named by `--project`, or by the directories that a head lists.
A subagent is a tool call with an `agentId`, and its messages stand in `chats/<session>/<agentId>.jsonl`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, error_type
from detektor_pipelines.ingest.readers.identity import anchored
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
from detektor_pipelines.ingest.reports.lines import is_cut
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.language.records import AgentEvent

NAME: Final = "gemini"

SHELLS: Final = frozenset({"run_shell_command"})
EDITS: Final = frozenset({"write_file", "replace", "edit"})
_DELEGATES: Final = frozenset({"delegate_to_agent", "invoke_agent", "task"})
_KINDS: Final = frozenset({"user", "gemini", "info", "warning", "error", "model"})
_EXIT_CODE: Final = re.compile(r"^Exit Code: (-?\d{1,10})\s*$", re.MULTILINE)
_SESSION_FILE: Final = re.compile(r"session-.*-([0-9a-f]{8})\.jsonl?(?:\.gz)?")
_SHORT: Final = 8
_DRAWN: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
"""A message's id as the program draws it; any other (`m2`, of an export) may stand in another session for something else."""


@dataclass(slots=True)
class _Chat:
    """One session as its file tells it."""

    source: str
    head: Record
    subagent: str | None = None
    messages: dict[str, tuple[int, bytes, Record]] = field(default_factory=dict)


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one file; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read sessions, each with its subagents' files: rejections, then its events by (occurred_at, event_id)."""
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    for group in _groups(files):
        chats: list[_Chat] = []
        for file in group:
            yield from _collect(file, chats, counted)
        events: dict[str, AgentEvent] = {}
        for session, rejections in _sessions(chats, context, counted):
            yield from rejections
            events |= {event.event_id: event for event in events_of(session, names)}
        yield from sorted(events.values(), key=lambda event: (event.occurred_at, event.event_id))


def _groups(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """A session's files and its subagents' together: by the beginning of the session's id, which stands in the names."""
    groups: dict[tuple[str, str], list[SourceFile]] = {}
    for file in files:
        key = ("", file.source)
        if file.path is not None:
            named = _SESSION_FILE.fullmatch(file.path.name)
            above = file.path.parent
            if named:
                key = (str(above), named[1])
            elif above.parent.name == "chats":
                key = (str(above.parent), above.name[:_SHORT])
        groups.setdefault(key, []).append(file)
    return [sorted(group, key=lambda file: str(file.path or file.source)) for _, group in sorted(groups.items())]


# Lines ----------------------------------------------------------------------------------------------------------------------


def _collect(file: SourceFile, chats: list[_Chat], stats: ReadStats) -> Iterator[Rejection]:
    chat: _Chat | None = None
    for number, line in file.open():
        for record in records_of(line):
            if isinstance(record, str):
                stats.rejected += 1
                yield Rejection(file.source, number, record, excerpt(line))
            elif "sessionId" in record and "projectHash" in record:
                stats.lines += 1
                stats.types["session"] += 1
                chat = _Chat(file.source, record, _subagent_of(file, record))
                chats.append(chat)
                _set_messages(chat, record.get("messages"), number, line, stats)
            elif chat is not None and _is_update(record):
                stats.lines += 1
                _update(chat, record, number, line, stats)
            elif not stats.is_of_another(record, file.source, NAME):
                stats.strange[text_of(record.get("type")) or "(no type)"] += 1


def _is_update(record: Record) -> bool:
    is_message = "id" in record and text_of(record.get("type")) in _KINDS and "sessionId" not in record
    return "$set" in record or "$rewindTo" in record or is_message


def _update(chat: _Chat, record: Record, number: int, line: bytes, stats: ReadStats) -> None:
    if "$set" in record:
        changed = record_of(record["$set"])
        chat.head.update({key: value for key, value in changed.items() if key != "messages"})
        if "messages" in changed:
            chat.messages.clear()
            _set_messages(chat, changed["messages"], number, line, stats)
    elif "$rewindTo" in record:
        kept, last = list(chat.messages), text_of(record["$rewindTo"])
        if last in kept:
            for message_id in kept[kept.index(last) :]:
                del chat.messages[message_id]
    else:
        _set_messages(chat, [record], number, line, stats)


def _set_messages(chat: _Chat, messages: Any, number: int, line: bytes, stats: ReadStats) -> None:
    for message in messages if isinstance(messages, list) else ():
        message_id, kind = text_of(record_of(message).get("id")), text_of(record_of(message).get("type"))
        counter = stats.types if kind in _KINDS else stats.strange
        counter[kind or "(no type)"] += 1
        stats.records += 1
        if message_id is not None:
            chat.messages[message_id] = (number, line[:4000], message)


def _subagent_of(file: SourceFile, head: Record) -> str | None:
    """The id of the subagent whose own file this is; None for a main session."""
    if head.get("kind") != "subagent":
        return None
    return file.path.name.partition(".")[0] if file.path is not None else text_of(head.get("sessionId"))


# Sessions -------------------------------------------------------------------------------------------------------------------


def _sessions(chats: Sequence[_Chat], context: ReadContext, stats: ReadStats) -> Iterator[tuple[Session, list[Rejection]]]:
    """Yield each main session with the subagents that it called, then the subagents that nobody is known to have called."""
    free: dict[str, _Chat] = {}
    for chat in chats:
        if chat.subagent:
            known = free.setdefault(chat.subagent, chat)
            known.messages.update({key: told for key, told in chat.messages.items() if key not in known.messages})
    for chat in chats:
        if chat.subagent is None:
            reading = _Reading(chat, context, stats)
            reading.main(free)
            yield reading.session, reading.rejections
    for agent_id, chat in free.items():
        reading = _Reading(chat, context, stats)
        reading.alone(agent_id)
        yield reading.session, reading.rejections


class _Reading:
    """From one chat to a session."""

    def __init__(self, chat: _Chat, context: ReadContext, stats: ReadStats) -> None:
        head = chat.head
        directories = head.get("directories")
        directory = next((each for each in directories if isinstance(each, str)), None) if isinstance(directories, list) else None
        session_id = text_of(head.get("sessionId"))
        self.session = Session(chat.source, session_id, project_of(context, directory=directory))
        self.rejections: list[Rejection] = []
        self._chat = chat
        self._stats = stats
        if session_id:
            stats.sessions.add(session_id)

    def main(self, subagents: dict[str, _Chat]) -> None:
        """Take a main session, and out of `subagents` those that it called."""
        self._take(self._chat, None)
        for key, run in list(self.session.runs.items()):
            chat = subagents.pop(run.agent_id, None) if run.agent_id else None
            run.is_whole = chat is not None
            if chat is not None:
                self._take(chat, key)
                _end(self.session, key, run)

    def alone(self, agent_id: str) -> None:
        """Take a subagent's own file without its call."""
        run = self.session.runs[agent_id] = Run("unknown", 0, called=False, agent_id=agent_id)
        self._take(self._chat, agent_id)
        _end(self.session, agent_id, run)

    def _take(self, chat: _Chat, run: str | None) -> None:
        for message_id, (number, line, message) in chat.messages.items():
            try:
                if text_of(message.get("type")) in {"gemini", "model"}:
                    self._answer(message_id, message, instant_of(message.get("timestamp")), run)
                continue
            except UnreadableRecordError as error:
                reason = f"a message: {error}"
            except STRANGE_SHAPE as error:
                reason = strange_shape(message.get("type"), error)
            self._stats.rejected += 1
            self.rejections.append(Rejection(chat.source, number, reason, excerpt(line)))

    def _answer(self, message_id: str, message: Record, at: int, run: str | None) -> None:
        tokens = tokens_of(record_of(message.get("tokens")), ("input", "output", "cached", "thoughts"))
        key = message_id if _DRAWN.fullmatch(message_id) else anchored(message_id, at)
        self.session.answers[key] = Answer(at, text_of(message.get("model")), tokens, run)
        text = text_of(message.get("content"))
        if run is not None and text:
            self.session.runs[run].text = text
        calls = message.get("toolCalls")
        for call in calls if isinstance(calls, list) else ():
            self._call(record_of(call), at, run)

    def _call(self, told: Record, answered_at: int, run: str | None) -> None:
        call_id, name, arguments = text_of(told.get("id")), text_of(told.get("name")), record_of(told.get("args"))
        if call_id is None:
            return
        at = instant_of(told["timestamp"]) if told.get("timestamp") else answered_at
        call = self.session.calls[call_id] = Call(at, name, run)
        call.output = output_of(told.get("result"))
        finish(call, at, text_of(told.get("status")))
        if name in SHELLS:
            call.command = text_of(arguments.get("command"))
        elif name in EDITS:
            edit(call, arguments, record_of(told.get("resultDisplay")))
        agent_id = text_of(told.get("agentId"))
        if agent_id or name in _DELEGATES:
            called = text_of(arguments.get("agent_name")) or text_of(arguments.get("agentName")) or text_of(arguments.get("subagent_type"))
            started = Run(called or name or "unknown", at, text_of(arguments.get("description")), _task_of(arguments))
            started.agent_id, started.ended_at, started.outcome, started.text = agent_id, call.ended_at, call.outcome, call.output or None
            started.is_whole = False
            self.session.runs[call_id] = started


def _task_of(arguments: Record) -> str | None:
    return next((text for key in ("prompt", "objective", "query", "task") if (text := text_of(arguments.get(key)))), None)


def _end(session: Session, key: str, run: Run) -> None:
    """A subagent's own messages tell how long it worked."""
    instants = [answer.at for answer in session.answers.values() if answer.run == key]
    instants += [call.at for call in session.calls.values() if call.run == key]
    if not instants:
        return
    run.called_at = run.called_at or min(instants)
    run.duration_ms = milliseconds(min(instants), max(instants))
    if not run.called:
        run.ended_at, run.outcome = max(instants), "success" if run.text else None


# What Qwen Code has in common with it ---------------------------------------------------------------------------------------


def tokens_of(told: Record, names: tuple[str, str, str, str]) -> dict[str, int | None]:
    """Read (input, output, cached, thoughts) by their names: input counts cached ones, output does not count thoughts."""
    given, produced, cached, thoughts = (count_of(told.get(name)) for name in names)
    return {
        "input_tokens": None if given is None else max(0, given - (cached or 0)),
        "output_tokens": None if produced is None else produced + (thoughts or 0),
        "cache_read_tokens": cached,
    }


def output_of(result: Any) -> str:
    """The text of a tool's result: of its function responses, or what stands there."""
    if isinstance(result, str):
        return result
    if isinstance(result, list):
        return "\n".join(text for each in result if (text := output_of(each)))
    told = record_of(result)
    response = record_of(record_of(told.get("functionResponse")).get("response")) or told
    return next((found for key in ("output", "error", "text", "llmContent") if (found := text_of(response.get(key)))), "")


def finish(call: Call, at: int, status: str | None) -> None:
    """Set how a call ended by its status (success, error, cancelled); a command's exit code, where it is told, counts before."""
    code = _EXIT_CODE.search(call.output) if call.name in SHELLS else None
    if status == "cancelled":
        call.cancel(at)
    elif code and int(code[1]):
        call.fail(at, "exit_code")
    elif status == "error":
        why = error_type(call.output)
        call.cancel(at) if why == INTERRUPTED else call.fail(at, why)
    elif status == "success":
        call.succeed(at)


def edit(call: Call, arguments: Record, display: Record) -> None:
    """Which file a call wrote, and how many lines."""
    call.path = text_of(arguments.get("file_path")) or text_of(arguments.get("path"))
    stated = record_of(display.get("diffStat"))
    call.added, call.removed = count_of(stated.get("model_added_lines")), count_of(stated.get("model_removed_lines"))
    diff = text_of(display.get("fileDiff"))
    if call.added is None and diff and not is_cut(diff):
        lines = [line for line in diff.splitlines() if not line.startswith(("+++", "---"))]
        call.added, call.removed = sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)
