"""From the records of transcripts to `State`: one pass, each record once, in whatever order the files are read."""

from __future__ import annotations

from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.ingest.readers.claude_code.edits import EDIT_TOOLS, edit_of
from detektor_pipelines.ingest.readers.claude_code.notifications import Notification, read_notification
from detektor_pipelines.ingest.readers.claude_code.state import MAIN, Call, Caller, Message, Notice, Run, Session, SideThread, State, Usage
from detektor_pipelines.ingest.readers.derived import worth_a_look
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, error_type
from detektor_pipelines.ingest.readers.identity import DRAWN, anchored, is_counted
from detektor_pipelines.ingest.readers.purpose import READ_OF_PROMPT
from detektor_pipelines.ingest.readers.shapes import (
    Record,
    UnreadableRecordError,
    blocks_of,
    count_of,
    fuller,
    instant_of,
    joined_text,
    record_of,
    text_of,
)

if TYPE_CHECKING:
    from detektor_pipelines.ingest.readers.statistics import ReadStats

SUBAGENT_TOOLS: Final = frozenset({"Task", "Agent"})
SHELL_TOOLS: Final = frozenset({"Bash", "PowerShell"})
_LOOKED_INTO: Final = SUBAGENT_TOOLS | SHELL_TOOLS | EDIT_TOOLS
"""Tools of whose arguments something is read."""
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
_tokens_of: Final = itemgetter(*_TOKENS)
_TELLING: Final = frozenset(
    {
        *("interrupted", "backgroundTaskId", "gitOperation", "durationMs", "totalDurationMs", "durationSeconds"),
        *("agentId", "task"),
    }
)
"""Keys of a tool's own result of which something is read, whatever the tool; the results of most calls have none."""
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

    def sidechain(self, session: str, agent_id: str, meta: Record) -> None:
        """Take what stands in `agent-<id>.meta.json` beside a subagent's own file: its name and the call that started it."""
        thread = self.state.side_threads.get((session, agent_id))
        if thread:
            thread.raw_name = text_of(meta.get("agentType")) or thread.raw_name
            thread.description = text_of(meta.get("description")) or thread.description
            run = text_of(meta.get("toolUseId"))
            thread.run = self._anchors.get((session, None, run), run) if run else thread.run

    def _count(self, record: Record, kind: Any) -> None:
        stats, seen = self._stats, self._seen
        stats.lines += 1
        uuid = record.get("uuid")
        known = len(seen)
        seen.add(hash(uuid) if type(uuid) is str else _identity(record))
        if len(seen) == known:
            return
        stats.records += 1
        if kind in _KNOWN:
            stats.types[kind] += 1
        else:
            stats.strange[kind if isinstance(kind, str) else "(no type)"] += 1
        session = record.get("sessionId")
        if session != self._counted_session and session and type(session) is str:
            stats.sessions.add(session)
            self._counted_session = session

    def _session_named(self, given: Any) -> str | None:
        """Return a session's id as one object for all its records, None for no text; most records are of the session of the one before."""
        if given != self._named[0]:
            self._named = (given, _shared(given))
        return self._named[1]

    def _session(self, record: Record) -> Session:
        return self.state.sessions.setdefault(record.get("sessionId") or "", Session())

    def _pull_request(self, record: Record) -> None:
        """Take the repository of a session's first pull request."""
        repository, session, at = text_of(record.get("prRepository")), self._session(record), str(record.get("timestamp"))
        if repository and (session.repository is None or (at, repository) < (session.repository_at, session.repository)):
            session.repository, session.repository_at = repository, at

    # Messages ---------------------------------------------------------------------------------------------------------------

    def _message_record(self, record: Record, source: str) -> None:
        at = instant_of(record.get("timestamp"))
        session = self._session_named(record.get("sessionId"))
        cwd = record.get("cwd")
        if session and cwd and type(cwd) is str:
            known = self.state.sessions.get(session) or self._session(record)
            if known.cwd is None or at < known.cwd_at or (at == known.cwd_at and cwd < known.cwd):
                known.cwd, known.cwd_at = cwd, at
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
                if call.ended_at is None or (at, session or "") < (call.ended_at, call.ended_in or ""):
                    call.ended_at, call.ended_in = at, session
                self._result(call_id, call, block, record.get("toolUseResult") if len(results) == 1 else None, at)
        if caller.agent_id:
            self._side_thread(record, message, blocks, session, caller, at, source)

    def _answer(self, record: Record, message: Record, session: str | None, caller: Caller, at: int, source: str) -> None:
        usage = message.get("usage")
        message_id = self._id(message.get("id"), session, caller.agent_id, at)
        if message_id is None or type(usage) is not dict:
            return
        known = self.state.messages.get(message_id)
        tokens = _usage_of(usage)
        if known is None:
            known = self.state.messages[message_id] = Message(session, caller, source)
        else:
            if known.session != session:
                known.session = _first(known.session, session)
            before = known.at
            if before > at or (before == at and known.usage.output_tokens >= tokens.output_tokens):
                return
        model = _shared(message.get("model"))
        known.at = at
        known.model = None if model == SYNTHETIC_MODEL else model
        known.usage = tokens
        known.whole = text_of(message.get("stop_reason")) is not None
        failed = record.get("isApiErrorMessage") is True
        known.error_type = (text_of(record.get("error")) or "api_error") if failed else None

    def _side_thread(  # noqa: PLR0913, PLR0917 (what its caller knows of the message)
        self, record: Record, message: Record, blocks: Sequence[Any], session: str | None, caller: Caller, at: int, source: str
    ) -> None:
        key = (session, caller.agent_id or "")
        thread = self.state.side_threads.get(key)
        if thread is None:
            thread = self.state.side_threads[key] = SideThread(source, at, at)
        thread.own_file = thread.own_file or caller.run is None
        thread.run = thread.run or caller.run
        if at < thread.first_at:
            thread.first_at = at
        if at < thread.last_at:
            return
        thread.last_at = at
        thread.text = None
        if record.get("type") == "assistant":
            thread.model = text_of(message.get("model")) or thread.model
            works_on = any(type(block) is dict and block.get("type") == "tool_use" for block in blocks)
            works_on = works_on or record.get("isApiErrorMessage") is True
            thread.text = None if works_on else joined_text(blocks) or None

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
        call = self.state.calls.get(call_id)
        if call is None:
            call = self.state.calls[call_id] = Call(session, None, caller, name, at, source)
        else:
            # Of copies in several sessions (forks) the first by name has it, as in the store
            is_earliest = call.at is None or (at, session or "") < (call.at, call.session or "")
            if is_earliest:
                call.at, call.session, call.source = at, session, source
            # A copy that knows the run counts before one that does not, whichever is earlier or read first
            if (caller.run is not None and call.caller.run is None) or (is_earliest and (caller.run is None) == (call.caller.run is None)):
                call.caller = caller
            call.name = call.name or name
        if name in _LOOKED_INTO:
            self._arguments(call_id, call, name, record_of(block.get("input")), session)

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


def _caller_of(record: Record) -> Caller:
    if not record.get("isSidechain"):
        return MAIN
    return Caller(None, text_of(record.get("agentId")), side=True)


def _usage_of(usage: Record) -> Usage:
    try:
        given = _tokens_of(usage)
    except KeyError:
        given = tuple(map(usage.get, _TOKENS))
    for each in given:
        if type(each) is not int or each < 0:
            return Usage(*[count_of(number) or 0 for number in given])
    return Usage._make(given)


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
