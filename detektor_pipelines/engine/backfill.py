"""Several views over a range of days, to both stores, without Dagster: a library call, and what the benchmark measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.engine.materialize import Materialization, materialize
from detektor_pipelines.engine.online import OnlinePublication, publish_online

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


_AT_ONCE: Final = 3
"""Views under way: others are read from PostgreSQL, or written to it, while one is computed; each holds a chunk of events.

Of two, both may wait for PostgreSQL at the same moment.
"""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """One view's part of a backfill."""

    view: FeatureView
    materialization: Materialization
    online: OnlinePublication


def backfill(settings: Settings, views: Sequence[FeatureView], days: Sequence[date]) -> Iterator[Backfilled]:
    """Materialize `days` of each view and publish its newest rows online; yields in the views' order, three being under way at once.

    Where one fails, the views before it have been yielded, and those that were under way may have been published too.

    Raises:
        UserError: A server cannot be reached.

    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="backfill") as pool:
        under_way = [pool.submit(_backfilled, settings, view, days) for view in views]
        try:
            for each in under_way:
                yield each.result()
        finally:
            for each in under_way:
                each.cancel()


def _backfilled(settings: Settings, view: FeatureView, days: Sequence[date]) -> Backfilled:
    return Backfilled(view, materialize(settings, view, days), publish_online(settings, view))
