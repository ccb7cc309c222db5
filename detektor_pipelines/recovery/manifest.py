"""What a backup holds, as its manifest says it: JSON, written when everything that it names is there.

A file of the backup is an `Object`: a name in the target, the bytes and SHA-256 of what is stored there, and of what it was before it was
encrypted. A piece of the log is a `Chunk`: a range of its transactions' numbers. Numbers beyond 2⁵³ stand as text.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from detektor_pipelines.errors import UserError

FORMAT: Final = 1
"""Of the manifest and of what it names; a greater one is a later release's."""


@dataclass(frozen=True, slots=True)
class Object:
    """A file of the backup: its name in the target, what is stored there, and what it is when it is decrypted."""

    name: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the home directory or of pg_dump's directory, by its path there."""

    path: str
    object: Object


@dataclass(frozen=True, slots=True)
class Contents:
    """How many rows a table or a piece of it has, and a hash over them that knows no order; `by` is how it is made."""

    rows: int
    hash: str
    by: str = "record"


@dataclass(frozen=True, slots=True)
class Chunk:
    """The log's rows with first <= xid < end; without an end all from `first` on that the snapshot sees, which no later backup keeps."""

    first: int
    end: int | None
    contents: Contents
    object: Object | None
    """COPY's text form, compressed by zstd; None for a piece without rows."""


@dataclass(frozen=True)
class Manifest:
    """One backup."""

    backup: str
    made_at: str
    seconds: float
    release: str
    postgres: dict[str, Any]
    """version, major, system_identifier, timeline, database."""
    log: dict[str, Any]
    """epoch, shift, columns of COPY in their order."""
    revision: str
    """Of the tables of ml_learning."""
    definitions: dict[str, Any]
    roles: list[str]
    recipients: list[str]
    tables: dict[str, Contents]
    chunks: list[Chunk]
    database: list[File]
    artifacts: list[File]
    files: list[File]
    left_out: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    """Files that were deleted while the backup was made."""

    @property
    def events(self) -> int:
        """Rows of the log, revisions included."""
        return sum(chunk.contents.rows for chunk in self.chunks)

    @property
    def objects(self) -> list[Object]:
        """All files that it needs."""
        held = [file.object for part in (self.database, self.artifacts, self.files) for file in part]
        return [*(chunk.object for chunk in self.chunks if chunk.object), *held]

    @property
    def size(self) -> int:
        """Bytes of all files that it needs; those shared with other backups count in each."""
        return sum({each.name: each.size for each in self.objects}.values())

    @property
    def own_size(self) -> int:
        """Bytes of the files that it was the first to need."""
        return sum({each.name: each.size for each in self.objects if each.name.startswith(f"{self.backup}/")}.values())

    def as_bytes(self) -> bytes:
        """Return the file's content, with a hash over it."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps({**content, "sha256": _digest(content)}, indent=1, ensure_ascii=False).encode()


def read(content: bytes, where: str) -> Manifest:
    """Return what a manifest says.

    Raises:
        UserError: It is damaged, or of a later release.

    """
    try:
        data = json.loads(content)
        written = data.pop("format")
        if written > FORMAT:
            raise UserError(
                f"This backup has format {written}, and this release reads format {FORMAT}: a later release has made it.",
                where=where,
                fix=f"Use the release that made it, {data.get('release', 'unknown')}, or a later one.",
            )
        if data.pop("sha256") != _digest({"format": written, **data}):
            raise _damaged(where, "its hash is another one")
        return _manifest(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(where, str(error)) from error


def _manifest(data: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **data,
            "tables": {name: Contents(**each) for name, each in data["tables"].items()},
            "chunks": [_chunk(each) for each in data["chunks"]],
            **{part: [File(each["path"], Object(**each["object"])) for each in data[part]] for part in ("database", "artifacts", "files")},
        }
    )


def _chunk(data: dict[str, Any]) -> Chunk:
    held = data["object"]
    return Chunk(data["first"], data["end"], Contents(**data["contents"]), Object(**held) if held else None)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _damaged(where: str, why: str) -> UserError:
    return UserError(f"The backup's manifest is damaged: {why}.", where=where, fix="Take another backup: `detektor backup list`.")
