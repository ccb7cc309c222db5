"""Check of the nulls: a feature that suddenly has many more than in the days before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.quality.findings import NULLS, SHOWN, Finding, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from detektor_pipelines.quality.published import DayFacts

EARLIER: Final = 7
"""Published days that a day is held against: one of each weekday, so that a quiet weekend is nothing new."""

JUMP: Final = 0.4
FEWEST_ROWS: Final = 12
_FEWEST_DAYS: Final = 3


def usual(facts: Mapping[date, DayFacts], days: Sequence[date], published: Sequence[date]) -> Finding:
    """Judge the shares of nulls of `days`.

    Args:
        facts: Of the days and of those before them.
        days: To judge, ascending.
        published: All published days, ascending.

    """
    cases, judged = [], 0
    for day in days:
        earlier = [facts[each] for each in before(day, published) if each in facts and facts[each].rows >= FEWEST_ROWS]
        today = facts.get(day)
        if today is None or today.rows < FEWEST_ROWS or len(earlier) < _FEWEST_DAYS:
            continue
        judged += 1
        cases += _jumps(day, today, earlier)
    figures = {"days_judged": judged, "days_with_a_jump": len({case["day"] for case in cases})}
    if not judged:
        few = f"at least {_FEWEST_DAYS} of the {EARLIER} published days before"
        return Finding(NULLS.name, passed=True, summary=f"Not judged: a day and {few} need {FEWEST_ROWS} rows.", figures=figures)
    if not cases:
        return Finding(NULLS.name, passed=True, summary=f"No feature has many more nulls than before, on {judged} days.", figures=figures)
    features = sorted({case["feature"] for case in cases})
    return Finding(
        NULLS.name,
        passed=False,
        summary=f"Many more nulls than in the days before: {', '.join(features)}, on {listed(sorted({case['day'] for case in cases}))}.",
        fix="See on the view's page what the feature is made from, then whether those columns are still filled: `detektor features explain`"
        " lists the events behind a value. If the logs changed their form, mend the reader and run `detektor reingest`; if the agent did,"
        " nothing is wrong.",
        cases=tuple(cases[:SHOWN]),
        figures=figures,
    )


def before(day: date, published: Sequence[date]) -> list[date]:
    """Return the published days that `day` is held against."""
    return [each for each in published if each < day][-EARLIER:]


def _jumps(day: date, today: DayFacts, earlier: Sequence[DayFacts]) -> list[dict[str, str]]:
    found = []
    for name, nulls in today.nulls.items():
        rate = nulls / today.rows
        greatest = max(each.nulls[name] / each.rows for each in earlier)
        if rate - greatest > JUMP:
            row = {"day": str(day), "feature": name, "null": f"{rate:.0%}", "greatest before": f"{greatest:.0%}", "rows": str(today.rows)}
            found.append(row)
    return found
