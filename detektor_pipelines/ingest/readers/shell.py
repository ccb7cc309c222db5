r"""Which simple commands a shell line runs, and what its exit code says about one of them.

Only as much of the shell's grammar as honesty needs: quotes and here-documents keep their words from being taken for commands, operators
decide whether the line's exit code is that command's. `git commit -m "then git push"` runs one command, and it is not a push.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from detektor_pipelines.ingest.reports.lines import CUT_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HERE_DOCUMENT: Final = re.compile(r"<<-?\s*(['\"]?)(\w+)\1(.*?)\n\s*\2\s*(?=\n|\)|$)", re.DOTALL)
_OPEN_HERE_DOCUMENT: Final = re.compile(r"<<-?\s*['\"]?\w+['\"]?[^\n]*\n.*\Z", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""(?P<comment>(?<!\S)\#[^\n]*)
      | (?P<operator>&&|\|\||\|&|;;|[;|\n()]|(?<![>&\d])&(?![>&\d]))
      | (?P<word>(?:\\.|\$\((?:[^()]|\([^()]*\))*\)|'[^']*'?|"(?:\\.|[^"\\])*"?|[^\s;|&()'"\\]|(?<=[>&])&|&(?=[>\d])|\\)+)
      | (?P<space>[^\S\n]+|&)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED: Final = re.compile(r"""'([^']*)'?|"((?:\\.|[^"\\])*)"?|\\(.)""", re.DOTALL)
_QUOTING: Final = frozenset("'\"\\")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*\+?=.*", re.DOTALL)
_WRAPPERS: Final = frozenset(
    {"sudo", "time", "env", "command", "nohup", "nice", "rtk", "exec", "builtin", "then", "do", "else", "if", "while", "!", "{"}
)
_TIMEOUTS: Final = frozenset({"timeout", "gtimeout"})
_PASSING_ON: Final = frozenset({"tail", "tee", "cat"})
_STATUS: Final = re.compile(r"\$\?|\$\{\?\}")
_PIPE_STATUS: Final = re.compile(r"\$\{(?:PIPESTATUS\[0\]|pipestatus\[1\])\}")
_REDIRECTION: Final = re.compile(r"\d*[<>]")
_TRIVIAL: Final = frozenset({"cd", "export", "echo", "set", "source", ".", "pushd", "popd", "true", "printf", "sleep"})


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command: its words without quotes, assignments and wrappers, and the operator that follows (`""` at the end)."""

    words: tuple[str, ...]
    operator: str


def commands_of(line: str) -> list[Command]:
    """Split a shell line into its simple commands, in order; what was cut off or quoted is not there."""
    return list(_commands(line))


@lru_cache(maxsize=256)  # a line is looked at for pushes, then for test runs
def _commands(line: str) -> tuple[Command, ...]:
    text = CUT_MARK.split(line, maxsplit=1)[0].replace("\\\n", " ")
    if "<<" in text:
        text = _OPEN_HERE_DOCUMENT.sub(" ", _HERE_DOCUMENT.sub(" ", text))
    found: list[Command] = []
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["word"] is not None:
            words.append(_unquoted(token["word"]))
        elif token["operator"] is not None:
            if words:
                found.append(Command(_command_words(words), token["operator"]))
            words = []
    if words:
        found.append(Command(_command_words(words), ""))
    return tuple(command for command in found if command.words)


def program_of(word: str) -> str:
    """Return a program's name without the directory that it lies in."""
    return word.rstrip("/").rpartition("/")[2]


def exit_status(commands: list[Command], index: int, *, failed: bool) -> bool | None:
    """Say whether the command at `index` succeeded, given that the whole line did or not; None when its exit code does not tell.

    A line that succeeded says so of a command that only `&&` follows; one that failed only of a command that ran alone (`cd` and the like
    aside): in a chain an earlier command may have failed.
    """
    following = [command.operator for command in commands[index:] if command.operator]
    if following and commands[index].operator == "\n" and all(operator == "\n" for operator in following) and index == len(commands) - 1:
        following = []
    if not failed:
        return True if all(operator == "&&" for operator in following) else None
    alone = all(command.words[0] in _TRIVIAL for position, command in enumerate(commands) if position != index)
    return False if alone and not any(operator in {"|", "|&", "||", "&"} for operator in following) else None


def exit_of_suite(commands: list[Command], index: int, same: Callable[[Command], bool], *, failed: bool) -> bool | None:
    """Say whether the test run at `index` succeeded, where the line's exit code tells a green run as well as a red one; else None.

    It does where nothing but test runs (`same`) and trivia hangs on the command by `&&`. A pipe takes the exit code away, unless `pipefail`
    is set and what follows only passes lines on.
    """
    rest = commands[index:]
    last = len(rest) - 1
    piped = any("pipefail" in command.words for command in commands[:index])
    for position, command in enumerate(rest):
        end = position == last
        if position and not (same(command) or command.words[0] in _TRIVIAL or (piped and command.words[0] in _PASSING_ON)):
            return None
        if command.operator not in ({"", "\n"} if end else {"&&", "|", "|&"} if piped else {"&&"}):
            return None
    chained = [before for before in _hanging_before(commands, index) if not (same(before) or before.words[0] in _TRIVIAL)]
    return None if chained else not failed


def echoed_status(commands: list[Command], index: int, output: str) -> bool | None:
    """Read the exit code that the line itself prints right after the test run: `; echo "exit: $?"`, `| tail; echo ${PIPESTATUS[0]}`."""
    end = index
    while end < len(commands) and commands[end].operator in {"|", "|&"}:
        end += 1
    printed = commands[end + 1] if end + 1 < len(commands) and commands[end].operator in {";", "\n"} else None
    if printed is None or printed.words[0] != "echo":
        return None
    text = " ".join(word for word in printed.words[1:] if not _REDIRECTION.match(word))
    piped = end > index and not any("pipefail" in command.words for command in commands[:index])
    code = _PIPE_STATUS if piped else _STATUS
    if not code.search(text):
        return None
    before, after = (re.escape(part) for part in code.split(text, maxsplit=1)[:2])
    found = re.findall(rf"^{before}(\d{{1,3}}){after}$", output, re.MULTILINE)
    return int(found[-1]) == 0 if found else None


def _hanging_before(commands: list[Command], index: int) -> Iterator[Command]:
    """The commands that have to succeed for the one at `index` to run, or whose output it takes."""
    for command in reversed(commands[:index]):
        if command.operator in {";", "\n"}:
            return
        yield command


def _unquoted(word: str) -> str:
    return _QUOTED.sub(lambda match: match[1] or match[2] or match[3] or "", word) if _QUOTING.intersection(word) else word


def _command_words(words: list[str]) -> tuple[str, ...]:
    """Drop what stands before the command itself: assignments, wrappers with their options, `timeout 60`."""
    index = 0
    while index < len(words):
        word = words[index]
        if word in _TIMEOUTS:
            index += 1
            while index < len(words) and (words[index].startswith("-") or words[index][:1].isdigit()):
                index += 1
        elif word in _WRAPPERS:
            index += 1
            while index < len(words) and words[index].startswith("-"):
                index += 1
        elif _ASSIGNMENT.fullmatch(word):
            index += 1
        else:
            break
    return tuple(words[index:])
