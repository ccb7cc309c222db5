from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable


APPROVAL = "I looked at all of it.\n\n**Verdict: APPROVE**\n\nNo Critical Issues\n"

NOTIFICATION = """<task-notification>
<task-id>{agent}</task-id>
<tool-use-id>{call}</tool-use-id>
<status>{status}</status>
<summary>Agent "a task" finished</summary>
<result>{text}</result>
<usage><subagent_tokens>4000</subagent_tokens><tool_uses>9</tool_uses><duration_ms>52000</duration_ms></usage>
</task-notification>"""

LAUNCHED = {"isAsync": True, "status": "async_launched", "agentId": "a1b2c3d", "description": "a task", "prompt": "Do it."}


def test_a_foreground_run_is_a_call_an_invocation_and_the_agents_own_work(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "superpowers:code-reviewer")
    transcript.finished(90, "toolu_t", APPROVAL)
    reading = read(transcript)
    invocation, review = reading.one("invoke:toolu_t"), reading.one("work:toolu_t")
    assert (invocation.operation, review.operation) == ("invoke_agent", "review")
    assert invocation.agent_type == review.agent_type == "code-reviewer"
    assert invocation.raw_name == review.raw_name == "superpowers:code-reviewer"
    assert invocation.task_id == review.task_id == "toolu_t"
    assert invocation.attributes["status"] == "completed"
    assert invocation.attributes["background"] is False
    assert review.occurred_at == parse_instant(shapes.at(90))
    assert review.categories == {"outcome": "success", "verdict": "approved"}
    assert review.measures["duration_ms"] == 60_000
    assert review.measures["issues_critical"] == 0
    assert review.measures["review_round"] == 1
    assert review.attributes["evidence"] == "**Verdict: APPROVE**"
    assert review.derived is False


def test_the_usage_of_the_result_is_not_the_runs(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.finished(90, "toolu_t", APPROVAL)
    work = read(transcript).one("work:toolu_t")
    assert not {"input_tokens", "output_tokens"} & work.measures.keys(), "it is that of the last request"


def test_tokens_of_all_messages_count_when_each_was_logged_in_its_final_form(
    transcript: Any, shapes: Any, read: Callable[..., Any]
) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    for number in (1, 2):
        call = shapes.tool_use(f"toolu_{number}", "Read")
        transcript.progress(number + 1, "toolu_t", "assistant", shapes.answer(f"msg_{number}", call, output=40, stop="tool_use"))
        transcript.progress(number + 1, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result(f"toolu_{number}")]})
    transcript.finished(90, "toolu_t", APPROVAL, totalToolUseCount=2)
    work = read(transcript).one("work:toolu_t")
    assert (work.measures["output_tokens"], work.attributes["tokens_from"]) == (80, "all_messages")
    assert (work.measures["tool_calls"], work.measures["tool_errors"]) == (2, 0)
    assert work.categories["model"] == "some-model-1"


def test_tool_errors_are_unknown_when_not_every_inner_step_was_seen(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.progress(2, "toolu_t", "assistant", shapes.answer("msg_i", shapes.tool_use("toolu_i", "Read")))
    transcript.finished(90, "toolu_t", APPROVAL, totalToolUseCount=5)
    work = read(transcript).one("work:toolu_t")
    assert work.measures["tool_calls"] == 5
    assert "tool_errors" not in work.measures


@pytest.mark.parametrize("tool_use_id", ["toolu_t", "REDACTED", ""])
def test_a_background_run_ends_with_its_notification_joined_by_either_id(
    transcript: Any, shapes: Any, read: Callable[..., Any], tool_use_id: str
) -> None:
    transcript.subagent(1, "toolu_t", "dev", tool="Agent")
    transcript.result(2, "toolu_t", details=LAUNCHED)
    transcript.notification(60, NOTIFICATION.format(agent="a1b2c3d", call=tool_use_id, status="completed", text="All &amp; done."))
    transcript.notification(
        61, NOTIFICATION.format(agent="a1b2c3d", call=tool_use_id, status="completed", text="All &amp; done."), "remove"
    )
    reading = read(transcript)
    invocation, work = reading.one("invoke:toolu_t"), reading.one("work:toolu_t")
    assert (invocation.attributes["background"], invocation.attributes["status"]) == (True, "completed")
    assert invocation.categories["outcome"] == "success"
    assert work.operation == "implement"
    assert work.occurred_at == parse_instant(shapes.at(60))
    assert (work.measures["duration_ms"], work.measures["tool_calls"]) == (52_000, 9)
    assert work.attributes["duration_from"] == "notification"


def test_an_old_notification_without_usage_gives_the_time_since_the_launch(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.result(2, "toolu_t", details=LAUNCHED)
    transcript.notification(62, "<agent-notification>\n<agent-id>a1b2c3d</agent-id>\n<status>completed</status>\n</agent-notification>")
    work = read(transcript).one("work:toolu_t")
    assert work.measures["duration_ms"] == 60_000
    assert work.attributes["duration_from"] == "launch_to_notification"
    assert "verdict" not in work.categories


@pytest.mark.parametrize(("status", "outcome"), [("failed", "failure"), ("killed", "cancelled")])
def test_a_background_run_that_failed_is_no_review_but_a_failed_implementation(
    transcript: Any, read: Callable[..., Any], status: str, outcome: str | None
) -> None:
    for call, name in (("toolu_r", "reviewer"), ("toolu_d", "dev")):
        transcript.subagent(1, call, name)
        transcript.result(2, call, details=LAUNCHED | {"agentId": f"agent{call}"})
        transcript.notification(50, NOTIFICATION.format(agent=f"agent{call}", call=call, status=status, text="boom"))
    reading = read(transcript)
    assert reading.one("invoke:toolu_r").categories["outcome"] == outcome
    assert reading.of("review") == []
    assert reading.one("work:toolu_d").categories["outcome"] == outcome


def test_a_launched_run_without_an_end_is_no_work_yet(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.result(2, "toolu_t", details=LAUNCHED)
    reading = read(transcript)
    assert reading.one("invoke:toolu_t").attributes["status"] == "launched"
    assert "outcome" not in reading.one("invoke:toolu_t").categories
    assert reading.of("review") == []


def test_a_shell_command_in_the_background_is_no_subagent(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.notification(5, NOTIFICATION.format(agent="b00ba12", call="toolu_x", status="completed", text="exit 0"))
    assert read(transcript).events == []


def test_task_output_holds_the_text_that_an_old_notification_lacks(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.result(2, "toolu_t", details=LAUNCHED)
    transcript.notification(60, "<agent-notification>\n<agent-id>a1b2c3d</agent-id>\n<status>completed</status>\n</agent-notification>")
    transcript.call(70, "toolu_o", "TaskOutput", task_id="a1b2c3d")
    log = f'[Tool: Read] {{"file":"Verdict: REJECT"}}\n\n--- RESULT ---\n{APPROVAL}'
    task = {"task_id": "a1b2c3d", "task_type": "local_agent", "status": "completed", "output": log}
    transcript.result(71, "toolu_o", details={"retrieval_status": "success", "task": task})
    work = read(transcript).one("work:toolu_t")
    assert work.categories["verdict"] == "approved"
    assert work.measures["duration_ms"] == 58_000


def test_of_two_texts_of_one_result_the_whole_one_counts(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.finished(90, "toolu_t", APPROVAL)
    cut = type(transcript)()
    cut.subagent(1, "toolu_t", "reviewer")
    cut.finished(90, "toolu_t", APPROVAL[:12] + "…[+2000 chars]" + "x" * 500)
    for files in ({"a.jsonl": cut, "b.jsonl": transcript}, {"a.jsonl": transcript, "b.jsonl": cut}):
        assert read(files).one("work:toolu_t").categories["verdict"] == "approved"


def test_a_call_that_never_started_is_an_invocation_without_work(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_1", "dev")
    transcript.result(2, "toolu_1", "Agent type 'dev' not found.", error=True, details="Error: Agent type 'dev' not found.")
    transcript.subagent(3, "toolu_2", "dev")
    transcript.result(4, "toolu_2", "The user doesn't want to proceed with this tool use.", error=True)
    reading = read(transcript)
    assert [event.categories["outcome"] for event in reading.of("invoke_agent")] == ["failure", "cancelled"]
    assert reading.of("implement") == []


def test_an_unmapped_agent_is_kept_without_work_of_its_own(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "Explore")
    transcript.finished(90, "toolu_t", "Found it.")
    reading = read(transcript)
    assert (reading.one("invoke:toolu_t").agent_type, reading.one("invoke:toolu_t").raw_name) == ("unmapped", "Explore")
    assert not [event for event in reading.events if event.event_id.startswith("work:")]


def test_a_repeated_task_counts_rounds_and_attempts_in_its_session(transcript: Any, read: Callable[..., Any]) -> None:
    for number, description in enumerate(["Review task 2", "Review task 3", "Re-review task 2"]):
        transcript.subagent(number * 10, f"toolu_{number}", "reviewer", description)
        transcript.finished(number * 10 + 5, f"toolu_{number}", APPROVAL, agent_id=f"agent{number}")
    assert [event.measures["review_round"] for event in read(transcript).of("review")] == [1, 1, 2]


def test_a_reviewers_own_numbering_wins(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "reviewer")
    transcript.finished(9, "toolu_t", f"{APPROVAL}\nThe review is in docs/requirements/rover/review-03.md")
    work = read(transcript).one("work:toolu_t")
    assert (work.measures["review_round"], work.attributes["round_from"]) == (3, "report")


def test_edits_of_a_coder_are_counted_when_all_steps_were_seen(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "dev")
    patch = [{"lines": ["+a", "-b", " c", "+d"]}]
    results = {
        "toolu_e": {"filePath": "/r/a.py", "structuredPatch": patch},
        "toolu_f": {"filePath": "/r/a.py", "structuredPatch": patch},
        "toolu_w": {"type": "create", "filePath": "/r/b.py", "content": "x\ny\nz\n", "structuredPatch": []},
    }
    for call, details in results.items():
        tool = "Write" if call == "toolu_w" else "Edit"
        transcript.progress(
            2, "toolu_t", "assistant", shapes.answer(f"msg_{call}", shapes.tool_use(call, tool, file_path=details["filePath"]))
        )
        transcript.progress(3, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result(call)]}, toolUseResult=details)
    transcript.finished(90, "toolu_t", "Done.", totalToolUseCount=3)
    work = read(transcript).one("work:toolu_t")
    assert (work.measures["files_changed"], work.measures["lines_added"], work.measures["lines_removed"]) == (2, 7, 2)


def test_lines_of_a_file_whose_content_was_cut_are_unknown(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.subagent(1, "toolu_t", "dev")
    details = {"type": "create", "filePath": "/r/b.py", "content": "x…[+9000 chars]", "structuredPatch": []}
    transcript.progress(2, "toolu_t", "assistant", shapes.answer("msg_w", shapes.tool_use("toolu_w", "Write", file_path="/r/b.py")))
    transcript.progress(3, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result("toolu_w")]}, toolUseResult=details)
    transcript.finished(90, "toolu_t", "Done.", totalToolUseCount=1)
    work = read(transcript).one("work:toolu_t")
    assert work.measures["files_changed"] == 1
    assert "lines_added" not in work.measures


def test_newer_versions_state_the_lines_and_the_agents_name(transcript: Any, read: Callable[..., Any]) -> None:
    call = transcript.subagent(1, "toolu_t", "x", "Add a retry to the uploader", tool="Agent")
    del call["message"]["content"][0]["input"]["subagent_type"]
    stats = {"readCount": 1, "editFileCount": 3, "linesAdded": 166, "linesRemoved": 4}
    transcript.finished(
        90, "toolu_t", "Done.", agentType="general-purpose", resolvedModel="some-model-2", toolStats=stats, totalToolUseCount=4
    )
    work = read(transcript).one("work:toolu_t")
    assert (work.agent_type, work.raw_name, work.operation) == ("detektor-coder", "general-purpose", "implement")
    assert work.derived
    assert (work.measures["lines_added"], work.measures["lines_removed"], work.categories["model"]) == (166, 4, "some-model-2")
