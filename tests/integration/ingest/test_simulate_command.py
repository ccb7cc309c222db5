"""`detektor simulate` into a real PostgreSQL."""

import json

import psycopg
import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.settings import Settings

ARGUMENTS = ("simulate", "--days", "20", "--projects", "3", "--events", "4000", "--json")


def _run(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(build_app(), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_the_history_is_stored_once_and_ends_at_midnight(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-10T15:30:00Z")
    first, second = _run(*ARGUMENTS), _run(*ARGUMENTS)

    assert (first["events"], first["added"]) == (4000, 4000)
    assert (second["added"], second["known"], second["conflicts"]) == (0, 4000, 0)
    with psycopg.connect(database.postgres_dsn) as connection:
        events, agents, simulated, inside = (
            connection.execute(
                """SELECT count(*), count(DISTINCT agent_type), bool_and(simulated),
                      bool_and(occurred_at > '2026-05-21T00:00Z' AND occurred_at <= '2026-06-10T00:00Z')
               FROM ml_learning.agent_events"""
            ).fetchone()
            or ()
        )
    assert (events, agents, simulated, inside) == (4000, len(AGENT_TYPES), True, True)


def test_figures_need_no_server() -> None:
    figures = _run("simulate", "--days", "20", "--projects", "2", "--figures", "--json")

    assert figures["Bash: errors"] == {"unit": "share", "real": 0.0806, "simulated": pytest.approx(0.08, abs=0.05)}
