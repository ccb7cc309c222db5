"""Drift, as it was last computed: `quality.drift` computes and keeps it, this only reads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer

if TYPE_CHECKING:
    from detektor_pipelines.monitoring.exporter.question import Samples, Stores
    from detektor_pipelines.settings import Settings


def drift(stores: Stores) -> Answer:
    """Return each feature's scores, of those with rows enough to judge, and how many features are at which level, by their worst method."""
    results = _latest(stores.settings)
    scores: Samples = {(each.view, each.feature, each.method): float(each.score) for each in results if each.score is not None}
    worst: dict[tuple[str, str], str] = {}
    for each in results:
        worst[each.view, each.feature] = max(worst.get((each.view, each.feature), each.level), each.level, key=_rank)
    counts = Counter((view, level) for (view, _), level in worst.items())
    levels: Samples = {(view.name, level): float(counts[view.name, level]) for view in VIEWS for level in metrics.DRIFT_LEVELS}
    return Answer({metrics.DRIFT: scores, metrics.DRIFT_FEATURES: levels})


def _latest(settings: Settings) -> list[Any]:
    from importlib import import_module

    try:
        computed = import_module("detektor_pipelines.quality.drift")
    except ModuleNotFoundError:
        return []
    return list(computed.latest(settings))


def _rank(level: str) -> int:
    return ("too_few", "calm", "watch", "alert").index(level)
