"""Forked and growing logs in the tables: each event once, whatever was read first, and nothing among the rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.run import IngestOptions, IngestReport, ingest
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import IngestCounts

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

OPTIONS = IngestOptions(names=AgentNames.load())
NEWEST = """
SELECT event_id, session_id, project, event.occurred_at, outcome, verdict, attributes
FROM ml_learning.agent_events AS event JOIN ml_learning.event_ids AS identity USING (event_id, revision) ORDER BY event_id
"""


def record(kind: str, session: str, second: int, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    at = f"2026-04-01T09:00:{second:02d}.000Z"
    return {"type": kind, "uuid": f"u{second}", "sessionId": session, "timestamp": at, "cwd": "/home/ada/lander", "message": message} | more


def asked(session: str, second: int, name: str, tool: str, **arguments: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}
    block = {"type": "tool_use", "id": f"toolu_{name}", "name": tool, "input": arguments}
    return record("assistant", session, second, {"id": f"msg_{name}", "model": "m", "content": [block], "usage": usage})


def answered(session: str, second: int, name: str, text: str, **details: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": f"toolu_{name}", "content": text}
    return record("user", session, second, {"role": "user", "content": [block]}, toolUseResult=details)


def original(session: str = "s5", *, ended: bool = True) -> list[dict[str, Any]]:
    called = [
        asked(session, 1, "test", "Bash", command="npm test 2>&1 | tail -3"),
        asked(session, 2, "review", "Agent", subagent_type="reviewer", description="d", prompt="p"),
    ]
    report = "**Verdict: APPROVE**"
    ends = [
        answered(session, 11, "test", "done", stdout="done", stderr="", interrupted=False),
        answered(session, 12, "review", report, status="completed", agentId="a1", prompt="p", content=[{"type": "text", "text": report}]),
    ]
    return called + (ends if ended else [])


def write(directory: Path, name: str, records: list[dict[str, Any]]) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.jsonl"
    path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in records))
    return path


def read(settings: Settings, *paths: Path) -> IngestReport:
    report = ingest(settings, paths, OPTIONS)
    assert (report.counts.conflicts, report.counts.rejected) == (0, 0)
    return report


def newest(settings: Settings) -> list[tuple[Any, ...]]:
    with connect(settings) as connection:
        return connection.execute(NEWEST).fetchall()


def test_a_fork_adds_only_what_it_did_itself(database: Settings, tmp_path: Path) -> None:
    first = write(tmp_path / "a", "s5", original())
    fork = write(tmp_path / "b", "s9", [*original("s9"), asked("s9", 40, "more", "Read", file_path="x")])
    added = read(database, first).counts.added
    report = read(database, fork)
    assert (report.counts.known, report.counts.added, report.counts.also_seen) == (added, 2, 0)
    assert {row[1] for row in newest(database)} == {"s5", "s9"}


@pytest.mark.parametrize("first", ["s5", "s9"])
def test_unchanged_files_add_change_and_report_nothing(database: Settings, tmp_path: Path, first: str) -> None:
    # As one directory, in which the fork's file stands after the original's or before it.
    write(tmp_path, "a", original(first))
    write(tmp_path, "b", [*original("s7"), asked("s7", 40, "more", "Read", file_path="x")])
    added = read(database, tmp_path).counts.added
    before = newest(database)
    assert {row[1] for row in before} == {min(first, "s7"), "s7"}
    assert read(database, tmp_path).counts == IngestCounts(known=added)
    assert newest(database) == before


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_a_fork_with_open_calls_its_original_and_an_early_copy_in_any_order(
    database: Settings, tmp_path: Path, order: tuple[int, int, int]
) -> None:
    fork = [*original("s1", ended=False), asked("s1", 40, "more", "Read", file_path="x")]
    files = [
        write(tmp_path / "a", "s5", original()),
        write(tmp_path / "b", "s1", fork),
        write(tmp_path / "c", "s5", original()[:1]),
    ]
    for number in order:
        read(database, files[number])
    found = {row[0]: row[1:6] for row in newest(database)}
    assert {name: (session, outcome, verdict) for name, (session, _, _, outcome, verdict) in found.items()} == {
        "msg:msg_more": ("s1", "success", None),
        "msg:msg_review": ("s1", "success", None),
        "msg:msg_test": ("s1", "success", None),
        "tool:toolu_more": ("s1", None, None),
        "tool:toolu_review": ("s5", "success", None),
        "tool:toolu_test": ("s5", "success", None),
        "test:toolu_test": ("s5", None, None),
        "invoke:toolu_review": ("s5", "success", None),
        "work:toolu_review": ("s5", "success", "approved"),
    }
    assert found["test:toolu_test"][2].second == 11


def test_a_file_that_grew_replaces_what_was_open(database: Settings, tmp_path: Path) -> None:
    log = write(tmp_path / "a", "log", original(ended=False))
    read(database, log)
    assert {row[0]: row[6] for row in newest(database)}["test:toolu_test"] == {"status": "open"}
    write(tmp_path / "a", "log", original())
    report = read(database, log)
    assert (report.counts.added, report.counts.also_seen, report.counts.known) == (1, 4, 2)
    assert all(not row[6] or row[6].get("status") != "open" for row in newest(database))
    assert read(database, log).counts.known == 8 - 1
