"""Check of the volume: the events of the seven days up to a day against the same sum in the weeks before.

Agents work in bursts and rest on holidays, so a single day tells nothing: on one simulated day in forty even five spreads and a
factor of two against the same weekday are not an error. Weeks are steady.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.calendar import end, owner, owner_sql, start
from detektor_pipelines.quality.findings import SHOWN, VOLUME, Finding, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

WEEKS: Final = 8
FEWEST: Final = 3
TIMES_ABOVE: Final = 4
TIMES_BELOW: Final = 10
LEAST: Final = 300
"""Events that a week has to be off by: fewer are one good day of an agent that seldom works."""


@dataclass(frozen=True, slots=True)
class DailyEvents:
    """An agent's events by UTC day, none where it has no key, and the day of its first event ever."""

    counts: Mapping[date, int]
    first: date | None


def daily_events(connection: psycopg.Connection, agent: str, days: Sequence[date]) -> DailyEvents:
    """Count the agent's events of the weeks up to `days` and of those before, each event once, whatever its revisions say."""
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
        f"SELECT {owner_sql('occurred_at')}, count(*) FROM ml_learning.agent_events"
        f" WHERE agent_type = %s AND occurred_at > %s AND occurred_at <= %s{once} GROUP BY 1",
        (agent, start(min(days) - timedelta(weeks=WEEKS + 1)), end(max(days))),
    )
    return DailyEvents(dict(found.fetchall()), owner(oldest))


def usual(events: DailyEvents, days: Sequence[date], *, now: datetime) -> Finding:
    """Judge the weeks that end with `days`, ascending; one that is not over at `now` for too many events only."""
    cases, judged = [], 0
    for day in days:
        earlier = _weeks_before(events, day)
        if len(earlier) < FEWEST:
            continue
        judged += 1
        count = _week(events, day)
        low, high = limits(earlier)
        is_open = end(day) > now
        if count > high or (count < low and not is_open):
            cases.append(
                {
                    "seven days up to": f"{day:%a %Y-%m-%d}",
                    "events": f"{count:,}",
                    "usual": f"{low:,.0f} … {high:,.0f}",
                    "weeks before": ", ".join(map(str, earlier)),
                }
            )
    figures = {"days_judged": judged, "unusual_days": len(cases)} | ({"events_of_week": _week(events, days[-1])} if days else {})
    if not judged:
        need = f"Not judged: at least {FEWEST} earlier weeks are needed, there are {_most(events, days)}."
        return Finding(VOLUME.name, passed=True, summary=need, figures=figures)
    if not cases:
        return Finding(VOLUME.name, passed=True, summary=f"As many events as usual, in the weeks up to {judged} days.", figures=figures)
    return Finding(
        VOLUME.name,
        passed=False,
        summary=f"Far more or fewer events than usual in the seven days up to {listed(case['seven days up to'] for case in cases)}.",
        fix="Too few: ask whether all logs of those days were ingested (what could not be read is in ml_learning.rejected_events); late"
        " ones repair the days by themselves. Too many: look whether a source is read twice under other names. If the agent simply worked"
        " more or less, nothing is wrong.",
        cases=tuple(cases[:SHOWN]),
        figures=figures,
    )


def limits(weeks: Sequence[int]) -> tuple[float, float]:
    """Return the fewest and the most events that are usual after such weeks: far from their median by a factor and by a number."""
    middle = median(weeks)
    return max(0.0, min(middle / TIMES_BELOW, middle - LEAST)), max(middle * TIMES_ABOVE, middle + LEAST)


def _week(events: DailyEvents, day: date) -> int:
    return sum(events.counts.get(day - timedelta(days=number), 0) for number in range(7))


def _weeks_before(events: DailyEvents, day: date) -> list[int]:
    """Return the counts of the weeks before the one that ends with `day`, the oldest first, none that began before the first event."""
    ends = (day - timedelta(weeks=number) for number in range(WEEKS, 0, -1))
    return [_week(events, end) for end in ends if events.first is not None and end - timedelta(days=6) >= events.first]


def _most(events: DailyEvents, days: Sequence[date]) -> int:
    return max((len(_weeks_before(events, day)) for day in days), default=0)
