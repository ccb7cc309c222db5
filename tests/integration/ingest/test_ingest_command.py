from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from detektor_pipelines.settings import Settings

EVENT = '{"agent":"our-critic","operation":"review","occurred_at":"2026-03-05T10:00:00Z","issues_found":3}\n'


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(build_app(), words, input=stdin, catch_exceptions=False)


@pytest.mark.usefixtures("database")
def test_it_tells_what_became_of_everything(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_text(EVENT + "torn\n")
    result = run("ingest", str(log))
    assert result.exit_code == 0
    assert "our-critic" in result.stdout
    assert "the line is torn or not JSON" in result.stdout
    assert "1 events added, already known 0, newly rejected 1; 2 lines of 1 file" in result.stdout
    again = run("ingest", str(log))
    assert "0 events added, already known 1, rejected before 1" in again.stdout


@pytest.mark.usefixtures("database")
def test_json_is_one_line() -> None:
    result = run("ingest", "-", "--json", "--project", "shop", stdin=EVENT)
    assert len(result.stdout.splitlines()) == 1
    summary = json.loads(result.stdout)
    assert (summary["added"], summary["by_agent"], summary["unmapped_names"]) == (1, {"unmapped": {"review": 1}}, {"our-critic": 1})
    assert summary["first_at"] == summary["last_at"] == "2026-03-05T10:00:00+00:00"


def test_an_entry_in_agents_toml_and_reingest_repair_a_name(database: Settings) -> None:
    run("ingest", "-", stdin=EVENT)
    database.home.mkdir(parents=True)
    (database.home / "agents.toml").write_text('[agents]\n"our-critic" = "code-reviewer"\n')
    assert "read differently now (`detektor reingest` repairs them) 1" in run("ingest", "-", stdin=EVENT).stdout
    assert json.loads(run("reingest", "-", "--json", stdin=EVENT).stdout)["repaired"] == 1


@pytest.mark.usefixtures("database")
def test_a_mistake_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is nothing at this path"):
        run("ingest", str(tmp_path / "absent"))
    with pytest.raises(UserError, match="No agent logs in this directory"):
        run("ingest", str(tmp_path))
