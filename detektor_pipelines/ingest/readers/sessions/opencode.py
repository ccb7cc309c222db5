"""Reads OpenCode's sessions (seen 1.18.33): its database `opencode.db`, what `opencode export` prints, and the JSON files of before 1.2.

All three hold the same objects: a session, its messages, their parts. A subagent is a session of its own with the caller's as its parent:
its calls and answers are joined to the `task` call that started it. A part is rewritten while its tool runs, so only finished ones are
read. `bash` counts as completed whatever it returned: its exit code stands beside. The tool `invalid` is how a misspelt call is answered.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.files import content_of
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, error_type
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import MAIN_THREAD, AgentNames
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.sessions.session import Answer, Call, Run, Session, events_of, milliseconds, project_of
from detektor_pipelines.ingest.readers.shapes import STRANGE_SHAPE, Record, count_of, record_of, strange_shape, text_of
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.ingest.reports.lines import is_cut
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.language.records import AgentEvent

NAME: Final = "opencode"

MAIN_AGENTS: Final = frozenset({"build", "plan", "general", "title", "summary", "compaction"})
"""Ways of working that come with OpenCode: a session of one of these is the main session; any other name is somebody's own agent."""

_TASK_RESULT: Final = re.compile(r"<task_result>\s*(.*?)\s*</task_result>", re.DOTALL)
_TIMED_OUT: Final = re.compile(r"(?i)timed? ?out|timeout|terminated")
_MILLISECONDS: Final = 1000
_UNREADABLE: Final = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a damaged database raises; the last when an error's own text quotes bytes of it."""

_OBJECT_LIMIT: Final = 64 * 1024 * 1024
_PARTS_WITHOUT_EVENTS: Final = frozenset(
    {"text", "reasoning", "step-start", "step-finish", "patch", "subtask", "compaction", "file", "snapshot", "agent", "retry"}
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """One session as it is stored, and how its messages are got: (message, its parts)."""

    info: Record
    source: str
    messages: Callable[[], Iterable[tuple[Record, list[Record]]]]

    @property
    def session_id(self) -> str:
        """Its own id."""
        return str(self.info.get("id"))

    @property
    def parent(self) -> str | None:
        """The caller's session, for a subagent's."""
        return text_of(self.info.get("parentID")) or text_of(self.info.get("parent_id"))


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one file of exported sessions; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read sessions together with those of their subagents: rejections, then each tree's events by (occurred_at, event_id).

    A session that stands in several files (an export beside the database) is taken from the first by name that tells most messages.
    """
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    with ExitStack() as opened:
        stored: dict[str, _Stored] = {}
        for file in sorted(files, key=lambda file: str(file.path or file.source)):
            for found in _database(file, opened) if file.kind == "database" else _documents(file, counted):
                if isinstance(found, Rejection):
                    counted.rejected += 1
                    yield found
                else:
                    stored.setdefault(found.session_id, found)
        for root, children in _trees(stored):
            reading = _Reading(root, children, context, counted)
            yield from reading.rejections
            yield from sorted(events_of(reading.session, names), key=lambda event: (event.occurred_at, event.event_id))


def _trees(stored: dict[str, _Stored]) -> Iterator[tuple[_Stored, dict[str, _Stored]]]:
    """Yield each session that no known one called, with all below it; of sessions that called each other in a circle, the first by id."""
    children: dict[str, list[_Stored]] = {}
    for each in stored.values():
        if each.parent in stored:
            children.setdefault(each.parent or "", []).append(each)
    taken: set[str] = set()
    for session_id, root in sorted(stored.items(), key=lambda each: (each[1].parent in stored, each[0])):
        if session_id in taken:
            continue
        below: dict[str, _Stored] = {}
        waiting = [session_id]
        while waiting:
            for child in children.get(waiting.pop(), ()):
                if child.session_id not in below and child.session_id != session_id:
                    below[child.session_id] = child
                    waiting.append(child.session_id)
        taken.update(below, (session_id,))
        yield root, below


# Where sessions are stored --------------------------------------------------------------------------------------------------


def _documents(file: SourceFile, stats: ReadStats) -> Iterator[_Stored | Rejection]:
    for number, line in file.open():
        for record in records_of(line):
            if isinstance(record, str):
                yield Rejection(file.source, number, record, excerpt(line))
            elif isinstance(record.get("info"), dict) and isinstance(record.get("messages"), list):
                stats.lines += 1
                yield _Stored(record_of(record["info"]), file.source, partial(_exported, record))
            elif "projectID" in record and file.path is not None:
                stats.lines += 1
                yield _Stored(record, file.source, partial(_in_directories, file.path, record))
            elif not stats.is_of_another(record, file.source, NAME):
                stats.strange[text_of(record.get("type")) or "(no type)"] += 1


def _exported(record: Record) -> Iterator[tuple[Record, list[Record]]]:
    for message in record["messages"]:
        parts = record_of(message).get("parts")
        yield record_of(record_of(message).get("info")), [record_of(part) for part in parts] if isinstance(parts, list) else []


def _in_directories(path: Path | None, info: Record) -> Iterator[tuple[Record, list[Record]]]:
    """The files of before 1.2 in `storage`: `session/<project>/<id>.json`, `message/<session>/<id>.json`, `part/<message>/<id>.json`."""
    if path is None:
        return
    storage = path.parent.parent.parent
    for message in _objects_in(storage / "message", info):
        yield message, list(_objects_in(storage / "part", message))


def _objects_in(directory: Path, owner: Record) -> Iterator[Record]:
    """What stands in the directory that is called by its owner's id; an id that leads elsewhere is none."""
    called = str(owner.get("id"))
    if called in {".", ".."} or "/" in called or "\0" in called:
        return
    for file in sorted((directory / called).glob("*.json")):
        try:
            yield record_of(orjson.loads(content_of(file, _OBJECT_LIMIT)))
        except (OSError, orjson.JSONDecodeError):
            continue


def _database(file: SourceFile, opened: ExitStack) -> Iterator[_Stored | Rejection]:
    if file.path is None:
        return
    try:
        connection = opened.enter_context(_connection(file.path))
        for row in connection.execute("SELECT * FROM session ORDER BY id"):
            info = dict(row)
            yield _Stored(info, file.source, partial(_in_database, connection, str(info.get("id"))))
    except _UNREADABLE as error:
        yield Rejection(file.source, None, f"the database cannot be read: {error}")


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading while OpenCode writes it: with its write-ahead log, in which the newest sessions are.

    Where that needs a file beside it that may not be made (a directory that is read-only), a copy of both is opened.
    """
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(_open(path)))
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="detektor-")))
            for suffix in ("", "-wal"):
                beside = path.with_name(path.name + suffix)
                if beside.is_file():
                    shutil.copyfile(beside, directory / beside.name)
            connection = stack.enter_context(closing(_open(directory / path.name)))
        connection.row_factory = sqlite3.Row
        yield connection


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


def _in_database(connection: sqlite3.Connection, session_id: str) -> Iterator[tuple[Record, list[Record]]]:
    parts: dict[str, list[Record]] = {}
    rows = "SELECT id, message_id, data FROM part WHERE session_id = ? ORDER BY time_created, id"
    for part_id, message_id, data in connection.execute(rows, (session_id,)):
        parts.setdefault(message_id, []).append({"id": part_id, **_object(data)})
    rows = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id"
    for message_id, data in connection.execute(rows, (session_id,)):
        yield {"id": message_id, **_object(data)}, parts.get(message_id, [])


def _object(data: Any) -> Record:
    found = records_of(data.encode() if isinstance(data, str) else data) if isinstance(data, str | bytes) else ()
    return found[0] if found and isinstance(found[0], dict) else {}


# From messages to a session -------------------------------------------------------------------------------------------------


class _Reading:
    """One session and those of its subagents."""

    def __init__(self, root: _Stored, children: dict[str, _Stored], context: ReadContext, stats: ReadStats) -> None:
        directory = text_of(root.info.get("directory"))
        agent = text_of(root.info.get("agent"))
        self.session = Session(root.source, root.session_id, project_of(context, directory=directory))
        self.rejections: list[Rejection] = []
        self._children = children
        self._stats = stats
        self._seen: set[str] = set()
        if root.parent is not None:  # a subagent's session whose caller is not there, or is called by it
            self._run_without_call(root)
        else:
            self.session.agent = agent if agent and agent not in MAIN_AGENTS else MAIN_THREAD
            self._take(root, None)
        for child in children.values():
            if child.session_id not in self._seen:
                self._run_without_call(child)

    def _run_without_call(self, stored: _Stored) -> None:
        run = Run(text_of(stored.info.get("agent")) or "unknown", _session_start(stored.info), called=False, agent_id=stored.session_id)
        self.session.runs[stored.session_id] = run
        self._take(stored, stored.session_id)
        answers = [answer.at for answer in self.session.answers.values() if answer.run == stored.session_id]
        if run.text is not None and answers:
            run.ended_at, run.outcome = max(answers), "success"
            run.duration_ms = milliseconds(run.called_at, run.ended_at)

    def _take(self, stored: _Stored, run: str | None) -> None:
        """Take one session's messages; a subagent's own session is taken where its call stands."""
        if stored.session_id in self._seen:
            return
        self._seen.add(stored.session_id)
        self._stats.sessions.add(stored.session_id)
        try:
            for message, parts in stored.messages():
                self._stats.records += 1 + len(parts)
                self._try(stored, message, partial(self._message, message, run))
                for part in parts:
                    self._try(stored, part, partial(self._part, part, run, written_by_agent=message.get("role") == "assistant"))
        except _UNREADABLE as error:
            self._reject(stored, f"the database cannot be read: {error}", stored.session_id)

    def _try(self, stored: _Stored, record: Record, take: Callable[[], None]) -> None:
        try:
            take()
        except STRANGE_SHAPE as error:
            self._reject(stored, strange_shape(record.get("type"), error), text_of(record.get("id")) or "")

    def _reject(self, stored: _Stored, reason: str, said: str) -> None:
        self._stats.rejected += 1
        self.rejections.append(Rejection(stored.source, None, reason, excerpt(said)))

    def _message(self, message: Record, run: str | None) -> None:
        message_id, role = text_of(message.get("id")), text_of(message.get("role"))
        self._stats.types[f"message {role}"] += 1
        time, error = record_of(message.get("time")), record_of(message.get("error"))
        at = _instant(time.get("completed")) or (_instant(time.get("created")) if error else None)
        if role != "assistant" or message_id is None or at is None:
            return
        model = text_of(message.get("modelID"))
        failed = (text_of(error.get("name")) or "api_error") if error else None
        self.session.answers[message_id] = Answer(at, model, _tokens(record_of(message.get("tokens"))), run, failed)

    def _part(self, part: Record, run: str | None, *, written_by_agent: bool) -> None:
        kind = text_of(part.get("type"))
        counter = self._stats.types if kind == "tool" or kind in _PARTS_WITHOUT_EVENTS else self._stats.strange
        counter[f"part {kind}"] += 1
        text = text_of(part.get("text"))
        if kind == "text" and run is not None and text and written_by_agent:
            self.session.runs[run].text = text
        elif kind == "tool":
            self._tool(part, record_of(part.get("state")), run)

    def _tool(self, part: Record, state: Record, run: str | None) -> None:
        call_id, name, status = text_of(part.get("callID")), text_of(part.get("tool")), text_of(state.get("status"))
        time = record_of(state.get("time"))
        start, end = _instant(time.get("start")), _instant(time.get("end"))
        if call_id is None or status not in {"completed", "error"} or end is None:
            return
        start = end if start is None else start
        arguments, metadata = record_of(state.get("input")), record_of(state.get("metadata"))
        call = self.session.calls[call_id] = Call(start, name, run, duration_ms=milliseconds(start, end))
        call.output = text_of(state.get("output")) or ""
        if status == "error":
            why = error_type(text_of(state.get("error")) or "")
            call.cancel(end) if why == INTERRUPTED else call.fail(end, why)
        else:
            call.succeed(end)
        if name == "bash":
            call.command = text_of(arguments.get("command"))
            if status == "completed":
                _exit(call, metadata)
        elif name == "invalid":
            call.name = text_of(arguments.get("tool")) or name
            call.fail(end, "unknown_tool")
        elif name in {"edit", "write", "multiedit", "patch", "apply_patch"}:
            _edit(call, arguments, metadata)
        elif name == "task":
            self._task(call_id, call, arguments, metadata)

    def _task(self, call_id: str, call: Call, arguments: Record, metadata: Record) -> None:
        child = text_of(metadata.get("sessionId")) or text_of(metadata.get("sessionID"))
        stored = self._children.get(child or "")
        name = text_of(arguments.get("subagent_type")) or (text_of(stored.info.get("agent")) if stored else None) or "unknown"
        run = self.session.runs[call_id] = Run(name, call.at, text_of(arguments.get("description")), text_of(arguments.get("prompt")))
        run.ended_at, run.outcome, run.duration_ms = call.ended_at, call.outcome, call.duration_ms
        run.agent_id, run.is_whole = child, stored is not None
        if stored is not None:
            self._take(stored, call_id)
        told = _TASK_RESULT.search(call.output)
        run.text = told[1] if told else run.text or call.output or None


def _session_start(info: Record) -> int:
    return _instant(record_of(info.get("time")).get("created")) or _instant(info.get("time_created")) or 0


def _instant(milliseconds_since_1970: Any) -> int | None:
    found = count_of(milliseconds_since_1970)
    return None if found is None else found * _MILLISECONDS


def _tokens(tokens: Record) -> dict[str, int | None]:
    """An answer's tokens; what was thought is produced as well, where the output's count does not hold it already."""
    cache = record_of(tokens.get("cache"))
    counts = {
        "input_tokens": count_of(tokens.get("input")),
        "output_tokens": count_of(tokens.get("output")),
        "cache_read_tokens": count_of(cache.get("read")),
        "cache_creation_tokens": count_of(cache.get("write")),
    }
    thought = count_of(tokens.get("reasoning")) or 0
    if thought and counts["output_tokens"] is not None and sum(count or 0 for count in counts.values()) + thought == tokens.get("total"):
        counts["output_tokens"] += thought
    return counts


def _exit(call: Call, metadata: Record) -> None:
    """A shell command's own outcome: by its exit code; without one it ran out of time, or nobody knows."""
    code = metadata.get("exit")
    if isinstance(code, int) and not isinstance(code, bool):
        call.outcome, call.error_type = ("failure", "exit_code") if code else ("success", None)
    elif _TIMED_OUT.search(call.output[-500:]):
        call.outcome, call.error_type = "failure", "timeout"
    else:
        call.outcome = None


def _edit(call: Call, arguments: Record, metadata: Record) -> None:
    difference = record_of(metadata.get("filediff"))
    call.path = text_of(arguments.get("filePath")) or text_of(metadata.get("filepath")) or text_of(difference.get("file"))
    content, diff = arguments.get("content"), text_of(metadata.get("diff"))
    call.added, call.removed = count_of(difference.get("additions")), count_of(difference.get("deletions"))
    if call.added is None and metadata.get("exists") is False and isinstance(content, str) and not is_cut(content):
        call.added, call.removed = len(content.splitlines()), 0
    elif call.added is None and diff and not is_cut(diff):
        lines = [line for line in diff.splitlines() if not line.startswith(("+++", "---"))]
        call.added, call.removed = sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)
