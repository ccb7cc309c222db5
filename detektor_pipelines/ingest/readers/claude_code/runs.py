"""How each run of a subagent ended: what its call, its result, its notifications and its own records say, brought together.

A run's key is the tool_use id of the call that started it; one that is known by its own file only has `agent:<session>:<agent_id>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import astuple

from detektor_pipelines.ingest.readers.claude_code.state import Caller, Run, SideThread, State, Usage
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, REJECTED
from detektor_pipelines.ingest.readers.shapes import fuller
from detektor_pipelines.language.events import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detektor_pipelines.ingest.readers.claude_code.state import Call, Message, Notice

Status = Literal["completed", "launched", "failed", "cancelled", "open"]

UNKNOWN_NAME: Final = "unknown"

_CANCELLED: Final = frozenset({"killed", "stopped", "cancelled", "canceled", "aborted"})


@dataclass(slots=True)
class Ending:
    """One run, with everything known about it.

    Attributes:
        key: The task_id of its events.
        run: What call and result say.
        called: Whether the call that started it was seen.
        status: How it stands: `launched` in the background without an end, `open` in the foreground without one.
        ended_at: When it ended; when it was last heard of as long as it has not.
        session: The one that has its events: the first by name of those that hold its end, or else its call.
        started: Whether it worked at all (a rejected or misspelt call never does).
        text: Its final text.
        duration_ms: Wall time; `duration_from` says from where: `result`, `notification`, `own_records` or `launch_to_notification`.
        tool_calls: Tool calls it made, and of these `tool_errors` ended in an error, known when all of them were seen.
        usage: Its tokens, summed over its own answers; `tokens_from` says so.
        inner_calls: The tool calls seen, when they are all.

    """

    key: str
    run: Run
    called: bool
    status: Status
    ended_at: int
    session: str | None
    started: bool
    text: str | None = None
    duration_ms: int | None = None
    duration_from: str | None = None
    tool_calls: int | None = None
    tool_errors: int | None = None
    usage: Usage | None = None
    tokens_from: str | None = None
    model: str | None = None
    inner_calls: tuple[Call, ...] | None = None

    @property
    def raw_name(self) -> str:
        """The agent's name in its log file."""
        return self.run.raw_name or UNKNOWN_NAME


class Runs:
    """The runs of a state, and which of them a caller belongs to."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._of_agent: dict[tuple[str | None, str], list[tuple[int, str]]] = {}
        self._known: dict[str, Run] = {}
        for key, run in state.runs.items():
            if run.called_at is not None:
                self._known[key] = run
                for session in (run.sessions | {run.session}) if run.agent_id else ():
                    self._of_agent.setdefault((session, run.agent_id or ""), []).append((run.called_at, key))
        for (session, agent_id), thread in state.side_threads.items():
            self._adopt(session, agent_id, thread)
        for started in self._of_agent.values():
            started.sort()

    def key_of(self, session: str | None, caller: Caller, at: int) -> str | None:
        """Return the key of the run that a caller worked in at an instant; None for the main thread and for unknown subagents."""
        if caller.run and caller.run in self._known:
            return caller.run
        started = self._of_agent.get((session, caller.agent_id or ""))
        if not started:
            return None
        return next((key for begun, key in reversed(started) if begun <= at), started[0][1])

    def run_of(self, key: str | None) -> Run | None:
        """Return the run of that key; None when there is no such run."""
        return self._known.get(key) if key else None

    def name_of(self, key: str | None) -> str:
        """Return the raw name of a run's agent."""
        run = self._known.get(key) if key else None
        return (run.raw_name if run else None) or UNKNOWN_NAME

    def endings(self) -> list[Ending]:
        """Say of every run how it ended, in the order they were called."""
        calls: dict[str, list[Call]] = {}
        for call in self._state.calls.values():
            key = self.key_of(call.session, call.caller, call.at) if call.at is not None and call.caller.side else None
            if key:
                calls.setdefault(key, []).append(call)
        messages: dict[str, list[Message]] = {}
        for message in self._state.messages.values():
            key = self.key_of(message.session, message.caller, message.at) if message.caller.side else None
            if key:
                messages.setdefault(key, []).append(message)
        ordered = sorted(self._known.items(), key=lambda item: (item[1].called_at or 0, item[0]))
        return [self._ending(key, run, calls.get(key, []), messages.get(key, [])) for key, run in ordered]

    def _adopt(self, session: str | None, agent_id: str, thread: SideThread) -> None:
        """Join a subagent's own records to the run they are of; without one they are a run themselves."""
        if thread.run in self._known:
            run = self._known[thread.run]
            run.agent_id = run.agent_id or agent_id
            run.raw_name = run.raw_name or thread.raw_name
            run.description = run.description or thread.description
        elif (session, agent_id) not in self._of_agent:
            key = thread.run or f"agent:{session}:{agent_id}"
            self._known[key] = Run(
                session=session,
                raw_name=thread.raw_name,
                description=thread.description,
                called_at=thread.first_at,
                source=thread.source,
                agent_id=agent_id,
                background=False,
            )
            thread.run = key
        else:
            return
        started = self._of_agent.setdefault((session, agent_id), [])
        if thread.run and all(key != thread.run for _, key in started):
            started.append((self._known[thread.run].called_at or thread.first_at, thread.run))

    def _ending(self, key: str, run: Run, calls: list[Call], messages: list[Message]) -> Ending:
        call = self._state.calls.get(key)
        found = [self._state.side_threads.get((session, run.agent_id or "")) for session in run.sessions | {run.session}]
        thread = max((each for each in found if each), key=lambda each: each.last_at, default=None)
        notices = self._notices_of(key, run)
        called_at = run.called_at or 0
        ending = Ending(
            key,
            run,
            called=call is not None and call.at is not None,
            status="open",
            ended_at=called_at,
            session=run.session,
            started=bool(calls or run.agent_id),
        )
        if call is not None and call.ended_in:
            ending.session = call.ended_in
        if run.status is not None:
            ending.status = "completed" if run.status == "completed" else "failed"
            ending.ended_at = run.ended_at or called_at
            ending.text, ending.duration_ms, ending.duration_from = run.text, run.duration_ms, "result"
        elif notices:
            _end_by_notice(ending, notices)
            told = [session for session in run.sessions if session and self._state.notices.get((session, run.agent_id or ""))]
            ending.session = min(told, default=ending.session)
        elif call is not None and call.failed:
            ending.status = "cancelled" if call.error_type in {REJECTED, INTERRUPTED} else "failed"
            ending.ended_at = call.ended_at or called_at
        elif run.background:
            ending.status, ending.ended_at = "launched", run.launched_at or called_at
        if thread and thread.own_file:
            _end_by_own_records(ending, thread)
        ending.tool_calls = run.tool_calls if run.tool_calls is not None else _tool_calls_of(notices)
        _count_inner(ending, calls, whole=bool(thread and thread.own_file))
        _take_usage(ending, messages)
        models = sorted((message.at, message.model) for message in messages if message.model)
        ending.model = models[-1][1] if models else run.model or (thread.model if thread else None)
        limit = MEASURES["duration_ms"].maximum
        if ending.duration_ms is None or ending.duration_ms > limit:
            ending.duration_ms = ending.duration_from = None
        return ending

    def _notices_of(self, key: str, run: Run) -> list[Notice]:
        """The notifications of a run, in order. Of an agent that was called again (resumed) each run takes those before the next call."""
        if not run.agent_id:
            return []
        found: dict[tuple[int, str, bool], Notice] = {}
        told = (self._state.notices.get((session, run.agent_id), ()) for session in run.sessions | {run.session})
        for notice in chain.from_iterable(told):
            of_run = notice.notification.tool_use_id
            if of_run not in self._known:
                of_run = self.key_of(run.session, Caller(None, run.agent_id, side=True), notice.at)
            if of_run == key:
                same = (notice.at, notice.notification.status, notice.original)
                known = found.get(same)
                found[same] = notice if known is None else _fuller_notice(known, notice)
        return sorted(found.values(), key=lambda notice: (notice.at, not notice.original))


def _fuller_notice(first: Notice, second: Notice) -> Notice:
    """Of two copies of one notification the one with the fuller result."""
    text = fuller(first.notification.result, second.notification.result)
    return first if text == first.notification.result else second


def _end_by_notice(ending: Ending, notices: list[Notice]) -> None:
    """The last original notification says how and when; the fullest text of all that tell of an end counts."""
    last = [notice for notice in notices if notice.original] or notices[:1]
    told = last[-1].notification
    ending.status = "completed" if told.status == "completed" else "cancelled" if told.status in _CANCELLED else "failed"
    ending.ended_at = last[-1].at
    for notice in notices:
        if notice.notification.status == told.status:
            ending.text = fuller(ending.text, notice.notification.result)
    ending.duration_ms, ending.duration_from = told.duration_ms, "notification"
    launched_at = ending.run.launched_at
    if told.duration_ms is None and launched_at is not None and len(last) == 1:
        ending.duration_ms, ending.duration_from = max(0, last[-1].at - launched_at) // 1000, "launch_to_notification"


def _end_by_own_records(ending: Ending, thread: SideThread) -> None:
    """A subagent's own file fills what the parent does not tell: the text, the duration, and (without its call) the end."""
    if ending.status in {"open", "launched"}:
        ending.ended_at = max(ending.ended_at, thread.last_at)
        if thread.text is not None:
            ending.status = "completed"
    if ending.status == "completed":
        ending.text = fuller(ending.text, thread.text)
        if ending.duration_ms is None:
            ending.duration_ms, ending.duration_from = (thread.last_at - thread.first_at) // 1000, "own_records"


def _tool_calls_of(notices: Iterable[Notice]) -> int | None:
    counts = [notice.notification.tool_calls for notice in notices if notice.notification.tool_calls is not None]
    return counts[-1] if counts else None


def _count_inner(ending: Ending, calls: list[Call], *, whole: bool) -> None:
    """Errors and edits are known when every tool call was seen: as many as the result states, or all records of the agent's own file."""
    if ending.tool_calls is None and whole:
        ending.tool_calls = len(calls)
    if ending.tool_calls is not None and len(calls) >= ending.tool_calls and (calls or ending.tool_calls == 0):
        ending.inner_calls = tuple(sorted(calls, key=lambda call: call.at or 0))
        ending.tool_errors = sum(bool(call.failed) for call in calls)


def _take_usage(ending: Ending, messages: list[Message]) -> None:
    """All answers together when each was logged in its final form; else unknown: the result's usage is that of the last request alone."""
    if messages and ending.inner_calls is not None and all(message.whole for message in messages):
        ending.usage = Usage(*(sum(tokens) for tokens in zip(*(astuple(message.usage) for message in messages), strict=True)))
        ending.tokens_from = "all_messages"
