"""Files of our own that several processes read and write: where they are, replaced as a whole, and locks that end with their process.

Belongs here: the home directory, how such a file is written and how a turn is held. What stands in it is its owner's business.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines import installation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOME_VARIABLE: Final = "DETEKTOR_HOME"
PRIVATE: Final = 0o600
"""Readable by its owner only."""


def home() -> Path:
    """Return the directory of all state, as `settings` finds it, whose import takes longer than that of what needs no more than this."""
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser().absolute() if given else default_home()


def default_home() -> Path:
    """Return `.detektor` in the repository, or in the working directory when the package is installed without one."""
    return (installation.ROOT if installation.in_clone() else Path.cwd()) / ".detektor"


def content_of(file: Path, limit: int = 1024 * 1024) -> bytes:
    """Read a small file whose path somebody else's log or settings named: never what is no file (a pipe would be waited for for ever).

    Raises:
        OSError: It is not there, not readable, no file, or larger than `limit` bytes.
        ValueError: The path is none (it holds a NUL).

    """
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a file", str(file))
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
    return content


def replace_file(file: Path, content: str | Iterable[bytes], *, mode: int = PRIVATE, durable: bool = False) -> None:
    """Write a whole file, or leave it as it was: nobody reads a part of it, whatever ends this process.

    Args:
        file: Which; its directory is there.
        content: Text, or bytes in parts.
        mode: Of the file.
        durable: Wait until it is on the disk, so that it outlives the machine's end too.

    Raises:
        OSError: It cannot be written; nothing is left beside it.

    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines((content.encode(),) if isinstance(content, str) else content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def turn(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a file's or directory's lock, and tell whether it was to be had; the kernel frees it when the process ends, however it does.

    Args:
        path: A directory that is there, or a file, which is made when it is not.
        wait: Wait for it; then it is always held.

    """
    flags = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, PRIVATE)
    try:
        yield _held(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def _held(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
