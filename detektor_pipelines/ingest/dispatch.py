"""Which reader gets which records, where files hold those of several formats.

The first record that is recognised decides whose a file is. Its reader says which other formats it met (`ReadStats.elsewhere`), and those
readers then get the same file with the lines that are theirs. Only where files of different formats lie in one directory tree is every line
looked at before: a reader joins what stands in a tree, so it must have all of it at once. A tree of one format is read once, as ever.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, cast

from detektor_pipelines.ingest import cycles
from detektor_pipelines.ingest.readers import formats
from detektor_pipelines.ingest.readers.formats import UNKNOWN, detect, format_named
from detektor_pipelines.ingest.readers.records import line_of, records_of
from detektor_pipelines.ingest.readers.statistics import ReadStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detektor_pipelines.ingest.files import Journal, LogFiles
    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.ingest.readers.interface import Line, ReadContext, Reader, SourceFile
    from detektor_pipelines.language.records import AgentEvent, Rejection

_FIRST: tuple[ReaderName, ...] = ("claude-code",)
"""Read before the others: most files are its, so most guests of the others are known when their turn comes."""


class Reading:
    """One reading of the files that were found.

    Attributes:
        stats: What each reader saw, filled in while `records` is consumed.
        reader: Whose the records are that `records` yields now.

    """

    def __init__(self, logs: LogFiles, journal: Journal, context: ReadContext) -> None:
        self.stats: dict[ReaderName, ReadStats] = {}
        self.reader: ReaderName = UNKNOWN
        self._logs = logs
        self._journal = journal
        self._context = context
        self._guests: dict[ReaderName, dict[str, SourceFile]] = {}
        self._done: set[tuple[ReaderName, str]] = set()

    def records(self) -> Iterator[AgentEvent | Rejection]:
        """Yield the events and rejections of all files, one reader after the other."""
        with cycles.looked_for_rarely():
            yield from self._records()

    def _records(self) -> Iterator[AgentEvent | Rejection]:
        for tree in _mixed_trees(self._logs.by_reader):
            for name, file in tree:
                self._look_through(file, name)
        order = [*_FIRST, *(each.name for each in formats.FORMATS if each.name not in _FIRST)]
        for name in order:
            yield from self._read(name, self._logs.by_reader.get(name, ()))
        while any(self._waiting(name) for name in order):
            for name in order:
                yield from self._read(name, ())

    def _read(self, name: ReaderName, own: Sequence[SourceFile]) -> Iterator[AgentEvent | Rejection]:
        guests = self._waiting(name)
        if not own and not guests:
            return
        self._done.update((name, file.source) for file in guests)
        stats = self.stats.setdefault(name, ReadStats())
        reader = cast("Reader", import_module(format_named(name).module))
        self.reader = name
        yield from reader.read_many([*own, *(_lines_of(file, name, self._journal) for file in guests)], self._context, stats)
        own_files = {file.source: file for file in own}
        for other, sources in stats.elsewhere.items():
            met = self._guests.setdefault(other, {})
            met |= {source: own_files[source] for source in sorted(sources) if source in own_files and source not in met}
        stats.elsewhere.clear()

    def _waiting(self, name: ReaderName) -> list[SourceFile]:
        return [file for source, file in self._guests.get(name, {}).items() if (name, source) not in self._done]

    def _look_through(self, file: SourceFile, name: ReaderName) -> None:
        """Note which other formats have records in a file."""
        lines = self._journal.lines
        for _, line in file.open():
            for record in records_of(line):
                if isinstance(record, dict) and (found := detect(record)) not in {name, UNKNOWN}:
                    self._guests.setdefault(found, {})[file.source] = file
        self._journal.lines = lines


def _mixed_trees(by_reader: Mapping[ReaderName, Sequence[SourceFile]]) -> list[list[tuple[ReaderName, SourceFile]]]:
    """Return the directory trees that hold files of several formats."""
    files = [(name, file) for name, of in by_reader.items() for file in of if file.path is not None and file.kind == "lines"]
    directories = {file.path.parent for _, file in files if file.path is not None}
    trees: dict[str, list[tuple[ReaderName, SourceFile]]] = {}
    for name, file in files:
        if file.path is not None:
            above = [parent for parent in file.path.parents if parent in directories]
            trees.setdefault(str(above[-1]), []).append((name, file))
    return [tree for tree in trees.values() if len({name for name, _ in tree}) > 1]


def _lines_of(file: SourceFile, name: ReaderName, journal: Journal) -> SourceFile:
    """Make of a file one that holds the records of one format only; its lines were counted when its own reader read them."""

    def lines() -> Iterator[Line]:
        counted = journal.lines
        for number, line in file.open():
            journal.lines = counted
            for record in records_of(line):
                if isinstance(record, dict) and detect(record) == name:
                    yield number, line_of(record)
        journal.lines = counted

    return replace(file, lines=lines)
