from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live.hook_settings import HOOKS, SettingsFile, _installed, _parsed, _take_out, quick_command

if TYPE_CHECKING:
    from pathlib import Path

THEIRS = """{
    "permissions": {"allow": ["Bash(ls:*)"]},
    "hooks": {
        "PostToolUse": [{"matcher": "Edit", "hooks": [{"type": "command", "command": "prettier --write"}]}],
        "Stop": [{"hooks": [{"type": "command", "command": "say done"}]}]
    },
    "unknown": "żółw"
}
"""
COMMAND = "/usr/bin/python3 -I -S '/opt/my tools/detektor_pipelines/hook.py' /home/ada/.detektor/spool"


def run(*words: str, answer: str = "y\n") -> Any:
    done = CliRunner().invoke(build_app(), ["hook", *words], input=answer)
    if isinstance(done.exception, UserError):
        raise done.exception
    return done


@pytest.fixture
def file(tmp_path: Path, settings: object) -> SettingsFile:
    return SettingsFile(tmp_path / ".claude" / "settings.json")


def test_there_and_back_to_the_byte(file: SettingsFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text(THEIRS)
    file.path.chmod(0o640)
    assert run("install").exit_code == 0
    content = json.loads(file.path.read_text())
    assert set(content["hooks"]) == {*HOOKS, "Stop"}
    assert content["hooks"]["PostToolUse"][0]["hooks"][0]["command"] == "prettier --write"
    assert content["unknown"] == "żółw"
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert file.backup.read_text() == THEIRS
    assert run("uninstall").exit_code == 0
    assert file.path.read_text() == THEIRS
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_file_that_was_made_for_the_hook_goes_with_it(file: SettingsFile) -> None:
    run("install", "--yes")
    assert list(json.loads(file.path.read_text())["hooks"]) == list(HOOKS)
    run("uninstall", "--yes")
    assert list(file.path.parent.iterdir()) == []


def test_what_others_changed_meanwhile_stays(file: SettingsFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text(THEIRS)
    run("install", "--yes")
    content = json.loads(file.path.read_text())
    content["hooks"]["SubagentStop"][0]["hooks"].append({"type": "command", "command": "theirs"})
    content["model"] = "opus"
    file.path.write_text(json.dumps(content))
    run("uninstall", "--yes")
    left = json.loads(file.path.read_text())
    expected = json.loads(THEIRS) | {"model": "opus"}
    expected["hooks"]["SubagentStop"] = [{"hooks": [{"type": "command", "command": "theirs"}]}]
    assert left == expected


def test_installing_twice_changes_nothing(file: SettingsFile) -> None:
    run("install", "--yes")
    text = file.path.read_text()
    assert "already" in run("install", "--yes").output
    assert file.path.read_text() == text
    assert "not in" in run("uninstall", "--settings", str(file.path.with_name("other.json"))).output


def test_a_hook_of_an_older_place_is_replaced(file: SettingsFile) -> None:
    file.write(_installed(THEIRS, COMMAND, file.path))
    run("install", "--yes")
    assert {command for found in file.commands().values() for command in found} == {
        quick_command(file.path.parents[1] / "detektor-home/spool")
    }


def test_nothing_is_written_without_a_yes(file: SettingsFile) -> None:
    done = run("install", answer="n\n")
    assert done.exit_code == 1
    assert '+    "PostToolUse": [' in done.output
    assert not file.path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  "hooks": {,}\n}', "line 2, column 13"),
        ('{"a": 1 // comment\n}', "line 1, column 9"),
        ("[]", "not a JSON object"),
        ('{"hooks": []}', "hooks is not an object"),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop is not a list"),
        ('{"hooks": {"Stop": [{}]}}', "hooks.Stop[0].hooks is not a list"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
    ],
)
def test_what_cannot_be_read_is_not_touched(file: SettingsFile, text: str, said: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    for command in ("install", "uninstall"):
        with pytest.raises(UserError) as caught:
            run(command, "--yes")
        assert said in str(caught.value)
    assert file.path.read_text() == text


def test_a_link_stays_a_link(file: SettingsFile, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}\n")
    file.path.parent.mkdir()
    file.path.symlink_to(real)
    run("install", "--yes")
    assert file.path.is_symlink()
    assert "PostToolUse" in real.read_text()
    run("uninstall", "--yes")
    assert real.read_text() == "{}\n"


def test_status(file: SettingsFile) -> None:
    states = lambda: [row["state"] for row in json.loads(run("status", "--json").stdout)["settings"]]  # noqa: E731
    assert states() == ["not installed"] * 2
    run("install", "--yes")
    assert states() == ["installed", "not installed"]


COMMANDS = st.sampled_from(["lint", "echo detektor", "my-detektor-hooks run", "/x/hook.py", COMMAND, "detektor-hook /spool"])
ENTRIES = st.fixed_dictionaries({"type": st.just("command"), "command": COMMANDS}, optional={"timeout": st.integers(1, 9)})
GROUPS = st.fixed_dictionaries({"hooks": st.lists(ENTRIES, max_size=3)}, optional={"matcher": st.text(max_size=5)})
CONTENTS = st.fixed_dictionaries(
    {}, optional={"hooks": st.dictionaries(st.sampled_from([*HOOKS, "Stop"]), st.lists(GROUPS, max_size=3)), "other": st.text()}
)


@given(CONTENTS, st.sampled_from([None, 2, 4, "\t"]))
def test_taking_out_leaves_what_is_not_ours(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], indent: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "settings.json"
    clean = json.loads(json.dumps(content))
    _take_out(clean, path)
    text = _installed(json.dumps(content, indent=indent), COMMAND, path)
    assert _installed(text, COMMAND, path) == text
    found = _parsed(text, path)
    _take_out(found, path)
    assert without_empty_lists(found) == without_empty_lists(clean)


def without_empty_lists(content: dict[str, Any]) -> dict[str, Any]:
    hooks = {name: groups for name, groups in content.get("hooks", {}).items() if groups}
    return {**{name: value for name, value in content.items() if name != "hooks"}, **({"hooks": hooks} if hooks else {})}
