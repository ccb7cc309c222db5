"""Looking at the drift of views: of one window, or of many, against the reference that counts; the first reference pins itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError
from detektor_pipelines.quality.drift import references
from detektor_pipelines.quality.drift.results import METHODS, WINDOW_DAYS, Result
from detektor_pipelines.stores import drift as table
from detektor_pipelines.stores.connections import connect, connect_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift.results import Reference
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at one view found.

    Attributes:
        view: Its name.
        reference: What it is compared with; None while there is none.
        results: Of each feature and method; none without a reference.
        reason: Why there are no results, or what else a person should know; empty else.
        pinned: Whether the reference was pinned by this look.

    """

    view: str
    reference: Reference | None = None
    results: tuple[Result, ...] = ()
    reason: str = ""
    pinned: bool = field(default=False)


def look(settings: Settings, view: FeatureView, at: date | None = None, *, keep: bool = True) -> Look:
    """Compare the seven days up to `at` (by default the newest published day that is over) with the view's reference.

    Args:
        settings: Where PostgreSQL is.
        view: The definition.
        at: Last day of the window.
        keep: Whether the results are stored, for the exporter and the plots.

    Raises:
        UserError: The database cannot be read, or days of the window are not published.

    """
    with connect(settings) as connection:
        known = references.published(connection, view)
        reference = references.newest(connection, view)
    pinned = False
    if reference is None:
        days = references.first_days(view, known)
        if days is None:
            return Look(view.name, reason=_too_early(view, known))
        reference, pinned = references.pin(settings, view, *days, by=references.FIRST), True
    day = at or max(known, default=None)
    if day is None or (at is None and day <= reference.last):
        return Look(view.name, reference, reason=f"Nothing after the {reference.words} is published.", pinned=pinned)
    _check(view, reference, day, known)
    results = look_at(settings, view, reference, [day], keep=keep)
    changed = references.has_changed(reference, known)
    reason = (
        f"Days of the {reference.words} were published again since it was pinned; what is compared is what was pinned." if changed else ""
    )
    return Look(view.name, reference, tuple(results), reason, pinned)


def look_at(settings: Settings, view: FeatureView, reference: Reference, days: Sequence[date], *, keep: bool) -> list[Result]:
    """Judge the windows that end with `days`, ascending, reading their rows once.

    Raises:
        UserError: The database cannot be read.

    """
    from detektor_pipelines.quality.drift.judgement import judge
    from detektor_pipelines.quality.drift.profiles import from_data
    from detektor_pipelines.quality.drift.samples import read

    with connect(settings) as connection:
        row = next(each for each in table.references(connection, view) if each.number == reference.number)
        agent_ids, kept = from_data(table.profiles(connection, row))
    begin = days[0] - timedelta(days=WINDOW_DAYS - 1)
    with connect_arrow(settings) as arrow:
        sample = read(arrow, view, begin, days[-1])
    results = []
    for day in days:
        first = (day - begin).days - (WINDOW_DAYS - 1)
        results += judge(view, reference.number, agent_ids, kept, sample.part(first, first + WINDOW_DAYS), day)
    if keep:
        with connect(settings, writes=True) as connection:
            table.keep(connection, view, [_row(each) for each in results])
    return results


def latest(settings: Settings, views: Sequence[FeatureView] | None = None) -> list[Result]:
    """Return what was last found of each view, by default of the catalogue's; nothing is computed.

    Raises:
        UserError: The database cannot be read.

    """
    from detektor_pipelines.catalog import VIEWS

    with connect(settings) as connection:
        return [each for view in (VIEWS if views is None else views) for each in of_view(connection, view)]


def of_view(connection: psycopg.Connection, view: FeatureView) -> list[Result]:
    """Return what was last found of a view against the reference that counts, in the order of its features and of `METHODS`."""
    order = {each.name: place for place, each in enumerate(view.features)}
    found = [Result(**row._asdict()) for row in table.latest(connection, view)]
    return sorted(found, key=lambda each: (order[each.feature], METHODS.index(each.method)))


def _row(each: Result) -> table.ResultRow:
    return table.ResultRow(*(getattr(each, name) for name in table.ResultRow._fields))


def _too_early(view: FeatureView, known: Mapping[date, str]) -> str:
    days = -(-view.longest.size // 86_400_000_000) + references.WEEKS * WINDOW_DAYS
    have = (max(known) - min(known)).days + 1 if known else 0
    return (
        f"There is no reference yet: the first is pinned on its own once {days} days are published, there are {have}."
        f" `detektor drift --pin --view {view.name}` pins an earlier one."
    )


def _check(view: FeatureView, reference: Reference, day: date, known: Mapping[date, str]) -> None:
    window = [day - timedelta(days=number) for number in range(WINDOW_DAYS - 1, -1, -1)]
    missing = [each for each in window if each not in known]
    if missing:
        raise UserError(
            f"{len(missing)} of the seven days up to {day} are not published, or not over: the first is {missing[0]}.",
            where=view.name,
            fix=f"detektor backfill --view {view.name} --from {missing[0]} --to {missing[-1]}, or another day: --at",
        )
    if window[0] <= reference.last and day >= reference.first:
        raise UserError(
            f"The seven days up to {day} are days of the {reference.words}.",
            where=view.name,
            fix=f"Give a day from {reference.last + timedelta(days=WINDOW_DAYS)} on: --at",
        )
