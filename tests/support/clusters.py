"""A second PostgreSQL cluster: restored from a dump of the first, or copied from its files, as a replica or promoted."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from detektor_pipelines.stack import binaries

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.stack.servers import embedded


def dump(dsn: str, file: Path) -> Path:
    """Dump a database."""
    _run("pg_dump", "--format=custom", f"--file={file}", dsn)
    return file


def restore(file: Path, server: embedded.PostgresServer, name: str) -> str:
    """Restore a dump into a new database of another cluster, which has none of the roles; returns its address."""
    server.sql(f"CREATE DATABASE {name}")
    _run("pg_restore", "--exit-on-error", "--no-privileges", f"--dbname={server.dsn(name)}", str(file))
    return server.dsn(name)


def copy_files(server: embedded.PostgresServer, directory: Path) -> None:
    """Copy the whole cluster into `directory`/data, as a replica of it; `embedded.start_postgres(directory)` starts it."""
    directory.mkdir(parents=True)
    _run(
        "pg_basebackup",
        f"--pgdata={directory / 'data'}",
        f"--dbname={server.dsn()}",
        "--write-recovery-conf",
        "--checkpoint=fast",
        "--no-sync",
    )


def use_up_transactions(server: embedded.PostgresServer, number: int) -> None:
    """Let the cluster's transaction ids run ahead."""
    server.sql(f"DO $$ BEGIN FOR n IN 1..{number} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")


def _run(program: str, *words: str) -> None:
    done = subprocess.run([binaries.postgres(program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
