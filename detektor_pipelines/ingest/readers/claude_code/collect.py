"""From the records of transcripts to `State`: one pass, each record once, in whatever order the files are read."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import asdict

from detektor_pipelines.ingest.readers.claude_code.edits import edit_of
from detektor_pipelines.ingest.readers.claude_code.notifications import Notification, read_notification
from detektor_pipelines.ingest.readers.claude_code.state import MAIN, Call, Caller, Message, Notice, Run, Session, SideThread, State, Usage
from detektor_pipelines.ingest.readers.claude_code.tools import EDIT_TOOLS, LOOKED_INTO, SHELL_TOOLS, SUBAGENT_TOOLS
from detektor_pipelines.ingest.readers.claude_code.usual import NO_ARGUMENTS, Result, parts_of
from detektor_pipelines.ingest.readers.derived import worth_a_look
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, error_type
from detektor_pipelines.ingest.readers.identity import DRAWN, anchored, is_counted
from detektor_pipelines.ingest.readers.purpose import READ_OF_PROMPT
from detektor_pipelines.ingest.readers.shapes import (
    Record,
    UnreadableRecordError,
    count_of,
    fuller,
    instant_of,
    joined_text,
    record_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.ingest.readers.claude_code.usual import Block, Progress, Said, Usual
    from detektor_pipelines.ingest.readers.statistics import ReadStats

SYNTHETIC_MODEL: Final = "<synthetic>"
"""What the harness writes as the model of a message that no model wrote: an API error shown to the user."""

RESULT_MARK: Final = "--- RESULT ---"
"""`TaskOutput` of a finished agent holds its tool log, this line, and its final text."""

TEXTS_BEGIN: Final = 100
"""Characters of a text that no cut takes away."""

OUTPUT_LIMIT: Final = 20_000
"""Characters kept of the end of a test run's or push's output: summaries stand at the end."""

_WITHOUT_EVENTS: Final = frozenset(
    {
        "ai-title",
        "agent-color",
        "agent-name",
        "agent-setting",
        "attachment",
        "custom-title",
        "file-history-snapshot",
        "last-prompt",
        "mode",
        "permission-mode",
        "summary",
        "system",
        "tag",
        "worktree-state",
    }
)
_READ: Final = frozenset({"assistant", "user", "progress", "queue-operation", "pr-link"})
_MESSAGES: Final = frozenset({"assistant", "user"})
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""Of a message's usage, in the order of `Usage`."""
_TELLING: Final = frozenset(
    {
        *("interrupted", "backgroundTaskId", "gitOperation", "durationMs", "totalDurationMs", "durationSeconds"),
        *("agentId", "task"),
    }
)
"""Keys of a tool's own result of which something is read, whatever the tool; the results of most calls have none."""
_NOTHING_TOLD: Final = Result()
_KNOWN: Final = _READ | _WITHOUT_EVENTS
_OTHERS: Final = _KNOWN - _MESSAGES


def is_own(record: Record) -> bool:
    """Whether a record is this format's beyond doubt; its keys alone are looked at, for every record is asked.

    Qwen Code writes messages in the same envelope, with `parts` instead of `content`.
    """
    kind = record.get("type")
    if kind in _MESSAGES:
        message = record.get("message")
        return type(message) is dict and "content" in message
    return kind in _OTHERS and "systemPayload" not in record


class Answer(NamedTuple):
    """What a subagent's model said: its text is None while it works on."""

    model: str | None
    text: str | None


class Collector:
    """Takes records one by one.

    Args:
        stats: Counted into.

    """

    def __init__(self, stats: ReadStats) -> None:
        self.state = State()
        self._stats = stats
        self._seen: set[int] = set()
        self._anchors: dict[tuple[str | None, str | None, str], str] = {}
        self._counted_session: str | None = None
        self._named: tuple[Any, str | None] = (None, None)

    def add(self, record: Record, source: str) -> None:
        """Take one record of `source`.

        Raises:
            UnreadableRecordError: The record's type is known and it lacks what that type must have; nothing of it was counted.

        """
        kind = record.get("type")
        if "forkedFrom" in record:
            # A branched session begins with the records of another, and says whose they are.
            record = {**record, "sessionId": text_of(record_of(record["forkedFrom"]).get("sessionId")) or record.get("sessionId")}
        if kind in _MESSAGES:
            self._message_record(record, source)
        elif kind == "progress":
            data = record_of(record.get("data"))
            if data.get("type") == "agent_progress":
                self._progress(record, data, source)
        elif kind == "queue-operation":
            self._notice(record, record.get("content"), original=record.get("operation") == "enqueue")
        elif kind == "pr-link":
            self._pull_request(record)
        self._count(record, kind)

    def add_usual(self, record: Usual, source: str) -> bool:
        """Take a record of the usual shape just as `add` would; return False, with nothing taken, where `add` has to."""
        kind, data = record.type, record.data
        try:
            if kind in _MESSAGES:
                taken = not record.isSidechain and self._usual_message(record, record, MAIN, source)
            elif kind == "progress" and data is not None and data.type == "agent_progress":
                taken = self._usual_progress(record, data, source)
            else:
                taken = True
        except UnreadableRecordError:
            return False
        if taken:
            self._count_different(hash(record.uuid), kind, record.sessionId)
        return taken

    def sidechain(self, session: str, agent_id: str, meta: Record) -> None:
        """Take what stands in `agent-<id>.meta.json` beside a subagent's own file: its name and the call that started it."""
        thread = self.state.side_threads.get((session, agent_id))
        if thread:
            thread.raw_name = text_of(meta.get("agentType")) or thread.raw_name
            thread.description = text_of(meta.get("description")) or thread.description
            run = text_of(meta.get("toolUseId"))
            thread.run = self._anchors.get((session, None, run), run) if run else thread.run

    def _count(self, record: Record, kind: Any) -> None:
        uuid = record.get("uuid")
        key, session = uuid if type(uuid) is str else _identity(record), record.get("sessionId")
        self._count_different(hash(key), kind, session if type(session) is str else None)

    def _count_different(self, key: int, kind: Any, session: str | None) -> None:
        """Count a line, and its record unless it was seen before; `key` tells records apart."""
        stats, seen = self._stats, self._seen
        stats.lines += 1
        known = len(seen)
        seen.add(key)
        if len(seen) == known:
            return
        stats.records += 1
        if kind in _KNOWN:
            stats.types[kind] += 1
        else:
            stats.strange[kind if isinstance(kind, str) else "(no type)"] += 1
        if session and session != self._counted_session:
            stats.sessions.add(session)
            self._counted_session = session

    def _session_named(self, given: Any) -> str | None:
        """Return a session's id as one object for all its records, None for no text; most records are of the session of the one before."""
        if given != self._named[0]:
            self._named = (given, _shared(given))
        return self._named[1]

    def _session(self, session: str) -> Session:
        return self.state.sessions.get(session) or self.state.sessions.setdefault(session, Session())

    def _worked_in(self, session: str, cwd: str, at: int) -> None:
        """Take where a session's first message was written."""
        known = self._session(session)
        if known.cwd is None or at < known.cwd_at or (at == known.cwd_at and cwd < known.cwd):
            known.cwd, known.cwd_at = cwd, at

    def _pull_request(self, record: Record) -> None:
        """Take the repository of a session's first pull request."""
        repository, at = text_of(record.get("prRepository")), str(record.get("timestamp"))
        session = self._session(record.get("sessionId") or "")
        if repository and (session.repository is None or (at, repository) < (session.repository_at, session.repository)):
            session.repository, session.repository_at = repository, at

    # Messages ---------------------------------------------------------------------------------------------------------------

    def _message_record(self, record: Record, source: str) -> None:
        at = instant_of(record.get("timestamp"))
        session = self._session_named(record.get("sessionId"))
        cwd = record.get("cwd")
        if session and cwd and type(cwd) is str:
            self._worked_in(session, cwd, at)
        message = record.get("message")
        if type(message) is not dict:
            reason = f"{record['type']} record without a message"
            raise UnreadableRecordError(reason)
        caller = Caller(None, text_of(record.get("agentId")), side=True) if record.get("isSidechain") else MAIN
        content = message.get("content")
        if type(content) is str and content.startswith("<") and caller is MAIN:
            self._notice(record, content, original=False)
        self._message(record, message, session, caller, at, source)

    def _progress(self, record: Record, data: Record, source: str) -> None:
        inner = record_of(data.get("message"))
        message = inner.get("message")
        if type(message) is not dict:
            reason = "agent_progress record without a message"
            raise UnreadableRecordError(reason)
        at = instant_of(inner.get("timestamp") or record.get("timestamp"))
        agent_id = text_of(data.get("agentId"))
        session = self._session_named(record.get("sessionId"))
        parent = self._id(record.get("parentToolUseID"), session, None, at)
        if parent:
            run = self.state.runs.get(parent) or self.state.runs.setdefault(parent, Run())
            run.agent_id = run.agent_id or agent_id
        self._message(inner, message, session, Caller(parent, agent_id, side=True), at, source)

    def _message(self, record: Record, message: Record, session: str | None, caller: Caller, at: int, source: str) -> None:
        if record.get("type") == "assistant":
            self._answer(record, message, session, caller, at, source)
        content = message.get("content")
        blocks = content if type(content) is list else ()
        results = []
        for block in blocks:
            if type(block) is not dict:
                continue
            kind = block.get("type")
            if kind == "tool_result":
                results.append(block)
            elif kind == "tool_use":
                self._call(session, block, caller, at, source)
        for block in results:
            call_id = self._id(block.get("tool_use_id"), session, caller.agent_id, at)
            if call_id is not None:
                call = self.state.calls.get(call_id) or self.state.calls.setdefault(call_id, Call(source=source))
                call.end(at, session)
                self._result(call_id, call, block, record.get("toolUseResult") if len(results) == 1 else None, at)
        if caller.agent_id:
            self._side_thread(session, caller, at, source, _answer_of(record, message, blocks))

    def _answer(self, record: Record, message: Record, session: str | None, caller: Caller, at: int, source: str) -> None:
        usage = message.get("usage")
        message_id = self._id(message.get("id"), session, caller.agent_id, at)
        if message_id is None or type(usage) is not dict:
            return
        whole = text_of(message.get("stop_reason")) is not None
        failed = record.get("isApiErrorMessage") is True
        error_type = (text_of(record.get("error")) or "api_error") if failed else None
        self._said(message_id, Message(session, caller, source, at, _shared(message.get("model")), _usage_of(usage), whole, error_type))

    def _said(self, message_id: str, said: Message) -> None:
        """Keep a message as the last of its lines tells it; whose and where it is stays as the first that was read has it."""
        if said.model == SYNTHETIC_MODEL:
            said.model = None
        known = self.state.messages.get(message_id)
        if known is not None:
            if known.session != said.session:
                known.session = _first(known.session, said.session)
            if known.at > said.at or (known.at == said.at and known.usage.output_tokens >= said.usage.output_tokens):
                return
            said.session, said.caller, said.source = known.session, known.caller, known.source
        self.state.messages[message_id] = said

    def _side_thread(self, session: str | None, caller: Caller, at: int, source: str, answer: Answer | None) -> None:
        """Take that a subagent was heard of, and what it said last where it was the model."""
        key = (session, caller.agent_id or "")
        thread = self.state.side_threads.get(key)
        if thread is None:
            thread = self.state.side_threads[key] = SideThread(source, at, at)
        thread.own_file = thread.own_file or caller.run is None
        thread.run = thread.run or caller.run
        thread.first_at = min(thread.first_at, at)
        if at < thread.last_at:
            return
        thread.last_at = at
        thread.text = None
        if answer is not None:
            thread.model = answer.model or thread.model
            thread.text = answer.text

    # Of the usual shape -----------------------------------------------------------------------------------------------------

    def _usual_progress(self, record: Usual, data: Progress, source: str) -> bool:
        parent, told = record.parentToolUseID, data.message
        if told is None or not record.sessionId or not parent.startswith(DRAWN):
            return False
        run = self.state.runs.get(parent)
        if run is None or not run.agent_id:
            return False
        return self._usual_message(record, told, Caller(parent, data.agentId or None, side=True), source)

    def _usual_message(self, record: Usual, said: Said, caller: Caller, source: str) -> bool:
        message, session, parts = said.message, self._session_named(record.sessionId), parts_of(said)
        if message is None or session is None or parts is None:
            return False
        calls, result = parts
        told = said.toolUseResult if type(said.toolUseResult) is Result else _NOTHING_TOLD
        ended = self._usually_ended(result, told)
        if result is not None and ended is None:
            return False
        at = instant_of(said.timestamp or record.timestamp)
        if caller is MAIN and record.cwd:
            self._worked_in(session, record.cwd, at)
        if said.type == "assistant" and message.usage is not None:
            self._said(message.id, Message(session, caller, source, at, _shared(message.model), message.usage, bool(message.stop_reason)))
        for block in calls:
            call = self._called(block.id, session, caller, _shared(block.name), at, source)
            if block.name in LOOKED_INTO:
                self._arguments(block.id, call, block.name, asdict(block.input or NO_ARGUMENTS), session)
        if ended is not None:
            self._end_as_usual(ended, told, session, at)
        if caller.agent_id:
            answer = Answer(message.model or None, None if calls else message.text()) if said.type == "assistant" else None
            self._side_thread(session, caller, at, source, answer)
        return True

    def _usually_ended(self, result: Block | None, told: Result) -> Call | None:
        """Return the call that ended without telling more than `told` has."""
        call = self.state.calls.get(result.tool_use_id) if result is not None else None
        if call is None or call.failed or call.command or (call.name in EDIT_TOOLS and not told.has_patch):
            return None
        return call

    def _end_as_usual(self, call: Call, told: Result, session: str, at: int) -> None:
        call.end(at, session)
        call.failed = False
        call.interrupted = call.interrupted or told.interrupted
        call.duration_ms = _longest(call.duration_ms, told.durationMs)
        if call.name in EDIT_TOOLS and (call.edit is None or call.edit.added is None):
            call.edit = told.edit()

    # Ids --------------------------------------------------------------------------------------------------------------------

    def _id(self, given: Any, session: str | None, agent_id: str | None, at: int, *, begins: bool = False) -> str | None:
        """Return what names a call or message in all logs; None when nothing is given, or no text.

        A counted id means one thing in its thread only; its first record's instant tells it from others, and is the same in a fork's copy.
        """
        if type(given) is not str or not given:
            return None
        if given.startswith(DRAWN) or not is_counted(given):
            return given
        thread = (session, agent_id, given)
        if begins or thread not in self._anchors:
            self._anchors[thread] = anchored(given, at)
        return self._anchors[thread]

    # Tools ------------------------------------------------------------------------------------------------------------------

    def _call(self, session: str | None, block: Record, caller: Caller, at: int, source: str) -> None:
        call_id, name = self._id(block.get("id"), session, caller.agent_id, at, begins=True), _shared(block.get("name"))
        if call_id is None:
            return
        call = self._called(call_id, session, caller, name, at, source)
        if name in LOOKED_INTO:
            self._arguments(call_id, call, name, record_of(block.get("input")), session)

    def _called(self, call_id: str, session: str | None, caller: Caller, name: str | None, at: int, source: str) -> Call:
        call = self.state.calls.get(call_id)
        if call is None:
            return self.state.calls.setdefault(call_id, Call(session, None, caller, name, at, source))
        # Of copies in several sessions (forks) the first by name has it, as in the store
        is_earliest = call.at is None or (at, session or "") < (call.at, call.session or "")
        if is_earliest:
            call.at, call.session, call.source = at, session, source
        # A copy that knows the run counts before one that does not, whichever is earlier or read first
        if (caller.run is not None and call.caller.run is None) or (is_earliest and (caller.run is None) == (call.caller.run is None)):
            call.caller = caller
        call.name = call.name or name
        return call

    def _arguments(self, call_id: str, call: Call, name: str | None, arguments: Record, session: str | None) -> None:
        if name in SHELL_TOOLS:
            command = text_of(arguments.get("command"))
            if command and worth_a_look(command):
                call.command = fuller(call.command, command)
        elif name in EDIT_TOOLS:
            call.path = fuller(call.path, text_of(arguments.get("file_path")) or text_of(arguments.get("notebook_path")))
        else:
            run = self.state.runs.setdefault(call_id, Run())
            run.session, run.called_at, run.source = call.session, call.at, call.source
            run.sessions.add(session)
            run.raw_name = run.raw_name or text_of(arguments.get("subagent_type"))
            run.description = fuller(run.description, text_of(arguments.get("description")))
            run.prompt = fuller(run.prompt, (text_of(arguments.get("prompt")) or "")[:READ_OF_PROMPT] or None)

    def _result(self, call_id: str, call: Call, block: Record, result: Any, at: int) -> None:
        call.failed = bool(block.get("is_error")) or bool(call.failed)
        details = record_of(result)
        if call.failed:
            text = joined_text(block.get("content")) or (result if isinstance(result, str) else "")
            call.error_type = call.error_type or error_type(text)
            call.interrupted = call.interrupted or call.error_type == INTERRUPTED
        if call.command:
            call.output = fuller(call.output, _output_of(block, details))
        if call.name in EDIT_TOOLS and not call.failed:
            edit = edit_of(details)
            if edit and (call.edit is None or call.edit.added is None):
                call.edit = edit
        if not _TELLING.isdisjoint(details):
            self._details(call_id, call, details, at)

    def _details(self, call_id: str, call: Call, details: Record, at: int) -> None:
        """Take what a tool's own result tells whatever the tool."""
        call.interrupted = call.interrupted or details.get("interrupted") is True
        call.background = call.background or bool(details.get("backgroundTaskId"))
        call.pushed = call.pushed or bool(record_of(details.get("gitOperation")).get("push"))
        call.duration_ms = _longest(call.duration_ms, _duration_of(details))
        if text_of(details.get("agentId")) and (call.name in SUBAGENT_TOOLS or "prompt" in details):
            self._run_result(call_id, details, at)
        elif isinstance(details.get("task"), dict):
            self._task_output(call, record_of(details["task"]), at)

    def _run_result(self, call_id: str, details: Record, at: int) -> None:
        """The result of `Task`/`Agent`: finished in the foreground, or launched in the background."""
        run = self.state.runs.setdefault(call_id, Run())
        run.agent_id = text_of(details.get("agentId"))
        run.raw_name = run.raw_name or text_of(details.get("agentType"))
        run.model = run.model or text_of(details.get("resolvedModel"))
        status = text_of(details.get("status"))
        if details.get("isAsync") is True or status == "async_launched":
            run.background, run.launched_at = True, at
            return
        run.status, run.ended_at = status or "completed", at
        run.duration_ms = count_of(details.get("totalDurationMs"))
        run.tool_calls = count_of(details.get("totalToolUseCount"))
        run.text = fuller(run.text, joined_text(details.get("content")) or None)
        stats = record_of(details.get("toolStats"))
        run.lines_added, run.lines_removed = count_of(stats.get("linesAdded")), count_of(stats.get("linesRemoved"))

    def _task_output(self, call: Call, task: Record, at: int) -> None:
        """`TaskOutput` of a background agent that has ended."""
        agent_id = text_of(task.get("task_id"))
        if (
            agent_id is None
            or task.get("task_type") not in {"local_agent", "remote_agent"}
            or task.get("status") in {"running", "pending", None}
        ):
            return
        log = text_of(task.get("output")) or text_of(task.get("result")) or ""
        text = log.rpartition(RESULT_MARK)[2].strip() if RESULT_MARK in log else None
        told = Notification(agent_id, None, str(task["status"]), text or None, None, None)
        self.state.notices.setdefault((call.session, agent_id), []).append(Notice(at, told, original=False))

    def _notice(self, record: Record, content: Any, *, original: bool) -> None:
        notification = read_notification(content) if isinstance(content, str) else None
        if notification:
            key = (text_of(record.get("sessionId")), notification.agent_id)
            self.state.notices.setdefault(key, []).append(Notice(instant_of(record.get("timestamp")), notification, original))


def _identity(record: Record) -> int:
    """What makes a record without a uuid the same one in another file: its own keys, never a text that may be cut.

    As a hash, for there are millions.
    """
    moment = record.get("timestamp") or record_of(record.get("snapshot")).get("timestamp")
    anchors = (record.get("leafUuid"), str(record.get("summary"))[:TEXTS_BEGIN], record.get("messageId"), record.get("prNumber"))
    if moment is None and not (anchors[0] or anchors[2]):
        return hash(repr(record))
    return hash(
        repr((record.get("type"), record.get("sessionId"), moment, record.get("operation"), record.get("isSnapshotUpdate"), *anchors))
    )


def _shared(value: Any) -> str | None:
    """Return a non-empty string, as one object for all that say the same: an id of a session stands in each of its records."""
    return intern(value) if type(value) is str and value else None


def _first(known: str | None, session: str | None) -> str | None:
    """Of two sessions that hold one event, take the first by name."""
    return min(known, session) if known and session else known or session


def _answer_of(record: Record, message: Record, blocks: Sequence[Any]) -> Answer | None:
    if record.get("type") != "assistant":
        return None
    works_on = any(type(block) is dict and block.get("type") == "tool_use" for block in blocks)
    works_on = works_on or record.get("isApiErrorMessage") is True
    return Answer(text_of(message.get("model")), None if works_on else joined_text(blocks) or None)


def _usage_of(usage: Record) -> Usage:
    return Usage(*[count_of(number) or 0 for number in map(usage.get, _TOKENS)])


def _duration_of(details: Record) -> int | None:
    milliseconds = count_of(details.get("durationMs"))
    if milliseconds is None:
        milliseconds = count_of(details.get("totalDurationMs"))
    seconds = details.get("durationSeconds")
    if milliseconds is None and isinstance(seconds, int | float):
        return max(0, round(seconds * 1000))
    return milliseconds


def _longest(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else max(first, second)


def _output_of(block: Record, details: Record) -> str:
    printed = "\n".join(part for part in (text_of(details.get("stdout")), text_of(details.get("stderr"))) if part)
    return (printed or joined_text(block.get("content")))[-OUTPUT_LIMIT:]
