"""Which project a session belongs to: the name of its repository.

In this order: what the user says, the repository's remote, what the log itself says about the repository, and last a table of rules over
the working directory. Names hold `a-z 0-9 . _ -` only, for `code-reviewer@<project>` is an agent_id.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from detektor_pipelines.files import content_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_LIMIT: Final = 100

WORKTREE_DIRECTORIES: Final = frozenset({".worktrees", "worktrees", "_worktrees", ".worktree", "worktree"})
"""A repository keeps its worktrees in such a directory of its own: what stands before it is the repository."""

WORKTREE_SUFFIXES: Final = (".worktrees", "-worktrees", "_worktrees")
"""Or beside itself, in `<repository><suffix>/<worktree>`."""

INSIDE_A_REPOSITORY: Final = frozenset({".claude", ".git", ".codex", ".cursor", ".entire"})
"""Directories that a repository's root holds: they and what follows are cut off."""

TOOLS_WITH_WORKTREES: Final = frozenset({".codex", ".cursor", ".claude-squad", ".superset", "conductor", ".conductor"})
"""In a home directory such a tool keeps worktrees as `<tool>/worktrees/<repository>/…` or `<tool>/workspaces/<repository>/…`."""

_HOMES: Final = frozenset({"users", "home"})
_NO_PROJECT: Final = frozenset({"tmp", "temp", "var", "private", "root", "mnt", "opt", "src", "desktop", "documents", "downloads"})
_WINDOWS: Final = re.compile(r"[A-Za-z]:(?:[\\/]|$)|\\\\")
_DRIVE_OF_SHELLS: Final = re.compile(r"/(?:mnt|cygdrive)/[a-z](?=/|$)|/[a-z](?=/users/)", re.IGNORECASE)
_STRANGE: Final = re.compile(r"[^a-z0-9._-]+")
_WORKTREE_OF_TOOL: Final = re.compile(r"(?<=[\\/])\.(?:claude|codex|cursor)[\\/]worktrees[\\/][^\\/]+[\\/]")
_REMOTE_URL: Final = re.compile(r"^\s*url\s*=\s*(\S+)", re.MULTILINE)
_ORIGIN: Final = re.compile(r'\[remote "(?P<name>[^"]+)"\](?P<body>[^\[]*)')


def project_name(text: str) -> str | None:
    """Write a name with the allowed characters only; None when nothing is left."""
    name = _STRANGE.sub("-", text.strip().lower()).strip("-.")[:NAME_LIMIT].rstrip("-.")
    return name or None


def project_of_remote(url: str) -> str | None:
    """Take the repository's name out of a remote: `git@host:owner/name.git`, `https://host/owner/name`, `owner/name`, a path."""
    path = re.split(r"[/\\:]", url.strip().rstrip("/\\"))[-1]
    return project_name(path.removesuffix(".git"))


def project_of_directory(cwd: str) -> str | None:
    """Apply the rules to a working directory: worktrees and tool directories are cut, Windows paths are read as such.

    None for a home directory, a drive's root and directories such as `/tmp`: they name no repository.
    """
    parts = _parts(cwd)
    root = _root_of_repository(parts)
    if not root or (len(root) == 2 and root[0].lower() in _HOMES) or root[-1].lower() in _NO_PROJECT | _HOMES:  # noqa: PLR2004 (home/<user>)
        return None
    return project_name(root[-1])


def without_worktree(path: str) -> str:
    """Cut a program's directory of worktrees out of a file's path: `shop/.claude/worktrees/calm-otter/docs/x.md` is `shop/docs/x.md`.

    In a home directory the name of the repository follows (`~/.codex/worktrees/1a2b/shop/docs/x.md`) and stays.
    """
    return _WORKTREE_OF_TOOL.sub("", path, count=1)


@lru_cache(maxsize=4096)
def remote_of_directory(cwd: str) -> str | None:
    """Return the remote (origin before others) of the repository around a directory of this machine; None when there is none.

    The configuration file is read, no program is started: a log of another machine has thousands of directories that are not here.
    """
    if _WINDOWS.match(cwd) and not Path(cwd).is_absolute():
        return None
    here = Path(cwd)
    try:
        git = (
            next((directory / ".git" for directory in (here, *here.parents) if (directory / ".git").exists()), None)
            if here.is_dir()
            else None
        )
        return _remote_in(_text(_configuration_of(git))) if git else None
    except (OSError, ValueError):  # the latter: a path that is none
        return None


def _configuration_of(git: Path) -> Path:
    """`.git` is a directory, or in a worktree a file that points to one whose `commondir` points to the repository."""
    if git.is_dir():
        return git / "config"
    directory = git.parent / _text(git).partition("gitdir:")[2].strip()
    common = directory / "commondir"
    return (directory / _text(common).strip() if common.is_file() else directory) / "config"


def _text(file: Path) -> str:
    return content_of(file).decode("utf-8", errors="replace")


def _remote_in(configuration: str) -> str | None:
    remotes = {match["name"]: url[1] for match in _ORIGIN.finditer(configuration) if (url := _REMOTE_URL.search(match["body"]))}
    return remotes.get("origin") or next(iter(remotes.values()), None)


def _parts(cwd: str) -> Sequence[str]:
    if _WINDOWS.match(cwd):
        return PureWindowsPath(cwd).parts[1:]
    return [part for part in PurePosixPath(_DRIVE_OF_SHELLS.sub("", cwd, count=1)).parts if part not in {"/", ".."}]


def _root_of_repository(parts: Sequence[str]) -> Sequence[str]:
    for index, part in enumerate(parts):
        name, before = part.lower(), parts[index - 1].lower() if index else ""
        following = parts[index + 1 :]
        if name in WORKTREE_DIRECTORIES | {"workspaces"} and before in TOOLS_WITH_WORKTREES and _is_in_home(parts, index - 1):
            return _after_tool(parts, index)
        if index and (name in WORKTREE_DIRECTORIES and following):
            return _root_of_repository(parts[:index]) or parts[:index]
        if following and name.endswith(WORKTREE_SUFFIXES) and name not in WORKTREE_DIRECTORIES:
            suffix = next(suffix for suffix in WORKTREE_SUFFIXES if name.endswith(suffix))
            return [*parts[:index], part[: -len(suffix)]]
        if index and name in INSIDE_A_REPOSITORY and not _is_in_home(parts, index):
            return parts[:index]
    return parts


def _is_in_home(parts: Sequence[str], index: int) -> bool:
    """Whether `parts[index]` stands directly in a user's home directory."""
    return index == 2 and parts[0].lower() in _HOMES  # noqa: PLR2004 (home/<user>/<here>)


def _after_tool(parts: Sequence[str], index: int) -> Sequence[str]:
    """`<tool>/worktrees/<id>/<repository>` (an id is short and hexadecimal) or `<tool>/worktrees/<repository>/…`."""
    following = parts[index + 1 :]
    if len(following) > 1 and re.fullmatch(r"[0-9a-f]{3,8}", following[0]):
        return parts[: index + 3]
    return parts[: index + 2]
