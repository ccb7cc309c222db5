"""What a session of any agent's program comes to: tool calls, answers, runs of subagents; and the events of these, by everybody's rules.

A reader of a further format fills a `Session` from its records and yields `events_of(session, names)`: pushes, test runs, documents and
reviews are then found as they are in every other format. Event ids are `tool:`, `msg:`, `invoke:`, `work:`, `deploy:`, `test:` and
`document:` with the call's or the answer's own id; a subagent's events have the id of the call that started it as their task_id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from detektor_pipelines.ingest.readers.derived import document_kind, push_outcome, suite_run, worth_a_look
from detektor_pipelines.ingest.readers.failures import INTERRUPTED, REJECTED
from detektor_pipelines.ingest.readers.identity import anchored, is_counted
from detektor_pipelines.ingest.readers.names import MAIN_THREAD
from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote, remote_of_directory
from detektor_pipelines.ingest.reports.outcome import with_stated_outcome
from detektor_pipelines.language.events import MEASURES, OPERATIONS, UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detektor_pipelines.ingest.readers.interface import ReadContext
    from detektor_pipelines.ingest.readers.names import AgentNames
    from detektor_pipelines.language.records import Json

Outcome = Literal["success", "failure", "cancelled"]

ENDS_COUNT: Final = frozenset({"implement", "deploy", "diagnose"})
"""Work whose failure is an outcome of its own; a review or an advice that was never finished is none."""

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")


@dataclass(slots=True)
class Call:
    """One tool call.

    Attributes:
        at: When it was made, µs.
        run: Key of the subagent's run that made it; None for the main session.
        ended_at: When its result came; None while it is open.
        outcome: How it ended; None where the log does not tell, as for a command that went on in the background.
        command: The shell line, for a tool that runs one; `output` is what it printed.
        path: The file that it wrote, for a tool that edits; `added` and `removed` are lines, None where they cannot be counted.

    """

    at: int
    name: str | None = None
    run: str | None = None
    ended_at: int | None = None
    outcome: Outcome | None = None
    error_type: str | None = None
    duration_ms: int | None = None
    command: str | None = None
    output: str = ""
    path: str | None = None
    added: int | None = None
    removed: int | None = None

    def succeed(self, at: int) -> None:
        """It ended well."""
        self.ended_at, self.outcome, self.error_type = at, "success", None

    def fail(self, at: int, error_type: str) -> None:
        """It ended in an error."""
        self.ended_at, self.outcome, self.error_type = at, "failure", error_type

    def cancel(self, at: int) -> None:
        """It was broken off."""
        self.ended_at, self.outcome, self.error_type = at, "cancelled", INTERRUPTED


@dataclass(slots=True)
class Answer:
    """One answer of the model; `tokens` by the names of the measures, those that the log does not tell left out."""

    at: int
    model: str | None
    tokens: Mapping[str, int | None]
    run: str | None = None
    error_type: str | None = None


@dataclass(slots=True)
class Run:
    """One run of a subagent.

    Attributes:
        name: The agent's name in the log.
        description: What the call says of the task; `prompt` is the task itself.
        called_at: When it was called.
        called: Whether a call started it: one that is known by its own records only is not invoked by anybody.
        ended_at: When it ended or was last heard of.
        outcome: How it ended; None while it goes on.
        text: Its report.
        tool_calls: As the log states it; else the calls seen are counted.
        is_whole: All its calls and answers are in the session, so that errors and tokens can be summed.

    """

    name: str
    called_at: int
    description: str | None = None
    prompt: str | None = None
    called: bool = True
    ended_at: int | None = None
    outcome: Outcome | None = None
    text: str | None = None
    duration_ms: int | None = None
    tool_calls: int | None = None
    model: str | None = None
    agent_id: str | None = None
    is_whole: bool = True


@dataclass(slots=True)
class Session:
    """One session as a reader found it; calls, answers and runs by the ids that the log gives them."""

    source: str
    session_id: str | None = None
    project: str | None = None
    agent: str = MAIN_THREAD
    calls: dict[str, Call] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    reader_revision: int = 1


def project_of(context: ReadContext, *, remote: str | None = None, directory: str | None = None) -> str | None:
    """Say which project a session belongs to: what the user says, the repository's remote, the rules over its directory."""
    if context.project and (given := project_name(context.project)):
        return given
    found = context.git_remote or (remote_of_directory(directory) if directory else None) or remote
    return project_of_remote(found) if found else project_of_directory(directory) if directory else None


def milliseconds(start: int, end: int) -> int:
    """Return the time between two instants in µs."""
    return max(0, end - start) // 1000


def events_of(session: Session, names: AgentNames) -> Iterator[AgentEvent]:
    """Yield a session's events: calls, answers, runs, and what is derived from the calls."""
    yield from _Events(session, names).all()


class _Agent(NamedTuple):
    """Whose an event is: an agent or `unmapped`, the name in the log, and whether that was concluded."""

    agent_type: str
    raw_name: str
    derived: bool = False


class _Events:
    def __init__(self, session: Session, names: AgentNames) -> None:
        self._session = session
        self._names = names
        self._agents: dict[str | None, _Agent] = {None: _Agent(names.agent_type(session.agent), session.agent)}
        for key, run in session.runs.items():
            called = names.agent_for(run.name, run.description, run.prompt)
            self._agents[key] = _Agent(called.agent_type, run.name, called.derived)

    def all(self) -> Iterator[AgentEvent]:
        for call_id, call in self._session.calls.items():
            yield self._tool_call(call_id, call)
            yield from self._derived(call_id, call)
        for answer_id, answer in self._session.answers.items():
            categories = {"outcome": "failure" if answer.error_type else "success", "model": answer.model, "error_type": answer.error_type}
            tokens = {name: answer.tokens.get(name) for name in _TOKENS}
            yield self._event(
                f"msg:{_unique(answer_id, answer.at)}", "chat", self._agent(answer.run), answer.at, answer.run, tokens, categories
            )
        for key, run in self._session.runs.items():
            yield from self._run(key, run)

    def _agent(self, run: str | None) -> _Agent:
        return self._agents.get(run) or _Agent(self._names.agent_type("unknown"), "unknown")

    def _tool_call(self, call_id: str, call: Call) -> AgentEvent:
        return self._event(
            f"tool:{_unique(call_id, call.at)}",
            "tool_call",
            self._agent(call.run),
            _end_of(call),
            call.run,
            {"duration_ms": call.duration_ms},
            {"outcome": call.outcome, "tool_name": call.name, "error_type": call.error_type},
            {"status": "open" if call.ended_at is None else None},
        )

    # Subagents --------------------------------------------------------------------------------------------------------------

    def _run(self, key: str, run: Run) -> Iterator[AgentEvent]:
        agent = self._agents[key]
        calls = [call for call in self._session.calls.values() if call.run == key]
        answers = [answer for answer in self._session.answers.values() if answer.run == key]
        at = run.ended_at if run.ended_at is not None else run.called_at
        measures = self._usage(run, calls, answers)
        model = run.model or next((answer.model for answer in reversed(answers) if answer.model), None)
        categories: dict[str, str | None] = {"outcome": run.outcome, "model": model}
        if run.called:
            status = {"success": "completed", "failure": "failed", "cancelled": "cancelled", None: "open"}[run.outcome]
            attributes: dict[str, Json] = {"agent_id": run.agent_id, "status": status}
            yield self._event(f"invoke:{_unique(key, run.called_at)}", "invoke_agent", agent, at, key, measures, categories, attributes)
        if agent.agent_type == UNMAPPED or run.outcome is None:
            return
        operation = views_operation(agent.agent_type)
        if run.outcome == "success" or operation in ENDS_COUNT:
            yield self._work(key, run, operation, agent, measures, categories, calls)

    def _work(
        self,
        key: str,
        run: Run,
        operation: str,
        agent: _Agent,
        measures: dict[str, int | None],
        categories: dict[str, str | None],
        calls: list[Call],
    ) -> AgentEvent:
        attributes: dict[str, Json] = {"tokens_from": "all_messages" if measures["output_tokens"] is not None else None}
        if operation == "review":
            from detektor_pipelines.ingest.reports.verdicts import read_review

            review = read_review(run.text or "")
            measures = {**measures, **review.issues.known, "review_round": review.round}
            attributes |= {"evidence": review.evidence, "round_from": "report" if review.round else None}
            categories = {**categories, "verdict": review.verdict}
        elif run.is_whole:
            edits = [call for call in calls if call.path and call.outcome == "success"]
            measures = {
                **measures,
                "files_changed": len({call.path for call in edits}),
                "lines_added": _sum(call.added for call in edits),
                "lines_removed": _sum(call.removed for call in edits),
            }
        measures, categories, stated = with_stated_outcome(run.text or "", operation, measures, categories)
        attributes |= stated
        known = OPERATIONS[operation].measures
        measures = {name: value for name, value in measures.items() if name in known}
        at = run.ended_at if run.ended_at is not None else run.called_at
        return self._event(f"work:{_unique(key, run.called_at)}", operation, agent, at, key, measures, categories, attributes)

    @staticmethod
    def _usage(run: Run, calls: list[Call], answers: list[Answer]) -> dict[str, int | None]:
        seen_all = run.is_whole and (run.tool_calls is None or len(calls) >= run.tool_calls)
        duration = run.duration_ms
        return {
            "duration_ms": duration if duration is None or duration <= MEASURES["duration_ms"].maximum else None,
            "tool_calls": run.tool_calls if run.tool_calls is not None else len(calls) if run.is_whole else None,
            "tool_errors": sum(call.outcome == "failure" for call in calls) if seen_all else None,
            "input_tokens": _sum(answer.tokens.get("input_tokens") for answer in answers) if seen_all and answers else None,
            "output_tokens": _sum(answer.tokens.get("output_tokens") for answer in answers) if seen_all and answers else None,
        }

    # Derived ----------------------------------------------------------------------------------------------------------------

    def _derived(self, call_id: str, call: Call) -> Iterator[AgentEvent]:
        """What a main session did in an agent's stead; a coder's test runs are its own. A call that was refused did nothing."""
        if call.error_type == REJECTED:
            return
        if call.command and worth_a_look(call.command):
            yield from self._of_command(call_id, call, call.command)
        kind = document_kind(call.path) if call.path and call.run is None and call.outcome == "success" else None
        if kind:
            measures = {"docs_updated": 1, "lines_added": call.added, "lines_removed": call.removed}
            categories: dict[str, str | None] = {"outcome": "success", "doc_kind": kind}
            yield self._as("documentation-keeper", "document", call_id, "document", call, measures, categories)

    def _of_command(self, call_id: str, call: Call, command: str) -> Iterator[AgentEvent]:
        failed = None if call.outcome in {None, "cancelled"} else call.outcome == "failure"
        cancelled = "cancelled" if call.outcome == "cancelled" else None
        push = push_outcome(command, call.output, failed=failed)
        if call.run is None and push is not False:
            categories: dict[str, str | None] = {"outcome": cancelled or push, "action": "deploy", "strategy": "push"}
            yield self._as("deployment-specialist", "deploy", call_id, "deploy", call, {"duration_ms": call.duration_ms}, categories)
        if call.run is not None and self._agent(call.run).agent_type != "detektor-coder":
            return
        tests = suite_run(command, call.output, failed=failed)
        if tests:
            measures = {"duration_ms": call.duration_ms, "tests_passed": tests.passed, "tests_failed": tests.failed}
            yield self._as("detektor-coder", "test", call_id, "test_run", call, measures, {"outcome": cancelled or tests.outcome})

    def _as(
        self,
        agent: str,
        kind: str,
        call_id: str,
        operation: str,
        call: Call,
        measures: Mapping[str, int | None],
        categories: Mapping[str, str | None],
    ) -> AgentEvent:
        who = _Agent(agent, self._agent(call.run).raw_name, derived=True)
        return self._event(f"{kind}:{_unique(call_id, call.at)}", operation, who, _end_of(call), call.run, measures, categories)

    def _event(  # noqa: PLR0913, PLR0917 (an event has that many parts)
        self,
        event_id: str,
        operation: str,
        agent: _Agent,
        at: int,
        run: str | None,
        measures: Mapping[str, int | None],
        categories: Mapping[str, str | None],
        attributes: Mapping[str, Json] | None = None,
    ) -> AgentEvent:
        session = self._session
        return AgentEvent(
            event_id=event_id,
            agent_type=agent.agent_type,
            raw_name=agent.raw_name,
            operation=operation,
            occurred_at=at,
            known_at=at,
            source=session.source,
            project=session.project,
            session_id=session.session_id,
            task_id=None if run is None else self._task_id(run),
            measures={name: value for name, value in measures.items() if value is not None},
            categories={name: value[:256] for name, value in categories.items() if value},
            attributes={name: value for name, value in (attributes or {}).items() if value is not None},
            derived=agent.derived,
            reader_revision=session.reader_revision,
        )

    def _task_id(self, run: str) -> str:
        known = self._session.runs.get(run)
        return _unique(run, known.called_at) if known else run


def _unique(own_id: str, since: int) -> str:
    """An id that only counts within its session gets the instant of its first record."""
    return anchored(own_id, since) if is_counted(own_id) else own_id


def _end_of(call: Call) -> int:
    return call.ended_at if call.ended_at is not None else call.at


def _sum(numbers: Iterator[int | None] | Any) -> int | None:
    """Add numbers up; None when one of them is unknown."""
    given = list(numbers)
    return None if any(number is None for number in given) else sum(given)
