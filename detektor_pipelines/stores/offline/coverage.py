"""Which instants the published rows speak of, and which of them nobody knows.

A day that was published says what is true up to the cut-off of what it was computed from: of a day published while it was open that is the
last instant of the grain before, of one that was never published nothing. Everything between is a gap: a row from before a gap may have
been followed, inside it, by rows that nobody has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.language import calendar
from detektor_pipelines.language.windows import floor_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detektor_pipelines.stores.offline.rows import PublishedDay

Interval = tuple[int, int]
"""Instants in (start, end], µs UTC."""

ALWAYS: Final = (-(2**62), 2**62)
"""Before and after all instants there are."""


def covered(published: Sequence[PublishedDay], grain: int) -> list[Interval]:
    """Return what the published days cover: (start, end] in µs, ascending, merged where they touch, none of them empty.

    Args:
        published: Days of one version of a view, in any order. A day D that was published at P covers
            (D 00:00, min(D+1 00:00, the last instant of the grain not after P)].
        grain: Of the view, µs.

    """
    cut_off = ((each.day, floor_to(clock.to_us(each.published_at), grain)) for each in published)
    return merged((calendar.start_us(day), min(calendar.end_us(day), at)) for day, at in cut_off)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the union of the intervals: ascending, apart from each other, without empty ones."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def gaps(intervals: Sequence[Interval]) -> list[Interval]:
    """Return what lies between, before and after the intervals (as `covered` gives them); the first and last end in `ALWAYS`."""
    bounds = [ALWAYS[0], *(bound for interval in intervals for bound in interval), ALWAYS[1]]
    return [(start, end) for start, end in zip(bounds[::2], bounds[1::2], strict=True) if start < end]
