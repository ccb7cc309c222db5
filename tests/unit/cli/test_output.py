"""What commands print reaches the terminal as text: no markup, no escape sequence, whatever stands in a log."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from detektor_pipelines.cli_commands.ingest_summary import print_report
from detektor_pipelines.cli_commands.output import print_json, print_json_line, print_table, say, styled, visible
from detektor_pipelines.cli_commands.status import print_section, reading
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.last_run import remember
from detektor_pipelines.ingest.summary import IngestReport
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "[/nobody]",
    "[red]loud[/red]",
    "[link=https://example.org]here[/link]",
    "back\\[slash]",
    ":warning:",
    "\x1b[32mgreen\x1b[0m",
    "\x1b]2;a new title\x07",
    "\x1b[3J\x1b[1;1H",
    "\x9b5mblink",
    "over\rwritten",
    "two\nlines",
    "turned \u202egnp.exe",
    "half \ud83d",
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(params=["30", "80", "200"])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Print for a terminal with colours, of so many columns."""
    monkeypatch.setenv("COLUMNS", request.param)
    return int(request.param)


def shown(text: str) -> str:
    """Return a hostile text as it is to be seen, by characters of Python's own choice."""
    return "".join(f"\\u{ord(each):04x}" if not each.isprintable() else each for each in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_becomes_one_line_of_printable_characters(text: str) -> None:
    assert visible(text) == shown(text)


@pytest.mark.parametrize("text", ["plain", "żółć 日本", "👩\u200d💻", "a [b] c", "C:\\new"])
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_a_text_as_it_stands(text: str, columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "what"), [(text, text), ("other", 1)], title=text)
    printed = capsys.readouterr().out
    assert not CONTROL.search(printed)
    whole = re.sub(r"[│\s┃]+", "", printed)
    assert whole.count(re.sub(r"\s", "", shown(text))) >= (3 if columns > 100 else 1)


def test_a_style_is_asked_for_and_its_text_is_still_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("state",), [(styled("[b]failed\x1b[0m\nagain", "red"),)])
    printed = capsys.readouterr().out
    assert "[b]failed\\u001b[0m" in printed
    assert "again" in printed
    assert "\\u000a" not in printed


def test_said_lines_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\x1b[1m", "two\nthree")
    assert capsys.readouterr().out == "one\\u001b[1m\ntwo\\u000athree\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_json_holds_the_text_and_shows_no_control_character(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": text, text: [text]})
    print_json_line([text])
    printed = capsys.readouterr().out
    document, line = printed.rstrip("\n").rsplit("\n", 1)
    assert not CONTROL.search(printed)
    assert json.loads(document) == {"name": text, text: [text]}
    assert json.loads(line) == [text]


def report() -> IngestReport:
    found = IngestReport(
        unmapped=Counter(dict.fromkeys(HOSTILE, 2)),
        rejected=Counter({f"unknown key: {each}": 1 for each in HOSTILE}),
        skipped={f"/logs/{each}.jsonl": f"looks like {each}" for each in HOSTILE},
        others=Counter(dict.fromkeys(HOSTILE, 1)),
    )
    found.strange.update({("ours", each): 1 for each in HOSTILE})
    return found


def test_the_end_of_an_ingest_is_text(columns: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del columns
    print_report(report(), tmp_path)
    printed = capsys.readouterr().out
    assert not CONTROL.search(printed)
    assert "unknown key: [/nobody]" in printed


def test_status_tells_of_it_as_text(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    settings = get_settings()
    settings.home.mkdir(parents=True)
    remember(settings.home, report().as_kept([f"/logs/{HOSTILE[5]}", "[/nobody]"]))
    print_section(reading(settings))
    printed = capsys.readouterr().out
    assert not CONTROL.search(printed)
    assert "[/nobody]" in printed.replace("\n", "")
    assert columns < 200 or "[red]loud[/red]" in printed


def test_an_error_is_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from detektor_pipelines import cli

    def fails() -> None:
        raise UserError("There is no agent \x1b[31m[/x].", where="first\nsecond\x07", fix="[red]Look.")

    monkeypatch.setattr(cli, "build_app", lambda _: fails)
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr().err
    assert not CONTROL.search(printed)
    assert "There is no agent \\u001b[31m[/x]." in printed
    assert "first\nsecond\\u0007" in printed
    assert "[red]Look." in printed


NAMES = ["code_review_features", "average_time_between_reviews_in_hours", "日本語の名前が長い" * 3]


def test_a_table_that_does_not_fit_becomes_blocks_and_cuts_no_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(("view", "feature", "project"), [tuple(NAMES), ("a", "b", "c")])
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    assert max(map(cell_len, printed.splitlines())) <= 80
