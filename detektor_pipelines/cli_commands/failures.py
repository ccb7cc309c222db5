"""Turns a failed connection, a full disk, or a file that is not ours, into a message that names what it was, where, and what to do.

The layers below already speak this way where they open connections; this is the net under third-party code that opens its own.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detektor_pipelines import files
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

# Where the exception classes stand; a module that was never imported cannot have raised.
_POSTGRES = (("psycopg", "OperationalError"), ("psycopg2", "OperationalError"), ("adbc_driver_manager", "OperationalError"))
_REDIS = (("redis.exceptions", "ConnectionError"), ("redis.exceptions", "TimeoutError"))
_POSTGRES_FULL = (("psycopg.errors", "DiskFull"), ("psycopg2.errors", "DiskFull"))
_SQLITE = (("sqlite3", "OperationalError"),)
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR})
_FULL = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded", errno.EROFS: "Read-only file system"}
_HTTP = (("requests.exceptions", "ConnectionError"), ("urllib3.exceptions", "MaxRetryError"))

_CONNECTION_CLASSES = ("08", "57P")
_CONNECTION_WORDS = ("connect", "server closed the connection", "Name or service not known")


def as_user_error(error: BaseException) -> UserError | None:
    """Return a message for a failure to reach a server, or None when it is something else."""
    from detektor_pipelines.stack import code_on_disk

    for cause in _chain(error):
        if isinstance(cause, UserError):
            return cause
        if (full := _disk(cause)) is not None:
            return full
        if (denied := _denied(cause)) is not None:
            return denied
        if (told := code_on_disk.explain(cause)) is not None:
            return told
        if (away := _server(cause)) is not None:
            return away
    return None


def _server(cause: BaseException) -> UserError | None:
    """Say which server does not answer; None when it is something else."""
    if _is_any(cause, _POSTGRES) and _is_connection_failure(cause):
        return _down("PostgreSQL", "postgres", cause)
    if _is_any(cause, _REDIS):
        return _down("Redis", "redis", cause)
    if _is_any(cause, _HTTP) and _mlflow_port() in str(cause):
        return _down("MLflow", "mlflow", cause)
    return None


def _disk(error: BaseException) -> UserError | None:
    """Say which disk is full or not to be written; None when it is something else."""
    again = "then run it again: what is done is found known."
    if _is_any(error, _POSTGRES_FULL):
        said = str(error).partition("\n")[0]
        return UserError(f"The disk of PostgreSQL is full: {said}", where=_address("postgres"), fix=f"Free some space there; {again}")
    if _is_any(error, _SQLITE) and "disk is full" in str(error):
        return UserError("The disk is full.", where="an SQLite database", fix=f"Free some space; {again}")
    if not isinstance(error, OSError):
        return None
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        # This is what Python says when each of them is full.
        where = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - named, not written
        return UserError("No temporary file can be written: the disk is full, or not yours to write.", where=where, fix=_room(again))
    if error.errno in _FULL:
        where = str(error.filename2 or error.filename or _settings().home)
        return UserError(f"The disk cannot be written: {error.strerror or _FULL[error.errno]}.", where=where, fix=_room(again))
    return None


def _denied(error: BaseException) -> UserError | None:
    """Say which file this user may not read or write, or is none; None when it is something else."""
    if not isinstance(error, OSError) or error.errno not in _NOT_OURS:
        return None
    named = error.filename2 or error.filename
    if not isinstance(named, (str, bytes, os.PathLike)):
        return None  # a process, a socket
    where = os.fsdecode(named)
    said = f"A file cannot be read or written: {error.strerror}."
    home = files.home()
    if Path(where).is_relative_to(home):
        fix = f"Set DETEKTOR_HOME to a directory of your own, or give {home} to the user who runs this (`ls -ld` says whose it is)."
        return UserError(said, where=where, fix=fix)
    return UserError(said, where=where, fix="Have it readable and writable for the user who runs this (`ls -l` says for whom it is).")


def _room(again: str) -> str:
    return f"Free some space (`df -h` and `df -i` show how much there is), or set DETEKTOR_HOME and TMPDIR to a larger disk; {again}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_any(error: BaseException, classes: tuple[tuple[str, str], ...]) -> bool:
    for module, name in classes:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            return True
    return False


def _is_connection_failure(error: BaseException) -> bool:
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if sqlstate:
        return str(sqlstate).startswith(_CONNECTION_CLASSES)
    return any(word in str(error) for word in _CONNECTION_WORDS)


def _down(title: str, service: str, cause: BaseException) -> UserError:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    external = _external(service)
    return UserError(
        f"{title} cannot be reached: {lines[0] if lines else type(cause).__name__}",
        where=_address(service),
        fix=f"Start it, or correct {external}." if external else "Run `detektor up`; `detektor status` shows which servers run.",
    )


def _settings() -> Settings:
    from detektor_pipelines.settings import get_settings

    return get_settings()


def _address(service: str) -> str:
    from detektor_pipelines.stack.programs import PROGRAMS

    return PROGRAMS[service].address(_settings())


def _external(service: str) -> str | None:
    """Return the variable that names a server of the person's own, when it is given."""
    settings = _settings()
    given = {
        "postgres": ("DETEKTOR_EXTERNAL_POSTGRES_URL", settings.external_postgres_url),
        "redis": ("DETEKTOR_EXTERNAL_REDIS_URL", settings.external_redis_url),
        "mlflow": ("DETEKTOR_MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri),
    }[service]
    return given[0] if given[1] else None


def _mlflow_port() -> str:
    return _address("mlflow").rpartition(":")[2]
