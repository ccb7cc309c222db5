"""From the paths that a person gives to log files that can be read: plain, packed, in archives, directories, standard input.

Lines are streamed, so a file's size does not matter and one line's size is bounded (`LINE_LIMIT`). What is wrong with a file itself (a
line over the limit, packed data that end early, a disk that fails) is noted as a `Rejection`, and reading goes on where it can. A file that
is not read is named with its reason; pipes, sockets and devices that a walk comes upon are never opened.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest import documents, packed, unread
from detektor_pipelines.ingest.readers.formats import FORMATS, UNKNOWN
from detektor_pipelines.ingest.readers.interface import STANDARD_INPUT, SourceFile, detect
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from detektor_pipelines.ingest.packed import Buffered, Member
    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.ingest.readers.interface import Line

    Opener = Callable[[], AbstractContextManager[Buffered]]

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the longest line that is read (64 MiB); a longer one is skipped without being held in memory, and rejected with its size.
Parsing takes twelve times a line's bytes at most before its values are made."""

_PLAIN: Final = (".jsonl", ".ndjson")
SUFFIXES: Final = (*_PLAIN, *(f"{plain}{way}" for way in (".gz", ".xz", ".bz2", ".zst") for plain in _PLAIN))
"""Files of lines that a directory is searched for; a file that is named itself may be called anything."""

MAYBE: Final = (".json", ".json.gz", *documents.DATABASES)
"""Files that may be a session in one document, or a database of sessions; in a directory most are neither."""

_SKIPPED_DIRECTORIES: Final = frozenset({".git", "node_modules", ".venv", "__pycache__"})
_BLOCK: Final = 1024 * 1024
_PIECE: Final = 256 * 1024
"""Bytes that are cut into lines at once; far below LINE_LIMIT."""
_DETECT_LINES: Final = 64
_DETECT_BYTES: Final = 16 * 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NO_FILES: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(slots=True)
class Journal:
    """What happens while files are read: bytes for a progress bar, lines for a rate, rejections of whole files and lines.

    It also keeps the temporary files that pipes were copied to, and the archives that are open: `close` it when nothing is read any more.
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
        by_reader: Reader name → its files, in the order of their paths. The first record that is recognised decides.
        skipped: Files that are not read: path → why.
        others: Files of directories that are not called as logs are, by their suffix; nobody looked into them.

    """

    by_reader: dict[ReaderName, list[SourceFile]]
    skipped: dict[str, str]
    others: Counter[str] = field(default_factory=Counter)

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
    search = _Search(journal)
    for path in paths:
        search.add(path)
    journal.lines = 0  # those that were read to find the reader
    return LogFiles(search.by_reader, search.skipped, search.others)


def source_file(path: Path, journal: Journal | None = None) -> SourceFile:
    """Make one file readable, plain or packed by its first bytes; it is called by its absolute path."""
    journal = journal if journal is not None else Journal()
    size = path.stat().st_size
    return _source(path, str(path.resolve()), size, lambda: _opened(path, size, journal), journal)


# Finding --------------------------------------------------------------------------------------------------------------------


class _Search:
    """Goes through paths and sorts files by reader."""

    def __init__(self, journal: Journal) -> None:
        self.by_reader: dict[ReaderName, list[SourceFile]] = {}
        self.skipped: dict[str, str] = {}
        self.others: Counter[str] = Counter()
        self._journal = journal
        self._seen: set[str] = set()

    def add(self, path: str | Path) -> None:
        """Take a path that a person named.

        Raises:
            UserError: There is nothing, or nothing that can be read.

        """
        if str(path) == STANDARD_INPUT:
            self._named(_from_pipe(sys.stdin.buffer, "standard input", self._journal))
            return
        path = Path(path).expanduser()
        if not path.exists():
            raise UserError(
                "There is nothing at this path.", where=str(path), fix="Give a log file, a directory of them, or - for standard input."
            )
        if path.is_dir():
            self._directory(path)
        else:
            self._named(_found_at_name(path, self._journal))

    def _take(self, found: _Found) -> None:
        for file, reader in found.logs:
            if file.source not in self._seen:
                self._seen.add(file.source)
                self.by_reader.setdefault(reader, []).append(file)
        self.skipped |= found.skipped

    def _named(self, found: _Found) -> None:
        if not found.logs:
            name, reason = next(iter(found.skipped.items()), (found.name, unread.NO_LOG))
            raise UserError(
                f"This is not an agent log: {reason}.",
                where=name if len(found.skipped) < 2 else f"{found.name} ({len(found.skipped)} files, none of them a log)",  # noqa: PLR2004
                fix=f"docs/agent-logs.md describes what is read: {', '.join(each.title for each in FORMATS)}.",
            )
        self._take(found)

    def _directory(self, directory: Path) -> None:
        skipped, others, logs = len(self.skipped), self.others.copy(), 0
        for path in _walk(directory, self._journal):
            found = _found_in_directory(path, self._journal)
            if found is None:
                self.others["".join(path.suffixes[-1:]) or "(no suffix)"] += 1
                continue
            logs += len(found.logs)
            self._take(found)
        if not logs:
            reasons = list(self.skipped.items())[skipped:]
            looked = f": {_files(len(reasons))} looked at, {_most_common(reasons)}" if reasons else ""
            beside = (self.others - others).total()
            looked += f"; {_files(beside)} of other kinds" if beside else ""
            raise UserError(
                f"No agent logs in this directory{looked}.",
                where=str(directory.absolute()),
                fix=f"Logs are files named *{', *'.join(_PLAIN)} (packed ones too), sessions as *.json, archives of them: Claude Code's"
                " stand in ~/.claude/projects, Codex's in ~/.codex/sessions; `detektor ingest` alone lists what is on this machine.",
            )


def _files(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"


def _most_common(reasons: Sequence[tuple[str, str]]) -> str:
    reason, number = Counter(why for _, why in reasons).most_common(1)[0]
    return reason if number == len(reasons) else f"most of them {reason}"


def _walk(directory: Path, journal: Journal) -> Iterator[Path]:
    def note(error: OSError) -> None:
        journal.rejections[Rejection(str(error.filename), None, f"the directory cannot be read: {error.strerror}")] = None

    with _named_by_a_person(directory):
        os.scandir(directory).close()
    for folder, folders, files in os.walk(directory, onerror=note):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_DIRECTORIES)
        for name in sorted(files):
            yield Path(folder, name)


def _found_at_name(path: Path, journal: Journal) -> _Found:
    """Look at a file that a person named; a pipe, as in `detektor ingest <(zcat old.gz)`, is copied, for it can be read only once."""
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind in {stat.S_IFSOCK, stat.S_IFBLK}:
        return _Found(str(path), skipped={str(path): f"it is {_NO_FILES[kind]}"})
    with _named_by_a_person(path), path.open("rb") as stream:
        if kind != stat.S_IFREG:
            return _from_pipe(stream, str(path), journal)
        stream.read(1)
        found = _examine(path, str(path.resolve()), path.stat().st_size, journal)
    has_its_name = path.name.lower().endswith(SUFFIXES) or not path.stat().st_size
    return _for_our_own(found, source_file(path, journal)) if has_its_name else found


def _from_pipe(stream: IO[bytes], name: str, journal: Journal) -> _Found:
    """Copy a stream to a temporary file without a name, so that it can be read more than once, and look at it."""
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
    size = spool.tell()
    return _for_our_own(_examine(spool, name, size, journal), _source(None, name, size, lambda: _opened(spool, size, journal), journal))


def _for_our_own(found: _Found, file: SourceFile) -> _Found:
    """A named log in which nothing can be recognised, not even an object, goes to our own reader: it rejects every line with a reason."""
    unreadable = not found.logs and not found.has_objects and set(found.skipped.values()) <= {unread.NO_LOG, unread.EMPTY}
    return _Found(found.name, [(file, "jsonl")]) if unreadable else found


def _found_in_directory(path: Path, journal: Journal) -> _Found | None:
    """Look at a file that a walk came upon; None for one that is not called as a log is and does not look like one."""
    name, told = path.name.lower(), unread.by_name(path.name)
    if told:
        return _Found(str(path), skipped={str(path): told})
    maybe = name.endswith(MAYBE)
    if not maybe and not name.endswith((*SUFFIXES, *packed.SUFFIXES)):
        return None
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            return _Found(str(path), skipped={str(path): f"it is {_NO_FILES.get(kind, 'no file')}, which is not opened"})
        if maybe and not documents.worth_a_look(path):
            return None
        size = path.stat().st_size
        found = _examine(path, str(path.resolve()), size, journal)
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror or error}"
        journal.rejections[Rejection(str(path), None, reason)] = None
        return _Found(str(path), skipped={str(path): reason})
    if not found.logs and size and not found.has_objects and set(found.skipped.values()) == {unread.NO_LOG}:
        journal.rejections[Rejection(found.name, None, "none of the file's first lines is a JSON object")] = None
    return found


# Looking at one file --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What one file holds: logs (several in an archive), or why it holds none."""

    name: str
    logs: list[tuple[SourceFile, ReaderName]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    has_objects: bool = False


def _examine(opened: Path | IO[bytes], name: str, size: int, journal: Journal) -> _Found:
    """Look at a file's first bytes, then at its first records.

    Raises:
        OSError: It cannot be read.

    """
    path = opened if isinstance(opened, Path) else None
    with _raw(opened, journal, block=packed.MAGIC_BYTES) as raw:
        beginning = bytes(raw.peek(packed.MAGIC_BYTES)[: packed.MAGIC_BYTES])
    if path is not None and documents.is_database(beginning) and documents.is_opencode(path):
        return _Found(name, [(SourceFile(path, name, size, lambda: iter(()), "database"), "opencode")])
    is_packed = packed.way_of_packing(beginning) is not None
    if packed.is_zip(beginning) or packed.is_tar(_unpacked_beginning(opened, size, journal) if is_packed else beginning):
        return _in_archive(opened, name, is_zip=packed.is_zip(beginning), journal=journal)
    if not is_packed and (told := unread.by_first_bytes(beginning, Path(name).name)):
        return _Found(name, skipped={name: told})
    return _of_text(_source(path, name, size, lambda: _opened(opened, size, journal), journal))


def _unpacked_beginning(opened: Path | IO[bytes], size: int, journal: Journal) -> bytes:
    try:
        with _opened(opened, size, journal) as stream:
            return bytes(stream.peek(packed.MAGIC_BYTES)[: packed.MAGIC_BYTES])
    except packed.TORN:
        return b""


def _of_text(file: SourceFile) -> _Found:
    """Find the reader of a file by its first records; one that begins as a document does may be one."""
    lines = _first_lines(file)
    records = documents.records_in(file) if lines and documents.may_be_document(lines[0]) else None
    is_document = records is not None
    if records is None:
        records = [record for line in lines for record in records_of(line) if not isinstance(record, str)]
    reader = detect(records)
    if reader != UNKNOWN:
        return _Found(file.source, [(documents.as_lines(file) if is_document else file, reader)], has_objects=True)
    told = unread.by_records(records) or (unread.DOCUMENT if is_document else unread.NO_LOG if lines else unread.EMPTY)
    return _Found(file.source, skipped={file.source: told}, has_objects=bool(records) or is_document)


def _first_lines(file: SourceFile) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    with closing(cast("Generator[Line]", file.open())) as lines:
        for _, line in lines:
            found.append(line)
            size += len(line)
            if len(found) >= _DETECT_LINES or size > _DETECT_BYTES:
                break
    return found


def _in_archive(opened: Path | IO[bytes], name: str, *, is_zip: bool, journal: Journal) -> _Found:
    """Look at an archive's members as a walk looks at a directory's files; the archive stays open until the journal is closed."""
    stream = journal.spools.enter_context(opened.open("rb") if isinstance(opened, Path) else os.fdopen(os.dup(opened.fileno()), "rb"))
    stream.seek(0)
    found = _Found(name, has_objects=True)
    try:
        for member in packed.members_of_zip(stream) if is_zip else packed.members_of_tar(stream):
            _take_member(found, member, opened if isinstance(opened, Path) else None, journal)
    except packed.TooMuchError as error:
        found.skipped[name] = str(error)
    except (*packed.TORN, OSError) as error:
        found.skipped[name] = f"a torn archive: what follows could not be read ({error})"
    if not found.logs and not found.skipped:
        found.skipped[name] = "an archive without logs"
    return found


def _take_member(found: _Found, member: Member, archive: Path | None, journal: Journal) -> None:
    called = member.name.lower()
    if not called.endswith((*SUFFIXES, *MAYBE, *packed.SUFFIXES)) or _SKIPPED_DIRECTORIES & set(Path(member.name).parts[:-1]):
        return
    name = f"{found.name}/{member.name}"
    if called.endswith(packed.SUFFIXES):
        found.skipped[name] = "an archive within an archive: unpack it first"
        return
    if called.endswith(documents.DATABASES):
        found.skipped[name] = "a database within an archive: unpack it first"
        return
    path = archive.resolve() / member.name if archive is not None else None
    inner = _of_text(_source(path, name, member.size, lambda: _opened_member(member), journal))
    if inner.logs or not called.endswith(MAYBE):
        found.logs += inner.logs
        found.skipped |= inner.skipped


# Reading --------------------------------------------------------------------------------------------------------------------


def _source(path: Path | None, name: str, size: int, opener: Opener, journal: Journal) -> SourceFile:
    return SourceFile(path, name, size, lambda: _lines(opener, name, journal))


def _lines(opener: Opener, name: str, journal: Journal) -> Iterator[Line]:
    """Yield numbered lines without blank ones, byte order mark and line ends; note in the journal what cannot be read."""
    number = 0
    try:
        with opener() as stream:
            for number, line in enumerate(_bounded(stream), 1):
                journal.lines += 1
                if isinstance(line, int):
                    reason = f"the line is longer than {LINE_LIMIT // 1024**2} MiB"
                    journal.rejections[Rejection(name, number, reason, f"{line} bytes")] = None
                    continue
                text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).strip()
                if text:
                    yield number, text
    except packed.TORN as error:
        journal.rejections[Rejection(name, number + 1, "the packed data are torn: what follows could not be read", str(error))] = None
    except packed.TooMuchError as error:
        journal.rejections[Rejection(name, number + 1, str(error))] = None
    except OSError as error:
        journal.rejections[Rejection(name, number + 1, f"the file cannot be read further: {error.strerror or error}")] = None


def _bounded(stream: Buffered) -> Iterator[bytes | int]:
    """Yield lines without their end; in the place of one over LINE_LIMIT its size."""
    begun: list[bytes] = []
    size = 0
    while block := stream.read1(_PIECE):
        first, *others = block.split(b"\n")
        size += len(first)
        if size < LINE_LIMIT:
            begun.append(first)
        else:
            begun.clear()  # too long: it is counted and not kept
        if not others:
            continue
        yield b"".join(begun) if size < LINE_LIMIT else size + 1
        last = others.pop()
        yield from others
        begun, size = [last], len(last)
    if size:
        yield b"".join(begun) if size < LINE_LIMIT else size


@contextmanager
def _raw(opened: Path | IO[bytes], journal: Journal, block: int = _BLOCK) -> Iterator[Buffered]:
    descriptor = os.open(opened, os.O_RDONLY) if isinstance(opened, Path) else os.dup(opened.fileno())
    with io.BufferedReader(_Counted(descriptor, journal), block) as raw:
        raw.seek(0)
        yield raw


@contextmanager
def _opened(opened: Path | IO[bytes], size: int, journal: Journal) -> Iterator[Buffered]:
    with _raw(opened, journal) as raw, packed.unpacked(raw, size) as stream:
        yield stream


@contextmanager
def _opened_member(member: Member) -> Iterator[Buffered]:
    with io.BufferedReader(cast("Any", member.open()), _BLOCK) as raw, packed.unpacked(raw, member.size) as stream:
        yield stream


class _Counted(io.FileIO):
    """A file that tells the journal how much of it was read."""

    def __init__(self, descriptor: int, journal: Journal) -> None:
        super().__init__(descriptor, "rb")
        self._journal = journal

    def readinto(self, buffer: Any, /) -> int | None:
        size = super().readinto(buffer)
        self._journal.on_bytes(size or 0)
        return size


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
