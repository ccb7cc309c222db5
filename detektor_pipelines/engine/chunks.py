"""How a range of days is cut into chunks, so that memory is bounded by events and not by the length of the range.

A chunk is read, computed and published by itself. It reads the events of its days and those that its first day reaches back to, so small
chunks read the same events again and again: a chunk's own days hold at least as many events as it reaches back to, if there are so many.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date


def chunks(days: Sequence[date], events: Mapping[date, int], *, reach: int, limit: int) -> list[list[date]]:
    """Cut ascending `days` into runs of which each reads about `limit` events, or twice what its first day reaches back to.

    Args:
        days: ascending, each once.
        events: how many events each day has; days without any may be absent.
        reach: how many days before its first a chunk reads.
        limit: events that a chunk reads; one day is never cut.

    """
    origin = min(days, default=None)
    if origin is None:
        return []
    origin -= timedelta(days=reach)
    length = (days[-1] - origin).days + 1
    before = [0, *accumulate(events.get(origin + timedelta(days=number), 0) for number in range(length))]
    made: list[list[date]] = []
    allowed = start = 0
    for day in days:
        at = (day - origin).days
        if not made or before[at + 1] - before[start] > allowed:
            made.append([])
            start = at - reach
            allowed = max(limit, 2 * (before[at] - before[start]))
        made[-1].append(day)
    return made
