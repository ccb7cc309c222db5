"""Check of the nulls: a feature that suddenly has many more than in the days before.

On two days in a row: on a single one an agent only had something else to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.quality.findings import NULLS, SHOWN, Finding, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from detektor_pipelines.quality.published import DayFacts

EARLIER: Final = 7
"""Published days that two days in a row are held against: one of each weekday, so that a quiet weekend is nothing new."""

JUMP: Final = 0.5
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
        judged_by = [facts.get(each) for each in before(day, published)]
        known = [each for each in judged_by[:-1] if each and each.rows >= FEWEST_ROWS]
        today, yesterday = facts.get(day), judged_by[-1] if judged_by else None
        if not today or not yesterday or min(today.rows, yesterday.rows) < FEWEST_ROWS or len(known) < _FEWEST_DAYS:
            continue
        judged += 1
        cases += _jumps(day, today, yesterday, known)
    figures = {"days_judged": judged, "days_with_a_jump": len({case["day"] for case in cases})}
    if not judged:
        few = f"two days in a row and at least {_FEWEST_DAYS} of the {EARLIER} published days before"
        return Finding(NULLS.name, passed=True, summary=f"Not judged: {few} need {FEWEST_ROWS} rows.", figures=figures)
    if not cases:
        return Finding(NULLS.name, passed=True, summary=f"No feature has many more nulls than before, on {judged} days.", figures=figures)
    features = sorted({case["feature"] for case in cases})
    return Finding(
        NULLS.name,
        passed=False,
        summary=f"Many more nulls than in the days before: {', '.join(features)}, on {listed(sorted({case['day'] for case in cases}))}.",
        fix="See on the view's page what the feature is made from, then whether those columns are still filled: `detektor features explain`"
        " lists the events behind a value. If the logs changed their form, fix the reader and run `detektor reingest`; if the agent did,"
        " nothing is wrong.",
        cases=tuple(cases[:SHOWN]),
        figures=figures,
    )


def before(day: date, published: Sequence[date]) -> list[date]:
    """Return the published days that `day` is judged by, ascending: the last has to show the same, it is held against the others."""
    return [each for each in published if each < day][-EARLIER - 1 :]


def _jumps(day: date, today: DayFacts, yesterday: DayFacts, earlier: Sequence[DayFacts]) -> list[dict[str, str]]:
    found = []
    for name, nulls in today.nulls.items():
        rate = nulls / today.rows
        greatest = max(each.nulls[name] / each.rows for each in earlier)
        if min(rate, yesterday.nulls[name] / yesterday.rows) - greatest > JUMP:
            row = {"day": str(day), "feature": name, "null": f"{rate:.0%}", "greatest before": f"{greatest:.0%}", "rows": str(today.rows)}
            found.append(row)
    return found
