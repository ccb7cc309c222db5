"""What a subagent with a name that says nothing was called for decides whose its work is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.readers.names import AgentNames

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("name", "description", "whose"),
    [
        ("general-purpose", "Security review of the invoice branch", ("code-reviewer", "review")),
        ("Explore", "Readability review", ("code-reviewer", "review")),
        ("general-purpose", "Implement invoice numbering", ("detektor-coder", "implement")),
        ("general-purpose", "Find root cause of the nightly crash", ("debugger", "diagnose")),
        ("fork", "Update README for the new flags", ("documentation-keeper", "document")),
    ],
)
def test_its_work_is_that_agents_and_marked_derived(
    transcript: Any, read: Callable[..., Any], name: str, description: str, whose: tuple[str, str]
) -> None:
    transcript.subagent(1, "toolu_t", name, description)
    transcript.finished(90, "toolu_t", "Done.")
    reading = read(transcript)
    work = reading.one("work:toolu_t")
    assert (work.agent_type, work.operation, work.derived) == (*whose, True)
    (invocation,) = reading.of("invoke_agent")
    assert (invocation.agent_type, invocation.raw_name, invocation.derived) == (whose[0], name, True)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("general-purpose", "Verify: the total is off by one"),
        ("general-purpose", "Something else entirely"),
        ("Explore", "Implement invoice numbering"),
        ("statusline-setup", "Security review of the branch"),
    ],
)
def test_where_the_call_does_not_tell_there_is_no_work_of_one_of_the_eight(
    transcript: Any, read: Callable[..., Any], name: str, description: str
) -> None:
    transcript.subagent(1, "toolu_t", name, description)
    transcript.finished(90, "toolu_t", "Done.")
    reading = read(transcript)
    assert [event for event in reading.events if event.event_id.startswith("work:")] == []
    (invocation,) = reading.of("invoke_agent")
    assert (invocation.agent_type, invocation.derived) == ("unmapped", False)


def test_an_agent_known_by_its_name_is_asked_nothing(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "dev", "Security review of the branch")
    transcript.finished(90, "toolu_t", "Done.")
    work = read(transcript).one("work:toolu_t")
    assert (work.agent_type, work.derived) == ("detektor-coder", False)


def test_what_such_an_agent_does_within_its_run_is_the_same_agents(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "general-purpose", "Fix the flaky clock test")
    inner = shapes.tool_use("toolu_i", "Bash", command="pytest")
    transcript.progress(2, "toolu_t", "assistant", shapes.answer("msg_i", inner))
    transcript.progress(3, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result("toolu_i")]})
    reading = read(transcript)
    call = reading.one("tool:toolu_i")
    assert (call.agent_type, call.raw_name, call.derived) == ("detektor-coder", "general-purpose", True)
    (run,) = reading.of("test_run")
    assert (run.agent_type, run.raw_name) == ("detektor-coder", "general-purpose")


def test_the_main_session_is_an_agent_that_a_table_can_map(transcript: Any, read: Callable[..., Any], tmp_path: Any) -> None:
    transcript.call(1, "toolu_1", "Bash", command="ls")
    assert read(transcript).one("tool:toolu_1").agent_type == "unmapped"
    (tmp_path / "agents.toml").write_text('[agents]\nmain = "detektor-coder"\n')
    names = AgentNames.load(tmp_path / "agents.toml")
    mapped = read(transcript, names=names).one("tool:toolu_1")
    assert (mapped.agent_type, mapped.raw_name, mapped.derived) == ("detektor-coder", "main", False)


def test_the_outcome_that_its_report_states_itself_is_read(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "code-reviewer")
    transcript.finished(90, "toolu_t", "**Verdict: APPROVE**\n\n```detektor-outcome\nverdict: rejected\nissues_found: 2\n```\n")
    work = read(transcript).one("work:toolu_t")
    assert (work.categories["verdict"], work.measures["issues_found"], work.attributes["stated"]) == ("rejected", 2, True)
