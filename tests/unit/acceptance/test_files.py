"""Rows that look at files: each fails when what it looks for is not so."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from detektor_pipelines.acceptance import commands, files, models, watching
from detektor_pipelines.monitoring.started import INSTALL
from detektor_pipelines.settings import Settings

RULES = "monitoring/prometheus/rules"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Have the rows look at a repository of the test's own."""
    own = tmp_path / "repository"
    own.mkdir()
    monkeypatch.setattr(commands, "REPOSITORY", own)
    return own


def states(check, settings) -> list[tuple[str, str]]:
    return [(part.state, part.text) for part in check(settings, lambda *_: None)]


def test_a_secret_in_git_is_found(repository, settings):
    git = ("git", "-C", str(repository))
    subprocess.run([*git, "init", "-q"], check=True)
    for name in (files.COMPOSE, files.WORKFLOW):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("services: {}\n")
    given = Settings(home=settings.home, postgres_password="a-long-password", redis_password="another-password")
    subprocess.run([*git, "add", "."], check=True)
    assert {state for state, _ in states(files.configuration, given)} == {"passed"}
    (repository / files.COMPOSE).write_text("password: another-password\n")
    assert ("failed", "1 of 2 secrets of this installation is in a file of Git") in states(files.configuration, given)
    (repository / files.COMPOSE).unlink()
    assert ("failed", f"{files.COMPOSE} is missing") in states(files.configuration, given)


def test_secrets_of_containers_are_looked_for_too(repository, settings):
    git = ("git", "-C", str(repository))
    subprocess.run([*git, "init", "-q"], check=True)
    made = repository / "docker/secrets"
    made.mkdir(parents=True)
    (made / "reader-token").write_text("dtk_what-readers-send")
    (made / "serve-tokens").write_text("reader sha256:0123\n")
    given = Settings(home=settings.home)
    assert states(files.configuration, given)[-1] == ("passed", "none of 1 secrets of this installation is in a file of Git")
    (repository / "notes").write_text("curl -H 'Authorization: Bearer dtk_what-readers-send'\n")
    subprocess.run([*git, "add", "notes"], check=True)
    assert states(files.configuration, given)[-1] == ("failed", "1 of 1 secrets of this installation is in a file of Git")


def test_an_image_has_no_files_of_the_repository(repository, settings):
    assert [state for state, _ in states(files.configuration, settings)] == ["not checked"]


def test_tests_that_failed_or_never_ran(repository, settings):
    assert states(files.tests, settings)[0][0] == "not checked"
    folder, cache = repository / files.TESTS, repository / ".pytest_cache/v"
    folder.mkdir(parents=True)
    assert states(files.tests, settings)[0] == ("failed", f"0 tests in 0 files of {files.TESTS}")
    (folder / "test_a.py").write_text("def test_one(): ...\nclass TestB:\n    def test_two(self): ...\n")
    assert [state for state, _ in states(files.tests, settings)] == ["passed", "not checked"]
    for name in ("cache", "detektor"):
        (cache / name).mkdir(parents=True)
    (cache / "detektor/ran").write_text(json.dumps([f"{files.TESTS}/test_a.py::test_one", "tests/unit/test_c.py::test_c"]))
    (cache / "cache/lastfailed").write_text(json.dumps({"tests/unit/test_c.py::test_c": True}))
    assert states(files.tests, settings) == [
        ("passed", f"2 tests in 1 files of {files.TESTS}"),
        ("passed", "none of them failed when they last ran here"),
    ]
    (cache / "cache/lastfailed").write_text(json.dumps({f"{files.TESTS}/test_a.py::test_one": True}))
    assert states(files.tests, settings)[1][0] == "failed"


@pytest.mark.long  # promtool plays hours of alerts, twice
@pytest.mark.skipif(shutil.which("promtool") is None, reason=f"no promtool here: {INSTALL}")
def test_a_threshold_that_somebody_changed(repository, settings, monkeypatch):
    monkeypatch.undo()
    shutil.copytree(commands.REPOSITORY / RULES, repository / RULES)
    assert {state for state, _ in states(watching.alerts, settings)} == {"passed"}
    monkeypatch.setattr(commands, "REPOSITORY", repository)
    alerts = repository / RULES / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("feast_feature_drift_score) > 0.2", "feast_feature_drift_score) > 0.3"))
    found = states(watching.alerts, settings)
    assert [state for state, _ in found] == ["passed", "passed", "failed"]
    assert found[-1][1].startswith("promtool test rules")


def test_without_promtool_part_is_not_checked(settings, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert [state for state, _ in states(watching.alerts, settings)] == ["passed", "not checked"]


def test_a_guide_that_is_not_what_the_definitions_give(repository, settings, monkeypatch):
    monkeypatch.setattr(models, "_newest", lambda *_: None)
    assert [state for state, _ in states(models.explained, settings)] == ["failed", "failed"]
    monkeypatch.undo()
    monkeypatch.setattr(models, "_newest", lambda *_: None)
    assert [state for state, _ in states(models.explained, settings)] == ["passed", "failed"]
