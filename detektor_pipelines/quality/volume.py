"""Check of the volume: a day's events against the same weekday of the weeks before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from detektor_pipelines.quality.findings import SHOWN, VOLUME, Finding, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

WEEKS: Final = 8
FEWEST: Final = 3
SPREADS_ABOVE: Final = 5
SPREADS_BELOW: Final = 3
"""Counts end at 0 and are skewed upwards: five spreads below would let a silent day pass where twenty events are usual."""

FACTOR: Final = 2
_TO_DEVIATION: Final = 1.4826
"""A median absolute deviation times this is a normal distribution's standard deviation."""


@dataclass(frozen=True, slots=True)
class DailyEvents:
    """An agent's events by UTC day, none where it has no key, and the day of its first event ever."""

    counts: Mapping[date, int]
    first: date | None


def daily_events(connection: psycopg.Connection, agent: str, days: Sequence[date]) -> DailyEvents:
    """Count the agent's events on `days` and the weeks before them, each event once, whatever its revisions say."""
    row = connection.execute(
        "SELECT (SELECT min(occurred_at) FROM ml_learning.agent_events WHERE agent_type = %s),"
        " (SELECT true FROM ml_learning.agent_events WHERE revision > 1 ORDER BY event_id LIMIT 1) IS NOT NULL",  # the order: by its index
        (agent,),
    ).fetchone()
    oldest, revised = row or (None, False)
    if oldest is None or not days:
        return DailyEvents({}, None)
    # Without a second revision anywhere the index alone can answer
    once = " AND revision = 1" if revised else ""
    found = connection.execute(
        "SELECT ((occurred_at AT TIME ZONE 'UTC') - interval '1 microsecond')::date, count(*) FROM ml_learning.agent_events"
        f" WHERE agent_type = %s AND occurred_at > %s AND occurred_at <= %s{once} GROUP BY 1",
        (agent, _midnight(min(days) - timedelta(weeks=WEEKS)), _midnight(max(days) + timedelta(days=1))),
    )
    return DailyEvents(dict(found.fetchall()), (oldest.astimezone(UTC) - timedelta(microseconds=1)).date())


def usual(events: DailyEvents, days: Sequence[date], *, now: datetime) -> Finding:
    """Judge the volume of `days`, ascending; one that is not over at `now` for too many events only."""
    cases, judged = [], 0
    for day in days:
        earlier = _same_weekdays(events, day)
        if len(earlier) < FEWEST:
            continue
        judged += 1
        count = events.counts.get(day, 0)
        low, high = limits(earlier)
        is_open = _midnight(day + timedelta(days=1)) > now
        if count > high or (count < low and not is_open):
            cases.append(
                {
                    "day": f"{day:%a %Y-%m-%d}",
                    "events": str(count),
                    "usual": f"{low:.0f} … {high:.0f}",
                    "same weekday before": ", ".join(map(str, earlier)),
                }
            )
    figures = {"days_judged": judged, "unusual_days": len(cases)} | ({"events": events.counts.get(days[-1], 0)} if days else {})
    if not judged:
        need = f"Not judged: at least {FEWEST} earlier days of the same weekday are needed, there are {_most(events, days)}."
        return Finding(VOLUME.name, passed=True, summary=need, figures=figures)
    if not cases:
        return Finding(VOLUME.name, passed=True, summary=f"As many events as usual, on {judged} days.", figures=figures)
    return Finding(
        VOLUME.name,
        passed=False,
        summary=f"More or fewer events than usual on {listed(case['day'] for case in cases)}.",
        fix="Too few: ask whether all logs of that day were ingested (what could not be read is in ml_learning.rejected_events); late ones"
        " repair the day by themselves. Too many: look whether a source is read twice under other names. If the agent simply worked more or"
        " less, nothing is wrong.",
        cases=tuple(cases[:SHOWN]),
        figures=figures,
    )


def limits(counts: Sequence[int]) -> tuple[float, float]:
    """Return the fewest and the most events that are usual after days with `counts`: far from their median and from each of them.

    Agents work in bursts, so a day beyond the spread alone is nothing new: of simulated days one in ten is, one in fifty beyond both.
    """
    middle, one = median(counts), spread(counts)
    return max(0.0, min(middle - SPREADS_BELOW * one, min(counts) / FACTOR)), max(middle + SPREADS_ABOVE * one, max(counts) * FACTOR)


def spread(counts: Sequence[int]) -> float:
    """Return a robust standard deviation of counts: at least that of chance alone (the root of the median), and 1."""
    middle = median(counts)
    deviation = median(abs(each - middle) for each in counts)
    return max(_TO_DEVIATION * deviation, math.sqrt(middle), 1.0)


def _same_weekdays(events: DailyEvents, day: date) -> list[int]:
    """Return the counts of the same weekday of the weeks before, the oldest first, none of before the agent's first event."""
    days = (day - timedelta(weeks=number) for number in range(WEEKS, 0, -1))
    return [events.counts.get(each, 0) for each in days if events.first is not None and each >= events.first]


def _most(events: DailyEvents, days: Sequence[date]) -> int:
    return max((len(_same_weekdays(events, day)) for day in days), default=0)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
