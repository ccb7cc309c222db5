"""Names that somebody put into a log to play with the terminal of who reads it: every command shows them, none obeys them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app

if TYPE_CHECKING:
    from pathlib import Path

ODD = [
    "[/nobody]",
    "[blink]look[/blink]",
    "\x1b[2K\x1b[1Agone",
    "\x9b7mturned",
    "a\nb",
    "right \u202eto left",
    "[@click=app.bell]press",
    "[link=https://x.example]",
    "a\\[b]",
    "\x1b]0;title\x07",
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of agents and projects with such names, one line of which is refused for such a key."""
    at = "2026-03-05T10:00:00Z"
    events = [{"agent": name, "operation": "research", "occurred_at": at, "project": name, "event_id": f"odd {name}"} for name in ODD]
    reviews = [
        {
            "agent": "code-reviewer",
            "operation": "review",
            "occurred_at": at,
            "project": name,
            "verdict": "rejected",
            "event_id": f"of {name}",
        }
        for name in ODD
    ]
    file = tmp_path / "odd.jsonl"
    refused = [{"agent": "pisarz", "operation": "research", "occurred_at": at, "event_id": "refused", name: 1} for name in ODD]
    file.write_text("".join(json.dumps(each) + "\n" for each in [*events, *reviews, *refused]))
    return file


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("columns", ["40", "80", "250"])
def test_commands_show_names_and_obey_none(log: Path, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    said = ""
    for words in (
        ["ingest", str(log), "--nulls"],
        ["status"],
        ["usage", "--by", "project"],
        ["report", "--out", str(log.with_name("report.html"))],
        ["features", "explain", "code-reviewer:rejection_rate", "--at", "2026-03-05T11:00:00Z"],
        ["features", "get", "code-reviewer", "--agent-id", f"code-reviewer@{ODD[2]}", "--at", "2026-03-05T11:00:00Z"],
    ):
        done = CliRunner().invoke(build_app(), words, catch_exceptions=False)
        assert done.exit_code == 0
        assert not CONTROL.search(done.output), words
        said += done.output
    assert "[blink]look[/blink]" in said
    assert "\\u001b[2K\\u001b[1Agone" in said
    assert "\\u009b7mturned" in said
    assert "[@click=app.bell]press" in said.replace("\n", "")
    assert "right \\u202eto left" in said.replace("\n", " ")
