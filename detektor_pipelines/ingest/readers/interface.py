"""What every reader of a log format has in common, and how the right one is found.

A reader is a module with two functions:

    read(lines, *, source, context) -> Iterator[AgentEvent | Rejection]        one file, lines numbered from 1
    read_many(files, context) -> Iterator[AgentEvent | Rejection]              all files of one directory tree together

`detektor ingest` calls `read_many`, so that a reader can join what stands in several files. Readers yield and never raise for bad
input: a line that cannot be read is a `Rejection`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from detektor_pipelines.ingest.readers.names import AgentNames
    from detektor_pipelines.language.records import AgentEvent, Rejection

Line: TypeAlias = "tuple[int, bytes]"
"""A line's number, from 1, and its bytes without the line end; never blank, never longer than `files.LINE_LIMIT`."""

ReaderName: TypeAlias = Literal["claude-code", "codex", "jsonl", "unknown"]


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader is told beside the lines.

    Attributes:
        project: The name given by the user (`--project`): it wins over everything in the log file.
        git_remote: The remote of the repository that the log belongs to, where the caller knows it.
        names: The table from names in logs to the eight agents; None means that only their own names are known.
        path: What the user named: the file, or the directory that was walked; None for standard input.

    """

    project: str | None = None
    git_remote: str | None = None
    names: AgentNames | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One log file that can be read any number of times.

    Attributes:
        path: The file itself (a reader may look at its neighbours); None for standard input.
        source: What `AgentEvent.source` and `Rejection.source` call it.
        size: Bytes on disk (compressed ones for gzip); 0 when unknown.
        lines: Opens the file again.

    """

    path: Path | None
    source: str
    size: int
    lines: Callable[[], Iterator[Line]] = field(repr=False, compare=False)

    def open(self) -> Iterator[Line]:
        """Read it from the start: (line number, bytes), blank and over-long lines left out (the latter are rejected by who opened it)."""
        return self.lines()


class Reader(Protocol):
    """A module that reads one log format."""

    def read(self, lines: Iterable[Line], *, source: str, context: ReadContext) -> Iterator[AgentEvent | Rejection]:
        """Read one file."""

    def read_many(self, files: Sequence[SourceFile], context: ReadContext) -> Iterator[AgentEvent | Rejection]:
        """Read the files of one directory tree together."""


_CODEX_TYPES: Final = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted"})
_CLAUDE_KEYS: Final = ("sessionId", "parentUuid", "leafUuid", "snapshot", "toolUseID")
_OWN_KEYS: Final = ("operation", "occurred_at", "agent")
"""What every record of our own format has; two of them are enough, so that a line that forgot one is rejected for that."""


def detect(first_records: Sequence[Mapping[str, Any]]) -> ReaderName:
    """Say whose records these are: the first one that is recognised decides, `unknown` when none is."""
    for record in first_records:
        name = _detect_one(record)
        if name != "unknown":
            return name
    return "unknown"


def _detect_one(record: Mapping[str, Any]) -> ReaderName:
    if isinstance(record.get("type"), str):
        if record["type"] in _CODEX_TYPES and isinstance(record.get("payload"), dict):
            return "codex"
        if any(key in record for key in _CLAUDE_KEYS):
            return "claude-code"
    return "jsonl" if sum(key in record for key in _OWN_KEYS) > 1 else "unknown"
