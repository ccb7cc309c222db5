"""From a rollout's state to its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.ingest.readers.codex.collect import OUTPUT_LIMIT
from detektor_pipelines.ingest.readers.derived import document_kind, push_outcome, suite_run
from detektor_pipelines.ingest.readers.projects import without_worktree
from detektor_pipelines.ingest.reports.outcome import with_stated_outcome
from detektor_pipelines.language.events import OPERATIONS, UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detektor_pipelines.ingest.readers.codex.state import Call, Child, Rollout
    from detektor_pipelines.ingest.readers.names import AgentNames, Called
    from detektor_pipelines.language.records import Json

READER_REVISION: Final = 2
"""Raised when this reader reads the same records differently, so that `detektor reingest` can repair what it read before."""

ATTRIBUTES: Final = frozenset(
    {"agent_id", "background", "duration_from", "evidence", "not_believed", "round_from", "stated", "status", "tokens_from"}
)
"""The only attributes this reader writes."""

_OUTCOMES: Final = {"completed": "success", "failed": "failure", "cancelled": "cancelled"}
_ENDS_COUNT: Final = frozenset({"implement", "deploy", "diagnose"})
"""Work whose failure is an outcome of its own; a review or an advice that was never finished is none."""


class Emitter:
    """Turns one rollout into events.

    Args:
        rollout: What was collected.
        names: The table of agents.
        project: The rollout's project.

    """

    def __init__(self, rollout: Rollout, names: AgentNames, project: str | None) -> None:
        self._rollout = rollout
        self._names = names
        self._project = project
        self._called = names.agent_for(rollout.agent, None, None if rollout.is_main else rollout.prompt)

    def events(self) -> Iterator[AgentEvent]:
        """Yield calls, what they derive, answers, calls of subagents, and a subagent's own work."""
        for call_id, call in self._rollout.calls.items():
            yield self._tool_call(call_id, call)
            yield from self._derived(call_id, call)
        yield from self._searches()
        for answer in self._rollout.answers:
            yield self._event(
                f"msg:{answer.key}", "chat", answer.at, measures=answer.tokens, categories={"outcome": "success", "model": answer.model}
            )
        for child in self._rollout.children.values():
            if child.thread:
                yield self._invocation(child, child.thread)
        if not self._rollout.is_main and self._called.agent_type != UNMAPPED and self._rollout.completed_at is not None:
            yield self._work(self._rollout.completed_at)

    def told(self) -> Iterator[AgentEvent]:
        """Yield the work of subagents as this rollout tells of it: for where their own rollouts are absent."""
        for child in self._rollout.children.values():
            called = self._called_child(child)
            if child.thread is None or child.status is None or child.ended_at is None or called.agent_type == UNMAPPED:
                continue
            operation = views_operation(called.agent_type)
            if child.status != "completed" and operation not in _ENDS_COUNT:
                continue
            duration = _between(child.started_at, child.ended_at)
            yield self._finished_work(
                child.thread,
                called,
                (child.name or "unknown", child.ended_at),
                {"duration_ms": duration},
                {"outcome": _OUTCOMES[child.status], "model": child.model},
                {"status": "told", "duration_from": None if duration is None else "launch_to_notification"},
                child.text,
            )

    # Calls ------------------------------------------------------------------------------------------------------------------

    def _tool_call(self, call_id: str, call: Call) -> AgentEvent:
        over = call.over_at
        return self._event(
            f"tool:{call_id}",
            "tool_call",
            call.at if over is None else over,
            measures={"duration_ms": call.duration_ms},
            categories={"outcome": call.outcome, "tool_name": call.name, "error_type": call.error_type},
            attributes=_open(call),
        )

    def _searches(self) -> Iterator[AgentEvent]:
        """Web searches whose records have no id, of versions that state none elsewhere either."""
        if any(call.name == "web_search" for call in self._rollout.calls.values()):
            return
        for number, at in enumerate(self._rollout.searches):
            key = f"{self._rollout.thread or self._rollout.source}:search:{number}"
            yield self._event(f"tool:{key}", "tool_call", at, categories={"outcome": "success", "tool_name": "web_search"})

    def _derived(self, call_id: str, call: Call) -> Iterator[AgentEvent]:
        if not call.command and not call.edits:
            return
        at = call.at if call.over_at is None else call.over_at
        if self._rollout.is_main and call.edits:
            yield from self._document(call_id, call, at)
        if not call.command or (call.aborted and call.exit_code is None and not call.output):
            return
        failed = None if call.exit_code is None else call.exit_code != 0
        output = call.output[-OUTPUT_LIMIT:]
        push = push_outcome(call.command, output, failed=failed)
        if self._rollout.is_main and push is not False:
            yield self._event(
                f"deploy:{call_id}",
                "deploy",
                at,
                agent_type="deployment-specialist",
                measures={"duration_ms": call.duration_ms},
                categories={"outcome": "cancelled" if call.aborted else push, "action": "deploy", "strategy": "push"},
                attributes=_open(call),
            )
        tests = suite_run(call.command, output, failed=failed)
        if tests and (self._rollout.is_main or self._called.agent_type == "detektor-coder"):
            yield self._event(
                f"test:{call_id}",
                "test_run",
                at,
                agent_type="detektor-coder",
                measures={"duration_ms": call.duration_ms, "tests_passed": tests.passed, "tests_failed": tests.failed},
                categories={"outcome": "cancelled" if call.aborted else tests.outcome},
                attributes=_open(call),
            )

    def _document(self, call_id: str, call: Call, at: int) -> Iterator[AgentEvent]:
        """A patch's documents together; their kind where they are all of one."""
        if call.outcome != "success":
            return
        kinds = [document_kind(without_worktree(edit.path)) for edit in call.edits]
        found = [(edit, kind) for edit, kind in zip(call.edits, kinds, strict=True) if kind is not None and edit.kind != "delete"]
        if not found:
            return
        added, removed = [edit.added for edit, _ in found], [edit.removed for edit, _ in found]
        kind = found[0][1]
        yield self._event(
            f"document:{call_id}",
            "document",
            at,
            agent_type="documentation-keeper",
            measures={"docs_updated": len({edit.path for edit, _ in found}), "lines_added": _sum(added), "lines_removed": _sum(removed)},
            categories={"outcome": "success", "doc_kind": kind if all(each == kind for _, each in found) else None},
            attributes=_open(call),
        )

    # Subagents --------------------------------------------------------------------------------------------------------------

    def _called_child(self, child: Child) -> Called:
        return self._names.agent_for(child.name or "unknown", None, child.prompt)

    def _invocation(self, child: Child, thread: str) -> AgentEvent:
        ended = child.status is not None and child.ended_at is not None
        called = self._called_child(child)
        return self._event(
            f"invoke:{child.call_id}",
            "invoke_agent",
            (child.ended_at if ended else child.started_at) or child.called_at,
            agent_type=called.agent_type,
            raw_name=child.name or "unknown",
            derived=called.derived,
            task_id=thread,
            measures={"duration_ms": _between(child.started_at, child.ended_at) if ended else None},
            categories={"outcome": _OUTCOMES[child.status] if ended and child.status else None, "model": child.model},
            attributes={"agent_id": thread, "background": True, "status": child.status if ended else "launched"},
        )

    def _work(self, completed_at: int) -> AgentEvent:
        rollout = self._rollout
        calls = list(rollout.calls.values())
        measures: dict[str, int | None] = {
            "duration_ms": _between(rollout.first_at, completed_at),
            "tool_calls": len(calls),
            "tool_errors": sum(call.outcome == "failure" for call in calls),
            "input_tokens": sum(answer.tokens["input_tokens"] for answer in rollout.answers) if rollout.answers else None,
            "output_tokens": sum(answer.tokens["output_tokens"] for answer in rollout.answers) if rollout.answers else None,
        }
        if self._called.agent_type == "detektor-coder":
            edits = [edit for call in calls if call.outcome == "success" for edit in call.edits]
            measures["files_changed"] = len({edit.path for edit in edits})
            measures["lines_added"] = _sum([edit.added for edit in edits])
            measures["lines_removed"] = _sum([edit.removed for edit in edits])
        return self._finished_work(
            rollout.thread or rollout.source,
            self._called,
            (rollout.agent, completed_at),
            measures,
            {"outcome": "success", "model": rollout.model},
            {"duration_from": "own_records", "tokens_from": "all_messages" if rollout.answers else None},
            rollout.last_message,
        )

    def _finished_work(
        self,
        thread: str,
        called: Called,
        who_and_when: tuple[str, int],
        measures: dict[str, int | None],
        categories: dict[str, str | None],
        attributes: dict[str, Json],
        text: str | None,
    ) -> AgentEvent:
        operation = views_operation(called.agent_type)
        if operation == "review":
            from detektor_pipelines.ingest.reports.codex_review import read_codex_review
            from detektor_pipelines.ingest.reports.verdicts import read_review

            review = read_codex_review(text) or read_review(text or "")
            measures |= review.issues.known
            measures["review_round"] = review.round
            categories["verdict"] = review.verdict
            attributes |= {"evidence": review.evidence, "round_from": "report" if review.round else None}
        measures, categories, stated = with_stated_outcome(text or "", operation, measures, categories)
        allowed = OPERATIONS[operation].measures
        return self._event(
            f"work:{thread}",
            operation,
            who_and_when[1],
            agent_type=called.agent_type,
            raw_name=who_and_when[0],
            derived=called.derived,
            session_id=thread,
            task_id=thread,
            measures={name: value for name, value in measures.items() if name in allowed},
            categories=categories,
            attributes=attributes | stated,
        )

    def _event(  # noqa: PLR0913 (an event has that many parts)
        self,
        event_id: str,
        operation: str,
        at: int,
        *,
        agent_type: str | None = None,
        raw_name: str | None = None,
        derived: bool | None = None,
        session_id: str | None = None,
        task_id: str | None = None,
        measures: Mapping[str, int | None] | None = None,
        categories: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Json] | None = None,
    ) -> AgentEvent:
        """Make an event; of the rollout's own agent unless another is named, which makes it derived."""
        rollout = self._rollout
        is_others = agent_type is not None
        return AgentEvent(
            event_id=event_id,
            agent_type=agent_type or self._called.agent_type,
            raw_name=raw_name or rollout.agent,
            operation=operation,
            occurred_at=at,
            known_at=at,
            source=rollout.source,
            project=self._project,
            session_id=session_id or rollout.thread,
            task_id=task_id or (None if rollout.is_main else rollout.thread),
            measures={name: value for name, value in measures.items() if value is not None} if measures else {},
            categories={name: value[:256] for name, value in categories.items() if value} if categories else {},
            attributes={name: value for name, value in attributes.items() if value is not None} if attributes else {},
            derived=derived if derived is not None else is_others or self._called.derived,
            reader_revision=READER_REVISION,
        )


def _open(call: Call) -> dict[str, Json] | None:
    return {"status": "open"} if call.is_open else None


def _between(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else max(0, end - start) // 1000


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
