from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.hook import TIME, line_of
from detektor_pipelines.ingest.live.hook_records import WAIT_US, HookReader
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from pathlib import Path

START = 1_795_000_000_000_000
REPORT = "**Verdict: REQUEST CHANGES**\n\n### Critical\n1. a bug\n### Major\n1. x\n2. y\n"


class Session:
    """A session whose hooks are noted and read one after another; `at` is seconds since its start."""

    def __init__(self, cwd: str = "/home/ada/shop", transcript: Path | None = None) -> None:
        self.agents: dict[str, Any] = {}
        self.reader = HookReader(AgentNames.load(), self.agents, {})
        self._common = {"session_id": "s1", "cwd": cwd, "transcript_path": str(transcript or "/none/s1.jsonl")}

    def note(self, at: float, hook: str, **said: Any) -> list[AgentEvent]:
        line = line_of(json.dumps({"hook_event_name": hook, **self._common, **said}).encode(), (START + int(at * 1e6)) * 1000)
        self.agents = json.loads(json.dumps(self.agents))  # what is remembered must survive being written
        self.reader._agents = self.agents
        events = self.reader.read(line)
        assert all(isinstance(event, AgentEvent) for event in events)
        return events  # type: ignore[return-value]

    def stop(self, at: float, **said: Any) -> list[AgentEvent]:
        return self.note(at, "SubagentStop", agent_id="a1", agent_type="reviewer", last_assistant_message=REPORT, **said)


def result(**said: Any) -> dict[str, Any]:
    return {
        "tool_name": "Agent",
        "tool_use_id": "toolu_9",
        "tool_input": {"subagent_type": "reviewer"},
        "tool_response": {"agentId": "a1", **said},
    }


def test_a_tool_call_of_the_main_thread() -> None:
    (event,) = Session().note(1.5, "PostToolUse", tool_name="Bash", tool_use_id="toolu_1", duration_ms=12.4, tool_response={})
    assert (event.event_id, event.operation, event.raw_name, event.agent_type) == ("tool:toolu_1", "tool_call", "main", "unmapped")
    assert (event.occurred_at, event.project, event.session_id) == (START + 1_500_000, "shop", "s1")
    assert (event.measures, event.categories) == ({"duration_ms": 12}, {"outcome": "success", "tool_name": "Bash"})
    assert event.known_at is None


def test_a_failed_call_has_its_class() -> None:
    session = Session()
    (event,) = session.note(1, "PostToolUseFailure", tool_name="Read", tool_use_id="t", error="File does not exist.")
    assert event.categories == {"outcome": "failure", "tool_name": "Read", "error_type": "not_found"}
    (event,) = session.note(2, "PostToolUseFailure", tool_name="Bash", tool_use_id="t2", error="x", is_interrupt=True)
    assert event.categories["error_type"] == "interrupted"
    (event,) = session.note(3, "PostToolUse", tool_name="Bash", tool_use_id="t3", tool_response={"interrupted": True})
    assert event.categories["outcome"] == "cancelled"


def test_old_versions_name_no_call() -> None:
    session = Session()
    first, second = (session.note(at, "PostToolUse", tool_name="Bash")[0] for at in (1, 2))
    assert first.event_id.startswith("hook:")
    assert first.event_id != second.event_id
    assert first.event_id == session.note(1, "PostToolUse", tool_name="Bash")[0].event_id


def test_a_subagent_in_the_foreground_counts_once_and_by_its_calls_result() -> None:
    session = Session()
    assert session.note(0, "SubagentStart", agent_id="a1", agent_type="reviewer") == []
    (inner,) = session.note(
        1, "PostToolUseFailure", agent_id="a1", agent_type="reviewer", tool_name="Bash", tool_use_id="t", error="Exit 1"
    )
    assert (inner.agent_type, inner.raw_name) == ("code-reviewer", "reviewer")
    assert session.stop(4) == []
    usage = {"input_tokens": 7, "output_tokens": 8}
    content = [{"type": "text", "text": REPORT}]
    call, invoked, work = session.note(
        4.1, "PostToolUse", **result(status="completed", totalDurationMs=3_900, totalToolUseCount=1, usage=usage, content=content)
    )
    assert [event.event_id for event in (call, invoked, work)] == ["tool:toolu_9", "invoke:toolu_9", "work:toolu_9"]
    assert (work.operation, work.agent_type, work.task_id) == ("review", "code-reviewer", "toolu_9")
    common = {"duration_ms": 3_900, "tool_calls": 1, "tool_errors": 1}
    assert invoked.measures == common
    assert work.measures == {**common, "issues_found": 3, "issues_critical": 1, "issues_major": 2}
    assert work.categories == {"outcome": "success", "verdict": "rejected"}
    assert session.reader.overdue(START + 3_600_000_000) == []


def test_a_subagent_in_the_background_ends_with_its_stop() -> None:
    session = Session()
    session.note(0, "SubagentStart", agent_id="a1", agent_type="reviewer")
    (launched,) = session.note(0.1, "PostToolUse", **result(isAsync=True, status="async_launched"))
    assert launched.event_id == "tool:toolu_9"
    (inner,) = session.note(1, "PostToolUse", agent_id="a1", agent_type="reviewer", tool_name="Bash", tool_use_id="t")
    assert inner.task_id == "toolu_9"
    invoked, work = session.stop(60)
    assert (invoked.event_id, work.event_id, work.occurred_at) == ("invoke:toolu_9", "work:toolu_9", START + 60_000_000)
    assert (work.measures["duration_ms"], work.measures["tool_calls"], work.measures["tool_errors"]) == (60_000, 1, 0)
    assert work.attributes["duration_from"] == "hooks"
    assert [event.event_id for event in session.stop(90)] == ["invoke:toolu_9", "work:toolu_9"]  # resumed: the same events, once in the log


def test_a_stop_whose_call_is_never_heard_waits_and_then_counts() -> None:
    session = Session()
    assert session.stop(10) == []
    assert session.reader.overdue(START + 10_000_000 + WAIT_US) == []
    (work,) = session.reader.overdue(START + 10_000_001 + WAIT_US)
    assert isinstance(work, AgentEvent)
    assert work.event_id == "work:agent:s1:a1"
    assert session.reader.overdue(START + 99_000_000) == []


def test_the_end_of_the_session_ends_the_waiting() -> None:
    session = Session()
    session.stop(10)
    assert [event.event_id for event in session.note(11, "SessionEnd", reason="exit")] == ["work:agent:s1:a1"]


def test_the_file_beside_a_subagents_transcript_names_its_call(tmp_path: Path) -> None:
    (tmp_path / "s1" / "subagents").mkdir(parents=True)
    (tmp_path / "s1" / "subagents" / "agent-a1.meta.json").write_text('{"agentType": "reviewer", "toolUseId": "toolu_9"}')
    session = Session(transcript=tmp_path / "s1.jsonl")
    session.stop(10)
    assert [event.event_id for event in session.note(11, "SessionEnd")] == ["invoke:toolu_9", "work:toolu_9"]


def test_a_call_that_never_worked_is_an_invocation_only() -> None:
    said = {
        "tool_name": "Agent",
        "tool_use_id": "toolu_9",
        "tool_input": {"subagent_type": "reviewr"},
        "error": "Agent type 'reviewr' not found",
    }
    call, invoked = Session().note(1, "PostToolUseFailure", **said)
    assert (call.categories["error_type"], invoked.event_id, invoked.categories) == (
        "unknown_tool",
        "invoke:toolu_9",
        {"outcome": "failure"},
    )


def test_a_session_keeps_the_project_that_it_began_in() -> None:
    session = Session(cwd="/home/ada/shop")
    session.note(1, "PostToolUse", tool_name="Bash", tool_use_id="t1")
    (event,) = session.note(2, "PostToolUse", tool_name="Bash", tool_use_id="t2", cwd="/home/ada/shop/backend")
    assert event.project == "shop"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["PostToolUse", "PostToolUseFailure", "SubagentStart", "SubagentStop", "SessionEnd"])
FIELDS = (
    "session_id",
    "cwd",
    "agent_id",
    "agent_type",
    "tool_name",
    "tool_use_id",
    "tool_response",
    "duration_ms",
    "error",
    "transcript_path",
)


@given(
    st.lists(st.tuples(NAMES | JSON, st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["Agent", "s", "a1"]))), max_size=5)
)
def test_no_note_stops_the_reader(notes: list[tuple[Any, dict[str, Any]]]) -> None:
    reader = HookReader(AgentNames.load(), {}, {})
    for hook, said in notes:
        reader.read(json.dumps({TIME: START * 1000, "hook_event_name": hook, **said}).encode())
    reader.overdue(START + 10 * WAIT_US)


def test_lines_that_are_no_notes_are_rejected() -> None:
    reader = HookReader(AgentNames.load(), {}, {})
    for line in (
        b'{"at_ns": 17',
        b"[1]",
        b'{"a": 1}',
        line_of(b"{torn", START * 1000),
        b'{"%s": 5, "hook_event_name": "Stop"}' % TIME.encode(),
    ):
        (rejection,) = reader.read(line)
        assert isinstance(rejection, Rejection)
