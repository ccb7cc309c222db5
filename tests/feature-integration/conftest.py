"""An installation that runs as after `detektor up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.operating import OperatingStack, operating

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def operating_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatingStack]:
    """Run PostgreSQL, Redis and Dagster's three programs over a simulated history of six months, one installation a module."""
    with operating(tmp_path_factory.mktemp("operating") / "home") as running:
        yield running
