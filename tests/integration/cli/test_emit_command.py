from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

EMIT = ("emit", "--agent", "code-reviewer", "--action", "review")


def emit(*options: str) -> str:
    done = CliRunner().invoke(build_app(), [*EMIT, *options], catch_exceptions=True)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_an_event_by_hand(database: Settings) -> None:
    event_id = emit(
        "--project", "Shop", "--issues", "3", "--verdict", "rejected", "--measure", "duration-ms=1200", "--category", "model=opus"
    )
    with psycopg.connect(database.postgres_dsn) as connection:
        row = connection.execute(
            "SELECT event_id, agent_type, operation, project, issues_found, duration_ms, verdict, model, source"
            " FROM ml_learning.agent_events"
        ).fetchone()
    assert row == (event_id, "code-reviewer", "review", "shop", 3, 1200, "rejected", "opus", "emit")


def test_the_same_event_id_is_one_event(database: Settings) -> None:
    at = from_us(now_us() - 10_000_000).isoformat()
    options = ("--event-id", "pr-41", "--at", at, "--issues", "3", "--json")
    assert [json.loads(emit(*options))["status"] for _ in range(2)] == ["accepted", "known"]
    with pytest.raises(UserError, match="duplicate event_id"):
        emit("--event-id", "pr-41", "--at", at, "--issues", "2")
    with pytest.raises(UserError, match="holds real events and this one is simulated"):
        emit("--simulated")


def test_in_a_simulated_log_an_event_is_simulated_too(database: Settings) -> None:
    emit("--simulated")
    done = CliRunner().invoke(build_app(), [*EMIT, "--issues", "1"])
    assert done.exit_code == 0
    assert "marked as simulated" in done.stderr
    with psycopg.connect(database.postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT simulated, event_id = %s FROM ml_learning.agent_events ORDER BY ingested_at", (done.stdout.strip(),)
        )
        assert rows.fetchall() == [(True, False), (True, True)]
    emit("--mix")
    with psycopg.connect(database.postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.agent_events WHERE NOT simulated").fetchone() == (1,)


@pytest.mark.parametrize(
    ("options", "what", "fix"),
    [
        (("--tests-passed", "3"), "review has no tests_passed", "Measures of review: duration_ms, input_tokens"),
        (("--measure", "isues=3"), "There is no measure 'isues'", "review has duration_ms"),
        (("--measure", "issues_found"), "not written as name=value", "review has duration_ms"),
        (("--measure", "issues_found=many"), "issues_found is not a whole number: 'many'", "its unit is issues"),
        (("--issues", "-1"), "issues_found is below its minimum 0", "--help"),
        (("--verdict", "maybe"), "verdict is not one of approved, rejected", "--help"),
        (("--at", "yesterday"), "'yesterday' is not a timestamp", "leave --at out"),
        (("--at", "2100-01-01"), "occurred_at is in the future", "detektor clock"),
        (("--action", "reveiw"), "There is no operation 'reveiw'", "review, deploy"),
        (("--action", "feedback"), "feedback lacks score_milli", "Needed are score_milli"),
    ],
)
def test_a_mistake_is_said_before_anything_is_asked_of_the_database(options: tuple[str, ...], what: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        emit(*options)
    assert what in caught.value.what
    assert fix in (caught.value.fix or "")


def test_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_POSTGRES_PORT", str(ports.free_port()))  # at the usual one a stack may run
    done = subprocess.run([str(Path(sys.executable).with_name("detektor")), *EMIT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "PostgreSQL does not answer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("database")
def test_it_says_what_will_not_happen() -> None:
    unknown = CliRunner().invoke(build_app(), ["emit", "--agent", "our-critic", "--action", "review"], catch_exceptions=False)
    assert '"our-critic" = ' in unknown.stderr
    assert "No stream worker" in CliRunner().invoke(build_app(), list(EMIT), catch_exceptions=False).stderr
