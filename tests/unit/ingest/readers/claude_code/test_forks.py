"""One event in several sessions, ids that count anew in each, and what is read before it is over."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

FORK = "99999999-2222-4333-8444-555555555555"


def forked(transcript: Any, cut: int | None = None, session: str = FORK) -> Any:
    """The same records again under another session's id."""
    fork = copy.deepcopy(transcript)
    fork.session, fork.records = session, [record | {"sessionId": session} for record in fork.records[:cut]]
    return fork


@pytest.mark.parametrize("names", [("1.jsonl", "2.jsonl"), ("2.jsonl", "1.jsonl")])
def test_a_forks_copies_are_the_first_sessions_and_its_own_records_are_its_own(
    transcript: Any, shapes: Any, read: Callable[..., Any], names: tuple[str, str]
) -> None:
    transcript.call(1, "toolu_1", "Read")
    transcript.result(2, "toolu_1")
    fork = forked(transcript)
    fork.call(9, "toolu_2", "Read")
    found = read(dict(zip(names, (transcript, fork), strict=True)))
    sessions = {event.event_id: event.session_id for event in found.events}
    copied, own = ("tool:toolu_1", "msg:msg_toolu_1"), ("tool:toolu_2", "msg:msg_toolu_2")
    assert sessions == dict.fromkeys(copied, transcript.session) | dict.fromkeys(own, FORK)


def test_a_call_belongs_to_the_session_that_saw_it_end(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    fork = forked(transcript, session="00000000-2222-4333-8444-555555555555")
    assert read({"a.jsonl": transcript, "b.jsonl": fork}).one("tool:toolu_1").session_id == fork.session
    transcript.result(5, "toolu_1")
    assert read({"a.jsonl": transcript, "b.jsonl": fork}).one("tool:toolu_1").session_id == transcript.session


def test_a_branch_says_itself_whose_records_it_begins_with(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    branch = forked(transcript)
    branch.records[0]["forkedFrom"] = {"sessionId": "original", "messageUuid": "u"}
    branch.call(9, "toolu_2", "Read")
    found = read(branch)
    assert {event.event_id: event.session_id for event in found.of("tool_call")} == {"tool:toolu_1": "original", "tool:toolu_2": FORK}


def test_a_fork_goes_on_counting_the_rounds_that_it_copied(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_1", "reviewer", "Look at the lander")
    transcript.finished(9, "toolu_1", "**Verdict: REQUEST CHANGES**")
    fork = forked(transcript)
    fork.subagent(20, "toolu_2", "reviewer", "Look at the lander again")
    fork.finished(29, "toolu_2", "**Verdict: APPROVE**", agent_id="b2")
    for given in ({"b.jsonl": fork}, {"a.jsonl": transcript, "b.jsonl": fork}):
        found = read(given)
        assert [found.one(f"work:toolu_{number}").measures["review_round"] for number in (1, 2)] == [1, 2]


def test_the_end_of_a_background_run_that_only_the_fork_was_told_of(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_1", "reviewer")
    transcript.result(2, "toolu_1", details={"isAsync": True, "status": "async_launched", "agentId": "a1", "prompt": "p"})
    fork = forked(transcript)
    fork.notification(30, "<task-notification><task-id>a1</task-id><status>completed</status><result>LGTM</result></task-notification>")
    event = read({"a.jsonl": transcript, "b.jsonl": fork}).one("invoke:toolu_1")
    assert (event.attributes["status"], event.session_id) == ("completed", FORK)


# Ids that count anew --------------------------------------------------------------------------------------------------------


def reviewed(shapes: Any, session: str, start: int, verdict: str) -> Any:
    made = shapes.Transcript(session=session, prefix=session)
    made.call(start, "functions.Bash:0", "Bash", "chatcmpl-0", command="pytest -q")
    made.result(start + 1, "functions.Bash:0", details={"stdout": "1 passed", "stderr": "", "interrupted": False})
    made.answer(
        start + 2, "chatcmpl-1", shapes.tool_use("functions.Agent:1", "Agent", subagent_type="reviewer", description="d", prompt="p")
    )
    made.finished(start + 9, "functions.Agent:1", f"**Verdict: {verdict}**", agent_id=f"a{start}")
    return made


def test_sessions_of_a_provider_that_counts_anew_keep_their_reviews(shapes: Any, read: Callable[..., Any]) -> None:
    sessions = [reviewed(shapes, f"s{start}", start, verdict) for start, verdict in ((0, "APPROVE"), (20, "REJECTED"), (40, "REJECTED"))]
    found = read({f"{made.session}.jsonl": made for made in sessions})
    assert [(event.session_id, event.categories["verdict"]) for event in found.of("review")] == [
        ("s0", "approved"),
        ("s20", "rejected"),
        ("s40", "rejected"),
    ]
    kinds = ("tool_call", "chat", "invoke_agent", "test_run")
    assert [len(found.of(kind)) for kind in kinds] == [6, 6, 3, 3]
    alone = read({"x.jsonl": sessions[1]})
    assert {event.event_id for event in alone.events} == {event.event_id for event in found.events if event.session_id == "s20"}
    assert found.one(f"tool:functions.Bash:0@{parse_instant(shapes.at(20))}").occurred_at == parse_instant(shapes.at(21))


def test_a_fork_of_such_a_session_is_still_no_second_one(shapes: Any, read: Callable[..., Any]) -> None:
    made = reviewed(shapes, "s0", 0, "APPROVE")
    both = read({"a.jsonl": made, "b.jsonl": forked(made)})
    assert [event.event_id for event in both.events] == [event.event_id for event in read({"a.jsonl": made}).events]


def test_a_subagents_thread_counts_for_itself(shapes: Any, read: Callable[..., Any]) -> None:
    main, own = shapes.Transcript(), shapes.Transcript(agent_id="a1b2c3d", prefix="w")
    for made, start in ((main, 1), (own, 5)):
        made.call(start, "functions.Read:0", "Read", "chatcmpl-0")
    own.result(6, "functions.Read:0")
    main.result(9, "functions.Read:0", error=True)
    found = read({"a/s.jsonl": main, "a/agent-a1b2c3d.jsonl": own})
    assert sorted(event.categories["outcome"] for event in found.of("tool_call")) == ["failure", "success"]
    assert len(found.of("chat")) == 2


def test_several_lines_of_such_an_answer_are_one(shapes: Any, transcript: Any, read: Callable[..., Any]) -> None:
    transcript.answer(1, "chatcmpl-0", shapes.text("a"), output=1)
    transcript.answer(3, "chatcmpl-0", shapes.text("b"), output=9)
    (chat,) = read(transcript).of("chat")
    assert (chat.event_id, chat.measures["output_tokens"]) == (f"msg:chatcmpl-0@{parse_instant(shapes.at(1))}", 9)


@pytest.mark.parametrize("name", ["toolu_01AbC", "toolu_1", "call_9f3", "call_0", "gen-1718-AbCd", "chatcmpl-9aKx", "3f2c8e1a-0b7d"])
def test_other_ids_stay_as_they_are(transcript: Any, read: Callable[..., Any], name: str) -> None:
    transcript.call(1, name, "Read")
    assert read(transcript).one(f"tool:{name}").session_id == transcript.session


# Under way ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["git push", "pytest -q", "npm test 2>&1 | tail -3"])
def test_what_is_derived_of_an_open_call_is_marked_open_too(transcript: Any, read: Callable[..., Any], command: str) -> None:
    transcript.call(1, "toolu_1", "Bash", command=command)
    (derived,) = [event for event in read(transcript).events if event.derived]
    assert derived.attributes == {"status": "open"}
    transcript.result(40, "toolu_1", details={"stdout": "x", "stderr": "", "interrupted": False})
    (derived,) = [event for event in read(transcript).events if event.derived]
    assert (derived.attributes, derived.occurred_at) == ({}, derived.known_at)


@pytest.mark.parametrize("directory", [".claude", ".codex", ".cursor"])
def test_a_document_in_a_worktree_of_the_agents_program_is_the_repositorys(
    transcript: Any, read: Callable[..., Any], directory: str
) -> None:
    transcript.cwd = f"/home/ada/rover/{directory}/worktrees/calm-otter"
    path = f"{transcript.cwd}/docs/guide.md"
    transcript.call(1, "toolu_1", "Write", file_path=path, content="a\n")
    transcript.result(2, "toolu_1", details={"type": "create", "filePath": path, "content": "a\n", "structuredPatch": []})
    event = read(transcript).one("document:toolu_1")
    assert (event.categories["doc_kind"], event.measures["lines_added"], event.project) == ("guide", 1, "rover")


def test_a_note_that_the_agents_program_keeps_is_still_none(transcript: Any, read: Callable[..., Any]) -> None:
    path = "/home/ada/rover/.claude/agents/x.md"
    transcript.call(1, "toolu_1", "Write", file_path=path, content="a\n")
    transcript.result(2, "toolu_1", details={"type": "create", "filePath": path, "content": "a\n", "structuredPatch": []})
    assert read(transcript).of("document") == []
