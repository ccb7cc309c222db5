"""Several views over a range of days, to both stores, without Dagster: a library call, and what the benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.engine.materialize import Materialization, materialize
from detektor_pipelines.engine.online import OnlinePublication, publish_online

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Backfilled:
    """One view's part of a backfill."""

    view: FeatureView
    materialization: Materialization
    online: OnlinePublication


def backfill(settings: Settings, views: Sequence[FeatureView], days: Sequence[date]) -> Iterator[Backfilled]:
    """Materialize `days` of each view and publish its newest rows online; yields as each view is done.

    Raises:
        UserError: A server cannot be reached.

    """
    for view in views:
        yield Backfilled(view, materialize(settings, view, days), publish_online(settings, view))
