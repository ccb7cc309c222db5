"""From the paths that a person gives to log files that can be read: plain, gzip, directories, standard input.

Lines are streamed, so a file's size does not matter and one line's size is bounded (`LINE_LIMIT`). What is wrong with a file itself (a line
over the limit, gzip data that ends early, a disk that fails) is noted as a `Rejection`, and reading goes on where it can.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import orjson

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.interface import ReaderName, SourceFile, detect
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the longest line that is read (64 MiB); a longer one is skipped without being held in memory, and rejected with its size."""

SUFFIXES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
"""Files that a directory is searched for; a file that is named itself may be called anything."""

STANDARD_INPUT: Final = "-"

_SKIPPED_DIRECTORIES: Final = frozenset({".git", "node_modules", ".venv", "__pycache__"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BLOCK: Final = 1024 * 1024
_DETECT_LINES: Final = 64
_DETECT_BYTES: Final = 16 * 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Journal:
    """What happens while files are read: bytes for a progress bar, lines for a rate, rejections of whole files and lines.

    It also keeps the temporary files that pipes were copied to: `close` it when nothing is read any more.
    """

    on_bytes: Callable[[int], None] = lambda _: None
    lines: int = 0
    rejections: dict[Rejection, None] = field(default_factory=dict)
    spools: ExitStack = field(default_factory=ExitStack)

    def take_rejections(self) -> list[Rejection]:
        """Return the rejections since the last call."""
        taken = list(self.rejections)
        self.rejections.clear()
        return taken

    def close(self) -> None:
        """Delete the temporary files."""
        self.spools.close()


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The log files that were found.

    Attributes:
        by_reader: Reader name → its files, in the order of their paths.
        skipped: Files of a directory that are not agent logs, or empty.

    """

    by_reader: dict[ReaderName, list[SourceFile]]
    skipped: list[str]

    @property
    def size(self) -> int:
        """Bytes on disk of all files."""
        return sum(file.size for files in self.by_reader.values() for file in files)


def find_logs(paths: Sequence[str | Path], journal: Journal | None = None) -> LogFiles:
    """Find the log files that `paths` name and the reader of each.

    Args:
        paths: Files, directories (searched with everything below them), `-` for standard input.
        journal: Where reading notes what happens.

    Raises:
        UserError: A path does not exist, cannot be read or is not an agent log; a directory holds none.

    """
    journal = journal if journal is not None else Journal()
    by_reader: dict[ReaderName, list[SourceFile]] = {}
    skipped: list[str] = []
    seen: set[str] = set()
    for path in paths:
        for file, name in _found(path, journal, skipped):
            if file.source not in seen:
                seen.add(file.source)
                by_reader.setdefault(name, []).append(file)
    journal.lines = 0  # those that were read to find the reader
    return LogFiles(by_reader, skipped)


def source_file(path: Path, journal: Journal | None = None) -> SourceFile:
    """Make one file readable, plain or gzip by its first bytes; it is called by its absolute path."""
    journal = journal if journal is not None else Journal()
    name = str(path.resolve())
    return SourceFile(path, name, path.stat().st_size, lambda: _lines(path, name, journal))


def _found(path: str | Path, journal: Journal, skipped: list[str]) -> Iterator[tuple[SourceFile, ReaderName]]:
    if str(path) == STANDARD_INPUT:
        yield _named(_spooled(sys.stdin.buffer, "standard input", journal))
        return
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(
            "There is nothing at this path.", where=str(path), fix="Give a log file, a directory of them, or - for standard input."
        )
    if path.is_dir():
        yield from _in_directory(path, journal, skipped)
        return
    with _named_by_a_person(path), path.open("rb") as stream:
        if not path.is_file():  # a pipe can be read only once
            file = _spooled(stream, str(path), journal)
        else:
            stream.read(1)
            file = source_file(path, journal)
    yield _named(file)


def _named(file: SourceFile) -> tuple[SourceFile, ReaderName]:
    """Find the reader of a file that a person named: what is not recognised is an error.

    A log by its name in which nothing can be recognised goes to our own reader: it rejects every line with a reason.
    """
    records = _first_records(file)
    name = detect(records)
    if name != "unknown":
        return file, name
    if records or (file.path is not None and file.size and not file.path.name.lower().endswith(SUFFIXES)):
        raise UserError(
            "This is not an agent log: none of its first lines is a record of Claude Code, of Codex or of our own format.",
            where=file.source,
            fix="docs/agent-logs.md describes the formats.",
        )
    return file, "jsonl"


def _in_directory(directory: Path, journal: Journal, skipped: list[str]) -> Iterator[tuple[SourceFile, ReaderName]]:
    found = False
    for path in _walk(directory, journal):
        name = _reader_in_directory(path, journal)
        if name == "unknown":
            skipped.append(str(path))
        else:
            found = True
            yield source_file(path, journal), name
    if not found:
        seen = f" ({len(skipped)} files have a fitting name, none a known record)" if skipped else ""
        raise UserError(
            f"No agent logs in this directory{seen}.",
            where=str(directory.absolute()),
            fix=f"Logs are files named *{', *'.join(SUFFIXES)}: Claude Code's stand in ~/.claude/projects, Codex's in ~/.codex/sessions.",
        )


def _reader_in_directory(path: Path, journal: Journal) -> ReaderName:
    """Find the reader of a file that a walk came upon; one that cannot be read is noted, not an error."""
    try:
        with path.open("rb") as stream:
            stream.read(1)
        file = source_file(path, journal)
    except OSError as error:
        journal.rejections[Rejection(str(path), None, f"the file cannot be read: {error.strerror}")] = None
        return "unknown"
    records = _first_records(file)
    if not records and file.size:
        journal.rejections[Rejection(file.source, None, "none of the file's first lines is a JSON object")] = None
    return detect(records)


def _walk(directory: Path, journal: Journal) -> Iterator[Path]:
    def note(error: OSError) -> None:
        journal.rejections[Rejection(str(error.filename), None, f"the directory cannot be read: {error.strerror}")] = None

    with _named_by_a_person(directory):
        os.scandir(directory).close()
    for folder, folders, files in os.walk(directory, onerror=note):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_DIRECTORIES)
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES):
                yield Path(folder, name)


def _first_records(file: SourceFile) -> list[dict[str, Any]]:
    """Parse those of the first lines that are JSON objects."""
    records = []
    size = 0
    with closing(cast("Generator[Line]", file.open())) as lines:
        for number, (_, line) in enumerate(lines, 1):
            with suppress(orjson.JSONDecodeError):
                record = orjson.loads(line)
                if isinstance(record, dict):
                    records.append(record)
            size += len(line)
            if number >= _DETECT_LINES or size > _DETECT_BYTES:
                break
    return records


def _spooled(stream: IO[bytes], name: str, journal: Journal) -> SourceFile:
    """Copy a stream to a temporary file without a name, so that it can be read more than once."""
    spool = journal.spools.enter_context(tempfile.TemporaryFile(prefix="detektor-"))  # noqa: SIM115 - the stack closes it
    try:
        shutil.copyfileobj(stream, spool, _BLOCK)
        spool.flush()
    except OSError as error:
        raise UserError(
            "The input could not be copied to a temporary file.",
            where=f"{tempfile.gettempdir()}: {error.strerror}",
            fix="Free space there, or set TMPDIR to a directory with more.",
        ) from None
    return SourceFile(None, name, spool.tell(), lambda: _lines(spool, name, journal))


def _lines(opened: Path | IO[bytes], name: str, journal: Journal) -> Iterator[Line]:
    """Yield numbered lines without blank ones, byte order mark and line ends; note in the journal what cannot be read."""
    number = 0
    try:
        with _stream(opened, journal) as stream:
            for number, line in enumerate(_bounded(stream), 1):
                journal.lines += 1
                if isinstance(line, int):
                    reason = f"the line is longer than {LINE_LIMIT // 1024**2} MiB"
                    journal.rejections[Rejection(name, number, reason, f"{line} bytes")] = None
                    continue
                text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).strip()
                if text:
                    yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        journal.rejections[Rejection(name, number + 1, "the gzip data are torn: what follows could not be read", str(error))] = None
    except OSError as error:
        journal.rejections[Rejection(name, number + 1, f"the file cannot be read further: {error.strerror}")] = None


def _bounded(stream: io.BufferedIOBase) -> Iterator[bytes | int]:
    """Yield lines; in the place of one over LINE_LIMIT its size."""
    while line := stream.readline(LINE_LIMIT):
        if len(line) < LINE_LIMIT or line.endswith(b"\n"):
            yield line
            continue
        size = len(line)
        del line
        while rest := stream.readline(_BLOCK):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        yield size


@contextmanager
def _stream(opened: Path | IO[bytes], journal: Journal) -> Iterator[io.BufferedIOBase]:
    descriptor = os.open(opened, os.O_RDONLY) if isinstance(opened, Path) else os.dup(opened.fileno())
    with ExitStack() as stack:
        raw = stack.enter_context(io.BufferedReader(_Counted(descriptor, journal), _BLOCK))
        raw.seek(0)
        if raw.peek(2)[:2] != _GZIP_MAGIC:
            yield raw
            return
        packed = stack.enter_context(gzip.GzipFile(fileobj=raw))
        yield stack.enter_context(io.BufferedReader(_Unpacked(packed), _BLOCK))


class _Counted(io.FileIO):
    """A file that tells the journal how much of it was read."""

    def __init__(self, descriptor: int, journal: Journal) -> None:
        super().__init__(descriptor, "rb")
        self._journal = journal

    def readinto(self, buffer: Any, /) -> int | None:
        size = super().readinto(buffer)
        self._journal.on_bytes(size or 0)
        return size


class _Unpacked(io.RawIOBase):
    """Gzip data in the pieces in which they can be unpacked, so that torn data give all that stands before the tear."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        super().__init__()
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._packed.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def _named_by_a_person(path: Path) -> Iterator[None]:
    """Turn the failure to read a path that a person named into words."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"This cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="Check its permissions, or run as a user who may read it.",
        ) from None
