"""A real MLflow server on a database of its own, one for the module."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.servers import embedded

MLFLOW = PROGRAMS["mlflow"]


@pytest.fixture(scope="module")
def mlflow_uri(postgres_server: embedded.PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an MLflow server; returns its address."""
    postgres_server.sql("CREATE DATABASE mlflow_of_tests")
    dsn = postgres_server.dsn("mlflow_of_tests")
    postgres.create_schemas(dsn)
    settings = Settings(home=tmp_path_factory.mktemp("mlflow"), external_postgres_url=dsn, mlflow_port=ports.free_port())
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
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):  # its workers outlive the first process
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        postgres_server.sql("DROP DATABASE mlflow_of_tests WITH (FORCE)")
