"""Logs that are no files of lines: one JSON document that holds a whole session or a list of records, and OpenCode's database.

A document is given to its reader as one line (a list as one line for each of its objects), so that no reader needs to know.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from detektor_pipelines.ingest.readers.records import line_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from detektor_pipelines.ingest.readers.interface import Line, SourceFile
    from detektor_pipelines.ingest.readers.shapes import Record

DOCUMENT_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the largest document (64 MiB): it is held in memory as a whole."""

SUFFIXES: Final = (".json", ".json.gz")
DATABASES: Final = (".db", ".sqlite", ".sqlite3")

_DATABASE_MAGIC: Final = b"SQLite format 3\x00"
_OPENCODE_TABLES: Final = frozenset({"session", "message", "part"})
_PEEK: Final = 4096
_MARKS: Final = ((b'"sessionId"',), (b'"projectHash"',), (b'"info"',), (b'"projectID"',), (b'"timestamp"', b'"type"'), (b'"occurred_at"',))
_GZIP_MAGIC: Final = b"\x1f\x8b"


def worth_a_look(path: Path) -> bool:
    """Whether a `.json` or `.db` that a walk came upon may hold a session: most do not, and they are not parsed to find out.

    Raises:
        OSError: It cannot be read.

    """
    with path.open("rb") as stream:
        beginning = stream.read(_PEEK)
    if path.name.lower().endswith(DATABASES):
        return is_database(beginning) and is_opencode(path)
    return beginning.startswith(_GZIP_MAGIC) or any(all(mark in beginning for mark in marks) for marks in _MARKS)


def is_database(beginning: bytes) -> bool:
    """Whether a file's first bytes are an SQLite database's."""
    return beginning.startswith(_DATABASE_MAGIC)


def is_opencode(path: Path) -> bool:
    """Whether an SQLite database holds OpenCode's tables; False where it cannot be opened as well."""
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):  # the latter: of the error's own text, which quotes the file
        # A database in use lies in a directory where readers must write too; its first page names the tables
        found = {name for name in _OPENCODE_TABLES if f"CREATE TABLE `{name}`".encode() in path.read_bytes()[: 1024**2]}
    return found >= _OPENCODE_TABLES


def may_be_document(first: bytes) -> bool:
    """Whether a file that begins with this line may be one document: an object or a list that does not end on it."""
    if first[:1] not in {b"{", b"["}:
        return False
    try:
        return isinstance(orjson.loads(first), list)
    except orjson.JSONDecodeError:
        return True


def records_in(file: SourceFile) -> list[Record] | None:
    """Return a document's records: itself, or the objects of a list; None when it is no JSON, or too large."""
    content = _content(file)
    if content is None:
        return None
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return [value] if isinstance(value, dict) else [each for each in value if isinstance(each, dict)] if isinstance(value, list) else None


def as_lines(file: SourceFile) -> SourceFile:
    """Make of a document a file of lines, a record each."""
    return replace(file, lines=lambda: _lines(file))


def _lines(file: SourceFile) -> Iterator[Line]:
    for record in records_in(file) or ():
        yield 1, line_of(record)


def _content(file: SourceFile) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    with closing(cast("Generator[Any]", file.open())) as lines:
        for _, line in lines:
            parts.append(line)
            size += len(line) + 1
            if size > DOCUMENT_LIMIT:
                return None
    return b"\n".join(parts)
