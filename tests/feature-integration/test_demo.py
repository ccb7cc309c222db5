"""`detektor demo` as a person runs it: from nothing to served features, twice, on real servers of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = Path(sys.executable).with_name("detektor")
PASSED = ("T1", "T2", "T3", "T4", "T8", "T9", "T12", "T15", "T16", "T17", "T20")
"""Rows of the list that need no more than this demo; T5 measures the machine, T6, T10, T11 and T18 have tests of their own."""

TOO_SHORT = ("T13", "T14")
TRANSCRIPT = (
    {"type": "assistant", "uuid": "a1", "message": {"id": "m1", "model": "x", "content": [
        {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "code-reviewer", "prompt": "p"}}]}},
    {"type": "user", "uuid": "u1", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
     "toolUseResult": {"status": "completed", "agentId": "g1", "content": [{"type": "text", "text": "## Verdict: REQUEST CHANGES"}],
                       "totalDurationMs": 61000, "totalTokens": 10, "totalToolUseCount": 2}},
)  # fmt: skip


def detektor(home: Path, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Call `detektor` with a home of its own; `expect` is its exit code, None for any."""
    environment = {**os.environ, "HOME": str(home.parent), "DETEKTOR_HOME": str(home)}
    done = subprocess.run([COMMAND, *words], env=environment, cwd=home.parent, capture_output=True, text=True, timeout=800, check=False)
    assert expect in (None, done.returncode), done.stdout + done.stderr
    return done


@pytest.fixture
def run(tmp_path):
    """Call `detektor` with a home of its own; whatever it started is ended."""
    home = tmp_path / "home"
    yield lambda *words, expect=0: detektor(home, *words, expect=expect)
    detektor(home, "down")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo on a small simulated history; gives its home and what it printed, and ends what it started."""
    home = tmp_path_factory.mktemp("demo") / "home"
    yield home, json.loads(detektor(home, "demo", "--events", "6000", "--json").stdout)
    detektor(home, "down")


def test_simulated_history_is_served_and_a_second_run_computes_nothing(demo):
    home, first = demo
    views = {each["view"]: each for each in first["views"]}
    assert len(views) == 8
    assert sum(each["events"] for each in views.values()) > 5_000
    assert all(each["offline_rows"] and each["online_keys"] for each in views.values())
    page = Path(first["report"]).read_text(encoding="utf-8")
    assert "What the agents did" in page
    assert all(f'id="agent-{agent}"' in page for agent in {each["agent"] for each in views.values()})
    second = detektor(home, "demo", "--json")
    assert "nothing to compute" in second.stderr
    assert {each["view"]: each["offline_rows"] for each in json.loads(second.stdout)["views"]} == {
        name: each["offline_rows"] for name, each in views.items()
    }
    served = json.loads(detektor(home, "features", "get", "code-reviewer", "--json").stdout)
    assert served["age_seconds"] < 7_200
    assert detektor(home, "validate", "--check-all").stdout == "All validations passed\n"
    status = json.loads(detektor(home, "status", "--json").stdout)
    assert not any(each["stale"] or each["missing"] for each in status["views"])
    transcripts = detektor(home, "ingest", str(Path(__file__).parent), expect=1)
    assert "Traceback" not in transcripts.stderr


@pytest.mark.long
def test_acceptance_after_the_demo(demo):
    """Each row is looked at on one stack; rows that this history is too short for, and figures of a busy machine, are not asked for."""
    home, _ = demo
    detektor(home, "drift", "--json", expect=None)
    detektor(home, "up", "stream", "serve", "registry", "exporter", "--free-ports")
    detektor(home, "parity", "--sample", "2", "--json")
    before = counted(home)
    done = detektor(home, "acceptance", "--only", ",".join((*PASSED, *TOO_SHORT)), "--json", expect=1)
    assert "Traceback" not in done.stderr
    rows = {each["row"]: each for each in json.loads(done.stdout)["rows"]}
    assert {name: rows[name] for name in PASSED if rows[name]["state"] == "failed"} == {}
    assert {rows[name]["state"] for name in TOO_SHORT} == {"failed"}, "no agent has decided enough to learn from"
    assert all(part["what_to_do"] for row in rows.values() for part in row["parts"] if part["state"] != "passed")
    assert counted(home) == before, "nothing that it emitted counts"


def counted(home: Path) -> dict[str, int]:
    """Return how many events count of each view's agent."""
    return {each["view"]: each["events"] for each in json.loads(detektor(home, "demo", "--json").stdout)["views"]}


def test_real_logs_set_the_clock_and_show_who_is_idle(run, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = [
        {**record, "sessionId": "s", "cwd": "/src/shop", "timestamp": f"2026-03-05T10:0{n}:00.000Z"} for n, record in enumerate(TRANSCRIPT)
    ]
    (logs / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = run("demo", "--logs", str(logs), "--json")
    assert "stands at 2026-03-05T11:00:00Z" in shown.stderr
    views = {each["view"]: each for each in json.loads(shown.stdout)["views"]}
    assert views["code_review_features"]["values"]["rejection_rate"] == 1.0
    assert views["content_features"]["events"] == 0
    beside = run("simulate", "--days", "2", expect=1)
    assert "mix" in beside.stderr
