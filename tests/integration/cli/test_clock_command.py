"""The clock of a home directory: standing where old logs end, moved on by newer ones, and free again."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands.clock import clock_of_the_logs
from detektor_pipelines.clock import kept, now_us, stand, to_text
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


def run(*words: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(build_app(), words, input=stdin, catch_exceptions=False)


def event(at: str) -> str:
    return json.dumps({"agent": "code-reviewer", "operation": "review", "occurred_at": at, "issues_found": 1}) + "\n"


@pytest.fixture(autouse=True)
def own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test leaves in the environment ends with it."""
    monkeypatch.setenv("DETEKTOR_NOW", "")


def test_old_logs_let_the_clock_stand_where_they_end(database: Settings) -> None:
    with clock_of_the_logs(database, keep=True):
        run("ingest", "-", stdin=event("2026-03-05T10:20:00Z"))
    assert kept(database.home) == "2026-03-05T11:00:00Z" == to_text(now_us())
    assert json.loads(run("clock", "--json").stdout) == {"now": "2026-03-05T11:00:00Z", "by": "home"}


def test_newer_logs_are_not_ahead_of_it_and_move_it_on(database: Settings) -> None:
    stand(database.home, 1_772_704_800_000_000)
    result = run("ingest", "-", "--json", stdin=event("2026-04-01T08:00:01Z"))
    assert json.loads(result.stdout)["added"] == 1
    assert kept(database.home) == "2026-04-01T09:00:00Z"
    assert os.environ["DETEKTOR_NOW"] == "2026-04-01T09:00:00Z"


def test_logs_that_go_on_let_it_run(database: Settings) -> None:
    stand(database.home, 1_772_704_800_000_000)
    os.environ["DETEKTOR_NOW"] = "2026-03-05T10:00:00Z"
    just_now = to_text((int(time.time()) - 60) * 1_000_000)
    run("ingest", "-", stdin=event(just_now))
    assert kept(database.home) is None
    assert not os.environ.get("DETEKTOR_NOW")


def test_a_clock_that_somebody_chose_stays(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T00:00:00Z")
    result = run("ingest", "-", "--json", stdin=event("2026-04-01T08:00:01Z"))
    assert json.loads(result.stdout)["added"] == 0, "it is ahead of the clock"
    assert kept(database.home) is None


def test_it_is_let_stand_and_run_by_hand(database: Settings) -> None:
    assert json.loads(run("clock", "--at", "2026-03-05T10:00:00Z", "--json").stdout)["by"] == "home"
    assert "machine" in run("clock", "--run").stdout
    assert "not a timestamp" in str(CliRunner().invoke(build_app(), ["clock", "--at", "soon"]).exception)


def test_what_happens_now_is_of_now(database: Settings) -> None:
    stand(database.home, 1_772_704_800_000_000)
    emitted = run("emit", "--agent", "code-reviewer", "--action", "review")
    assert "runs from now on" in emitted.stderr
    assert kept(database.home) is None
    with psycopg.connect(database.postgres_dsn) as connection:
        (at,) = connection.execute("SELECT extract(epoch FROM occurred_at) FROM ml_learning.agent_events").fetchone() or (0,)
    assert abs(float(at) - time.time()) < 600


def test_an_event_ahead_of_a_standing_clock_is_told_what_time_it_is(database: Settings) -> None:
    stand(database.home, 1_772_704_800_000_000)
    words = ["emit", "--agent", "code-reviewer", "--action", "review", "--at", "2026-03-06T00:00:00Z"]
    refused = CliRunner().invoke(build_app(), words).exception
    assert isinstance(refused, UserError)
    assert refused.where == "--at 2026-03-06T00:00:00Z"
    assert "it is 2026-03-05T10:00:00Z" in (refused.fix or "")
