"""A real MLflow server on a database of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.stack.servers import embedded

MLFLOW = PROGRAMS["mlflow"]
_MADE_AT_FIRST = {"alembic_version", "experiments", "workspaces"}


@contextmanager
def mlflow_server(postgres_server: embedded.PostgresServer, home: Path) -> Iterator[str]:
    """Run an MLflow server until the block ends; gives its address."""
    postgres_server.sql("CREATE DATABASE mlflow_of_tests")
    dsn = postgres_server.dsn("mlflow_of_tests")
    postgres.create_schemas(dsn)
    settings = Settings(home=home, external_postgres_url=dsn, mlflow_port=ports.free_port())
    log = settings.home / "mlflow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            MLFLOW.command(settings), env=os.environ | MLFLOW.environment(settings), stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + MLFLOW.start_seconds
        while not MLFLOW.ready(settings):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "MLflow did not start"
            time.sleep(0.2)
        yield settings.mlflow_uri
    finally:
        stop_group(process)
        postgres_server.sql("DROP DATABASE mlflow_of_tests WITH (FORCE)")


def forget(postgres_server: embedded.PostgresServer) -> None:
    """Leave the server's database as its first start made it."""
    with psycopg.connect(postgres_server.dsn("mlflow_of_tests")) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'mlflow'").fetchall()
        own = ", ".join(f'mlflow."{name}"' for (name,) in rows if name not in _MADE_AT_FIRST)
        connection.execute(f"TRUNCATE {own}")
        connection.execute("DELETE FROM mlflow.experiments WHERE experiment_id <> 0")


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its workers, which outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
