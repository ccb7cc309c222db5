"""`detektor-hook` in Claude Code's settings: what to write there, and how to take it out again.

Belongs here: the file's text before and after. Other hooks, unknown keys and their order stay; what is ours is known by its command. Beside
the file stands a backup of what it was (empty when there was none): as long as nobody else changed the file, taking the hook out
brings back the very bytes.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import hook
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOKS: Final = ("PostToolUse", "PostToolUseFailure", "SubagentStart", "SubagentStop", "SessionEnd")
TIMEOUT_S: Final = 5
BACKUP_SUFFIX: Final = ".before-detektor"

_OURS: Final = re.compile(r"(?:^|[\s/'\"])(?:detektor-hook|detektor_pipelines/hook\.py)(?=$|[\s'\"])")
_INDENT: Final = re.compile(r"\{\r?\n([ \t]+)")


def quick_command(spool: Path) -> str:
    """Return the command line of the hook: this interpreter without site-packages, which starts in half the time."""
    return shlex.join([sys.executable, "-I", "-S", hook.__file__, str(spool)])


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """One of Claude Code's settings files; it need not exist."""

    path: Path

    @property
    def backup(self) -> Path:
        """Where its text before ours is kept."""
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)

    def text(self) -> str:
        """Return its text, empty when there is no file.

        Raises:
            UserError: It cannot be read.

        """
        try:
            return self.path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                "The settings cannot be read.", where=f"{self.path}: {error}", fix="Fix the file; nothing was changed."
            ) from None

    def commands(self) -> dict[str, list[str]]:
        """Return our commands in it, by hook."""
        content = _parsed(self.text(), self.path)
        found: dict[str, list[str]] = {name: [] for name in HOOKS}
        for name, _, entry in _entries(content, self.path):
            if _is_ours(entry):
                found.setdefault(name, []).append(entry["command"])
        return found

    def installed(self, command: str) -> str:
        """Return its text with our hook in it, once for each of HOOKS; the same text when it is there already.

        Raises:
            UserError: It is not JSON, or its hooks are not what Claude Code reads.

        """
        return _installed(self.text(), command, self.path)

    def removed(self) -> str | None:
        """Return its text without our hook; None when the file is to be deleted, for it was made for the hook alone.

        Raises:
            UserError: As `installed`.

        """
        text = self.text()
        before = self._untouched(text)
        if before is not None:
            return before or None
        content = _parsed(text, self.path)
        if not any(_is_ours(entry) for _, _, entry in _entries(content, self.path)):
            return text
        _take_out(content, self.path)
        return _written(content, text)

    def write(self, text: str | None) -> None:
        """Replace the file in one step, its mode kept; None deletes it.

        Raises:
            UserError: The directory cannot be written.

        """
        aim = self.path.resolve()
        try:
            if text is None:
                aim.unlink(missing_ok=True)
                return
            aim.parent.mkdir(parents=True, exist_ok=True)
            mode = aim.stat().st_mode & 0o777 if aim.exists() else 0o600
            replace_file(aim, text, mode=mode)
        except OSError as error:
            raise UserError("The settings cannot be written.", where=f"{self.path}: {error.strerror}", fix="Nothing was changed.") from None

    def _untouched(self, text: str) -> str | None:
        """The backup's text, when the file is exactly what installing made of it."""
        try:
            before = self.backup.read_bytes().decode("utf-8")
            (command,) = {command for found in self.commands().values() for command in found}
            return before if _installed(before, command, self.path) == text else None
        except (OSError, UnicodeDecodeError, ValueError, UserError):
            return None


def _installed(text: str, command: str, path: Path) -> str:
    content = _parsed(text, path)
    wanted = {"type": "command", "command": command, "timeout": TIMEOUT_S}
    ours = [(name, entry) for name, _, entry in _entries(content, path) if _is_ours(entry)]
    if sorted(name for name, _ in ours) == sorted(HOOKS) and all(entry == wanted for _, entry in ours):
        return text
    _take_out(content, path)
    hooks = content.setdefault("hooks", {})
    for name in HOOKS:
        hooks.setdefault(name, []).append({"hooks": [dict(wanted)]})
    return _written(content, text)


def _take_out(content: dict[str, Any], path: Path) -> None:
    """Remove our entries, and of what held them what is empty without them."""
    for name, group, entry in list(_entries(content, path)):
        if not _is_ours(entry):
            continue
        group["hooks"] = [each for each in group["hooks"] if each is not entry]
        groups = content["hooks"][name]
        if not group["hooks"]:
            content["hooks"][name] = [each for each in groups if each is not group]
        if not content["hooks"][name]:
            del content["hooks"][name]
        if not content["hooks"]:
            del content["hooks"]


def _entries(content: dict[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each hook's name, the group that it stands in, and itself.

    Raises:
        UserError: The hooks are not written as Claude Code reads them.

    """
    hooks = content.get("hooks", {})
    if not isinstance(hooks, dict):
        raise _strange("hooks", "an object", path)
    for name, groups in hooks.items():
        if not isinstance(groups, list):
            raise _strange(f"hooks.{name}", "a list", path)
        for number, group in enumerate(groups):
            entries = group.get("hooks") if isinstance(group, dict) else None
            if not isinstance(entries, list):
                raise _strange(f"hooks.{name}[{number}].hooks", "a list", path)
            for entry in entries:
                if isinstance(entry, dict):
                    yield name, group, entry


def _is_ours(entry: dict[str, Any]) -> bool:
    command = entry.get("command")
    return isinstance(command, str) and _OURS.search(command) is not None


def _strange(place: str, kind: str, path: Path) -> UserError:
    return UserError(
        f"{place} is not {kind}, as Claude Code wants it.",
        where=str(path),
        fix="Fix it first; `claude doctor` checks it. Nothing was changed.",
    )


def _parsed(text: str, path: Path) -> dict[str, Any]:
    """Read the settings; no text is an empty object.

    Raises:
        UserError: They are not a JSON object, or name a key twice.

    """
    if not text.strip():
        return {}
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}: {error.msg}"
        raise UserError("The settings are not JSON.", where=where, fix="Fix the file first; nothing was changed.") from None
    except _RepeatedKeyError as error:
        raise UserError(f"The settings name the key {error} twice.", where=str(path), fix="Remove one; nothing was changed.") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, a thousand brackets
        raise UserError("The settings cannot be read.", where=f"{path}: {error}", fix="Fix the file; nothing was changed.") from None
    if not isinstance(content, dict):
        raise UserError(
            "The settings are not a JSON object.", where=f"{path}, line 1, column 1", fix="Fix the file first; nothing was changed."
        )
    return content


class _RepeatedKeyError(ValueError):
    """An object names a key twice: the json module would drop the first."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedKeyError(repr(name))
        found[name] = value
    return found


def _written(content: dict[str, Any], before: str) -> str:
    """Write the settings as they were indented before."""
    indent = _INDENT.search(before)
    one_line = bool(before.strip()) and "\n" not in before.strip()
    text = json.dumps(content, ensure_ascii=False, indent=None if one_line and before.strip() != "{}" else indent[1] if indent else 2)
    return text + ("\n" if not before or before.endswith("\n") else "")
