"""What every reader of a log format has in common, and how the right one is found.

A reader is a module with two functions:

    read(lines, *, source, context, stats) -> Iterator[AgentEvent | Rejection]        one file, lines numbered from 1
    read_many(files, context, stats) -> Iterator[AgentEvent | Rejection]              all files of one directory tree together

`detektor ingest` calls `read_many`, so that a reader can join what stands in several files. Readers yield and never raise for bad
input: a line that cannot be read is a `Rejection`. A file may hold records of several formats: each reader takes its own, says of a record
that is not whether another format has it (`ReadStats.is_of_another`), and counts what nobody knows (`ReadStats.strange`). Which formats
there are stands in `formats`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from detektor_pipelines.ingest.readers import formats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.ingest.readers.names import AgentNames
    from detektor_pipelines.ingest.readers.statistics import ReadStats
    from detektor_pipelines.language.records import AgentEvent, Rejection

Line: TypeAlias = "tuple[int, bytes]"
"""A line's number, from 1, and its bytes without the line end; never blank, never longer than `files.LINE_LIMIT`."""

SourceKind: TypeAlias = Literal["lines", "database"]

STANDARD_INPUT: Final = "-"
"""The path that names it."""


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader is told beside the lines.

    Attributes:
        project: The name given by the user (`--project`): it wins over everything in the log file.
        git_remote: The remote of the repository that the log belongs to, where the caller knows it.
        names: The table from names in logs to the eight agents; None means that only their own names are known.
        path: What the user named: the file, or the directory that was walked; None for standard input.
        live: What lies ahead of the clock is left to the live writer, which holds it until its instant.

    """

    project: str | None = None
    git_remote: str | None = None
    names: AgentNames | None = None
    path: Path | None = None
    live: bool = False


def context_of(paths: Sequence[str | Path], project: str | None, names: AgentNames | None) -> ReadContext:
    """Return what readers are told of a run over `paths`."""
    path = Path(paths[0]).expanduser() if len(paths) == 1 and str(paths[0]) != STANDARD_INPUT else None
    return ReadContext(project=project, names=names, path=path)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One log file that can be read any number of times.

    Attributes:
        path: The file itself (a reader may look at its neighbours); None for standard input.
        source: What `AgentEvent.source` and `Rejection.source` call it.
        size: Bytes on disk (compressed ones for gzip); 0 when unknown.
        lines: Opens the file again.
        kind: `lines` (a JSON document is one line, whatever its own line ends); a `database` has none: its reader opens `path`.

    """

    path: Path | None
    source: str
    size: int
    lines: Callable[[], Iterator[Line]] = field(repr=False, compare=False)
    kind: SourceKind = "lines"

    def open(self) -> Iterator[Line]:
        """Read it from the start: (line number, bytes), blank and over-long lines left out (the latter are rejected by who opened it)."""
        return self.lines()


class Reader(Protocol):
    """A module that reads one log format."""

    def read(
        self, lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None
    ) -> Iterator[AgentEvent | Rejection]:
        """Read one file."""

    def read_many(
        self, files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None
    ) -> Iterator[AgentEvent | Rejection]:
        """Read the files of one directory tree together."""


def detect(first_records: Sequence[Mapping[str, Any]]) -> ReaderName:
    """Say whose records these are: the first one that is recognised decides, `unknown` when none is."""
    return next((name for record in first_records if (name := formats.detect(record)) != formats.UNKNOWN), formats.UNKNOWN)
