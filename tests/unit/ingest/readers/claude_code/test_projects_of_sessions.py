from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.readers.projects import remote_of_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh_directories() -> None:
    remote_of_directory.cache_clear()


def projects(reading: Any) -> dict[str, str | None]:
    return {event.session_id[:1]: event.project for event in reading.events}


@pytest.fixture
def sessions(shapes: Any) -> dict[str, Any]:
    """Three sessions of one repository, as three people keep it."""
    cwds = {"1": "/home/ada/rover", "2": "/home/bob/src/rover/.worktrees/4", "3": "D:\\work\\fix-lock"}
    made = {}
    for digit, cwd in cwds.items():
        made[digit] = shapes.Transcript(session=digit * 8, cwd=cwd)
        made[digit].call(int(digit), f"toolu_{digit}", "Read")
    return made


def files(sessions: dict[str, Any]) -> dict[str, Any]:
    return {f"x/{digit}.jsonl": transcript for digit, transcript in sessions.items()}


def test_each_session_by_its_own_directory(sessions: dict[str, Any], read: Callable[..., Any]) -> None:
    assert projects(read(files(sessions))) == {"1": "rover", "2": "rover", "3": "fix-lock"}


def test_the_users_word_wins(sessions: dict[str, Any], read: Callable[..., Any]) -> None:
    assert set(projects(read(files(sessions), project="My Project", git_remote="a/other")).values()) == {"my-project"}


def test_then_the_remote_that_the_caller_knows(sessions: dict[str, Any], read: Callable[..., Any]) -> None:
    assert set(projects(read(files(sessions), git_remote="git@example.org:ada/mars.git")).values()) == {"mars"}


def test_then_the_remote_of_the_directory_itself(sessions: dict[str, Any], read: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "here" / ".git").mkdir(parents=True)
    (tmp_path / "here" / ".git" / "config").write_text('[remote "origin"]\n\turl = https://example.org/ada/mars\n')
    for record in sessions["1"].records:
        record["cwd"] = str(tmp_path / "here")
    assert projects(read(files(sessions)))["1"] == "mars"


def test_a_pull_request_made_elsewhere_does_not_move_the_session(sessions: dict[str, Any], read: Callable[..., Any]) -> None:
    sessions["3"].add("pr-link", 9, prNumber=4, prRepository="upstream/engine")
    assert projects(read(files(sessions)))["3"] == "fix-lock"


@pytest.mark.parametrize("cwd", [None, "/home", "/home/ada"])
def test_without_a_directory_that_names_one_it_is_the_repository_of_the_first_pull_request(
    sessions: dict[str, Any], read: Callable[..., Any], cwd: str | None
) -> None:
    for record in sessions["3"].records:
        record["cwd"] = cwd
    sessions["3"].add("pr-link", 12, prNumber=9, prRepository="ada/mars")
    sessions["3"].add("pr-link", 9, prNumber=4, prRepository="ada/rover")
    assert projects(read(files(sessions)))["3"] == "rover"


@pytest.mark.parametrize("name", ["checkpoints_metadata.jsonl", "checkpoints_metadata.jsonl.gz"])
def test_an_export_of_checkpoints_is_one_repository(sessions: dict[str, Any], read: Callable[..., Any], tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / name).write_bytes(b"")
    assert set(projects(read(files(sessions))).values()) == {"rover"}
    sessions["3"].add("pr-link", 9, prNumber=4, prRepository="ada/mars")
    assert set(projects(read(files(sessions))).values()) == {"mars"}


def test_a_session_stays_in_the_project_it_began_in(sessions: dict[str, Any], read: Callable[..., Any]) -> None:
    sessions["1"].cwd = "/home/ada/rover/deep/inside"
    sessions["1"].call(30, "toolu_9", "Read")
    assert {event.project for event in read({"a.jsonl": sessions["1"]}).events} == {"rover"}


def test_a_session_without_a_directory_has_no_project(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Read")
    for record in transcript.records:
        del record["cwd"]
    assert {event.project for event in read(transcript).events} == {None}
