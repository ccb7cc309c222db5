"""Feast's registry: how many views it has, and since when they are as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer

if TYPE_CHECKING:
    from detektor_pipelines.monitoring.exporter.question import Stores

_REGISTERED: Final = "SELECT count(*), max(last_updated_timestamp) FROM feast.feature_views WHERE project_id = %s"


def registry(stores: Stores) -> Answer:
    """Ask Feast's own table; 0 views where nothing was applied."""
    if stores.postgres.execute("SELECT to_regclass('feast.feature_views') IS NOT NULL").fetchone() != (True,):
        return Answer({metrics.REGISTRY_VIEWS: {(): 0.0}})
    number, at = stores.postgres.execute(_REGISTERED, (stores.settings.project,)).fetchone() or (0, None)
    return Answer({metrics.REGISTRY_VIEWS: {(): float(number)}}, {metrics.REGISTRY_AGE: {} if at is None else {(): at * 1_000_000.0}})
