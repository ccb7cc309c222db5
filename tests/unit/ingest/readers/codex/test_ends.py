"""How commands, patches and other calls ended: what the log states wins over the text, and what goes on is joined with its end."""

from __future__ import annotations

from typing import Any

import pytest
from support.rollouts import at, call, exited, item, line, meta, one, output, read, tokens

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import AgentEvent

SUMMARY = "==== 2 failed, 7 passed in 31.00s ===="
DURATION = {"secs": 8, "nanos": 499_600_000}


def running(process: int | str, wall: str = "1.0", text: str = "") -> str:
    return f"Chunk ID: c\nWall time: {wall} seconds\nProcess running with session ID {process}\nOutput:\n{text}"


def ended(seconds: float, call_id: str, code: int | None, text: str = "", **more: Any) -> dict[str, Any]:
    said = {"command": ["/bin/bash", "-lc", "pytest"], "aggregated_output": text, "exit_code": code, "duration": DURATION} | more
    return line(seconds, "event_msg", type="exec_command_end", call_id=call_id, **said)


def said_of(event: AgentEvent) -> tuple[Any, ...]:
    return (event.categories.get("outcome"), event.categories.get("error_type"), event.measures.get("duration_ms"), event.occurred_at)


def test_a_stated_end_wins_over_what_the_tool_answered() -> None:
    found = read(meta(), call(1, "c1", cmd="pytest"), output(2, "c1", running(9)), ended(10, "c1", 2, SUMMARY))
    assert said_of(one(found, "tool:c1")) == ("failure", "exit_code", 8_500, parse_instant(at(10)))
    tests = one(found, "test:c1")
    assert (tests.categories["outcome"], tests.measures["tests_failed"], tests.attributes) == ("failure", 2, {})


def test_a_push_fails_by_its_stated_end() -> None:
    found = read(meta(), call(1, "c1", cmd="git push"), output(2, "c1", running(9)), ended(10, "c1", 128, "fatal: no"))
    push = one(found, "deploy:c1")
    assert (push.categories["outcome"], push.measures) == ("failure", {"duration_ms": 8_500})


def test_a_stated_end_before_the_answer_leaves_the_answers_instant() -> None:
    found = read(meta(), call(1, "c1", cmd="ls"), ended(2, "c1", 0), output(3, "c1", exited(1)))
    assert said_of(one(found, "tool:c1")) == ("success", None, 8_500, parse_instant(at(3)))


def test_as_long_as_the_answer_is_not_there_the_call_is_open() -> None:
    event = one(read(meta(), call(1, "c1", cmd="pytest"), ended(2, "c1", 0)), "test:c1")
    assert event.attributes == {"status": "open"}


def test_a_declined_command_was_cancelled_and_what_the_user_ran_is_nobodys_call() -> None:
    found = read(meta(), call(1, "c1", cmd="ls"), ended(2, "c1", None, status="declined"), ended(3, "u1", 0, source="user_shell"))
    assert said_of(one(found, "tool:c1"))[:2] == ("cancelled", "rejected_by_user")
    assert len(found) == 1


def test_a_command_that_goes_on_ends_with_the_wait_that_saw_it_end() -> None:
    found = read(
        meta(),
        call(1, "c1", cmd="pytest"),
        output(3, "c1", running(41)),
        call(5, "w1", "write_stdin", session_id=41, chars=""),
        output(15, "w1", running(41, "10.0", "..F\n")),
        call(20, "w2", "write_stdin", session_id=41, chars=""),
        output(31, "w2", exited(1, SUMMARY, wall="11.0")),
    )
    assert said_of(one(found, "tool:c1")) == ("failure", "exit_code", 30_000, parse_instant(at(31)))
    tests = one(found, "test:c1")
    assert (tests.occurred_at, tests.measures) == (
        parse_instant(at(31)),
        {"duration_ms": 30_000, "tests_passed": 7, "tests_failed": 2},
    )
    assert said_of(one(found, "tool:w1"))[:3] == ("success", None, 10_000)
    assert said_of(one(found, "tool:w2"))[:3] == ("success", None, 11_000)


def test_a_command_whose_end_nobody_saw_stays_open() -> None:
    found = read(meta(), call(1, "c1", cmd="pytest"), output(3, "c1", running(41)))
    for name in ("tool:c1", "test:c1"):
        event = one(found, name)
        assert (event.occurred_at, event.attributes, event.measures) == (parse_instant(at(1)), {"status": "open"}, {})
        assert "outcome" not in event.categories


def test_two_commands_that_go_on_are_told_apart() -> None:
    found = read(
        meta(),
        *(record for n in (1, 2) for record in (call(n, f"c{n}", cmd="make"), output(n, f"c{n}", running(n)))),
        call(5, "w", "write_stdin", session_id=1, chars="q"),
        output(6, "w", exited(3)),
    )
    assert said_of(one(found, "tool:c1"))[0] == "failure"
    assert one(found, "tool:c2").attributes == {"status": "open"}


@pytest.mark.parametrize(
    ("tool", "text", "error_type"),
    [
        ("apply_patch", "apply_patch verification failed: Failed to find expected lines in a.py:\nx", "edit_mismatch"),
        ("write_stdin", "write_stdin failed: Unknown process id 5", "other"),
        ("spawn_agent", "collab spawn failed: too many", "other"),
        ("exec_command", "failed to parse function arguments: missing field `cmd`", "other"),
        ("magic", "unsupported call: magic", "other"),
    ],
)
def test_an_error_of_the_tool_itself_is_a_failure_without_an_exit_code(tool: str, text: str, error_type: str) -> None:
    found = read(meta(), call(1, "c1", tool), output(2, "c1", text))
    assert said_of(one(found, "tool:c1"))[:2] == ("failure", error_type)


def test_what_a_program_prints_is_no_error_of_the_tool() -> None:
    found = read(meta(), call(1, "c1", cmd="x"), output(2, "c1", exited(0, "deploy failed: no")))
    assert said_of(one(found, "tool:c1"))[0] == "success"


def test_a_tool_that_always_says_when_it_fails_succeeded() -> None:
    found = read(meta(), call(1, "c1", "update_plan"), output(2, "c1", "Plan updated"), call(3, "c2", "whatever"), output(4, "c2", "fine"))
    assert said_of(one(found, "tool:c1"))[0] == "success"
    assert said_of(one(found, "tool:c2"))[0] is None


# Patches --------------------------------------------------------------------------------------------------------------------

PATCH = "*** Begin Patch\n*** Update File: docs/a.md\n@@\n-x\n+y\n+z\n*** Add File: src/b.py\n+1\n*** Delete File: c.md\n*** End Patch\n"


def patch(seconds: float, call_id: str, text: str = PATCH) -> dict[str, Any]:
    return line(seconds, "response_item", type="custom_tool_call", name="apply_patch", call_id=call_id, input=text)


def done(seconds: float, call_id: str, text: str = "Exit code: 0\nWall time: 0.1 seconds\nOutput:\nSuccess.") -> dict[str, Any]:
    return line(seconds, "response_item", type="custom_tool_call_output", call_id=call_id, output=text)


def test_a_patch_of_documents_is_documentation_work_with_the_lines_that_its_end_states() -> None:
    changes = {
        "/home/ada/rover/docs/a.md": {"type": "update", "unified_diff": "@@ -1 +1,3 @@\n-x\n+y\n+z\n+w\n", "move_path": None},
        "/home/ada/rover/docs/new.md": {"type": "add", "content": "# N\none\n"},
        "/home/ada/rover/src/b.py": {"type": "add", "content": "1\n"},
        "/home/ada/rover/old.md": {"type": "delete", "content": "gone\n"},
    }
    found = read(
        meta(), patch(1, "p1"), line(2, "event_msg", type="patch_apply_end", call_id="p1", success=True, changes=changes), done(2, "p1")
    )
    document = one(found, "document:p1")
    assert document.measures == {"docs_updated": 2, "lines_added": 5, "lines_removed": 1}
    assert (document.agent_type, document.categories, document.derived) == (
        "documentation-keeper",
        {"outcome": "success", "doc_kind": "guide"},
        True,
    )


def test_without_such_an_end_the_patch_itself_is_counted() -> None:
    document = one(read(meta(), patch(1, "p1"), done(2, "p1")), "document:p1")
    assert document.measures == {"docs_updated": 1, "lines_added": 2, "lines_removed": 1}


def test_documents_of_two_kinds_have_none_and_a_cut_patch_no_lines() -> None:
    text = "*** Begin Patch\n*** Update File: README.md\n+x…[+90 chars]…\n*** Update File: docs/b.md\n+y\n*** End Patch\n"
    document = one(read(meta(), patch(1, "p1", text), done(2, "p1")), "document:p1")
    assert (document.measures, document.categories) == ({"docs_updated": 2}, {"outcome": "success"})


def test_a_patch_that_failed_or_is_another_agents_changed_no_document() -> None:
    failed = read(meta(), patch(1, "p1"), line(2, "event_msg", type="patch_apply_end", call_id="p1", success=False), done(2, "p1", "no"))
    subagent = read(meta(source={"subagent": "review"}), patch(1, "p1"), done(2, "p1"))
    assert [event.event_id for event in (*failed, *subagent) if isinstance(event, AgentEvent)] == ["tool:p1", "tool:p1"]


def test_a_document_in_a_worktree_that_the_agents_program_keeps_is_one() -> None:
    text = "*** Begin Patch\n*** Add File: /home/ada/.codex/worktrees/1f/rover/docs/a.md\n+x\n*** End Patch\n"
    assert one(read(meta(), patch(1, "p1", text), done(2, "p1")), "document:p1").categories["doc_kind"] == "guide"


# Other tools ----------------------------------------------------------------------------------------------------------------


def test_searches_are_calls_by_whichever_record_has_their_id() -> None:
    found = read(
        meta(),
        line(1, "event_msg", type="web_search_end", call_id="ws_a", query="x"),
        line(1.1, "response_item", type="web_search_call", status="completed"),
        line(2, "response_item", type="web_search_call", id="ws_b", status="failed"),
        item(3, "WebSearch", id="ws_c", query="x"),
        line(4, "response_item", type="tool_search_call", call_id="t1", status="completed", arguments={}),
        line(5, "response_item", type="tool_search_output", call_id="t1", status="completed", tools=[]),
    )
    names = {event.event_id: event.categories["outcome"] for event in found if isinstance(event, AgentEvent)}
    assert names == {"tool:ws_a": "success", "tool:ws_b": "failure", "tool:ws_c": "success", "tool:t1": "success"}
    assert one(found, "tool:t1").categories["tool_name"] == "tool_search"


def test_searches_without_any_id_are_counted_by_their_place() -> None:
    search = line(1, "response_item", type="web_search_call", status="completed")
    assert [event.event_id for event in read(meta(), search, search) if isinstance(event, AgentEvent)] == [
        "tool:s1:search:0",
        "tool:s1:search:1",
    ]


@pytest.mark.parametrize(
    ("result", "outcome"), [({"Ok": {"content": []}}, "success"), ({"Ok": {"isError": True}}, "failure"), ({"Err": "no"}, "failure")]
)
def test_a_call_of_an_mcp_server_ends_as_its_end_says(result: Any, outcome: str) -> None:
    end = line(
        3, "event_msg", type="mcp_tool_call_end", call_id="m", invocation={"server": "s", "tool": "t"}, duration=DURATION, result=result
    )
    found = read(meta(), call(1, "m", "_t"), end, output(4, "m", "Wall time: 1.5 seconds\nOutput:\n{}"))
    assert said_of(one(found, "tool:m"))[::2] == (outcome, 8_500)
    alone = one(read(meta(), end), "tool:m")
    assert (alone.categories["tool_name"], alone.occurred_at) == ("s.t", parse_instant(at(3)))


def test_items_tell_of_commands_and_patches_alike() -> None:
    found = read(
        meta(),
        call(1, "c1", cmd="npm test"),
        output(2, "c1", running(7)),
        item(9, "CommandExecution", id="c1", status="failed", aggregated_output="x", exit_code=1, duration=DURATION),
        item(10, "CommandExecution", id="inner", command=["bash", "-lc", "ls"], status="completed", exit_code=0, duration=DURATION),
        patch(11, "p1"),
        item(12, "FileChange", id="p1", status="completed", changes={"docs/x.md": {"type": "add", "content": "a\nb\nc\n"}}),
        done(13, "p1"),
        item(14, "McpToolCall", id="m1", server="s", tool="t", status="failed", error={"message": "no"}),
        item(15, "CommandExecution", thread="child", id="theirs", command=["ls"], status="completed", exit_code=0, duration=DURATION),
        item(16, "Reasoning", id="r"),
    )
    assert said_of(one(found, "tool:c1"))[:3] == ("failure", "exit_code", 8_500)
    assert one(found, "document:p1").measures["lines_added"] == 3
    assert one(found, "tool:inner").categories == {"outcome": "success", "tool_name": "exec_command"}
    assert one(found, "tool:m1").categories["outcome"] == "failure"
    assert not [event for event in found if isinstance(event, AgentEvent) and "theirs" in event.event_id]


# Answers --------------------------------------------------------------------------------------------------------------------


def usage(seconds: float, response: str, used: tuple[int, int, int], thread: str = "s1") -> dict[str, Any]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    return line(seconds, "token_usage_record", thread_id=thread, response_id=response, usage=dict(zip(names, used, strict=True)))


def test_an_answer_with_a_record_of_its_own_is_one_by_its_id() -> None:
    found = read(
        meta(),
        tokens(1, (10, 0, 1), (10, 0, 1)),
        usage(2, "resp_a", (100, 40, 5)),
        tokens(3, (110, 40, 6), (100, 40, 5)),
        usage(4, "resp_b", (7, 0, 2)),
        usage(4, "resp_other", (70, 0, 20), thread="child"),
        tokens(5, (117, 40, 8), (7, 0, 2)),
    )
    assert {event.event_id: event.measures["output_tokens"] for event in found if isinstance(event, AgentEvent)} == {
        "msg:s1:0": 1,
        "msg:resp_a": 5,
        "msg:resp_b": 2,
    }
    assert one(found, "msg:resp_a").measures["input_tokens"] == 60


def test_the_record_after_the_running_count_is_still_one_answer() -> None:
    found = read(meta(), tokens(1, (10, 0, 1), (10, 0, 1)), usage(2, "resp_a", (10, 0, 1)))
    assert [event.event_id for event in found if isinstance(event, AgentEvent)] == ["msg:resp_a"]


def test_a_kind_that_nobody_knows_is_named() -> None:
    stats = ReadStats()
    read(meta(), line(1, "event_msg", type="hologram"), item(2, "Hologram", id="h"), line(3, "response_item", type="message"), stats=stats)
    assert stats.strange == {"event_msg/hologram": 1, "event_msg/item_completed/Hologram": 1}


def test_a_remote_that_names_nothing_leaves_the_directory() -> None:
    (event,) = read(meta(git={"repository_url": "https://h.invalid/..git"}), call(1, "c1", cmd="ls"))
    assert isinstance(event, AgentEvent)
    assert event.project == "rover"


def test_ids_that_count_anew_are_told_apart_by_their_instant() -> None:
    first = read(meta("s1"), call(1, "functions.shell:0", cmd="ls"), output(2, "functions.shell:0", exited(0)))
    second = read(meta("s2"), call(3, "functions.shell:0", cmd="ls"), output(4, "functions.shell:0", exited(1)))
    (one_call,), (other,) = first, second
    assert isinstance(one_call, AgentEvent)
    assert isinstance(other, AgentEvent)
    assert one_call.event_id == f"tool:functions.shell:0@{parse_instant(at(1))}"
    assert other.event_id != one_call.event_id
    assert other.categories["outcome"] == "failure"
