"""Live events that lie ahead of the platform's clock: kept in `home/held` until their instant, then stored as if they had just come.

A laptop's clock that is a minute ahead must not cost its events: who sent them was told that they were taken. Each file holds the events of
one second, is on the disk before the sender is answered, and is deleted when its events are stored; after a crash between the two they are
stored again, and found known. Any number of processes may hold and release at once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import orjson

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DIRECTORY: Final = "held"
_SUFFIX: Final = ".jsonl"
_SECOND_US: Final = 1_000_000
_DIGITS: Final = 16


class Held:
    """The events of one installation that wait.

    Args:
        home: Its directory.

    """

    def __init__(self, home: Path) -> None:
        self.directory = home / DIRECTORY

    def hold(self, events: Sequence[AgentEvent]) -> None:
        """Keep events until their instant.

        Raises:
            UserError: They cannot be written; the sender still has them.

        """
        by_second: dict[int, list[bytes]] = {}
        for event in events:
            by_second.setdefault(-(-event.occurred_at // _SECOND_US), []).append(orjson.dumps(asdict(event)) + b"\n")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for second, lines in by_second.items():
                replace_file(self.directory / f"{second}-{uuid4().hex}{_SUFFIX}", lines, durable=True)
        except OSError as error:
            raise UserError(
                f"Events whose instant has not come cannot be kept: {error.strerror}.",
                where=str(self.directory),
                fix="Free some space there; set the clock of the machine that sends them.",
            ) from error

    def due(self, now: int) -> list[Path]:
        """Return the files whose events' instant has come, oldest first."""
        return [file for second, file in self._files() if second * _SECOND_US <= now]

    def count(self, is_meant: Callable[[bytes, AgentEvent | Rejection], bool]) -> int:
        """Return how many of the records that wait are meant, each given as its line and what that says."""
        return sum(is_meant(line, _record(line)) for _, file in self._files() for line in _lines(file))

    def remove(self, is_meant: Callable[[bytes, AgentEvent | Rejection], bool]) -> int:
        """Take those that are meant out of what waits; returns how many those were. Whoever stores a file meanwhile has read it whole.

        Raises:
            OSError: A file cannot be written again.

        """
        number = 0
        for _, file in self._files():
            lines = _lines(file)
            kept = [line + b"\n" for line in lines if not is_meant(line, _record(line))]
            number += len(lines) - len(kept)
            if not kept:
                done(file)
            elif len(kept) < len(lines):
                replace_file(file, kept, durable=True)
        return number

    def _files(self) -> list[tuple[int, Path]]:
        try:
            names = [entry.name for entry in os.scandir(self.directory) if entry.name.endswith(_SUFFIX)]
        except OSError:
            return []
        found = [(int(first), name) for name in names if (first := name.partition("-")[0]).isdigit() and len(first) < _DIGITS]
        return [(second, self.directory / name) for second, name in sorted(found)]


def read(file: Path) -> list[AgentEvent | Rejection]:
    """Return what a file holds; nothing when another process has just stored it."""
    return [_record(line) for line in _lines(file)]


def done(file: Path) -> None:
    """Remove a file whose events are stored."""
    with suppress(OSError):  # its events will be found known
        file.unlink()


def _lines(file: Path) -> list[bytes]:
    try:
        return [line for line in file.read_bytes().split(b"\n") if line.strip()]
    except FileNotFoundError:
        return []


def _record(line: bytes) -> AgentEvent | Rejection:
    try:
        return AgentEvent(**orjson.loads(line))
    except (TypeError, ValueError):
        return Rejection("held", None, "the line is torn or not JSON", excerpt(line))
