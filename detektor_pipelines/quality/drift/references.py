"""Pinning what features are compared with.

A view's first reference is pinned on its own, by the first look at a view that has enough history: the eight weeks from the first day on
which all of the view's windows are full, once they are over. Every other one is a person's: `detektor drift --pin`.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.drift.results import WINDOW_DAYS, Reference
from detektor_pipelines.stores import drift as table
from detektor_pipelines.stores.connections import connect, connect_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

WEEKS: Final = 8
FEWEST_WEEKS: Final = 3
FIRST: Final = "on its own: the first eight weeks with full windows"


def published(connection: psycopg.Connection, view: FeatureView) -> dict[date, str]:
    """Return the hash of each published day that is over, the oldest first."""
    from detektor_pipelines.language.calendar import end
    from detektor_pipelines.quality.published import day_states
    from detektor_pipelines.stores.offline.rows import states

    days = [day for day, state in day_states(connection, view).items() if state.published_at >= end(day)]
    return {each.day: each.hash for each in states(connection, view, days)}


def first_days(view: FeatureView, days: Mapping[date, str]) -> tuple[date, date] | None:
    """Return the days that a view's first reference is made of; None while there are too few."""
    if not days:
        return None
    first = min(days) + timedelta(days=-(-view.longest.size // DAY))
    last = first + timedelta(days=WEEKS * WINDOW_DAYS - 1)
    return (first, last) if max(days) >= last else None


def newest(connection: psycopg.Connection, view: FeatureView) -> Reference | None:
    """Return the reference that counts, of the view's present definition."""
    rows = table.references(connection, view)
    return Reference(*rows[-1]) if rows else None


def pin(settings: Settings, view: FeatureView, first: date, last: date, by: str) -> Reference:
    """Keep the values of whole weeks, from `first`, as the view's new reference.

    Args:
        settings: Where PostgreSQL is.
        view: The definition.
        first: First day.
        last: Last day, included; at least three whole weeks.
        by: Who pins it, and why.

    Raises:
        UserError: Too few days, or some of them are not published.

    """
    from detektor_pipelines.quality.drift.judgement import window_days
    from detektor_pipelines.quality.drift.profiles import profiles, to_data
    from detektor_pipelines.quality.drift.samples import read

    weeks, rest = divmod((last - first).days + 1, WINDOW_DAYS)
    if rest or weeks < FEWEST_WEEKS:
        raise UserError(
            f"{first} to {last} are {(last - first).days + 1} days.",
            where=f"reference of {view.name}",
            fix=f"A reference is whole weeks, {FEWEST_WEEKS} or more; eight tell small changes from chance.",
        )
    with connect(settings) as connection:
        known = published(connection, view)
    wanted = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    missing = [day for day in wanted if day not in known]
    if missing:
        raise UserError(
            f"{len(missing)} of the days from {first} to {last} are not published, or not over: the first is {missing[0]}.",
            where=f"reference of {view.name}",
            fix=f"detektor backfill --view {view.name} --from {missing[0]} --to {missing[-1]}",
        )
    with connect_arrow(settings) as arrow:
        sample = read(arrow, view, first, last)
    kept = to_data(sample.agent_ids, profiles(sample, window_days(view)))
    with connect(settings, writes=True) as connection:
        return Reference(*table.pin(connection, view, (first, last), rows_hash(known, wanted), kept, by))


def rows_hash(known: Mapping[date, str], days: list[date]) -> str:
    """SHA-256 (hex) over the hashes of the days' published rows."""
    return hashlib.sha256("".join(f"{day} {known.get(day, '')}\n" for day in days).encode()).hexdigest()


def has_changed(reference: Reference, known: Mapping[date, str]) -> bool:
    """Say whether days of the reference have been published otherwise since it was pinned; what is compared stays what was pinned."""
    days = [reference.first + timedelta(days=number) for number in range((reference.last - reference.first).days + 1)]
    return rows_hash(known, days) != reference.rows_hash
