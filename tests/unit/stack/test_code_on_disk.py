"""Whether the definitions on disk can be loaded, asked of a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.package_copy import REVIEWS, PackageCopy

from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import code_on_disk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageCopy:
    made = PackageCopy(tmp_path)
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    return made


def test_what_is_on_disk_is_said_as_a_process_says_what_it_has_loaded(copy: PackageCopy) -> None:
    here, there = definitions(), code_on_disk.definitions()
    assert (there["hash"], there["views"]) == (here["hash"], here["views"])
    copy.add_a_feature()
    changed = code_on_disk.definitions()
    assert changed["hash"] != here["hash"]
    assert {name for name, view in changed["views"].items() if view != here["views"][name]} == {"code_review_features"}
    assert changed["views"]["code_review_features"]["version"] == "2.0.0"


def test_a_text_is_another_hash_and_no_other_numbers(copy: PackageCopy) -> None:
    copy.write(copy.read().replace("Reviews finished in the last day.", "Reviews finished within a day."))
    here, there = definitions(), code_on_disk.definitions()
    assert there["hash"] != here["hash"]
    assert there["views"] == here["views"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("over=days(1),", "over=days(1", "SyntaxError: "),
        ("over=days(1),", "over=dayz(1),", "NameError: name 'dayz' is not defined"),
        ("over=days(1),", "over=days(-1),", "not a positive multiple"),
        ("from detektor_pipelines.language", "from detektor_pipelines.nothing", "ModuleNotFoundError: "),
    ],
)
def test_what_cannot_be_loaded_is_named_with_file_and_line(copy: PackageCopy, before: str, after: str, words: str) -> None:
    copy.write(copy.read().replace(before, after, 1))
    with pytest.raises(UserError, match="The definitions cannot be loaded") as told:
        code_on_disk.definitions()
    assert words in told.value.what
    file, _, line = str(told.value.where).partition(", line ")
    assert (file, line.isdigit()) == (str(copy.package / REVIEWS), True)
    assert "nothing is lost" in str(told.value.fix)


def test_files_that_changed_are_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PackageCopy(tmp_path)
    monkeypatch.setattr(code_on_disk, "_PACKAGE", made.package)
    before = code_on_disk.fingerprint()
    assert code_on_disk.fingerprint() == before
    made.write(made.read() + "\n")
    assert code_on_disk.fingerprint() != before
