"""From the records of one rollout to its state, in the order of the file.

A fork begins with a copy of its parent's whole rollout, with the old instants or stamped anew. What was copied is forgotten as far as a
record can be told to be a copy (`_is_copied`); what it says of the totals of tokens and of running commands stays known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.ingest.readers.codex import subagents
from detektor_pipelines.ingest.readers.codex.outputs import duration_of, object_of, read_output
from detektor_pipelines.ingest.readers.codex.patches import edits_of, edits_of_patch
from detektor_pipelines.ingest.readers.codex.state import Answer, Call, Rollout
from detektor_pipelines.ingest.readers.derived import worth_a_look
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, REJECTED
from detektor_pipelines.ingest.readers.identity import anchored, is_counted
from detektor_pipelines.ingest.readers.shapes import UnreadableRecordError, count_of, instant_of, joined_text, record_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detektor_pipelines.ingest.readers.shapes import Record
    from detektor_pipelines.ingest.readers.statistics import ReadStats

OUTPUT_LIMIT: Final = 20_000
"""Characters kept of the end of a test run's or push's output: summaries stand at the end."""

_READ: Final = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "token_usage_record"})
_WITHOUT_EVENTS: Final = frozenset(
    {
        "agent_message",
        "compacted",
        "inter_agent_communication",
        "inter_agent_communication_metadata",
        "thread_settings_applied",
        "world_state",
    }
)
_CALLS: Final = frozenset({"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"})
_NAMED_BY_KIND: Final = {"local_shell_call": "local_shell", "tool_search_call": "tool_search"}
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output"})
_TOLD_ELSEWHERE: Final = frozenset(
    {
        "agent_message",
        "agent_message_content_delta",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "collab_agent_interaction_end",
        "collab_resume_end",
        "compaction",
        "compaction_trigger",
        "context_compacted",
        "context_compaction",
        "entered_review_mode",
        "error",
        "exited_review_mode",
        "ghost_snapshot",
        "hook_completed",
        "image_generation_end",
        "message",
        "model_reroute",
        "other",
        "plan_update",
        "reasoning",
        "stream_error",
        "task_started",
        "thread_goal_updated",
        "thread_name_updated",
        "thread_rolled_back",
        "thread_settings_applied",
        "turn_aborted",
        "turn_diff",
        "turn_started",
        "undo_completed",
        "view_image_tool_call",
        "warning",
    }
)
"""Kinds of `response_item` and `event_msg` that make no event, or whose event another record makes."""

_TURNS: Final = frozenset({None, "task_started", "turn_started", "task_complete", "turn_complete", "turn_aborted"})
"""Kinds of `event_msg` (None: a `turn_context`) whose `turn_id` tells a copy from an own record."""

_SILENT: Final = _TOLD_ELSEWHERE - _TURNS
"""Kinds of which nothing is taken, outside a fork's copy: most records are of them."""

_KNOWN_OF_COPIES: Final = frozenset({"token_count", "user_message"})
"""What a copied record says that still holds: the totals of tokens go on, and what was asked for stands until something else is."""

_TOLD_ITEMS: Final = frozenset(
    {"UserMessage", "AgentMessage", "Reasoning", "Plan", "HookPrompt", "EnteredReviewMode", "ExitedReviewMode", "ContextCompaction"}
    | {"ImageView", "Sleep"}
)
_ALWAYS_SAY: Final = frozenset(
    {"apply_patch", "update_plan", "view_image", "tool_search", "write_stdin", "list_agents", "send_message", "followup_task"}
    | {"spawn_agent", "wait_agent", "wait", "send_input", "resume_agent", "close_agent", "interrupt_agent"}
)
"""Tools whose failure always shows in their answer: one that does not say so succeeded."""

_USAGE: Final = ("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens")
_SHELLS: Final = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})
_SECOND: Final = 1_000_000
_BURST_US: Final = 100_000
"""Records of a copy that is stamped anew follow each other faster; between them and an own call lies an answer of the model."""


class Collector:
    """Takes the records of one rollout.

    Args:
        rollout: Filled.
        known: Thread → the call and turn ids of its rollout, of those read before.
        stats: Counted into.

    """

    def __init__(self, rollout: Rollout, known: Mapping[str, set[str]], stats: ReadStats) -> None:
        self._rollout = rollout
        self._known = known
        self._stats = stats
        self._parents: set[str] = set()
        self._forked_at: int | None = None
        self._copied_until = 0
        self._refers_to_parent = False
        self._processes: dict[str, Call] = {}
        self._totals: dict[str, int] = {}
        self._counted = 0
        self._states_usage = False
        self._keys: dict[str, str] = {}
        self._readers: dict[str, Callable[[Record, int], None]] = {
            **dict.fromkeys(_CALLS, self._call),
            **dict.fromkeys(_OUTPUTS, self._output),
            "web_search_call": self._search,
            "web_search_end": self._search,
            "image_generation_call": self._image,
            "token_count": self._tokens,
            "exec_command_end": self._command_end,
            "patch_apply_end": self._patch_end,
            "mcp_tool_call_end": self._mcp_end,
            "dynamic_tool_call_response": self._dynamic_end,
            "collab_agent_spawn_end": lambda payload, at: subagents.spawned(rollout, payload, at),
            "collab_waiting_end": lambda payload, at: subagents.awaited(rollout, payload, at),
            "collab_close_end": lambda payload, at: subagents.awaited(rollout, payload, at),
            "item_completed": self._item,
            "user_message": lambda payload, _: self._asked(text_of(payload.get("message"))),
            "task_complete": self._complete,
            "turn_complete": self._complete,
        }
        self._items: dict[str, Callable[[Record, int], None]] = {
            "CommandExecution": self._command_end,
            "FileChange": self._patch_end,
            "McpToolCall": self._mcp_end,
            "DynamicToolCall": self._dynamic_end,
            "WebSearch": self._search,
            "ImageGeneration": self._image,
            "CollabAgentToolCall": lambda item, at: subagents.tool_item(rollout, item, at),
            "SubAgentActivity": lambda item, at: subagents.activity(rollout, item, at),
            "UserMessage": lambda item, _: self._asked(_text_of_content(item.get("content"))),
        }

    def add(self, record: Record) -> None:
        """Take one record.

        Raises:
            UnreadableRecordError: The record's type is known and it lacks what that type must have; nothing of it was counted.

        """
        kind, payload = text_of(record.get("type")), record.get("payload")
        strange = None
        if kind in _READ:
            if not isinstance(payload, dict):
                reason = f"a {kind} record without a payload"
                raise UnreadableRecordError(reason)
            strange = self._take(kind, payload, record.get("timestamp"))
        elif kind not in _WITHOUT_EVENTS:
            strange = kind or "(no type)"
        stats = self._stats
        stats.lines += 1
        stats.records += 1
        if strange is None:
            stats.types[kind or ""] += 1
        else:
            stats.strange[strange] += 1

    def _take(self, kind: str, payload: Record, timestamp: Any) -> str | None:
        """Take one record of a kind that is read; return its own kind if nobody knows it."""
        if kind == "session_meta":
            self._session(payload, timestamp)
            return None
        at = _instant_or_none(timestamp) if kind == "turn_context" else instant_of(timestamp)
        item = text_of(payload.get("type"))
        if self._forked_at is None and item in _SILENT and kind != "turn_context":
            return None
        name = payload.get("call_id") if kind == "response_item" else payload.get("turn_id") if item in _TURNS else None
        if isinstance(name, str):
            self._rollout.ids.add(name)
        copied = self._forked_at is not None and self._is_copied(at, self._forked_at, name)
        if copied:
            self._rollout.begin_again(self._forked_at)
        if at is not None and (kind == "response_item" or kind == "event_msg"):  # noqa: PLR1714 (asked of every record)
            return self._item_or_event(kind, item, payload, at, copied=copied)
        if kind == "turn_context":
            self._rollout.model = text_of(payload.get("model")) or self._rollout.model
            self._rollout.cwd = self._rollout.cwd or text_of(payload.get("cwd"))
        elif at is not None and not copied:
            self._usage_record(payload, at)
        return None

    def _item_or_event(self, kind: str, item: str | None, payload: Record, at: int, *, copied: bool) -> str | None:
        reader = self._readers.get(item or "")
        if reader is None:
            return None if item in _TOLD_ELSEWHERE or item is None else f"{kind}/{item}"
        if not copied:
            if self._rollout.first_at is None:
                self._rollout.first_at = at
            reader(payload, at)
        elif item in _KNOWN_OF_COPIES:
            reader(payload, at)
            self._rollout.answers.clear()
        return f"{kind}/{item}/{_kind_of_item(payload)}" if item == "item_completed" and not self._knows(payload) else None

    # The rollout itself -----------------------------------------------------------------------------------------------------

    def _session(self, payload: Record, timestamp: Any) -> None:
        """The first `session_meta` is the rollout's own; in a fork its parent's follows, the first record of the copy."""
        rollout = self._rollout
        thread = text_of(payload.get("id")) or text_of(payload.get("session_id"))
        if rollout.thread is not None:
            if thread not in {None, rollout.thread} and not self._refers_to_parent:
                self._fork_of(thread)
                rollout.begin_again(self._forked_at)
            return
        rollout.thread = thread
        rollout.cwd = text_of(payload.get("cwd"))
        rollout.remote = text_of(record_of(payload.get("git")).get("repository_url"))
        rollout.agent = _agent_of(payload) or rollout.agent
        self._copied_until = _instant_or_none(timestamp) or _instant_or_none(payload.get("timestamp")) or 0
        self._refers_to_parent = payload.get("history_base") is not None
        if not self._refers_to_parent:
            self._fork_of(text_of(payload.get("forked_from_id")))

    def _fork_of(self, parent: str | None) -> None:
        if parent is None:
            return
        self._parents |= self._known.get(parent, set())
        if self._forked_at is None and self._copied_until:
            self._forked_at = self._copied_until
            self._rollout.first_at = self._forked_at

    def _is_copied(self, at: int | None, forked_at: int, name: Any) -> bool:
        """Whether a record of a fork was copied: the parent has its call or turn, or it is no later than the fork's own first record.

        What was stamped anew carries that record's second, and where the copying took longer, follows it without a pause.
        """
        is_early = at is not None and (at // _SECOND <= forked_at // _SECOND or 0 <= at - self._copied_until <= _BURST_US)
        if is_early or (isinstance(name, str) and name in self._parents):
            self._copied_until = max(self._copied_until, at or 0)
            return True
        return False

    def _asked(self, text: str | None) -> None:
        if text and not self._rollout.calls and not self._rollout.answers:
            self._rollout.prompt = text

    def _complete(self, payload: Record, at: int) -> None:
        self._rollout.completed_at = at
        self._rollout.last_message = text_of(payload.get("last_agent_message")) or self._rollout.last_message

    # Answers ----------------------------------------------------------------------------------------------------------------

    def _tokens(self, payload: Record, at: int) -> None:
        """One answer's usage: counts are repeated with every rate-limit update, so only a change of the totals is an answer."""
        info = record_of(payload.get("info"))
        totals, last = _usage(record_of(info.get("total_token_usage"))), _usage(record_of(info.get("last_token_usage")))
        if not any(totals.values()) or totals == self._totals:
            return
        used = last if any(last.values()) else {name: max(0, count - self._totals.get(name, 0)) for name, count in totals.items()}
        self._totals = totals
        rollout, state = self._rollout, f"{totals['input_tokens']} in, {totals['output_tokens']} out"
        rollout.ids.add(state)
        if self._states_usage:
            return
        # Numbered by their place in the whole file, copied ones included: so it does not matter where a fork is cut.
        if self._forked_at is None or state not in self._parents:
            rollout.answers.append(Answer(f"{rollout.thread or rollout.source}:{self._counted}", at, rollout.model, _tokens_of(used)))
        self._counted += 1

    def _usage_record(self, payload: Record, at: int) -> None:
        """An answer's own record (0.153 on): it has an id. From then on the running counts only repeat it."""
        response = text_of(payload.get("response_id"))
        if not self._is_own(payload) or response is None:
            return
        if self._rollout.first_at is None:
            self._rollout.first_at = at
        key = anchored(response, at) if is_counted(response) else response
        answers = self._rollout.answers
        answer = Answer(key, at, self._rollout.model, _tokens_of(_usage(record_of(payload.get("usage")))))
        if not self._states_usage and answers and answers[-1].tokens == answer.tokens:
            answers.pop()
        self._states_usage = True
        if all(each.key != key for each in answers[-3:]):
            answers.append(answer)

    # Tools ------------------------------------------------------------------------------------------------------------------

    def _call(self, payload: Record, at: int) -> None:
        call_id = text_of(payload.get("call_id")) or text_of(payload.get("id"))
        if call_id is None:
            return
        key = self._key(call_id, at, begins=True)
        if key in self._rollout.calls:
            return
        kind = payload.get("type")
        name = text_of(payload.get("name")) or _NAMED_BY_KIND.get(str(kind))
        arguments = object_of(payload.get("action") if kind == "local_shell_call" else payload.get("arguments"))
        call = self._rollout.calls[key] = Call(at, name, _worth_keeping(_command_of(arguments)), awaited=True)
        if name == "apply_patch":
            call.edits = edits_of_patch(payload.get("input") or arguments.get("input"))
        elif name == "write_stdin":
            call.waits_for = self._processes.get(str(arguments.get("session_id")))
        subagents.called(self._rollout, key, name, arguments, at)

    def _output(self, payload: Record, at: int) -> None:
        key = self._key(str(payload.get("call_id")), at)
        call = self._rollout.calls.get(key)
        if call is None:
            return
        call.answered_at = at
        subagents.answered(self._rollout, key, call.name, payload.get("output"), at)
        said = read_output(payload.get("output"))
        call.aborted = call.aborted or said.aborted
        call.failure = call.failure or (INTERRUPTED if said.aborted else said.failure)
        if call.duration_ms is None and said.process is None:
            call.duration_ms = said.duration_ms
        if said.succeeded is not None:
            call.succeeded = said.succeeded
        elif call.succeeded is None and call.name in _ALWAYS_SAY and (payload.get("output") is not None or call.name == "tool_search"):
            call.succeeded = payload.get("status", "completed") == "completed"
        if call.waits_for is not None and not said.aborted:
            _goes_on(call.waits_for, said.text, said.exit_code, at)
        elif not call.stated:
            call.exit_code = None if call.name == "write_stdin" else said.exit_code
            call.output = _kept(call, said.text)
        if call.name == "write_stdin":
            call.duration_ms = said.duration_ms
        elif said.process:
            call.running = True
            self._processes[said.process] = call

    def _command_end(self, payload: Record, at: int) -> None:
        """`exec_command_end`, or the item of 0.153 on: how a command really ended, however often it was waited for."""
        if payload.get("source") in {"user_shell", "userShell"}:
            return
        call = self._call_of(payload, at, "exec_command")
        if call is None or payload.get("source") in {"unified_exec_interaction", "unifiedExecInteraction"}:
            return
        duration = duration_of(payload.get("duration"))
        code = payload.get("exit_code")
        call.stated, call.ended_at = True, at
        call.command = call.command or _worth_keeping(_command_of(payload))
        call.duration_ms = call.duration_ms if duration is None else duration
        if payload.get("status") == "declined":
            call.aborted, call.failure = True, REJECTED
        elif isinstance(code, int) and not isinstance(code, bool):
            call.exit_code = code
        elif payload.get("status") in {"completed", "failed"}:
            call.succeeded = payload["status"] == "completed"
        call.output = _kept(call, text_of(payload.get("aggregated_output")) or call.output)

    def _patch_end(self, payload: Record, at: int) -> None:
        """`patch_apply_end`, or the item `FileChange`."""
        call = self._call_of(payload, at, "apply_patch")
        if call is None:
            return
        status, success = payload.get("status"), payload.get("success")
        if status == "declined":
            call.aborted, call.failure = True, REJECTED
        elif isinstance(success, bool) or status in {"completed", "failed"}:
            call.succeeded = success if isinstance(success, bool) else status == "completed"
        call.ended_at = at
        call.edits = edits_of(payload.get("changes")) or call.edits

    def _mcp_end(self, payload: Record, at: int) -> None:
        """`mcp_tool_call_end`, whose result is {"Ok": …} or {"Err": …}, or the item `McpToolCall`."""
        invoked = record_of(payload.get("invocation")) or payload
        names = [name for name in (text_of(invoked.get("server")), text_of(invoked.get("tool"))) if name]
        call = self._call_of(payload, at, ".".join(names) or "mcp")
        if call is None:
            return
        result = record_of(payload.get("result"))
        answered = record_of(result.get("Ok")) or result
        failed = "Err" in result or payload.get("error") is not None or payload.get("status") == "failed"
        call.succeeded = not (failed or answered.get("isError") is True or answered.get("is_error") is True)
        call.ended_at = at
        duration = duration_of(payload.get("duration"))
        call.duration_ms = call.duration_ms if duration is None else duration

    def _dynamic_end(self, payload: Record, at: int) -> None:
        call = self._call_of(payload, at, text_of(payload.get("tool")) or "dynamic")
        if call is None:
            return
        success, status = payload.get("success"), payload.get("status")
        if isinstance(success, bool) or status in {"completed", "failed"}:
            call.succeeded = success if isinstance(success, bool) else status == "completed"
        call.ended_at = at
        duration = duration_of(payload.get("duration"))
        call.duration_ms = call.duration_ms if duration is None else duration

    def _search(self, payload: Record, at: int) -> None:
        """A web search, by whichever of its records comes first; the call itself may have no id."""
        self._at_once(payload, at, "web_search")

    def _image(self, payload: Record, at: int) -> None:
        self._at_once(payload, at, "image_generation")

    def _at_once(self, payload: Record, at: int, name: str) -> None:
        """Take a call that the provider makes: its record is there when it is over."""
        given = text_of(payload.get("call_id")) or text_of(payload.get("id"))
        if given is None:
            if name == "web_search":
                self._rollout.searches.append(at)
            return
        call = self._rollout.calls.setdefault(self._key(given, at), Call(at, name))
        call.ended_at = call.ended_at or at
        call.succeeded = payload.get("status") != "failed"

    def _item(self, payload: Record, at: int) -> None:
        """Take a completed item; a parent's file repeats its children's, whose thread is another."""
        item = record_of(payload.get("item"))
        reader = self._items.get(str(item.get("type")))
        if reader is not None and self._is_own(payload):
            reader(item, at)

    # Ids --------------------------------------------------------------------------------------------------------------------

    def _call_of(self, payload: Record, at: int, name: str) -> Call | None:
        """Return the call that a record tells the end of; one that stands nowhere else (code mode) begins with it."""
        given = text_of(payload.get("call_id")) or text_of(payload.get("id"))
        if given is None:
            return None
        key = self._key(given, at)
        if key not in self._rollout.calls:
            self._rollout.calls[key] = Call(at - (duration_of(payload.get("duration")) or 0) * 1000, name)
        return self._rollout.calls[key]

    def _key(self, given: str, at: int, *, begins: bool = False) -> str:
        """Return what a call is known by in all logs."""
        if not is_counted(given):
            return given
        if begins or given not in self._keys:
            self._keys[given] = anchored(given, at)
        return self._keys[given]

    def _is_own(self, payload: Record) -> bool:
        thread = text_of(payload.get("thread_id"))
        return thread is None or self._rollout.thread is None or thread == self._rollout.thread

    def _knows(self, payload: Record) -> bool:
        kind = _kind_of_item(payload)
        return kind in self._items or kind in _TOLD_ITEMS


def _goes_on(command: Call, printed: str, exit_code: int | None, at: int) -> None:
    """Take what a wait for a command brought: more of its output, and perhaps its end."""
    if command.stated:
        return
    command.output = _kept(command, command.output + printed)
    if exit_code is not None:
        command.exit_code, command.ended_at = exit_code, at
        # From call to end: the command went on while the model thought, and between two waits.
        command.duration_ms = (at - command.at) // 1000


def _kept(call: Call, printed: str) -> str:
    return printed[-OUTPUT_LIMIT:] if call.command else ""


def _worth_keeping(command: str | None) -> str | None:
    return command if command and worth_a_look(command) else None


def _agent_of(payload: Record) -> str | None:
    """Return a subagent's name: what `source` calls it, its role, or the end of its path (`/root/reviewer`); None for a main session."""
    subagent = record_of(payload.get("source")).get("subagent")
    if subagent is None and payload.get("thread_source") != "subagent":
        return None
    spawned = record_of(record_of(subagent).get("thread_spawn"))
    path = text_of(payload.get("agent_path")) or text_of(spawned.get("agent_path")) or ""
    return (
        text_of(subagent)
        or text_of(spawned.get("agent_role"))
        or text_of(payload.get("agent_role"))
        or path.rstrip("/").rpartition("/")[2]
        or text_of(record_of(subagent).get("other"))
        or "unknown"
    )


def _command_of(said: Record) -> str | None:
    """The command line of a shell tool: `cmd`, or `command` as a text or as the arguments of a shell."""
    command = said.get("cmd") or said.get("command")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        is_shell = len(command) >= 3 and command[0] in _SHELLS and command[1].startswith("-")  # noqa: PLR2004 (bash -lc "…")
        command = command[2] if is_shell else " ".join(command)
    return text_of(command)


def _usage(usage: Record) -> dict[str, int]:
    return {name: count_of(usage.get(name)) or 0 for name in _USAGE}


def _tokens_of(used: Mapping[str, int]) -> dict[str, int]:
    """Return an answer's measures: the provider counts cached tokens among those of the input."""
    cached, written = used["cached_input_tokens"], used["cache_write_input_tokens"]
    return {
        "input_tokens": max(0, used["input_tokens"] - cached - written),
        "output_tokens": used["output_tokens"],
        "cache_read_tokens": cached,
        "cache_creation_tokens": written,
    }


def _kind_of_item(payload: Record) -> str:
    return str(record_of(payload.get("item")).get("type"))


def _text_of_content(content: Any) -> str | None:
    return joined_text(content) or None


def _instant_or_none(value: Any) -> int | None:
    try:
        return instant_of(value)
    except UnreadableRecordError:
        return None
