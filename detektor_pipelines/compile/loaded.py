"""Which definitions this process has loaded: what every long-running program says of itself, so that one can tell that two differ.

A process keeps the definitions that it began with, whatever the files say since. Answers of /health, the stream worker's report and the
code location's metadata hold `definitions()`, metrics the same as labels.
"""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.hashes import SHORT, metadata_hash, short_hash
from detektor_pipelines.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.language.views import FeatureView

INFO: Final = Metric(
    "detektor_definitions_info",
    "gauge",
    "1 for each feature view's definition that this process has loaded. Two hashes of a view: detektor restart.",
    ("view", "version", "hash"),
)
COMBINED: Final = Metric(
    "detektor_definitions_combined_info",
    "gauge",
    "1 for the hash over all definitions that this process has loaded, their texts and bounds too. Two hashes: detektor restart.",
    ("hash",),
)
METRICS: Final = (INFO, COMBINED)

_SINCE: Final = clock.to_text(int(time.time() * 1_000_000))
"""By the machine's clock, whatever DETEKTOR_NOW says: it tells one start of a process from the next."""


@lru_cache(maxsize=8)
def combined_hash(views: Sequence[FeatureView] = VIEWS) -> str:
    """Return 12 hex digits over all of the views: names, numbers and texts. Of two processes with one hash, none is behind."""
    lines = [f"{view.name} {view.version} {short_hash(view)} {metadata_hash(view)}" for view in views]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:SHORT]


def definitions(views: Sequence[FeatureView] = VIEWS) -> dict[str, Any]:
    """Return what is loaded, as data for JSON: `hash` over all, `since` when, and each view's `version` and `hash` of its numbers."""
    return {
        "hash": combined_hash(tuple(views)),
        "since": _SINCE,
        "views": {view.name: {"version": view.version, "hash": short_hash(view)} for view in views},
    }


def are_definitions(said: object) -> bool:
    """Tell whether what somebody says has the form that `definitions` returns; JSON of another program at our port has not."""
    if not isinstance(said, dict) or not isinstance(said.get("hash"), str) or not isinstance(said.get("since"), str):
        return False
    views = said.get("views")
    return isinstance(views, dict) and all(
        isinstance(view, dict) and isinstance(view.get("version"), str) and isinstance(view.get("hash"), str) for view in views.values()
    )


def families() -> Iterator[Any]:
    """Yield the metrics, for a collector of prometheus_client that is asked at each scrape."""
    yield INFO.family(((view.name, view.version, short_hash(view)), 1) for view in VIEWS)
    yield COMBINED.family([((combined_hash(),), 1)])


def phrase(view: FeatureView) -> str:
    """Say in a few words which version of a view is loaded: `code_review_features 1.0.0 (1102e0fbb60a)`."""
    return f"{view.name} {view.version} ({short_hash(view)})"
