"""From what `detektor-hook` noted to events: the same event ids as the transcript's reader gives, so that nothing counts twice.

| hook | event |
|---|---|
| PostToolUse, PostToolUseFailure | `tool_call`, `tool:<tool_use_id>` |
| the same of `Task`/`Agent`, finished | also `invoke_agent` and the agent's own work, `invoke:`, `work:<tool_use_id>` |
| SubagentStop of one in the background | the same two, by the id of the call that launched it |
| SubagentStart, SessionEnd | none; durations and the end of waiting come from them |

In the foreground a subagent's end is heard twice: its own stop, then the result of its call, which says more. So a stop waits for the
call's result for WAIT_US; without one it is an event by the id in `agent-<id>.meta.json`, which newer versions write beside the
subagent's transcript, else by `agent:<session>:<agent_id>`, as the reader names a subagent whose call is in no file.

What a hook cannot tell (tokens of the whole run, edits, deployments, test runs) is in the transcript. Its events have a later reader
revision: `detektor ingest` counts them as "read differently now", and `detektor reingest` writes them.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from detektor_pipelines import clock
from detektor_pipelines.files import content_of
from detektor_pipelines.hook import TIME
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.claude_code.tools import SUBAGENT_TOOLS
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, error_type
from detektor_pipelines.ingest.readers.names import MAIN_THREAD, AgentNames
from detektor_pipelines.ingest.readers.projects import project_of_directory, project_of_remote, remote_of_directory
from detektor_pipelines.ingest.readers.shapes import STRANGE_SHAPE, count_of, record_of, text_of
from detektor_pipelines.ingest.reports.verdicts import read_review
from detektor_pipelines.language.events import MEASURES, OPERATIONS, UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.duplicates import LIVE_REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE: Final = "hook"
WAIT_US: Final = 5_000_000
"""How long a subagent's stop waits for the result of the call that started it."""

FORGET_US: Final = 7 * 86_400_000_000
UNKNOWN: Final = "unknown"

Memory: TypeAlias = "dict[str, Any]"
"""What one session or subagent is remembered by, as JSON."""


_KINDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("at", "calls", "errors", "started_at"), int),
    **dict.fromkeys(("background", "ended"), bool),
    **dict.fromkeys(("key", "meta"), str),
    **dict.fromkeys(("name", "project", "report"), str | None),
}
"""Of what a memory holds, which type it has."""


def is_memory(value: object) -> bool:
    """Whether a value read from a file is what `HookReader` remembers of a session or subagent."""
    if not isinstance(value, dict) or type(value.get("at")) is not int:
        return False
    stop = value.get("stop")
    kinds = all(isinstance(each, kind) for name, kind in _KINDS.items() if (each := value.get(name, _KINDS)) is not _KINDS)
    return kinds and (stop is None or is_memory(stop))


class HookReader:
    """Turns noted hooks into events, in the order in which they were noted.

    Args:
        names: The table of agents.
        agents: What is remembered of subagents, by `<session>/<agent_id>`; changed in place, kept by the caller.
        sessions: The same of sessions.

    """

    def __init__(self, names: AgentNames, agents: dict[str, Memory], sessions: dict[str, Memory]) -> None:
        self._names = names
        self._agents = agents
        self._sessions = sessions

    def read(self, line: bytes) -> list[AgentEvent | Rejection]:
        """Read one line of the spool."""
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            return [Rejection(SOURCE, None, "the line is torn or not JSON", excerpt(line))]
        at = record.get(TIME) if isinstance(record, dict) else None
        if not isinstance(at, int):
            return [Rejection(SOURCE, None, "the line is not a note of detektor-hook", excerpt(line))]
        if "hook_event_name" not in record:
            said = excerpt(f"{at} {text_of(record.get('text')) or line.decode(errors='replace')}")
            return [Rejection(SOURCE, None, "the hook's input is not a JSON object with a hook_event_name", said)]
        try:
            return list(self._events(record, at // 1000 + _shift(), line))
        except STRANGE_SHAPE as error:
            reason = f"a note of a shape that is not known ({type(error).__name__})"
            return [Rejection(SOURCE, None, reason, excerpt(line))]

    def overdue(self, now: int) -> list[AgentEvent | Rejection]:
        """Make events of stops that have waited long enough; `now` in µs UTC by the platform's clock."""
        found: list[AgentEvent | Rejection] = []
        for place, agent in list(self._agents.items()):
            stop = agent.get("stop")
            if stop and now - stop["at"] > WAIT_US:
                found += self._end(place, agent, stop)
            elif now - agent["at"] > FORGET_US:
                del self._agents[place]
        for session in [session for session, known in self._sessions.items() if now - known["at"] > FORGET_US]:
            del self._sessions[session]
        return found

    def _events(self, record: dict[str, Any], at: int, line: bytes) -> Iterator[AgentEvent | Rejection]:
        hook = record["hook_event_name"]
        session = text_of(record.get("session_id")) or ""
        known = self._sessions.setdefault(session, {"project": _project(text_of(record.get("cwd")))})
        known["at"] = at
        if hook in {"PostToolUse", "PostToolUseFailure"}:
            yield self._tool_call(record, at, line)
            if record.get("tool_name") in SUBAGENT_TOOLS and text_of(record.get("tool_use_id")):
                yield from self._agent_call(record, at)
        elif hook == "SubagentStart":
            self._agent(record, at)["started_at"] = at
        elif hook == "SubagentStop":
            yield from self._stop(record, at)
        elif hook == "SessionEnd":
            for place, agent in [each for each in self._agents.items() if each[0].startswith(f"{session}/")]:
                if agent.get("stop"):
                    yield from self._end(place, agent, agent["stop"])
        else:
            yield Rejection(SOURCE, None, f"the hook {str(hook)[:60]} makes no event", excerpt(line))

    def _agent(self, record: Mapping[str, Any], at: int) -> Memory:
        """What is remembered of the subagent that the hook speaks of."""
        agent = self._agents.setdefault(f"{record.get('session_id') or ''}/{record.get('agent_id')}", {"calls": 0, "errors": 0})
        agent["at"] = at
        agent["name"] = text_of(record.get("agent_type")) or agent.get("name")
        if "key" not in agent:
            meta = _key_beside_transcript(record)
            if meta:
                agent["meta"] = meta
        return agent

    def _tool_call(self, record: dict[str, Any], at: int, line: bytes) -> AgentEvent:
        failed = record["hook_event_name"] == "PostToolUseFailure"
        agent = self._agent(record, at) if text_of(record.get("agent_id")) else None
        if agent:
            agent["calls"] += 1
            agent["errors"] += failed
        call = text_of(record.get("tool_use_id"))
        interrupted = record_of(record.get("tool_response")).get("interrupted") is True
        error = (INTERRUPTED if record.get("is_interrupt") is True else error_type(str(record.get("error") or ""))) if failed else None
        return self._event(
            f"tool:{call}" if call else f"hook:{hashlib.md5(line, usedforsecurity=False).hexdigest()}",
            "tool_call",
            (agent.get("name") or UNKNOWN) if agent else MAIN_THREAD,
            at,
            text_of(record.get("session_id")),
            task_id=agent.get("key") or agent.get("meta") if agent else None,
            measures={"duration_ms": _duration(record.get("duration_ms"))},
            categories={
                "outcome": "failure" if failed else "cancelled" if interrupted else "success",
                "tool_name": text_of(record.get("tool_name")),
                "error_type": error,
            },
        )

    # Subagents --------------------------------------------------------------------------------------------------------------

    def _agent_call(self, record: dict[str, Any], at: int) -> Iterator[AgentEvent]:
        """The result of `Task`/`Agent`: the subagent was launched, is finished, or never worked."""
        result = record_of(record.get("tool_response"))
        agent_id, key = text_of(result.get("agentId")), str(record["tool_use_id"])
        name = text_of(record.get("subagent_type")) or text_of(result.get("agentType"))
        if agent_id is None:
            if record["hook_event_name"] == "PostToolUseFailure":
                failed = {"outcome": "failure"}
                yield self._event(
                    f"invoke:{key}", "invoke_agent", name or UNKNOWN, at, text_of(record.get("session_id")), task_id=key, categories=failed
                )
            return
        place = f"{record.get('session_id') or ''}/{agent_id}"
        agent = self._agent({**record, "agent_id": agent_id, "agent_type": name}, at)
        stop = agent.pop("stop", None)
        agent["key"] = key
        if result.get("isAsync") is True or result.get("status") == "async_launched":
            agent["background"] = True
            agent.setdefault("started_at", at)
            if stop:
                yield from self._end(place, agent, stop)
            return
        report = text_of(result.get("report")) or (stop or {}).get("report")
        yield from self._end(place, agent, {"at": at, "report": report, "result": result})
        agent["ended"] = True

    def _stop(self, record: dict[str, Any], at: int) -> Iterator[AgentEvent]:
        agent = self._agent(record, at)
        if agent.get("ended"):
            return
        stop = {"at": at, "report": text_of(record.get("last_assistant_message"))}
        if agent.get("background"):
            yield from self._end(f"{record.get('session_id') or ''}/{record.get('agent_id')}", agent, stop)
        else:
            agent["stop"] = stop

    def _end(self, place: str, agent: Memory, ending: Memory) -> Iterator[AgentEvent]:
        """The call of a subagent, and its work where it is one of ours."""
        agent.pop("stop", None)
        session, _, agent_id = place.rpartition("/")
        key = agent.get("key") or agent.get("meta") or f"agent:{session}:{agent_id}"
        name = agent.get("name") or UNKNOWN
        measures, attributes = _measures_of(agent, ending)
        completed = record_of(ending.get("result")).get("status", "completed") == "completed"
        categories = {
            "outcome": "success" if completed else "failure",
            "model": text_of(record_of(ending.get("result")).get("resolvedModel")),
        }
        called = agent.get("key") or agent.get("meta")
        if called:
            said = {"agent_id": agent_id, "background": bool(agent.get("background")), "status": "completed" if completed else "failed"}
            yield self._event(
                f"invoke:{key}",
                "invoke_agent",
                name,
                ending["at"],
                session or None,
                task_id=key,
                measures=measures,
                categories=categories,
                attributes=said,
            )
        agent_type = self._names.agent_type(name)
        if agent_type == UNMAPPED or not completed:
            return
        operation = views_operation(agent_type)
        if operation == "review":
            review = read_review(ending.get("report") or "")
            measures |= {**review.issues.known, "review_round": review.round}
            categories["verdict"] = review.verdict
            attributes |= {"evidence": review.evidence, "round_from": "report" if review.round else None}
        own = {name: value for name, value in measures.items() if name in OPERATIONS[operation].measures}
        yield self._event(
            f"work:{key}",
            operation,
            name,
            ending["at"],
            session or None,
            task_id=key,
            measures=own,
            categories=categories,
            attributes=attributes,
        )

    def _event(  # noqa: PLR0913 (an event has that many parts)
        self,
        event_id: str,
        operation: str,
        name: str,
        at: int,
        session: str | None,
        *,
        task_id: str | None = None,
        measures: Mapping[str, int | None] | None = None,
        categories: Mapping[str, str | None] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> AgentEvent:
        return AgentEvent(
            event_id=event_id,
            agent_type=self._names.agent_type(name),
            raw_name=name,
            operation=operation,
            occurred_at=at,
            source=SOURCE,
            project=self._sessions.get(session or "", {}).get("project"),
            session_id=session,
            task_id=task_id,
            measures={name: value for name, value in (measures or {}).items() if value is not None},
            categories={name: value[:256] for name, value in (categories or {}).items() if value},
            attributes={name: value for name, value in (attributes or {}).items() if value is not None},
            reader_revision=LIVE_REVISION,
        )


def _measures_of(agent: Memory, ending: Memory) -> tuple[dict[str, int | None], dict[str, Any]]:
    """Duration and tool calls of a run: from its result, else from what was heard of it since it began.

    Its tokens are known when its transcript is read: the result's usage is that of the last request alone.
    """
    result, started = record_of(ending.get("result")), agent.get("started_at")
    duration, duration_from = _duration(result.get("totalDurationMs")), "result"
    if duration is None and started is not None:
        duration, duration_from = _duration(max(0, ending["at"] - started) // 1000), "hooks"
    calls = count_of(result.get("totalToolUseCount"))
    if calls is None and started is not None:
        calls = agent["calls"]
    measures = {
        "duration_ms": duration,
        "tool_calls": calls,
        "tool_errors": agent["errors"] if calls is not None and agent["calls"] >= calls else None,
    }
    return measures, {"duration_from": duration_from if duration is not None else None}


def _duration(value: Any) -> int | None:
    """Milliseconds as a whole number in the measure's range, else None."""
    whole = round(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf") else None
    return whole if whole is not None and 0 <= whole <= MEASURES["duration_ms"].maximum else None


def _project(cwd: str | None) -> str | None:
    remote = remote_of_directory(cwd) if cwd else None
    return project_of_remote(remote) if remote else project_of_directory(cwd) if cwd else None


def _key_beside_transcript(record: Mapping[str, Any]) -> str | None:
    """The call that started a subagent, from the file that newer versions write beside its transcript."""
    own, parent = text_of(record.get("agent_transcript_path")), text_of(record.get("transcript_path"))
    agent_id = str(record.get("agent_id"))
    candidates = [Path(own).with_suffix(".meta.json")] if own else []
    if parent and "/" not in agent_id:
        candidates.append(Path(parent).with_suffix("") / "subagents" / f"agent-{agent_id}.meta.json")
    for path in candidates:
        try:
            meta = orjson.loads(content_of(path))
        except (OSError, ValueError):
            continue
        return text_of(record_of(meta).get("toolUseId"))
    return None


def _shift() -> int:
    """How far the platform's clock is from the hook's, which has the machine's: only a clock set by DETEKTOR_NOW is."""
    return clock.now_us() - time.time_ns() // 1000 if os.environ.get(clock.VARIABLE) else 0
