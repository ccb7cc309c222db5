from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.names import agent_names

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
    assert summary["first_at"] == summary["last_at"] == "2026-03-05T10:00:00Z"


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


LONG = "a-team-of-its-own:with-a-very-long-name-indeed:reviewer-of-everything-that-is-shipped-on-a-friday"


@pytest.mark.usefixtures("database")
def test_every_name_is_printed_whole_as_the_line_that_maps_it(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.jsonl").write_text(EVENT.replace("our-critic", LONG) + EVENT)
    printed = run("ingest", str(tmp_path / "a.jsonl")).stdout
    assert f'        1  "{LONG}" = "code-reviewer"\n' in printed
    lines = [line.strip().partition("  ")[2] for line in printed.splitlines() if '" = "' in line]
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "agents.toml").write_text("[agents]\n" + "\n".join(lines))
    names = agent_names(settings.home)
    assert {names.agent_type(LONG), names.agent_type("our-critic")} == {"code-reviewer"}


@pytest.mark.usefixtures("database")
def test_the_summary_names_what_was_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(EVENT + '{"type": "later-kind", "uuid": "1", "sessionId": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"type": "later-kind", "sessionId": "x"}\n')
    (tmp_path / "c.jsonl").write_text('{"display": "x", "timestamp": 1, "project": "p"}\n')
    (tmp_path / "d.txt").write_text("")
    printed = run("ingest", str(tmp_path), "--nulls").stdout
    assert "Records not understood, by format and kind; they made no event:\n        2  claude-code: later-kind\n" in printed
    assert f"        1  Claude Code's list of prompts: it holds no events\n            {tmp_path / 'c.jsonl'}\n" in printed
    assert "1 further files are not called as logs are and were not opened (.txt 1).\n" in printed
    assert "What each source leaves open" in printed
    summary = json.loads(run("ingest", str(tmp_path), "--json").stdout)
    assert summary["not_understood"] == [{"format": "claude-code", "kind": "later-kind", "records": 2}]
    assert summary["skipped"] == [{"file": str(tmp_path / "c.jsonl"), "reason": "Claude Code's list of prompts: it holds no events"}]
    assert summary["agents_toml"] == {"our-critic": '"our-critic" = "code-reviewer"'}
    assert summary["nulls"][0]["null_share"]["issues_found"] == 0.0


def test_without_a_path_the_places_of_this_machine_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="There is nothing to read"):
        run("ingest")
    (tmp_path / ".copilot" / "session-state").mkdir(parents=True)
    (tmp_path / "data" / "opencode").mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    printed = run("ingest").stdout
    assert f"detektor ingest {tmp_path}/.copilot/session-state {tmp_path}/data/opencode\n" in printed
    assert [each["format"] for each in json.loads(run("ingest", "--json").stdout)] == ["copilot", "opencode"]


@pytest.mark.usefixtures("database")
def test_status_tells_of_the_last_ingest(tmp_path: Path, settings: Settings) -> None:
    from detektor_pipelines.cli_commands.status import reading

    assert reading(settings).title == "No logs were read on this machine"
    settings.home.mkdir(parents=True, exist_ok=True)
    (tmp_path / "a.jsonl").write_text(EVENT + "torn\n")
    run("ingest", str(tmp_path / "a.jsonl"))
    section = reading(settings)
    assert "2 lines, 1 events, 1 new" in section.title
    assert [row[:2] for row in section.rows] == [("1", "events of a name that maps to no agent"), ("1", "lines rejected")]
    assert section.rows[0][2] == '"our-critic" = "code-reviewer"'
