"""A fake engine: what comes out is made up, what fails is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from detektor_pipelines.language.views import FeatureView


@dataclass
class FakeEngine:
    """Publishes nothing; days in `bad` fail the gate, views in `raising` raise."""

    bad: set[date] = field(default_factory=set)
    raising: dict[str, Exception] = field(default_factory=dict)
    computed: list[tuple[str, list[date]]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    def materialize(self, view: FeatureView, days: Sequence[date], on_day: Any = None) -> SimpleNamespace:
        if view.name in self.raising:
            raise self.raising[view.name]
        self.computed.append((view.name, list(days)))
        results = tuple(self._day(view, day) for day in days)
        for each in results if on_day else ():
            on_day(each)
        return SimpleNamespace(
            days=results,
            failed=any(each.status == "failed" for each in results),
            snapshot="771:771:",
            event_count=10 * len(days),
            event_range=(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 9, tzinfo=UTC)),
            seconds=0.25,
        )

    def publish_online(self, view: FeatureView) -> SimpleNamespace:
        self.published.append(view.name)
        return SimpleNamespace(keys=3, written=3, seconds=0.1, as_of=datetime(2026, 5, 9, tzinfo=UTC))

    def newest_rows(self, view: FeatureView, day: date) -> tuple[list[str], list[tuple[object, ...]]]:
        return ["agent_id", view.features[0].name], [(view.agent, 4), (f"{view.agent}@{day}", None)]

    def _day(self, view: FeatureView, day: date) -> SimpleNamespace:
        bad = day in self.bad
        return SimpleNamespace(
            day=day,
            status="failed" if bad else "published",
            rows=24,
            hash=f"hash-of-{day}",
            written=0 if bad else 24,
            null_rates={each.name: 0.25 for each in view.features if each.nullable},
            failures=[{"agent_id": view.agent, "column": view.features[0].name, "check": "greater_than_or_equal_to(0)", "value": "-1"}]
            if bad
            else None,
        )


@pytest.fixture(scope="session")
def dg() -> ModuleType:
    """Return Dagster, imported when a test first asks: collecting the tests must not cost its two seconds."""
    import dagster

    return dagster


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()
