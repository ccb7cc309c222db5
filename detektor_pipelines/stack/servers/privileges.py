"""How PostgreSQL, which refuses to run as root, is started by root.

An ordinary user needs nothing. Root gets a user namespace in which it is `nobody` (no OS user is made, the files stay root's); where the
kernel or a container forbids that, the OS user `DETEKTOR_OS_USER` (default `nobody`) runs it and owns its files.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from functools import lru_cache
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

OS_USER_VARIABLE = "DETEKTOR_OS_USER"

_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


def unprivileged(directory: Path) -> tuple[str, ...]:
    """Return the words that stand before a PostgreSQL command line whose files are in `directory` (which exists).

    As a side effect the fallback for root gives `directory` to the OS user.

    Raises:
        UserError: Root, no user namespaces, and no OS user that can reach `directory`.

    """
    if os.geteuid() != 0:
        return ()
    if namespaces_work():
        return _NAMESPACE
    user = os.environ.get(OS_USER_VARIABLE, "nobody")
    check_reachable(directory, user)
    _give(directory, user)
    return ("runuser", "-u", user, "--")


@lru_cache(maxsize=1)
def namespaces_work() -> bool:
    """Tell whether this process may make a user namespace."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def check_reachable(directory: Path, user: str) -> None:
    """Check that the OS user `user` exists and could run PostgreSQL in `directory`.

    Raises:
        UserError: It could not.

    """
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise UserError(
            f"PostgreSQL refuses to run as root, user namespaces are forbidden here, and there is no OS user {user}.",
            where=f"environment variable {OS_USER_VARIABLE}",
            fix=f"Run as an ordinary user, or name an existing one: {OS_USER_VARIABLE}=postgres",
        ) from None
    if shutil.which("runuser") is None:
        raise UserError(
            "PostgreSQL refuses to run as root, and here there are neither user namespaces nor runuser.",
            where="this machine",
            fix="Run as an ordinary user, or set DETEKTOR_EXTERNAL_POSTGRES_URL to a PostgreSQL that runs elsewhere.",
        )
    closed = [parent for parent in directory.absolute().parents if parent.exists() and not parent.stat().st_mode & 0o001]
    if closed:
        raise UserError(
            f"PostgreSQL would run as {user}, who cannot enter {closed[-1]}.",
            where=str(directory),
            fix="Set DETEKTOR_HOME to a directory whose parents everybody may enter, for example /srv/detektor.",
        )


def _give(directory: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
