"""Packed files as streams: gzip, xz and bzip2; archives (tar, zip) member by member. Nothing is written to disk.

Limits, so that a small file cannot fill memory or time: a stream that unpacks to more than `RATIO_LIMIT` times its packed size (and more
than `FREE_BYTES`) is not read further; a tar that is packed itself is held in memory, up to `TAR_LIMIT`; an archive within an archive is
not opened.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATIO_LIMIT: Final = 250
"""How many bytes one packed byte may become; logs of agents reach 60."""

FREE_BYTES: Final = 1024**3
"""Below this many unpacked bytes (1 GiB) the ratio does not matter."""

TAR_LIMIT: Final = 256 * 1024**2
"""Bytes of a packed tar's contents (256 MiB) that are held in memory; a larger one wants to be unpacked first."""

SUFFIXES: Final = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".zip")
"""Archives that a directory is searched for."""

TORN: Final = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
"""What a torn packed file raises."""

if TYPE_CHECKING:
    Buffered = io.BufferedReader[Any]

MAGIC_BYTES: Final = 512
_TAR_MAGIC: Final = slice(257, 262)
_BLOCK: Final = 1024 * 1024
_OPENERS: Final = (
    (b"\x1f\x8b", "gzip", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
)


class TooMuchError(Exception):
    """A packed file that becomes more than is read; its text says how much and what to do."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its path there, its unpacked size, and how it is opened, any number of times."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] = field(repr=False, compare=False)


@contextmanager
def unpacked(raw: Buffered, packed_size: int) -> Iterator[Buffered]:
    """Give a stream's contents: unpacked where its first bytes say that it is packed, as it is otherwise.

    Args:
        raw: At its beginning.
        packed_size: Its bytes, for the limit.

    """
    beginning = raw.peek(MAGIC_BYTES)
    opener = next((opener for magic, _, opener in _OPENERS if beginning.startswith(magic)), None)
    if opener is None:
        yield raw
        return
    with opener(raw) as stream, io.BufferedReader(_Unpacked(cast("io.BufferedIOBase", stream), packed_size), _BLOCK) as buffered:
        yield buffered


def way_of_packing(beginning: bytes) -> str | None:
    """Name the way of packing of a stream by its first bytes: gzip, xz, bzip2; None for a plain one."""
    return next((name for magic, name, _ in _OPENERS if beginning.startswith(magic)), None)


def is_tar(beginning: bytes) -> bool:
    """Whether a stream's (unpacked) first bytes are a tar's."""
    return beginning[_TAR_MAGIC] == b"ustar"


def is_zip(beginning: bytes) -> bool:
    """Whether a stream's first bytes are those of a zip that holds something."""
    return beginning.startswith(b"PK\x03\x04")


def members_of_zip(stream: IO[bytes]) -> Iterator[Member]:
    """Yield the files of a zip, by name. The stream stays open as long as they are read.

    Raises:
        TORN: It is no whole zip.

    """
    archive = zipfile.ZipFile(stream)
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        if info.is_dir():
            continue
        yield Member(_within(info.filename), info.file_size, partial(_of_zip, archive, info))


def members_of_tar(stream: IO[bytes]) -> Iterator[Member]:
    """Yield the files of a tar, by name; a packed one is unpacked into memory first.

    Raises:
        TORN: It is no whole tar.
        TooMuchError: It is packed and its contents are over TAR_LIMIT.

    """
    beginning = stream.read(MAGIC_BYTES)
    stream.seek(0)
    if way_of_packing(beginning):
        stream = _held(stream)
    archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - it lives as long as its members are read
    for info in sorted(archive.getmembers(), key=lambda info: info.name):
        if info.isreg() or info.issparse():
            yield Member(_within(info.name), info.size, partial(_of_tar, archive, info))


def _held(stream: IO[bytes]) -> IO[bytes]:
    """Unpack a tar into memory, a piece at a time: what is small stays small."""
    held = io.BytesIO()
    with unpacked(cast("Buffered", stream), 0) as plain:
        while piece := plain.read(_BLOCK):
            held.write(piece)
            if held.tell() > TAR_LIMIT:
                reason = f"a packed tar of more than {TAR_LIMIT // 1024**2} MiB: unpack it first (tar -xf)"
                raise TooMuchError(reason)
    held.seek(0)
    return held


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.flag_bits & 1:
        reason = "it has a password: unpack it first"
        raise TooMuchError(reason)
    if info.file_size > FREE_BYTES and info.file_size > RATIO_LIMIT * max(1, info.compress_size):
        reason = f"it unpacks to more than {RATIO_LIMIT} times its size"
        raise TooMuchError(reason)
    try:
        return archive.open(info)
    except NotImplementedError:
        reason = "packed in a way that is not known here: unpack it first (unzip)"
        raise TooMuchError(reason) from None


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    if info.issparse():
        reason = "a sparse file, whose holes may be longer than anybody can read: unpack it first (tar -xf)"
        raise TooMuchError(reason)
    return cast("IO[bytes]", archive.extractfile(info))


def _within(name: str) -> str:
    """A member's path without what leads out of the archive; it only names, nothing is written there."""
    return str(PurePosixPath(*(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in {"/", "..", "."})))


class _Unpacked(io.RawIOBase):
    """Packed data in the pieces in which they can be unpacked, so that torn data give all that stands before the tear."""

    def __init__(self, packed: io.BufferedIOBase, packed_size: int) -> None:
        super().__init__()
        self._packed = packed
        self._limit = max(FREE_BYTES, RATIO_LIMIT * packed_size)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._packed.read1(len(buffer))
        buffer[: len(piece)] = piece
        self._given += len(piece)
        if self._given > self._limit:
            reason = f"it unpacks to more than {RATIO_LIMIT} times its size: what follows is not read"
            raise TooMuchError(reason)
        return len(piece)
