"""Reads the rollouts of Codex CLI (`~/.codex/sessions/…/rollout-*.jsonl`): tool calls with their exit codes, answers with their tokens.

A rollout is one session, a line one record `{timestamp, type, payload}` without an id of its own: a call's event is named by its call_id,
an answer's by session and number. A subagent has a rollout of its own, whose first record says its role; the reviewer that `/review`
starts is one. Written from the format's description and from open source that reads it; no real rollout was at hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.derived import push_outcome, suite_run, worth_a_look
from detektor_pipelines.ingest.readers.failures import INTERRUPTED
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import MAIN_THREAD, AgentNames
from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote, remote_of_directory
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.shapes import Record, UnreadableRecordError, count_of, instant_of, record_of, text_of
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.ingest.reports.verdicts import read_review
from detektor_pipelines.language.events import UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext

READER_REVISION: Final = 1

_CALLS: Final = frozenset({"function_call", "custom_tool_call", "local_shell_call"})
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_TYPES: Final = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state"})

_EXIT_CODE: Final = re.compile(r"^(?:Process exited with code|Exit code:?) (-?\d+)\s*$", re.MULTILINE)
_WALL_TIME: Final = re.compile(r"^Wall time: ([\d.]+) seconds?\s*$", re.MULTILINE)
_OUTPUT_HEADER: Final = re.compile(r"^Output:\n?", re.MULTILINE)
_ABORTED: Final = re.compile(r"(?i)^aborted(?: by user)?")
_SHELLS: Final = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})


@dataclass(slots=True)
class _Call:
    """One tool call, with its result as far as it was seen."""

    at: int
    name: str | None
    command: str | None
    ended_at: int | None = None
    exit_code: int | None = None
    succeeded: bool | None = None
    aborted: bool = False
    duration_ms: int | None = None
    output: str = ""

    @property
    def outcome(self) -> str | None:
        """How it ended, where the log file says so."""
        if self.aborted:
            return "cancelled"
        if self.succeeded is None and self.exit_code is None:
            return None
        return "success" if (self.exit_code == 0 if self.exit_code is not None else self.succeeded) else "failure"

    @property
    def error_type(self) -> str | None:
        """Why it failed, where it did."""
        if self.aborted:
            return INTERRUPTED
        return ("exit_code" if self.exit_code else "other") if self.outcome == "failure" else None


@dataclass(slots=True)
class _Rollout:
    """One file's state."""

    source: str
    session: str | None = None
    agent: str = MAIN_THREAD
    cwd: str | None = None
    remote: str | None = None
    model: str | None = None
    first_at: int | None = None
    completed_at: int | None = None
    last_message: str | None = None
    calls: dict[str, _Call] = field(default_factory=dict)
    chats: list[tuple[int, str | None, dict[str, int]]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one rollout; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read rollouts one after the other: a file's rejections, then its events by (occurred_at, event_id).

    A session that was resumed or forked repeats its history in a new file: the first file by name has it.

    Args:
        files: Rollouts; the order does not matter.
        context: Project and agent names.
        stats: Counted into, where given.

    """
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    seen: set[str] = set()
    for file in sorted(files, key=lambda file: str(file.path or file.source)):
        rollout = _Rollout(file.source)
        yield from _collect(file, rollout, counted)
        events = [event for event in _Events(rollout, names, _project(rollout, context)).all() if event.event_id not in seen]
        seen.update(event.event_id for event in events)
        yield from sorted(events, key=lambda event: (event.occurred_at, event.event_id))


# Records --------------------------------------------------------------------------------------------------------------------


def _collect(file: SourceFile, rollout: _Rollout, stats: ReadStats) -> Iterator[Rejection]:
    for number, line in file.open():
        for record in records_of(line):
            reason = record if isinstance(record, str) else _take(record, file, rollout, stats)
            if reason is not None:
                stats.rejected += 1
                yield Rejection(file.source, number, reason, excerpt(line))
    if rollout.session:
        stats.sessions.add(rollout.session)


def _take(record: Record, file: SourceFile, rollout: _Rollout, stats: ReadStats) -> str | None:
    """Collect one record; return why it could not be. One of another format is left to its reader."""
    if "payload" not in record and stats.is_of_another(record, file.source, "codex"):
        return None
    kind, payload = text_of(record.get("type")), record.get("payload")
    try:
        if kind in _TYPES and not isinstance(payload, dict):
            return f"a {kind} record without a payload"
        if kind is not None and kind in _TYPES:
            _add(rollout, kind, record_of(payload), record)
    except UnreadableRecordError as error:
        return str(error)
    stats.lines += 1
    stats.records += 1
    if kind is not None and kind in _TYPES:
        stats.types[kind] += 1
    else:
        stats.strange[kind or "(no type)"] += 1
    return None


def _add(rollout: _Rollout, kind: str, payload: Record, record: Record) -> None:
    if kind == "session_meta":
        _session(rollout, payload)
    elif kind == "turn_context":
        rollout.model = text_of(payload.get("model")) or rollout.model
        rollout.cwd = rollout.cwd or text_of(payload.get("cwd"))
    elif kind in {"response_item", "event_msg"}:
        at = instant_of(record.get("timestamp"))
        rollout.first_at = at if rollout.first_at is None else min(rollout.first_at, at)
        item = text_of(payload.get("type"))
        if item in _CALLS:
            _call(rollout, payload, at)
        elif item in _OUTPUTS:
            _output(rollout, payload, at)
        elif item == "token_count":
            _tokens(rollout, record_of(payload.get("info")), at)
        elif item == "patch_apply_end":
            call = rollout.calls.get(str(payload.get("call_id")))
            if call and isinstance(payload.get("success"), bool):
                call.succeeded = payload["success"]
        elif item in {"task_complete", "turn_complete"}:
            rollout.completed_at = at
            rollout.last_message = text_of(payload.get("last_agent_message")) or rollout.last_message


def _session(rollout: _Rollout, payload: Record) -> None:
    """The first `session_meta` is the rollout's own; a fork repeats its parent's below."""
    if rollout.session is not None:
        return
    rollout.session = text_of(payload.get("id")) or text_of(payload.get("session_id"))
    rollout.cwd = text_of(payload.get("cwd"))
    rollout.remote = text_of(record_of(payload.get("git")).get("repository_url"))
    subagent = record_of(payload.get("source")).get("subagent")
    if subagent is not None:
        spawned = record_of(record_of(subagent).get("thread_spawn"))
        rollout.agent = text_of(subagent) or text_of(spawned.get("agent_role")) or text_of(payload.get("agent_role")) or "unknown"


def _call(rollout: _Rollout, payload: Record, at: int) -> None:
    call_id = text_of(payload.get("call_id")) or text_of(payload.get("id"))
    if call_id and call_id not in rollout.calls:
        name = text_of(payload.get("name")) or ("local_shell" if payload.get("type") == "local_shell_call" else None)
        rollout.calls[call_id] = _Call(at, name, _command_of(payload))


def _output(rollout: _Rollout, payload: Record, at: int) -> None:
    call = rollout.calls.get(str(payload.get("call_id")))
    if call is None:
        return
    call.ended_at = at
    text, details = _text_of_output(payload.get("output"))
    header, separator, output = text, "", text
    found = _OUTPUT_HEADER.search(text)
    if found:
        header, separator, output = text[: found.start()], found[0], text[found.end() :]
    # Without the separator only the first line is the tool's own: what follows a program may have printed itself.
    own = header if separator else text.partition("\n")[0]
    code, seconds = _EXIT_CODE.search(own), _WALL_TIME.search(own)
    metadata = record_of(details.get("metadata"))
    stated = metadata.get("exit_code")
    call.exit_code = int(code[1]) if code else stated if isinstance(stated, int) and not isinstance(stated, bool) else None
    elapsed = float(seconds[1]) if seconds else metadata.get("duration_seconds")
    call.duration_ms = round(elapsed * 1000) if isinstance(elapsed, int | float) and elapsed >= 0 else None
    if isinstance(details.get("success"), bool):
        call.succeeded = details["success"]
    call.aborted = bool(_ABORTED.match(text))
    call.output = output


def _text_of_output(output: Any) -> tuple[str, Record]:
    """The text of a result and what is structured about it: plain text, blocks, JSON in a text, or an object."""
    if isinstance(output, list):
        return "\n".join(str(block.get("text", "")) for block in output if isinstance(block, dict)), {}
    if isinstance(output, str) and output.startswith("{"):
        try:
            output = orjson.loads(output)
        except orjson.JSONDecodeError:
            return str(output), {}
    if isinstance(output, dict):
        return text_of(output.get("output")) or text_of(output.get("content")) or "", output
    return (output if isinstance(output, str) else ""), {}


def _tokens(rollout: _Rollout, info: Record, at: int) -> None:
    """One answer's usage: counts are repeated with every rate-limit update, so only a change of the totals is an answer."""
    totals, last = _usage(record_of(info.get("total_token_usage"))), _usage(record_of(info.get("last_token_usage")))
    if not any(totals.values()) or totals == rollout.totals:
        return
    used = last if any(last.values()) else {name: max(0, count - rollout.totals.get(name, 0)) for name, count in totals.items()}
    rollout.totals = totals
    cached, written = used["cached_input_tokens"], used["cache_write_input_tokens"]
    rollout.chats.append(
        (
            at,
            rollout.model,
            {
                "input_tokens": max(0, used["input_tokens"] - cached - written),
                "output_tokens": used["output_tokens"],
                "cache_read_tokens": cached,
                "cache_creation_tokens": written,
            },
        )
    )


def _usage(usage: Record) -> dict[str, int]:
    return {
        name: count_of(usage.get(name)) or 0
        for name in ("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens")
    }


def _command_of(payload: Record) -> str | None:
    """The command line of a shell tool: `cmd`, or `command` as a text or as the arguments of a shell."""
    arguments: Any = payload.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return None
    if payload.get("type") == "local_shell_call":
        arguments = payload.get("action")
    command = record_of(arguments).get("cmd") or record_of(arguments).get("command")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        is_shell = len(command) >= 3 and command[0] in _SHELLS and command[1].startswith("-")  # noqa: PLR2004 (bash -lc "…")
        command = command[2] if is_shell else " ".join(command)
    return text_of(command)


def _project(rollout: _Rollout, context: ReadContext) -> str | None:
    if context.project and (given := project_name(context.project)):
        return given
    remote = context.git_remote or rollout.remote or (remote_of_directory(rollout.cwd) if rollout.cwd else None)
    return project_of_remote(remote) if remote else project_of_directory(rollout.cwd) if rollout.cwd else None


# Events ---------------------------------------------------------------------------------------------------------------------


class _Events:
    """Turns one rollout into events."""

    def __init__(self, rollout: _Rollout, names: AgentNames, project: str | None) -> None:
        self._rollout = rollout
        self._agent_type = UNMAPPED if rollout.agent == MAIN_THREAD else names.agent_type(rollout.agent)
        self._project = project

    def all(self) -> Iterator[AgentEvent]:
        """Yield calls, what they derive, answers, and a subagent's own work."""
        for call_id, call in self._rollout.calls.items():
            yield self._tool_call(call_id, call)
            if call.command and worth_a_look(call.command) and not (call.aborted and call.exit_code is None and not call.output):
                yield from self._derived(call_id, call)
        for number, (at, model, tokens) in enumerate(self._rollout.chats):
            yield self._event(
                f"msg:{self._rollout.session or self._rollout.source}:{number}", "chat", at, tokens, {"outcome": "success", "model": model}
            )
        if self._agent_type != UNMAPPED and self._rollout.completed_at is not None:
            yield self._work(self._rollout.completed_at)

    def _tool_call(self, call_id: str, call: _Call) -> AgentEvent:
        return self._event(
            f"tool:{call_id}",
            "tool_call",
            call.at if call.ended_at is None else call.ended_at,
            {"duration_ms": call.duration_ms},
            {"outcome": call.outcome, "tool_name": call.name, "error_type": call.error_type},
            attributes={"status": "open"} if call.ended_at is None else None,
        )

    def _derived(self, call_id: str, call: _Call) -> Iterator[AgentEvent]:
        failed = None if call.exit_code is None else call.exit_code != 0
        at = call.at if call.ended_at is None else call.ended_at
        push = push_outcome(call.command or "", call.output, failed=failed)
        if self._rollout.agent == MAIN_THREAD and push is not False:
            categories = {"outcome": "cancelled" if call.aborted else push, "action": "deploy", "strategy": "push"}
            yield self._event(
                f"deploy:{call_id}", "deploy", at, {"duration_ms": call.duration_ms}, categories, derived_for="deployment-specialist"
            )
        tests = suite_run(call.command or "", call.output, failed=failed)
        if tests and (self._rollout.agent == MAIN_THREAD or self._agent_type == "detektor-coder"):
            measures = {"duration_ms": call.duration_ms, "tests_passed": tests.passed, "tests_failed": tests.failed}
            outcome = "cancelled" if call.aborted else tests.outcome
            yield self._event(f"test:{call_id}", "test_run", at, measures, {"outcome": outcome}, derived_for="detektor-coder")

    def _work(self, completed_at: int) -> AgentEvent:
        rollout = self._rollout
        operation = views_operation(self._agent_type)
        calls = list(rollout.calls.values())
        measures: dict[str, int | None] = {
            "duration_ms": (completed_at - (rollout.first_at if rollout.first_at is not None else completed_at)) // 1000,
            "tool_calls": len(calls),
            "tool_errors": sum(call.outcome == "failure" for call in calls),
            "input_tokens": sum(tokens["input_tokens"] for _, _, tokens in rollout.chats) if rollout.chats else None,
            "output_tokens": sum(tokens["output_tokens"] for _, _, tokens in rollout.chats) if rollout.chats else None,
        }
        categories: dict[str, str | None] = {"outcome": "success", "model": rollout.model}
        attributes: dict[str, str | None] = {"duration_from": "own_records", "tokens_from": "all_messages" if rollout.chats else None}
        if operation == "review":
            review = read_review(rollout.last_message or "")
            measures |= review.issues.known
            measures["review_round"] = review.round
            categories["verdict"] = review.verdict
            attributes |= {"evidence": review.evidence, "round_from": "report" if review.round else None}
        event_id = f"work:{rollout.session or rollout.source}"
        return self._event(event_id, operation, completed_at, measures, categories, attributes=attributes)

    def _event(
        self,
        event_id: str,
        operation: str,
        at: int,
        measures: dict[str, Any],
        categories: dict[str, Any],
        *,
        attributes: dict[str, Any] | None = None,
        derived_for: str | None = None,
    ) -> AgentEvent:
        rollout = self._rollout
        return AgentEvent(
            event_id=event_id,
            agent_type=derived_for or self._agent_type,
            raw_name=rollout.agent,
            operation=operation,
            occurred_at=at,
            known_at=at,
            source=rollout.source,
            project=self._project,
            session_id=rollout.session,
            task_id=None if rollout.agent == MAIN_THREAD else rollout.session,
            measures={name: value for name, value in measures.items() if value is not None},
            categories={name: value[:256] for name, value in categories.items() if value},
            attributes={name: value for name, value in (attributes or {}).items() if value is not None},
            derived=derived_for is not None,
            reader_revision=READER_REVISION,
        )
