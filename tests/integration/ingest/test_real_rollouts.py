"""Real rollouts of Codex: what the reader makes of them, beside a plain count of their records; skipped where they are not.

They lie beside the directory that `DETEKTOR_SHARED_DATA` names (default: `../shared/data` beside the repository), in
`logs-2026/agentv-rollouts`. Nothing of their content is kept here.
"""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.readers import codex
from detektor_pipelines.ingest.readers.codex.emit import ATTRIBUTES
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import AgentEvent

DATA = Path(os.environ.get("DETEKTOR_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data")
ROLLOUTS = DATA.parent / "logs-2026" / "agentv-rollouts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROLLOUTS.is_dir(), reason=f"no real rollouts in {ROLLOUTS}; DETEKTOR_SHARED_DATA names the directory beside it"),
]


@lru_cache(maxsize=1)
def files() -> dict[str, list[bytes]]:
    return {path.name: gzip.decompress(path.read_bytes()).splitlines() for path in sorted(ROLLOUTS.glob("codex-*.jsonl.gz"))}


@lru_cache(maxsize=1)
def reading() -> tuple[list[AgentEvent], ReadStats]:
    stats = ReadStats()
    sources = [SourceFile(None, name, 0, lambda lines=lines: iter(list(enumerate(lines, 1)))) for name, lines in files().items()]
    out = list(codex.read_many(sources, ReadContext(names=AgentNames.load()), stats))
    events = [each for each in out if isinstance(each, AgentEvent)]
    assert len(events) == len(out), "a line was rejected"
    return events, stats


def payloads(*kinds: str) -> list[dict[str, Any]]:
    records = [orjson.loads(line) for lines in files().values() for line in lines]
    return [record["payload"] for record in records if record["payload"].get("type") in kinds]


def calls() -> dict[str, AgentEvent]:
    return {event.event_id.removeprefix("tool:"): event for event in reading()[0] if event.operation == "tool_call"}


def test_every_call_is_there_and_nothing_is_strange() -> None:
    events, stats = reading()
    functions = payloads("function_call", "custom_tool_call", "tool_search_call")
    searches = payloads("web_search_end")
    assert (len(files()), len(stats.sessions), stats.strange) == (12, 12, Counter())
    assert calls().keys() == {call["call_id"] for call in (*functions, *searches)}
    assert (len(functions), len(searches)) == (2_264 + 122 + 9, 32)
    assert {event.project for event in events} == {"agentv"}
    assert len({event.event_id for event in events}) == len(events)


def test_answers_and_their_tokens_are_those_of_the_running_counts() -> None:
    answers, output = 0, 0
    for lines in files().values():
        before = None
        for info in (orjson.loads(line)["payload"].get("info") for line in lines if b'"token_count"' in line):
            if info and info["total_token_usage"]["total_tokens"] != before:
                before = info["total_token_usage"]["total_tokens"]
                answers += 1
                output += info["last_token_usage"]["output_tokens"]
    chats = [event for event in reading()[0] if event.operation == "chat"]
    assert (len(chats), sum(event.measures["output_tokens"] for event in chats)) == (answers, output) == (1_489, 561_921)


def test_every_command_has_its_end_and_no_wait_is_a_failure_of_its_own() -> None:
    own = Counter()
    commands = [call["call_id"] for call in payloads("function_call") if call["name"] == "exec_command"]
    outputs = {each["call_id"]: str(each["output"]) for each in payloads("function_call_output")}
    for call in commands:
        code = re.search(r"^Process exited with code (-?\d+)$", outputs.get(call, "").partition("Output:\n")[0], re.MULTILINE)
        own["success" if code and code[1] == "0" else "failure" if code else "went on"] += 1
    assert own == {"success": 1_761, "failure": 100, "went on": 95}
    found = Counter(calls()[call].categories.get("outcome") for call in commands)
    # 83 of those that went on ended in sight of a wait; of 12 nobody saw the end.
    assert found == {"success": 1_837, "failure": 107, None: 12}
    assert all(calls()[call].attributes == {"status": "open"} for call in commands if "outcome" not in calls()[call].categories)
    waits = Counter(event.categories.get("outcome") for event in calls().values() if event.categories["tool_name"] == "write_stdin")
    assert waits == {"success": 286, "failure": 1, "cancelled": 1}


def test_patches_end_as_stated_and_documents_are_found() -> None:
    ends = Counter(str(each["success"]) for each in payloads("patch_apply_end"))
    patches = [event for event in calls().values() if event.categories["tool_name"] == "apply_patch"]
    assert ends == {"True": 115}
    assert Counter(event.categories.get("outcome") for event in patches) == {"success": 115, "failure": 7}
    assert {event.categories["error_type"] for event in patches if event.categories["outcome"] == "failure"} == {"edit_mismatch"}
    assert sum(event.operation == "document" for event in reading()[0]) == 34


def test_every_event_is_one_that_the_log_takes() -> None:
    for event in reading()[0]:
        assert problem(event) is None
        assert set(event.attributes) <= ATTRIBUTES
