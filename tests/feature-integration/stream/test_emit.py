"""An agent acts, and its features move; the day passes, and they fall again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines import stack
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from conftest import Live

pytestmark = pytest.mark.slow


def detektor(live: Live, *words: str, **variables: str) -> Any:
    command = [str(Path(sys.executable).with_name("detektor")), *words, "--json"]
    done = subprocess.run(command, env=live.environment | variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def recent_reviews(live: Live, agent: str, **variables: str) -> int | None:
    found = detektor(live, "features", "get", "code-reviewer", "--agent-id", agent, **variables)
    (value,) = (each["value"] for each in found["values"] if each["name"] == "recent_reviews_count")
    return None if value is None else int(value)


def test_emit_moves_a_feature_and_the_next_day_it_falls(live: Live) -> None:
    worker = live.start_worker()
    live.wait_for(live.reports)
    detektor(live, "emit", "--agent", "code-reviewer", "--action", "review", "--project", "shop", "--issues", "3")
    detektor(live, "emit", "--agent", "code-reviewer", "--action", "review", "--project", "shop", "--issues", "1")
    live.wait_for(lambda: recent_reviews(live, "code-reviewer") == 2)
    assert recent_reviews(live, "code-reviewer@shop") == 2
    live.kill(worker)
    tomorrow = {"DETEKTOR_NOW": "+25h"}
    live.start_worker(**tomorrow)
    live.wait_for(lambda: recent_reviews(live, "code-reviewer", **tomorrow) == 0)
    assert detektor(live, "parity", "--sample", "8", **tomorrow)[0]["mismatches"] == []


def test_what_a_hook_notes_is_online_without_anybody_asking(live: Live) -> None:
    live.start_worker()
    live.wait_for(live.reports)
    note = {
        "hook_event_name": "SubagentStop",
        "session_id": "s1",
        "cwd": "/work/shop",
        "agent_id": "a1",
        "agent_type": "code-reviewer",
        "last_assistant_message": "Approved: no issues found.",
    }
    hook = str(Path(sys.executable).with_name("detektor-hook"))
    done = subprocess.run([hook], input=json.dumps(note), env=live.environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    live.wait_for(lambda: read_events(live) != [])


def read_events(live: Live) -> list[tuple[str, str]]:
    with psycopg.connect(live.settings.postgres_dsn) as connection:
        return connection.execute("SELECT agent_type, operation FROM ml_learning.agent_events").fetchall()


def test_the_process_manager_keeps_a_worker_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_HOME", str(tmp_path / "home"))
    settings = Settings(home=tmp_path / "home")
    status = stack.up(settings, ("stream",), free_ports=True)
    try:
        assert {each.name for each in status.services if each.state == "running"} == {"postgres", "redis", "stream"}
        assert status["stream"].ready
    finally:
        assert "stream" in " ".join(stack.down(settings)).lower()
