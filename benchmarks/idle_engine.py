"""Dagster definitions whose engine does nothing: what remains is Dagster's own work, and `bench_dagster` measures it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from detektor_pipelines.engine.materialize import DayResult, Materialization
from detektor_pipelines.engine.online import OnlinePublication

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView


class IdleEngine:
    """Says that every day is published, with the metadata that a real one has."""

    def materialize(self, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: Any = None) -> Materialization:
        """Return made-up results."""
        del resume
        rates = {each.name: 0.125 for each in view.features}
        span = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)
        made = Materialization(
            tuple(
                DayResult(day, "published", rows=240, hash="0" * 64, written=240, null_rates=rates, events=500, event_range=span)
                for day in days
            ),
            "1000:1000:",
            100_000,
            span,
            0.0,
        )
        if on_part:
            on_part(made)
        return made

    def publish_online(self, _: FeatureView, __: str | None = None) -> OnlinePublication:
        """Return made-up counts."""
        return OnlinePublication(9, 9, datetime(2026, 6, 30, tzinfo=UTC), 0.0)

    def ask(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Answer with the method that has the question's name; there is none for checks, which say so."""
        return getattr(self, question.__name__)(*given, **named)

    def newest_rows(self, view: FeatureView, _: date, *, limit: int) -> tuple[list[str], list[tuple[object, ...]]]:
        """Return one made-up row."""
        del limit
        return ["agent_id", *(each.name for each in view.features)], [(view.agent, *(1.5 for _ in view.features))]


def definitions() -> Any:
    """Return the real definitions with this engine; Dagster's command line calls it."""
    from detektor_pipelines.orchestration.build import build_definitions

    engine = IdleEngine()
    return build_definitions({"engine": engine, "platform": engine})
