"""An installation that runs as after `detektor up`, and a real MLflow server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mlflow_server import forget, mlflow_server
from support.operating import OperatingStack, operating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.servers import embedded


@pytest.fixture(scope="module")
def operating_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatingStack]:
    """Run PostgreSQL, Redis and Dagster's three programs over a simulated history of six months, one installation a module."""
    with operating(tmp_path_factory.mktemp("operating") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def mlflow_of_session(postgres_server: embedded.PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an MLflow server on a database of its own; its first start takes a quarter of a minute."""
    with mlflow_server(postgres_server, tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture(scope="module")
def mlflow_uri(mlflow_of_session: str, postgres_server: embedded.PostgresServer) -> str:
    """Return the address of an MLflow server that knows nothing of other modules."""
    forget(postgres_server)
    return mlflow_of_session
