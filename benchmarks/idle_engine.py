"""Dagster definitions whose engine does nothing: what remains is Dagster's own work, and `bench_dagster` measures it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from detektor_pipelines.engine.online import OnlinePublication

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView


class IdleEngine:
    """Says that every day is published, with the metadata that a real one has."""

    def materialize(self, view: FeatureView, days: Sequence[date], _on_day: Any = None) -> SimpleNamespace:
        """Return made-up results."""
        rates = {each.name: 0.125 for each in view.features}
        return SimpleNamespace(
            days=tuple(
                SimpleNamespace(day=day, status="published", rows=240, hash="0" * 64, written=240, null_rates=rates, failures=None)
                for day in days
            ),
            snapshot="1000:1000:",
            event_count=100_000,
            event_range=(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)),
            seconds=0.0,
        )

    def publish_online(self, _: FeatureView, __: str | None = None) -> OnlinePublication:
        """Return made-up counts."""
        return OnlinePublication(9, 9, datetime(2026, 6, 30, tzinfo=UTC), 0.0)

    def newest_rows(self, view: FeatureView, _: date) -> tuple[list[str], list[tuple[object, ...]]]:
        """Return one made-up row."""
        return ["agent_id", *(each.name for each in view.features)], [(view.agent, *(1.5 for _ in view.features))]


def definitions() -> Any:
    """Return the real definitions with this engine; Dagster's command line calls it."""
    from detektor_pipelines.orchestration.build import build_definitions

    return build_definitions({"engine": IdleEngine()})
