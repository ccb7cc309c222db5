"""`detektor init` and `detektor features new`: what they write can be used as it is, and nothing that is there is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DETEKTOR = Path(sys.executable).with_name("detektor")


def detektor(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run([DETEKTOR, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("work")
    done = detektor(directory, "init", "my-agents")
    assert done.returncode == 0, done.stderr
    assert "cd my-agents" in done.stdout
    return directory / "my-agents"


def test_its_cases_hold(mine: Path) -> None:
    done = detektor(mine, "features", "test", "--json")
    assert done.returncode == 0, done.stderr
    assert [case["mismatches"] for case in json.loads(done.stdout)] == [[], []]


def test_what_is_there_stays(mine: Path) -> None:
    (mine / "README.md").write_text("mine\n")
    done = detektor(mine.parent, "init", "my-agents")
    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert (mine / "README.md").read_text() == "mine\n"


def test_generated_files_go_to_the_project(mine: Path) -> None:
    done = detektor(mine, "generate")
    assert done.returncode == 0, done.stderr
    assert (mine / "catalog" / "versions.lock").read_text().count("\n") == 1, "the package's versions stay in the package"
    assert "release-scribe" in (mine / "client" / "agents.py").read_text()
    assert "extra.entries_written" in (mine / "docs" / "self-learning-agents" / "release_features.md").read_text()
    assert "](../" not in (mine / "docs" / "self-learning-agents" / "feature-guide.md").read_text()
    again = detektor(mine, "generate", "--check")
    assert (again.returncode, "up to date" in again.stdout) == (0, True)
    view = mine / "catalog" / "release_scribe.py"
    before = view.read_text()
    view.write_text(before.replace("days(30)", "days(20)"))
    refused = detektor(mine, "generate")
    view.write_text(before)
    assert refused.returncode == 1
    assert "needs a" in refused.stderr
    assert "catalog/versions.lock" in refused.stderr


def test_a_new_view_is_one_that_runs(mine: Path) -> None:
    done = detektor(mine, "features", "new", "triager", "--work", "diagnose")
    assert done.returncode == 0, done.stderr
    listed = detektor(mine, "features", "list", "triager", "--json")
    assert [each["name"] for each in json.loads(listed.stdout)[0]["features"]] == ["weekly_work_count"]
    again = detektor(mine, "features", "new", "triager")
    assert again.returncode == 1
    assert "has a view already" in again.stderr
    packaged = detektor(mine, "features", "new", "pisarz")
    assert packaged.returncode == 1
    assert 'replace = ["pisarz"]' in packaged.stderr


def test_a_new_view_needs_a_catalogue(tmp_path: Path) -> None:
    done = detektor(tmp_path, "features", "new", "triager")
    assert done.returncode == 1
    assert "detektor init" in done.stderr


def test_an_event_of_ones_own_is_checked_where_it_is_typed(mine: Path) -> None:
    typed = ("emit", "--agent", "release-scribe", "--action", "document", "--extra")
    for given, said in (
        ("pages=3", "No detektor.toml declares 'pages'"),
        ("entries_written=many", "is not a whole number"),
        ("entries_written=1001", "above its maximum 1000"),
        ("channel=gamma", "is not one of stable, beta"),
        ("channel", "is not written as name=value"),
    ):
        done = detektor(mine, *typed, given)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
