from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote, remote_of_directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("cwd", "project"),
    [
        ("/home/ada/code/rover", "rover"),
        ("/home/ada/code/rover/", "rover"),
        ("/Users/ada/Work/Rover CLI", "rover-cli"),
        ("/home/ada/code/rover/.worktrees/3", "rover"),
        ("/home/ada/code/rover/.worktrees/ada/fix-lock/cmd/x", "rover"),
        ("/home/ada/code/rover/worktrees/3", "rover"),
        ("/home/ada/code/rover/.claude/worktrees/brave-fox/src", "rover"),
        ("/home/ada/code/rover.worktrees/fix", "rover"),
        ("/home/ada/code/rover-worktrees/fix", "rover"),
        ("/home/ada/.codex/worktrees/1a2b/rover", "rover"),
        ("/home/ada/.cursor/worktrees/rover/x1", "rover"),
        ("/Users/ada/conductor/workspaces/rover/lima", "rover"),
        ("D:\\code\\Rover", "rover"),
        ("C:\\Users\\ada\\rover\\.claude\\worktrees\\agent-1\\src", "rover"),
        ("D:/code/rover", "rover"),
        ("\\\\server\\share\\rover", "rover"),
        ("/mnt/c/Users/ada/rover", "rover"),
        ("/c/Users/ada/rover", "rover"),
        ("/home/ada", None),
        ("C:\\Users\\ada", None),
        ("/", None),
        ("D:\\", None),
        ("/opt", None),
        ("/root", None),
        ("", None),
        ("/home/ada/@", None),
    ],
)
def test_the_rules_over_working_directories(cwd: str, project: str | None) -> None:
    assert project_of_directory(cwd) == project


@pytest.mark.parametrize(
    "url",
    [
        "git@example.org:ada/rover.git",
        "https://example.org/ada/rover",
        "https://example.org/ada/rover.git/",
        "ada/rover",
        "/srv/git/rover.git",
        "C:\\git\\rover",
    ],
)
def test_the_name_in_a_remote(url: str) -> None:
    assert project_of_remote(url) == "rover"


@given(st.text(max_size=150))
def test_a_name_holds_the_allowed_characters_only(text: str) -> None:
    for name in (project_name(text), project_of_directory(text), project_of_remote(text)):
        assert name is None or re.fullmatch(r"[a-z0-9_.-]{1,100}", name)


def test_the_remote_of_a_repository_on_this_machine_and_of_its_worktree(tmp_path: Path) -> None:
    repository = tmp_path / "local-name"
    (repository / ".git" / "worktrees" / "fix").mkdir(parents=True)
    (repository / "src").mkdir()
    (repository / ".git" / "config").write_text(
        '[remote "backup"]\n\turl = /srv/other.git\n[remote "origin"]\n\turl = git@example.org:ada/rover.git\n\tfetch = x\n'
    )
    worktree = tmp_path / "fix"
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {repository / '.git' / 'worktrees' / 'fix'}\n")
    (repository / ".git" / "worktrees" / "fix" / "commondir").write_text("../..\n")
    remote_of_directory.cache_clear()
    for directory in (repository, repository / "src", worktree):
        assert remote_of_directory(str(directory)) == "git@example.org:ada/rover.git"


def test_no_remote_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[core]\n")
    remote_of_directory.cache_clear()
    assert remote_of_directory(str(tmp_path)) is None
    assert remote_of_directory(str(tmp_path / "gone")) is None
    assert remote_of_directory("D:\\code\\rover") is None
    assert remote_of_directory("/\0") is None
