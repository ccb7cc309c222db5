"""How long tables keep what they hold, and which days can still be computed of what is left.

    ml_learning.retention    name, days (null: for ever), floor: since when there is nothing older

A day is computed of the events from its start less the view's longest window on. When some of those are gone, what was published stays, and
nothing may compute the day again or call it stale or missing: it would be computed wrongly. So there is a first day for each view, and who
plans or computes days asks for it (`first_day`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.language.calendar import dated
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView

EVENTS: Final = "agent_events"
FEATURES: Final = "features"
_FLOORS: Final = f"""
SELECT name, (extract(epoch FROM floor) * 1000000)::bigint FROM ml_learning.retention
WHERE floor IS NOT NULL AND name IN ('{EVENTS}', '{FEATURES}')
"""
_POLICIES: Final = "SELECT name, days, floor FROM ml_learning.retention"
_SET: Final = """
INSERT INTO ml_learning.retention (name, days) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET days = excluded.days
"""
_RAISE: Final = """
UPDATE ml_learning.retention SET floor = greatest(floor, %s) WHERE name = %s
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """How many days a table keeps, None for ever; and since when there is nothing older, None when nothing ever went."""

    name: str
    days: int | None
    floor: Any = None


def policies(connection: psycopg.Connection) -> dict[str, Policy]:
    """Return what was ever set, by name."""
    return {name: Policy(name, days, floor) for name, days, floor in connection.execute(_POLICIES).fetchall()}


def keep(connection: psycopg.Connection, name: str, days: int | None) -> None:
    """Say how many days a table keeps; None for ever."""
    connection.execute(_SET, (name, days))


def raise_floor(connection: psycopg.Connection, name: str, instant: Any) -> None:
    """Say since when there is nothing older; in the transaction that removes it, or before."""
    connection.execute(_RAISE, (instant, name))


def first_day(connection: psycopg.Connection, view: FeatureView) -> date | None:
    """Return the first day of a view that can be computed; None when all can."""
    reach = {EVENTS: view.longest.size + view.longest.hop, FEATURES: 0}
    days = [dated(-(-(floor + reach[name]) // DAY)) for name, floor in connection.execute(_FLOORS).fetchall()]
    return max(days, default=None)


def after(days: Sequence[date], first: date | None) -> list[date]:
    """Return those of the days that can be computed."""
    return [day for day in days if first is None or day >= first]
