"""What single records of a rollout say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.rollouts import at, call, exited, line, meta, one, output, read, tokens

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.readers import codex
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile, detect
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import Rejection


def test_a_rollout_is_recognised() -> None:
    assert detect([meta()]) == "codex"


@pytest.mark.parametrize(
    ("text", "outcome", "error_type", "duration_ms"),
    [
        (exited(0), "success", None, 250),
        (exited(2, "boom"), "failure", "exit_code", 250),
        (exited(0, "Process exited with code 9"), "success", None, 250),
        ("Exit code: 1\nWall time: 1.5 seconds\nOutput:\nx", "failure", "exit_code", 1500),
        ('{"output":"x","metadata":{"exit_code":3,"duration_seconds":0.5}}', "failure", "exit_code", 500),
        ('{"output":"x","metadata":{"exit_code":0}}', "success", None, None),
        ([{"type": "input_text", "text": exited(0)}], "success", None, 250),
        ("some text\nProcess exited with code 0", None, None, None),
        ("Plan updated", None, None, None),
        ("aborted by user after 3.2s", "cancelled", "interrupted", None),
        ({"content": "no", "success": False}, "failure", "other", None),
        (None, None, None, None),
        (7, None, None, None),
    ],
)
def test_a_call_ends_as_its_output_says(text: Any, outcome: str | None, error_type: str | None, duration_ms: int | None) -> None:
    event = one(read(meta(), call(1, "c1", cmd="ls"), output(2, "c1", text)), "tool:c1")
    assert event.occurred_at == event.known_at == parse_instant(at(2))
    assert (event.categories.get("outcome"), event.categories.get("error_type")) == (outcome, error_type)
    assert event.measures.get("duration_ms") == duration_ms
    assert event.categories["tool_name"] == "exec_command"
    assert (event.session_id, event.project, event.agent_type, event.raw_name) == ("s1", "rover", "unmapped", "main")


def test_a_call_without_an_output_is_open() -> None:
    event = one(read(meta(), call(1, "c1", cmd="ls")), "tool:c1")
    assert event.attributes == {"status": "open"}
    assert event.occurred_at == parse_instant(at(1))


def test_custom_and_local_calls_and_the_end_of_a_patch() -> None:
    found = read(
        meta(),
        line(1, "response_item", type="custom_tool_call", name="apply_patch", call_id="p1", input="*** Begin Patch"),
        line(2, "event_msg", type="patch_apply_end", call_id="p1", success=False),
        line(3, "response_item", type="custom_tool_call_output", call_id="p1", output="no"),
        line(4, "response_item", type="local_shell_call", call_id="l1", status="completed", action={"type": "exec", "command": ["ls"]}),
    )
    assert one(found, "tool:p1").categories["outcome"] == "failure"
    assert one(found, "tool:l1").categories["tool_name"] == "local_shell"


def test_answers_are_changes_of_the_totals_and_cached_tokens_are_no_input() -> None:
    found = read(
        meta(),
        line(0, "turn_context", model="some-model-1", cwd="/home/ada/rover"),
        line(1, "event_msg", type="token_count", info=None),
        tokens(2, (1000, 600, 20), (1000, 600, 20)),
        tokens(3, (1000, 600, 20), (1000, 600, 20)),
        tokens(4, (1800, 1100, 45)),
    )
    first, second = one(found, "msg:s1:0"), one(found, "msg:s1:1")
    assert first.measures == {"input_tokens": 400, "output_tokens": 20, "cache_read_tokens": 600, "cache_creation_tokens": 0}
    assert second.measures == {"input_tokens": 300, "output_tokens": 25, "cache_read_tokens": 500, "cache_creation_tokens": 0}
    assert first.categories == {"outcome": "success", "model": "some-model-1"}
    assert first.occurred_at == parse_instant(at(2))


def test_pushes_and_test_runs_are_derived() -> None:
    found = read(
        meta(),
        call(1, "c1", cmd="git push"),
        output(2, "c1", exited(0)),
        call(3, "c2", "shell", command=["bash", "-lc", "pytest -q"]),
        output(4, "c2", exited(1, "=== 1 failed, 3 passed in 0.10s ===")),
        call(5, "c3", "shell_command", command="git push"),
        output(6, "c3", exited(1, " ! [rejected] main -> main")),
    )
    assert one(found, "deploy:c1").categories["outcome"] == "success"
    assert one(found, "deploy:c3").categories["outcome"] == "failure"
    tests = one(found, "test:c2")
    assert (tests.agent_type, tests.derived, tests.categories["outcome"]) == ("detektor-coder", True, "failure")
    assert (tests.measures["tests_passed"], tests.measures["tests_failed"]) == (3, 1)


@pytest.mark.parametrize(
    "source", [{"subagent": "review"}, {"subagent": {"thread_spawn": {"parent_thread_id": "s0", "agent_role": "reviewer"}}}]
)
def test_a_subagents_rollout_is_its_own_work(source: dict[str, Any]) -> None:
    found = read(
        meta(source=source),
        call(1, "c1", cmd="git diff"),
        output(2, "c1", exited(1)),
        tokens(3, (10, 0, 5)),
        line(31, "event_msg", type="task_complete", last_agent_message="**Verdict: REQUEST CHANGES**\n\n### Critical (1)\n\n1. It leaks."),
    )
    work = one(found, "work:s1")
    assert (work.agent_type, work.operation, work.task_id) == ("code-reviewer", "review", "s1")
    assert work.categories["verdict"] == "rejected"
    assert (
        work.measures | {"issues_critical": 1, "duration_ms": 30_000, "tool_calls": 1, "tool_errors": 1, "output_tokens": 5}
        == work.measures
    )
    assert one(found, "tool:c1").agent_type == "code-reviewer"


def test_a_main_rollout_has_no_work_of_its_own() -> None:
    found = read(meta(), line(9, "event_msg", type="task_complete", last_agent_message="Verdict: APPROVE"))
    assert found == []


def test_projects() -> None:
    record = call(1, "c1", cmd="ls")
    remote = meta(git={"repository_url": "git@example.org:ada/mars.git", "branch": "main"})
    assert one(read(remote, record), "tool:c1").project == "mars"
    assert one(read(remote, record, project="X"), "tool:c1").project == "x"
    assert one(read(record), "tool:c1").project is None


def test_bad_lines_are_rejected_and_unknown_types_are_strange() -> None:
    stats = ReadStats()
    broken = call(1, "c1", cmd="ls") | {"timestamp": "noon"}
    found = read(meta(), b'{"type":"event_msg","pay', b"[]", {"type": "event_msg"}, broken, line(1, "hologram"), stats=stats)
    assert [item.line for item in found if isinstance(item, Rejection)] == [2, 3, 4, 5]
    assert (stats.lines, stats.rejected, stats.sessions) == (2, 4, {"s1"})
    assert stats.strange == {"hologram": 1}


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], {"a": 1}, True])
@pytest.mark.parametrize(
    "name", ["id", "cwd", "git", "source", "name", "call_id", "arguments", "output", "info", "action", "type", "last_agent_message"]
)
def test_a_field_of_any_shape_is_read_or_rejected_but_never_raises(name: str, value: Any) -> None:
    stats = ReadStats()
    records = [
        meta(),
        call(1, "c1", cmd="git push"),
        output(2, "c1", exited(0)),
        tokens(3, (1, 0, 1)),
        line(4, "event_msg", type="task_complete"),
    ]
    for record in records:
        record["payload"][name] = value
    read(*records, stats=stats)
    assert stats.lines + stats.rejected == len(records)


def test_a_forked_rollout_repeats_nothing() -> None:
    records = [json.dumps(record).encode() for record in (meta(), call(1, "c1", cmd="ls"))]
    files = [SourceFile(None, name, 0, lambda: iter(enumerate(records, 1))) for name in ("b.jsonl", "a.jsonl")]
    (event,) = codex.read_many(files, ReadContext(names=AgentNames.load()))
    assert event.source == "a.jsonl"
