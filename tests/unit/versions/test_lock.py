"""The lock of the versions: what `detektor generate` writes, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.package_copy import PackageCopy

from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.cli_commands import generate
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import Feature, count, data_hash, days, metadata_hash
from detektor_pipelines.versions import lock
from detektor_pipelines.versions.lock import History, render

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.language import FeatureView

CODER = replace(view_named("coding_features", DECLARED), version="1.0.0")
ADDED = Feature("events_count", count(), over=days(1), description="Events.", unit="events")
MORE = replace(CODER, version="1.1.0", features=(*CODER.features, ADDED))
LESS = replace(CODER, version="2.0.0", features=CODER.features[1:])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose lock knows the coder's view 1.0.0."""
    written(tmp_path, CODER)
    return tmp_path


def written(tree: Path, view: FeatureView) -> History:
    """Do what `detektor generate` does of one view."""
    generate.write(tree, render([view], History(tree / lock.PLACE)))
    return History(tree / lock.PLACE)


def refused(tree: Path, view: FeatureView) -> str:
    with pytest.raises(UserError) as error:
        render([view], History(tree / lock.PLACE))
    return error.value.what


def test_a_line_holds_both_hashes_and_the_definition_stands_beside(tree: Path) -> None:
    (line,) = (tree / lock.PLACE / "versions.lock").read_text().splitlines()
    (released,) = History(tree / lock.PLACE).released

    assert json.loads(line) == {
        "view": "coding_features",
        "version": "1.0.0",
        "data_hash": data_hash(CODER),
        "metadata_hash": metadata_hash(CODER),
    }
    assert data_hash(released.view()) == data_hash(CODER)


def test_a_new_version_is_added_and_the_former_stays(tree: Path) -> None:
    written(tree, MORE)
    history = written(tree, replace(LESS, version="10.0.0"))

    assert [each.locked.version for each in history.of_view("coding_features")] == ["1.0.0", "1.1.0", "10.0.0"]
    assert data_hash(history.version("coding_features", "v1.1.0").view()) == data_hash(MORE)
    assert history.of_hash("coding_features", data_hash(MORE)[:12]) == history.version("coding_features", "1.1.0")
    assert history.of_hash("coding_features", "0" * 12) is None
    with pytest.raises(UserError, match=r"no version 3\.0\.0") as error:
        history.version("coding_features", "3.0.0")
    assert error.value.fix == "There are: 1.0.0, 1.1.0, 10.0.0."


def test_a_text_follows_under_the_same_version(tree: Path) -> None:
    history = written(tree, replace(CODER, owner="others"))

    (released,) = history.released
    assert (released.definition["owner"], released.locked.metadata_hash) == ("others", metadata_hash(replace(CODER, owner="others")))


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (replace(MORE, version="1.0.0"), "events_count: added. That needs a minor bump: 1.1.0 at least"),
        (replace(LESS, version="1.0.0"), "weekly_implementations_count: removed. That needs a major bump: 2.0.0 at least"),
        (replace(MORE, version="1.0.1"), "1.0.1 after 1.0.0 is too small a step: events_count: added"),
        (replace(LESS, version="1.9.0"), "1.9.0 after 1.0.0 is too small a step: weekly_implementations_count: removed"),
        (replace(MORE, version="0.9.0"), "0.9.0 is new, but 1.0.0 was released before: 1.1.0 at least is needed"),
    ],
)
def test_numbers_that_change_without_their_bump_are_refused(tree: Path, view: FeatureView, says: str) -> None:
    assert says in refused(tree, view)


def test_two_changes_are_measured_from_the_newest_version(tree: Path) -> None:
    written(tree, MORE)

    assert "events_count: removed. That needs a major bump: 2.0.0" in refused(
        tree, replace(CODER, version="1.2.0", features=CODER.features)
    )


def test_the_version_before_may_be_declared_again(tree: Path) -> None:
    written(tree, MORE)

    assert len(written(tree, CODER).released) == 2


def test_all_views_that_are_wrong_are_named_at_once(tree: Path) -> None:
    other = replace(view_named("content_features", DECLARED), version="1.0.0")
    generate.write(tree, render([other], History(tree / lock.PLACE)))
    broken = replace(other, features=other.features[1:])

    with pytest.raises(UserError) as error:
        render([replace(LESS, version="1.0.0"), broken], History(tree / lock.PLACE))
    assert error.value.what.startswith("coding_features 1.0.0 ")
    assert "\ncontent_features 1.0.0 " in error.value.what


def test_a_released_definition_that_was_edited_is_refused(tree: Path) -> None:
    file = tree / lock.PLACE / "history" / "coding_features-1.0.0.json"
    file.write_text(file.read_text().replace('"over": 604800000000', '"over": 86400000000', 1))

    with pytest.raises(UserError, match=r"is not what versions\.lock says"):
        History(tree / lock.PLACE)
    file.unlink()
    with pytest.raises(UserError, match="cannot be read") as error:
        History(tree / lock.PLACE)
    assert error.value.where == str(file)


def test_a_lock_that_is_no_lock_is_said(tree: Path) -> None:
    (tree / lock.PLACE / "versions.lock").write_text("<<<<<<< HEAD\n")

    with pytest.raises(UserError, match="The lock of the versions cannot be read"):
        History(tree / lock.PLACE)


def test_a_version_of_other_rules_is_kept_and_cannot_be_computed(tree: Path) -> None:
    (released,) = History(tree / lock.PLACE).released
    before = replace(released, definition=dict(released.definition) | {"semantics": 0})

    with pytest.raises(UserError, match="the rules 0, this release computes by the rules 1"):
        before.view()


@pytest.mark.slow
def test_generate_check_fails_on_a_change_without_a_bump(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    (tmp_path / "pyproject.toml").touch()  # it is a clone
    copy.write(copy.read().replace("over=days(1)", "over=days(2)", 1))
    words = [sys.executable, "-P", "-m", "detektor_pipelines", "generate", "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | copy.environment)

    assert done.returncode == 1
    assert "recent_reviews_count: numbers change (window 1d → 2d)" in done.stderr
    assert "That needs a major bump: 2.0.0 at least." in done.stderr
