"""The raw log on real PostgreSQL, one database a module, emptied for each test; the clock stands at 2026-06-01."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.log_rows import clear, partition_log

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings


@pytest.fixture(scope="module")
def partitioned(module_database: Settings) -> Settings:
    """Return settings whose log takes instants of any month."""
    partition_log(module_database)
    return module_database


@pytest.fixture
def log(partitioned: Settings, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> Settings:
    """Return settings of an empty log."""
    del isolated_environment  # first: it empties the environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    clear(partitioned)
    return partitioned
