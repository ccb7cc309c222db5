"""PostgreSQL's own programs, and other databases of the same server: pg_dump, pg_restore, and what is made and renamed around them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit, urlunsplit

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries
from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

JOBS: Final = "2"

_TAIL: Final = 3


def dump(dsn: str, directory: Path, snapshot: str, without_rows_of: str) -> None:
    """Dump a whole database as a snapshot sees it, in pg_dump's directory format; of one table and its partitions only the definition.

    Raises:
        UserError: pg_dump failed; its own words are in the message.

    """
    words = ("--format=directory", f"--file={directory}", f"--jobs={JOBS}", f"--snapshot={snapshot}", "--compress=gzip:1", "--no-sync")
    _run("pg_dump", dsn, [*words, f"--exclude-table-data-and-children={without_rows_of}", "--dbname"], "The database cannot be dumped")


def restore(dsn: str, directory: Path, section: str) -> None:
    """Restore one section (`pre-data`, `data`, `post-data`) of a dump; everything belongs to the user of `dsn`.

    Raises:
        UserError: pg_restore failed; its own words are in the message.

    """
    words = ["--no-owner", "--exit-on-error", f"--section={section}", *([] if section == "pre-data" else [f"--jobs={JOBS}"])]
    _run("pg_restore", dsn, [*words, str(directory), "--dbname"], f"The database cannot be restored ({section})", bulk=True)


def server_major(dsn: str) -> int:
    """Return the major version of a server.

    Raises:
        UserError: It does not answer.

    """
    return int(postgres.run_sql(dsn, "SELECT current_setting('server_version_num')::int / 10000"))


def own_major() -> int:
    """Return the major version of the programs that are used here."""
    done = subprocess.run([binaries.postgres("pg_restore"), "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1].partition(".")[0])


def at_database(dsn: str, database: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{quote(database, safe='')}"))


def _run(program: str, dsn: str, words: Sequence[str], what: str, *, bulk: bool = False) -> None:
    """Run a program whose last word is the URL; the password goes by the environment."""
    environment = os.environ | {"PGCONNECT_TIMEOUT": "10"}
    if bulk:  # nobody waits for single commits of a database that is thrown away when it does not get whole
        dsn = sessions.changed(dsn, {"synchronous_commit": "off", "maintenance_work_mem": "256MB"})
    address = postgres.without_password(dsn, environment)
    done = subprocess.run([binaries.postgres(program), *words, address], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"{what}: {' / '.join(lines[-_TAIL:]) or 'no message'}", where=sessions.without(postgres.without_password(dsn, {})))
