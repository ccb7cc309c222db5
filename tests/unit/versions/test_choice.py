"""Which versions are chosen instead of the files': written, read, and in force in a process that begins."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.catalog.chosen import FILE, Chosen, read
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import default_home, home
from detektor_pipelines.language import data_hash
from detektor_pipelines.versions import choice

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

CODER = view_named("coding_features", DECLARED)
BEFORE = replace(CODER, version="0.9.0", features=CODER.features[:3])
EARLIER = replace(CODER, version="0.8.0", features=CODER.features[:2])
SAY = "from detektor_pipelines.catalog import BESIDE, VIEWS; print([v.version for v in VIEWS if v.agent == 'detektor-coder'], BESIDE)"


def begun() -> subprocess.CompletedProcess[str]:
    """Begin a process, and have it say which version of the coder's view it has loaded."""
    return subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=False)


def test_what_is_pinned_is_in_force_in_a_process_that_begins_until_it_is_unpinned(settings: Settings) -> None:
    choice.pin(settings, BEFORE)
    assert [view.version for view in choice.in_force(settings)] == ["0.9.0" if view == CODER else view.version for view in DECLARED]
    assert begun().stdout.startswith("['0.9.0'] ()")
    choice.unpin(settings, CODER.name)
    assert not (settings.home / FILE).exists(), "nothing is chosen any more"
    assert begun().stdout.startswith(f"['{CODER.version}'] ()")
    choice.unpin(settings, CODER.name)


def test_what_is_kept_beside_is_not_what_is_in_force(settings: Settings) -> None:
    choice.keep_beside(settings, BEFORE)
    choice.keep_beside(settings, EARLIER)
    choice.keep_beside(settings, replace(BEFORE, owner="another"))
    now = choice.chosen(settings)
    assert [view.version for view in now.kept_beside(DECLARED)] == ["0.8.0", "0.9.0"], "once each, by its numbers"
    choice.pin(settings, BEFORE)
    now = choice.chosen(settings)
    assert [view.version for view in now.kept_beside(now.in_force(DECLARED))] == ["0.8.0"]
    assert choice.let_go(settings, CODER.name, data_hash(EARLIER))
    assert not choice.let_go(settings, CODER.name, data_hash(EARLIER))
    assert choice.chosen(settings).kept_beside(choice.in_force(settings)) == ()


def test_a_view_that_is_declared_no_more_can_be_pinned() -> None:
    gone = replace(BEFORE, name="gone_features")

    assert Chosen({"gone_features": gone}).in_force(DECLARED) == (*DECLARED, gone)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pinned": [], "beside": []}', '{"pinned": {"a": {}}, "beside": []}'])
def test_a_file_that_cannot_be_understood_is_named_with_what_to_do(settings: Settings, content: str) -> None:
    settings.home.mkdir()
    (settings.home / FILE).write_text(content)

    with pytest.raises(UserError, match="Which versions were chosen cannot be read") as error:
        choice.chosen(settings)
    assert error.value.where == str(settings.home / FILE)
    assert "Delete the file" in (error.value.fix or "")


def test_a_definition_that_was_edited_or_is_of_other_rules_is_refused(settings: Settings) -> None:
    choice.pin(settings, BEFORE)
    file = settings.home / FILE
    text = file.read_text()
    for wrong, says in ((text.replace("604800000000", "86400000000", 1), "is not what it was"), (_of_other_rules(text), "the rules 0")):
        file.write_text(wrong)
        with pytest.raises(UserError, match=says):
            read(file)
        assert "Which versions were chosen cannot be read: " in begun().stderr


def _of_other_rules(text: str) -> str:
    content = json.loads(text)
    content["pinned"][CODER.name]["definition"]["semantics"] = 0
    return json.dumps(content)


def test_the_home_directory_is_the_one_of_the_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home() == settings.home
    monkeypatch.setenv("DETEKTOR_HOME", "~/there")
    assert home() == tmp_path / "there"
    monkeypatch.delenv("DETEKTOR_HOME")
    assert home() == default_home()
