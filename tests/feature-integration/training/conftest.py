"""A real MLflow server on a database of its own, one for the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mlflow_server import mlflow_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.servers import embedded


@pytest.fixture(scope="module")
def mlflow_uri(postgres_server: embedded.PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an MLflow server; returns its address."""
    with mlflow_server(postgres_server, tmp_path_factory.mktemp("mlflow")) as address:
        yield address
