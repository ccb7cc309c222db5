"""Forks, whose files begin with a copy of their parent's, and subagents as their parents and their own rollouts tell of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.rollouts import at, call, exited, item, line, meta, output, read_files, tokens

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from detektor_pipelines.language.records import AgentEvent

Records = list[dict[str, Any]]

SPAWNED = {"subagent": {"thread_spawn": {"parent_thread_id": "p", "agent_role": "reviewer"}}}
REPORT = "**Verdict: REQUEST CHANGES**\n\n### Major\n\n1. It leaks."
HISTORY: Records = [
    line(1, "turn_context", turn_id="t1", model="m"),
    call(2, "p1", cmd="ls"),
    output(4, "p1", exited(1)),
    tokens(5, (1000, 0, 50), (1000, 0, 50)),
    call(6, "p2", cmd="ls"),
    output(7, "p2", exited(0)),
    tokens(8, (2000, 0, 90), (1000, 0, 40)),
]
OWN: Records = [
    call(60, "c1", cmd="git diff"),
    output(61, "c1", exited(0)),
    tokens(62, (2300, 0, 97), (300, 0, 7)),
    line(70, "event_msg", type="task_complete", last_agent_message=REPORT),
]


def fork(spread: float | None, **more: Any) -> Records:
    """A rollout forked at second 40: with the old instants, or stamped anew, one record every `spread` seconds."""
    copy = [meta("p", 40), *HISTORY]
    if spread is not None:
        copy = [record | {"timestamp": at(40 + number * spread)} for number, record in enumerate(copy)]
    return [meta("c", 40, source=SPAWNED, **more), *copy, *OWN]


def by_id(events: list[AgentEvent]) -> dict[str, AgentEvent]:
    found = {event.event_id: event for event in events}
    assert len(found) == len(events)
    return found


@pytest.mark.parametrize("spread", [None, 0, 0.02])
@pytest.mark.parametrize("order", ["parent first", "fork first", "alone"])
@pytest.mark.parametrize("named", [{"forked_from_id": "p"}, {}])
def test_a_fork_is_what_happened_after_it(spread: float | None, order: str, named: dict[str, str]) -> None:
    parent, child = [meta("p"), *HISTORY], fork(spread, **named)
    found = by_id(read_files(*{"parent first": (parent, child), "fork first": (child, parent), "alone": (child,)}[order]))
    own = {name: event for name, event in found.items() if event.session_id == "c"}
    assert own.keys() == {"tool:c1", "msg:c:2", "work:c"}
    assert own["work:c"].measures.items() >= {
        ("tool_calls", 1),
        ("tool_errors", 0),
        ("input_tokens", 300),
        ("output_tokens", 7),
        ("duration_ms", 30_000),
        ("issues_major", 1),
    }
    assert own["msg:c:2"].categories["model"] == "m"
    assert found.keys() - own.keys() == (set() if order == "alone" else {"tool:p1", "tool:p2", "msg:p:0", "msg:p:1"})


def test_a_copy_that_took_long_is_known_by_the_parents_calls() -> None:
    found = by_id(read_files([meta("p"), *HISTORY], fork(1.5, forked_from_id="p")))
    assert {name for name, event in found.items() if event.session_id == "c"} == {"tool:c1", "msg:c:2", "work:c"}


def test_a_fork_that_refers_to_its_parent_copies_nothing() -> None:
    own = [meta("c", 40, forked_from_id="p", history_base={"thread_id": "p"}), call(40, "c1", cmd="ls"), output(40, "c1", exited(0))]
    assert by_id(read_files(own)).keys() == {"tool:c1"}


def test_children_that_a_parent_repeats_are_not_taken_for_copies_in_their_own_files() -> None:
    parent = [meta("p"), *HISTORY, item(61, "CommandExecution", thread="c", id="c1", status="completed", exit_code=0)]
    assert "tool:c1" in by_id(read_files(parent, fork(0, forked_from_id="p")))


# Subagents ------------------------------------------------------------------------------------------------------------------


def spawn(seconds: float, call_id: str, **arguments: Any) -> dict[str, Any]:
    return call(seconds, call_id, "spawn_agent", **({"message": "Look at the branch"} | arguments))


def status(seconds: float, call_id: str, thread: str, said: Any) -> Records:
    return [
        call(seconds - 1, call_id, "wait_agent", targets=[thread]),
        line(seconds, "event_msg", type="collab_waiting_end", call_id=call_id, agent_statuses=[{"thread_id": thread, "status": said}]),
        output(seconds, call_id, json.dumps({"status": {thread: said}, "timed_out": False})),
    ]


EVENTS: Records = [
    meta("p"),
    spawn(2, "s1", agent_type="reviewer"),
    line(3, "event_msg", type="collab_agent_spawn_end", call_id="s1", new_thread_id="c", new_agent_role="reviewer", model="m"),
    output(3, "s1", json.dumps({"agent_id": "c", "nickname": "Bo"})),
    *status(50, "w1", "c", {"completed": REPORT}),
]
ITEMS: Records = [
    meta("p"),
    spawn(2, "s1", task_name="reviewer"),
    item(3, "SubAgentActivity", thread="p", id="x", kind="started", agent_thread_id="c", agent_path="/root/reviewer"),
    output(3, "s1", json.dumps({"task_name": "/root/reviewer"})),
    *status(50, "w1", "c", {"completed": REPORT}),
]
CHILD: Records = [
    meta("c", 4, source={"subagent": {"thread_spawn": {"agent_path": "/root/reviewer"}}}),
    call(5, "c1", cmd="git diff"),
    output(6, "c1", exited(0)),
    line(49, "event_msg", type="task_complete", last_agent_message=REPORT),
]


@pytest.mark.parametrize("parent", [EVENTS, ITEMS], ids=["events", "items"])
def test_a_subagent_is_an_invocation_and_without_its_rollout_what_its_parent_tells(parent: Records) -> None:
    found = by_id(read_files(parent))
    invoked = found["invoke:s1"]
    assert (invoked.agent_type, invoked.raw_name, invoked.task_id, invoked.categories["outcome"]) == (
        "code-reviewer",
        "reviewer",
        "c",
        "success",
    )
    assert (invoked.occurred_at, invoked.measures) == (parse_instant(at(50)), {"duration_ms": 47_000})
    work = found["work:c"]
    assert (work.operation, work.session_id, work.categories["verdict"], work.measures["issues_major"]) == ("review", "c", "rejected", 1)
    assert work.attributes["status"] == "told"
    assert {found[f"tool:{name}"].categories["outcome"] for name in ("s1", "w1")} == {"success"}


@pytest.mark.parametrize("order", [(EVENTS, CHILD), (CHILD, ITEMS)])
def test_with_its_rollout_its_work_is_its_own(order: tuple[Records, Records]) -> None:
    work = by_id(read_files(*order))["work:c"]
    assert (work.raw_name, work.measures["tool_calls"], work.attributes["duration_from"]) == ("reviewer", 1, "own_records")
    assert "status" not in work.attributes


@pytest.mark.parametrize(
    ("said", "outcome"),
    [({"errored": "no model"}, "failure"), ("shutdown", "cancelled"), ({"completed": None}, "success"), ("running", None)],
)
def test_an_invocation_ends_as_its_parent_was_told(said: Any, outcome: str | None) -> None:
    found = by_id(read_files([*EVENTS[:4], *status(50, "w1", "c", said)]))
    assert found["invoke:s1"].categories.get("outcome") == outcome
    assert found["invoke:s1"].attributes["status"] == {"failure": "failed", "cancelled": "cancelled", "success": "completed"}.get(
        str(outcome), "launched"
    )
    assert ("work:c" in found) == (outcome == "success")


def test_what_a_subagent_states_itself_wins() -> None:
    text = "Looks fine, LGTM.\n\n```detektor-outcome\nverdict: rejected\nissues_found: 4\n```"
    found = by_id(read_files([*CHILD[:-1], line(49, "event_msg", type="task_complete", last_agent_message=text)]))
    assert (found["work:c"].categories["verdict"], found["work:c"].measures["issues_found"]) == ("rejected", 4)


def test_a_review_of_codex_itself_is_judged_by_its_object() -> None:
    said = {"findings": [{"title": "Leaks", "priority": 1}, {"title": "Nit", "priority": 3}], "overall_correctness": "patch is incorrect"}
    records = [
        meta("r", source={"subagent": "review"}),
        call(2, "c1", cmd="git diff"),
        output(3, "c1", exited(0)),
        line(9, "event_msg", type="task_complete", last_agent_message=json.dumps(said)),
    ]
    work = by_id(read_files(records))["work:r"]
    assert (work.agent_type, work.categories["verdict"], work.attributes["evidence"]) == ("code-reviewer", "rejected", "patch is incorrect")
    assert [work.measures[f"issues_{name}"] for name in ("found", "critical", "major", "minor")] == [2, 0, 1, 1]


def test_the_first_that_tells_of_an_end_has_its_instant() -> None:
    found = by_id(read_files([*EVENTS, *status(55, "w2", "c", {"completed": REPORT})]))
    assert found["invoke:s1"].occurred_at == parse_instant(at(50))


def test_an_agent_that_never_started_was_not_invoked() -> None:
    found = by_id(read_files([meta("p"), spawn(2, "s1"), output(3, "s1", "collab spawn failed: agent thread limit reached")]))
    assert found.keys() == {"tool:s1"}


def test_a_name_that_says_nothing_is_judged_by_what_was_asked_for() -> None:
    asked = "Review the changes on this branch for correctness and report issues by severity."
    parent = [meta("p"), spawn(2, "s1", agent_type="default", message=asked), output(3, "s1", json.dumps({"agent_id": "c"}))]
    child = [
        meta("c", 4, source={"subagent": {"thread_spawn": {"agent_role": "default"}}}),
        line(4, "event_msg", type="user_message", message=asked),
        *CHILD[1:],
    ]
    found = by_id(read_files(parent, child))
    assert {(found[name].agent_type, found[name].derived) for name in ("invoke:s1", "work:c", "tool:c1")} == {("code-reviewer", True)}
