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
TRANSCRIPT = (
    {"type": "assistant", "uuid": "a1", "message": {"id": "m1", "model": "x", "content": [
        {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "code-reviewer", "prompt": "p"}}]}},
    {"type": "user", "uuid": "u1", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
     "toolUseResult": {"status": "completed", "agentId": "g1", "content": [{"type": "text", "text": "## Verdict: REQUEST CHANGES"}],
                       "totalDurationMs": 61000, "totalTokens": 10, "totalToolUseCount": 2}},
)  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Call `detektor` with a home of its own; whatever it started is ended."""
    environment = {**os.environ, "HOME": str(tmp_path), "DETEKTOR_HOME": str(tmp_path / "home")}

    def call(*words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([COMMAND, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    yield call
    call("down")


def test_simulated_history_is_served_and_a_second_run_computes_nothing(run):
    first = json.loads(run("demo", "--events", "4000", "--json").stdout)
    views = {each["view"]: each for each in first["views"]}
    assert len(views) == 8
    assert sum(each["events"] for each in views.values()) > 3_500
    assert all(each["offline_rows"] and each["online_keys"] for each in views.values())
    page = Path(first["report"]).read_text(encoding="utf-8")
    assert "What the agents did" in page
    assert all(f'id="agent-{agent}"' in page for agent in {each["agent"] for each in views.values()})
    second = run("demo", "--json")
    assert "nothing to compute" in second.stderr
    assert {each["view"]: each["offline_rows"] for each in json.loads(second.stdout)["views"]} == {
        name: each["offline_rows"] for name, each in views.items()
    }
    served = json.loads(run("features", "get", "code-reviewer", "--json").stdout)
    assert served["age_seconds"] < 7_200
    assert run("validate", "--check-all").stdout == "All validations passed\n"
    status = json.loads(run("status", "--json").stdout)
    assert not any(each["stale"] or each["missing"] for each in status["views"])
    transcripts = run("ingest", str(Path(__file__).parent), expect=1)
    assert "Traceback" not in transcripts.stderr


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
