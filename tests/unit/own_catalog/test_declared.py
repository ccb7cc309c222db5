"""What a `detektor.toml` may say, and that a mistake in it names the line."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands import skeletons
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEASURE = '[measures.steps]\nunit = "steps"\nminimum = 0\nmaximum = 9\ndescription = "Steps."\n'
AGENT = '[agents.triager]\ndecides = "which first"\nwork = "diagnose"\n'


@pytest.fixture(autouse=True)
def unread(isolated_environment: Path) -> Iterator[None]:
    del isolated_environment
    own_catalog.catalogs.cache_clear()
    yield
    own_catalog.catalogs.cache_clear()


def project(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / own_catalog.FILE).write_text(text, encoding="utf-8")
    return directory


def test_without_a_variable_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(project(tmp_path / "here", AGENT))

    assert own_catalog.catalogs() == ()


def test_what_the_skeleton_declares_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_CATALOG", str(project(tmp_path / "mine", skeletons.DETEKTOR_TOML) / own_catalog.FILE))

    (found,) = own_catalog.catalogs()

    assert [(each.name, each.work) for each in found.agents] == [("release-scribe", "document")]
    assert [(each.name, each.minimum, each.maximum) for each in found.measures] == [("entries_written", 0, 1_000)]
    assert [(each.name, each.values) for each in found.categories] == [("channel", ("stable", "beta"))]
    assert (found.directory, found.replace, found.also, found.packaged) == (tmp_path / "mine", False, (), False)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[agents\n", 1, "it is not TOML"),
        (f"{AGENT}\n[agent.x]\n", 5, "agent means nothing here; there are catalog, agents, measures, categories"),
        ("[catalog]\nreplace = 3\n", 2, "replace is true, false, or a list"),
        ('[catalog]\nreplaces = ["x"]\n', 2, "replaces means nothing in [catalog]"),
        ("[agents.Triager]\n", 1, "an agent is not called 'Triager'"),
        (f"\n{AGENT.replace('work', 'works')}", 2, '[agents.triager] needs decides = "…" and work = "…"'),
        (f"{AGENT}boss = 3\n", 4, "boss means nothing in [agents.triager]"),
        (f"{AGENT}{MEASURE.replace('0', '-1.5')}", 6, "[measures.steps] needs minimum, a whole number"),
        (MEASURE.replace("9", "99999999999999999999"), 4, "[measures.steps] needs maximum, a whole number that int64 holds"),
        (MEASURE.replace("0", "10"), 1, "no value of steps lies between 10 and 9"),
        (MEASURE.replace('unit = "steps"', 'unit = ""'), 2, '[measures.steps] needs unit = "…"'),
        (MEASURE.replace("steps]", "Steps]"), 1, "'Steps' is no name of a measure or category"),
        (f'{MEASURE}[categories.steps]\ndescription = "x"\n', 6, "steps is declared as a measure and as a category"),
        ('[categories.tone]\ndescription = "x"\nvalues = "dry"\n', 3, "values is not a list of texts"),
        ("measures = 3\n", 1, "measures is not a table"),
    ],
)
def test_a_mistake_is_what_where_and_what_to_do(tmp_path: Path, text: str, line: int, said: str) -> None:
    directory = project(tmp_path / "mine", text)

    with pytest.raises(UserError, match=re.escape(said)) as caught:
        own_catalog.read(directory)

    assert caught.value.where == f"{directory / own_catalog.FILE}, line {line}"
    assert caught.value.fix
    assert len(str(caught.value).splitlines()) == 3


def test_a_directory_without_the_file_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DETEKTOR_CATALOG", str(tmp_path / "mine"))

    with pytest.raises(UserError, match=r"holds no detektor\.toml") as caught:
        own_catalog.catalogs()
    assert "detektor init mine" in str(caught.value.fix)


def test_packaged_views_that_are_off_are_switched_on_by_either_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_catalog, "ALSO", tmp_path)
    project(tmp_path / "costs", MEASURE)
    monkeypatch.setenv("DETEKTOR_EXTRA_VIEWS", "costs")
    assert [(each.directory.name, each.packaged) for each in own_catalog.catalogs()] == [("costs", True)]
    own_catalog.catalogs.cache_clear()
    monkeypatch.delenv("DETEKTOR_EXTRA_VIEWS")
    monkeypatch.setenv("DETEKTOR_CATALOG", str(project(tmp_path / "mine", '[catalog]\nalso = ["costs"]\n')))
    assert [each.directory.name for each in own_catalog.catalogs()] == ["costs", "mine"]


def test_a_name_of_no_packaged_views_says_which_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_catalog, "ALSO", tmp_path)
    project(tmp_path / "costs", MEASURE)
    monkeypatch.setenv("DETEKTOR_EXTRA_VIEWS", "cost")

    with pytest.raises(UserError, match="no packaged views 'cost'") as caught:
        own_catalog.catalogs()
    assert (caught.value.where, caught.value.fix) == ("DETEKTOR_EXTRA_VIEWS", "There are costs.")


def test_the_command_line_uses_the_one_of_its_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = project(tmp_path / "mine", "")
    monkeypatch.chdir(mine)
    monkeypatch.delenv("DETEKTOR_HOME")
    for name in ("DETEKTOR_CATALOG", "DETEKTOR_HOME"):  # find() sets them: they are to be gone after the test
        monkeypatch.setenv(name, "")

    own_catalog.find()

    assert own_catalog.directory() == mine
    assert os.environ["DETEKTOR_HOME"] == str(mine / ".detektor")


def test_the_command_line_uses_the_one_that_the_programs_were_started_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine, home = project(tmp_path / "mine", ""), tmp_path / "home"
    monkeypatch.setenv("DETEKTOR_CATALOG", str(mine))
    own_catalog.remember(home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETEKTOR_CATALOG", "")
    monkeypatch.setenv("DETEKTOR_HOME", str(home))

    own_catalog.find()

    assert own_catalog.directory() == mine
