"""What is left of a command's output behind the pipe that follows it, tried on texts: `| tail -3`, `| grep -E "passed|failed"`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.ingest.readers.shell import program_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.ingest.readers.shell import Command

FILTERS: Final = frozenset({"tail", "head", "cat", "tee", "less", "more", "grep", "egrep", "rg", "sed"})

_THROUGH: Final = frozenset({"cat", "tee", "less", "more"})
_ENOUGH: Final = 20
"""Lines of a `head` below which a red run never fits: it would count the green ones only."""
_TAIL: Final = 10
_WITH_VALUE: Final = frozenset({"-A", "-B", "-C", "-m", "--color", "--colour", "-g", "-t"})
_SAYS_LESS: Final = re.compile(r"-[a-zA-Z]*[colLq][a-zA-Z]*|--(?:count|only-matching|quiet|silent|files-with.*)")
_REDIRECTED: Final = re.compile(r"[1&]?>>?(?!&)(?P<file>.*)")


class Pipe(NamedTuple):
    """The filters behind a command.

    Attributes:
        filters: Each takes what the one before lets through.
        whole: The number of lines from which on a `head` has cut something off; None without one.
        tails_only: Whether nothing but the beginning of the output is missing.

    """

    filters: tuple[Callable[[str], str], ...]
    whole: int | None
    tails_only: bool

    def through(self, text: str) -> str:
        """Return what of a text comes out at the end."""
        for each in self.filters:
            text = each(text)
        return text


def pipe_behind(commands: Sequence[Command], index: int) -> Pipe | None:
    """Read the pipe behind a command; None where what it shows cannot be said, or nothing of the output is seen at all.

    Output that goes to a file is seen where a filter is run on something afterwards: `pytest > log; tail -5 log`.
    """
    following = list(commands[index + 1 :])
    if commands[index].operator in {"|", "|&"}:
        end = next((number for number, command in enumerate(following) if command.operator not in {"|", "|&"}), len(following) - 1)
        piped = following[: end + 1]
    elif _goes_to_file(commands[index].words):
        piped = [command for command in following if _name(command) in FILTERS]
        if not piped:
            return None
    else:
        piped = []
    filters: list[Callable[[str], str]] = []
    whole: int | None = None
    for command in piped:
        if _goes_to_file(command.words) and _name(command) != "tee":
            return None
        if _name(command) == "head":
            lines = _lines_of(command.words, _TAIL)
            if lines is None or lines < _ENOUGH:
                return None
            whole = lines if whole is None else min(whole, lines)
            continue
        made = _filter(command)
        if made is None:
            return None
        filters.append(made)
    return Pipe(tuple(filters), whole, all(_name(command) in {"tail", *_THROUGH} for command in piped))


def _name(command: Command) -> str:
    return program_of(command.words[0])


def _goes_to_file(words: Sequence[str]) -> bool:
    for position, word in enumerate(words):
        found = _REDIRECTED.fullmatch(word)
        if found and (found["file"] or position + 1 < len(words)):
            return True
    return False


def _filter(command: Command) -> Callable[[str], str] | None:
    name, words = _name(command), command.words[1:]
    if name in _THROUGH:
        return lambda text: text
    if name == "tail":
        lines = _lines_of(command.words, _TAIL)
        return None if lines is None else lambda text: "\n".join(text.splitlines()[-lines:])
    if name == "sed":
        return (lambda text: text) if words and words[-1].startswith("s/") and r"\x1b" in words[-1] else None
    return _grep(name, words) if name in {"grep", "egrep", "rg"} else None


def _lines_of(words: Sequence[str], default: int) -> int | None:
    """Lines that `head` or `tail` keeps: `-5`, `-n 5`, `-n5`, `--lines=5`; None for bytes, and for `tail -n +5`."""
    text = " ".join(words[1:])
    if re.search(r"(?:^|\s)(?:-c|--bytes)", text):
        return None
    found = re.search(r"(?:^|\s)-(?:n\s*|-lines[= ])?(\+?\d+)\b", text)
    if found is None:
        return default
    return None if found[1].startswith("+") else int(found[1])


def _grep(name: str, words: Sequence[str]) -> Callable[[str], str] | None:
    patterns: list[str] = []
    flags = re.NOFLAG
    inverted, extended = False, name in {"egrep", "rg"}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in _WITH_VALUE:
            position += 1
        elif _SAYS_LESS.fullmatch(word):
            return None
        elif word in {"-e", "--regexp"} and position < len(words):
            patterns.append(words[position])
            position += 1
        elif word.startswith("-") and len(word) > 1:
            short = word if not word.startswith("--") else ""
            flags |= re.IGNORECASE if "i" in short else re.NOFLAG
            inverted = inverted or "v" in short or word == "--invert-match"
            extended = extended or "E" in short or "P" in short or word == "--extended-regexp"
        elif not patterns and not re.match(r"\d*[<>]", word):
            patterns.append(word)
    try:
        compiled = [re.compile(pattern if extended else _extended(pattern), flags) for pattern in patterns]
    except re.error:
        return None
    if not compiled:
        return None
    return lambda text: "\n".join(line for line in text.splitlines() if any(each.search(line) for each in compiled) != inverted)


def _extended(pattern: str) -> str:
    r"""Turn a basic regular expression into ours: `\|` and bare `|` change places, and so do the other signs of that kind."""
    return re.sub(r"\\?[|+?(){}]", lambda sign: sign[0][1:] if sign[0].startswith("\\") else "\\" + sign[0], pattern)
