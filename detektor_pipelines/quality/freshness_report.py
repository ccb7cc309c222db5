"""How far each view is published, in words a person on call can act on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from detektor_pipelines.clock import now_us
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.staleness import view_state
from detektor_pipelines.stores.raw_log.state import oldest_event_day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Freshness:
    """One view: its newest closed day, the days to compute again or for the first time, and the command that does it."""

    view: str
    last_closed: date | None
    stale: tuple[date, ...]
    missing: tuple[date, ...]
    fix: str | None

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def history(settings: Settings) -> tuple[date, date] | None:
    """Return the first and the last day that ought to be published, Dagster's partitions; None while the log is empty.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    oldest = oldest_event_day(settings)
    if oldest is None:
        return None
    return settings.start_date or oldest, owner(now_us())


def freshness(settings: Settings, views: Sequence[FeatureView]) -> list[Freshness]:
    """Return how far each view is published, from the first partition to today.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    span = history(settings)
    if span is None:
        return [Freshness(view.name, None, (), (), "detektor ingest PATH, or detektor simulate") for view in views]
    with connect(settings) as connection:
        states = [view_state(connection, view, *span) for view in views]
    return [
        Freshness(view.name, state.last_closed, state.stale, state.missing, _mend(view, (*state.stale, *state.missing)))
        for view, state in zip(views, states, strict=True)
    ]


def _mend(view: FeatureView, days: Sequence[date]) -> str | None:
    if not days:
        return None
    return f"detektor backfill --view {view.name} --from {min(days)} --to {max(days)}"
