"""From `State` to events, in a fixed order: the same files give the same events.

Event ids: `tool:<tool_use id>`, `msg:<message id>`, `invoke:<tool_use id>`, `work:<task id>`, and for derived activity
`deploy:`, `test:` and `document:<tool_use id>`. A task_id is the tool_use id of the call that started the subagent.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import asdict

from detektor_pipelines.ingest.readers.claude_code.edits import change_of
from detektor_pipelines.ingest.readers.claude_code.runs import Ending, Runs
from detektor_pipelines.ingest.readers.claude_code.state import MAIN, Call, Message
from detektor_pipelines.ingest.readers.derived import document_kind, push_outcome, suite_run
from detektor_pipelines.ingest.readers.failures import REJECTED
from detektor_pipelines.ingest.readers.names import MAIN_THREAD, AgentNames
from detektor_pipelines.ingest.readers.projects import without_worktree
from detektor_pipelines.ingest.reports.outcome import with_stated_outcome
from detektor_pipelines.language.events import OPERATIONS, UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from detektor_pipelines.ingest.readers.claude_code.edits import Edit
    from detektor_pipelines.ingest.readers.claude_code.state import Caller, State
    from detektor_pipelines.language.records import Json

READER_REVISION: Final = 2
"""Raised when this reader reads the same records differently, so that `detektor reingest` can repair what it read before."""

ATTRIBUTES: Final = frozenset(
    {"agent_id", "background", "duration_from", "evidence", "not_believed", "round_from", "stated", "status", "tokens_from"}
)
"""The only attributes this reader writes."""

ENDS_COUNT: Final = frozenset({"implement", "deploy", "diagnose"})
"""Work whose failure is an outcome of its own; a review or an advice that was never finished is none."""

_order: Final = itemgetter(0, 1)

_CALLED_AGAIN: Final = re.compile(
    r"(?i)\b(?:re-?(?=review|run|check|implement)|second|third|again|retry|round \d+|attempt \d+|follow-?up)\b[:\s]*|[^\w\s]"
)


class Agent(NamedTuple):
    """Whose an event is: one of the eight or `unmapped`, the name in the log, and whether what it was called for decided."""

    agent_type: str
    raw_name: str
    derived: bool = False


class Emitter:
    """Turns one group's state into events.

    Args:
        state: What was collected.
        names: The table of agents.
        project_of: A session's id → its project.

    """

    def __init__(self, state: State, names: AgentNames, project_of: Callable[[str | None], str | None]) -> None:
        self._state = state
        self._names = names
        self._project_of = project_of
        self._runs = Runs(state)
        self._main = Agent(names.agent_type(MAIN_THREAD), MAIN_THREAD)
        self._agents: dict[str | None, Agent] = {}

    def events(self) -> Iterator[AgentEvent]:
        """Yield all events by (occurred_at, event_id).

        They are made as they are asked for: all of them at once would be most of what a reading holds in memory.
        """
        calls, messages = self._state.calls.items(), self._state.messages.items()
        found: list[tuple[int, str, Call | Message | AgentEvent]] = [
            (call.at if call.ended_at is None else call.ended_at, f"tool:{call_id}", call) for call_id, call in calls if call.at is not None
        ]
        found += [(message.at, f"msg:{message_id}", message) for message_id, message in messages]
        found += [(event.occurred_at, event.event_id, event) for event in (*self._subagents(), *self._derived())]
        found.sort(key=_order)
        for at, event_id, what in found:
            if isinstance(what, Call):
                yield self._tool_call(event_id, what, at)
            elif isinstance(what, Message):
                yield self._chat(event_id, what)
            else:
                yield what

    def _event(  # noqa: PLR0913 (an event has that many parts)
        self,
        event_id: str,
        operation: str,
        agent: Agent,
        at: int,
        session: str | None,
        source: str,
        *,
        task_id: str | None = None,
        measures: Mapping[str, int | None],
        categories: Mapping[str, str | None],
        attributes: Mapping[str, Json] | None = None,
        derived: bool = False,
    ) -> AgentEvent:
        return self._made(
            event_id,
            operation,
            agent,
            at,
            session,
            source,
            task_id,
            {name: value for name, value in measures.items() if value is not None},
            {name: value[:256] for name, value in categories.items() if value},
            {name: value for name, value in attributes.items() if value is not None} if attributes else {},
            derived=derived,
        )

    def _made(  # noqa: PLR0913, PLR0917 (the same)
        self,
        event_id: str,
        operation: str,
        agent: Agent,
        at: int,
        session: str | None,
        source: str,
        task_id: str | None,
        measures: Mapping[str, int],
        categories: Mapping[str, str],
        attributes: Mapping[str, Json],
        *,
        derived: bool = False,
    ) -> AgentEvent:
        """Make an event of what has no nulls and no category that is too long, as calls and answers, most of all events, have none."""
        return AgentEvent(
            event_id,
            agent.agent_type,
            agent.raw_name,
            operation,
            at,
            source,
            self._project_of(session),
            session,
            task_id,
            at,
            measures,
            categories,
            attributes,
            {},
            derived or agent.derived,
            reader_revision=READER_REVISION,
        )

    def _agent(self, session: str | None, caller: Caller, at: int) -> tuple[Agent, str | None]:
        """Whoever called a tool or wrote a message, and its task_id."""
        if not caller.side:
            return self._main, None
        key = self._runs.key_of(session, caller, at)
        return self._agent_of(key), key

    def _agent_of(self, key: str | None) -> Agent:
        """The agent of a run: by its name, or by what it was called for."""
        if key not in self._agents:
            run, name = self._runs.run_of(key), self._runs.name_of(key)
            called = self._names.agent_for(name, run.description if run else None, run.prompt if run else None)
            self._agents[key] = Agent(called.agent_type, name, called.derived)
        return self._agents[key]

    def _tool_call(self, event_id: str, call: Call, at: int) -> AgentEvent:
        agent, task_id = self._agent(call.session, call.caller, call.at or 0)
        categories = {}
        if call.failed is not None:
            categories["outcome"] = "failure" if call.failed else "cancelled" if call.interrupted else "success"
        if call.name:
            categories["tool_name"] = call.name[:256]
        if call.error_type:
            categories["error_type"] = call.error_type
        measures = {} if call.duration_ms is None else {"duration_ms": call.duration_ms}
        return self._made(event_id, "tool_call", agent, at, call.home, call.source, task_id, measures, categories, _open(call) or {})

    def _chat(self, event_id: str, message: Message) -> AgentEvent:
        at, session = message.at, message.session
        agent, task_id = self._agent(session, message.caller, at)
        categories = {"outcome": "failure" if message.error_type else "success"}
        if message.model:
            categories["model"] = message.model[:256]
        if message.error_type:
            categories["error_type"] = message.error_type[:256]
        return self._made(event_id, "chat", agent, at, session, message.source, task_id, asdict(message.usage), categories, {})

    # Subagents --------------------------------------------------------------------------------------------------------------

    def _subagents(self) -> Iterator[AgentEvent]:
        rounds: dict[tuple[str | None, str, str], int] = {}
        for ending in self._runs.endings():
            agent = self._agent_of(ending.key)
            if ending.called:
                yield self._invocation(ending, agent)
            attempt = None
            if ending.run.description:
                task = " ".join(_CALLED_AGAIN.sub(" ", ending.run.description.lower()).split())
                # Counted in each session that holds the call: a fork goes on counting what it copied.
                for session in ending.run.sessions | {ending.session}:
                    rounds[session, ending.raw_name, task] = rounds.get((session, ending.raw_name, task), 0) + 1
                attempt = rounds[ending.session, ending.raw_name, task]
            if agent.agent_type != UNMAPPED and ending.started and _is_over(ending, views_operation(agent.agent_type)):
                yield self._work(ending, agent, attempt)

    def _invocation(self, ending: Ending, agent: Agent) -> AgentEvent:
        measures, _ = _usage(ending)
        return self._event(
            f"invoke:{ending.key}",
            "invoke_agent",
            agent,
            ending.ended_at,
            ending.session,
            ending.run.source,
            task_id=ending.key,
            measures=measures,
            categories={"outcome": _outcome(ending), "model": ending.model},
            attributes={"agent_id": ending.run.agent_id, "background": ending.run.background, "status": ending.status},
        )

    def _work(self, ending: Ending, agent: Agent, attempt: int | None) -> AgentEvent:
        operation = views_operation(agent.agent_type)
        measures, attributes = _usage(ending)
        categories: dict[str, str | None] = {"outcome": _outcome(ending), "model": ending.model}
        if operation == "review":
            from detektor_pipelines.ingest.reports.verdicts import read_review  # most logs hold no review: a third of the start-up

            review = read_review(ending.text or "")
            measures |= review.issues.known
            measures["review_round"] = review.round or attempt
            attributes["round_from"] = "report" if review.round else "description" if attempt else None
            categories["verdict"] = review.verdict
            attributes["evidence"] = review.evidence
        else:
            measures |= _changes(ending)
            measures["attempt"] = attempt
        measures, categories, told = with_stated_outcome(ending.text or "", operation, measures, categories)
        known = OPERATIONS[operation].measures
        return self._event(
            f"work:{ending.key}",
            operation,
            agent,
            ending.ended_at,
            ending.session,
            ending.run.source,
            task_id=ending.key,
            measures={name: value for name, value in measures.items() if name in known},
            categories=categories,
            attributes=attributes | told,
        )

    # Derived ----------------------------------------------------------------------------------------------------------------

    def _derived(self) -> Iterator[AgentEvent]:
        for call_id, call in self._state.calls.items():
            if call.at is None or call.name is None:
                continue
            is_main = call.caller == MAIN
            if is_main and (call.command or call.pushed):
                yield from self._deployment(call_id, call)
            if call.command:
                yield from self._suite_run(call_id, call)
            if is_main and call.path:
                yield from self._document(call_id, call, call.edit)

    def _deployment(self, call_id: str, call: Call) -> Iterator[AgentEvent]:
        outcome = push_outcome(call.command or "", call.output or "", failed=_failed_line(call))
        if outcome is False and not call.pushed:
            return
        ended = "success" if call.pushed and not call.failed else outcome or None
        if call.interrupted or call.error_type == REJECTED:
            ended = "cancelled"
        yield self._event(
            f"deploy:{call_id}",
            "deploy",
            Agent("deployment-specialist", MAIN_THREAD),
            call.ended_at if call.ended_at is not None else call.at or 0,
            call.home,
            call.source,
            measures={"duration_ms": call.duration_ms},
            categories={
                "outcome": ended,
                "action": "deploy",
                "strategy": "push",
                "error_type": call.error_type if ended in {"failure", "cancelled"} else None,
            },
            attributes=_open(call),
            derived=True,
        )

    def _suite_run(self, call_id: str, call: Call) -> Iterator[AgentEvent]:
        """Test runs of the main thread and of a coder's subagent are the coder's; a reviewer's or an explorer's are not."""
        if call.error_type == REJECTED:
            return
        agent, task_id = self._agent(call.session, call.caller, call.at or 0)
        if call.caller.side and agent.agent_type != "detektor-coder":
            return
        run = suite_run(call.command or "", call.output or "", failed=_failed_line(call))
        if run is None:
            return
        yield self._event(
            f"test:{call_id}",
            "test_run",
            Agent("detektor-coder", agent.raw_name),
            call.ended_at if call.ended_at is not None else call.at or 0,
            call.home,
            call.source,
            task_id=task_id,
            measures={"duration_ms": call.duration_ms, "tests_passed": run.passed, "tests_failed": run.failed},
            categories={"outcome": "cancelled" if call.interrupted else run.outcome},
            attributes=_open(call),
            derived=True,
        )

    def _document(self, call_id: str, call: Call, edit: Edit | None) -> Iterator[AgentEvent]:
        kind = document_kind(without_worktree((edit.path if edit else call.path) or ""))
        if kind is None or call.failed or edit is None:
            return
        yield self._event(
            f"document:{call_id}",
            "document",
            Agent("documentation-keeper", MAIN_THREAD),
            call.ended_at if call.ended_at is not None else call.at or 0,
            call.home,
            call.source,
            measures={"docs_updated": 1, "lines_added": edit.added, "lines_removed": edit.removed},
            categories={"outcome": "success", "doc_kind": kind},
            derived=True,
        )


def _is_over(ending: Ending, operation: str) -> bool:
    return ending.status == "completed" or (operation in ENDS_COUNT and ending.status in {"failed", "cancelled"})


def _outcome(ending: Ending) -> str | None:
    return {"completed": "success", "failed": "failure", "cancelled": "cancelled"}.get(ending.status)


def _usage(ending: Ending) -> tuple[dict[str, int | None], dict[str, Json]]:
    """The measures that every piece of work has, and where they come from."""
    usage = ending.usage
    measures = {
        "duration_ms": ending.duration_ms,
        "tool_calls": ending.tool_calls,
        "tool_errors": ending.tool_errors,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    }
    return measures, {"duration_from": ending.duration_from, "tokens_from": ending.tokens_from}


def _changes(ending: Ending) -> dict[str, int | None]:
    """Files and lines of a run's edits, when all its steps were seen; else the lines that newer versions state in the result."""
    if ending.inner_calls is None:
        return {"lines_added": ending.run.lines_added, "lines_removed": ending.run.lines_removed}
    change = change_of(call.edit for call in ending.inner_calls if call.edit)
    return {"files_changed": change.files, "lines_added": change.added, "lines_removed": change.removed}


def _open(call: Call) -> Mapping[str, Json] | None:
    """Mark what was read before its result came: a later reading replaces it, whatever else it says."""
    return {"status": "open"} if call.failed is None else None


def _failed_line(call: Call) -> bool | None:
    """Whether a shell line failed; None without a result, and for one that went on in the background or was interrupted."""
    return None if call.failed is None or call.background or call.interrupted else call.failed
