"""The rule of the nulls: a jump above the worst of the days before."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from detektor_pipelines.quality.nulls import before, usual
from detektor_pipelines.quality.published import DayFacts

TODAY = date(2026, 3, 12)


def facts(*shares: float, rows: int = 100) -> dict[date, DayFacts]:
    """Days up to today with these shares of nulls."""
    days = [TODAY - timedelta(days=len(shares) - 1 - number) for number in range(len(shares))]
    return {day: DayFacts(rows, 0, 0, {"average": round(share * rows)}) for day, share in zip(days, shares, strict=True)}


def judge(known: dict[date, DayFacts]) -> tuple[bool, int]:
    finding = usual(known, [TODAY], sorted(known))
    return finding.passed, int(finding.figures["days_judged"])


@pytest.mark.parametrize(("today", "passes"), [(0.6, True), (0.61, False), (1.0, False), (0.0, True)])
def test_a_jump_is_fifty_points_above_the_greatest_share_before(today: float, passes: bool) -> None:  # noqa: FBT001
    assert judge(facts(0.0, 0.1, 0.0, 0.05, 0.0, 0.0, 0.0, 0.9, today)) == (passes, 1)
    assert judge(facts(0.0, 0.1, 0.0, 0.05, 0.0, 0.0, 0.0, today, 0.9)) == (passes, 1)


def test_a_single_day_is_no_jump() -> None:
    assert judge(facts(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)) == (True, 1)
    assert judge(facts(0.0, 0.0, 0.0, 0.0, 1.0, 0.0)) == (True, 1)


def test_a_weekend_that_is_like_the_last_one_is_no_jump() -> None:
    assert judge(facts(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)) == (True, 1)


def test_only_the_seven_published_days_before_both_count() -> None:
    assert judge(facts(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)) == (False, 1)
    assert judge(facts(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)) == (True, 1)
    published = [TODAY - timedelta(days=number) for number in (20, 15, 12, 10, 9, 8, 7, 3, 2, 0)]
    assert before(TODAY, sorted(published)) == sorted(published)[1:9]


@pytest.mark.parametrize("known", [facts(0.0, 0.0, 1.0, 1.0), facts(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, rows=11), facts(1.0)])
def test_days_with_few_rows_or_little_before_them_are_not_judged(known: dict[date, DayFacts]) -> None:
    assert judge(known) == (True, 0)


def test_the_day_and_the_feature_are_named() -> None:
    known = facts(0.0, 0.0, 0.0, 1.0, 0.9)
    finding = usual(known, [TODAY], sorted(known))
    assert [dict(case) for case in finding.cases] == [
        {"day": "2026-03-12", "feature": "average", "null": "90%", "greatest before": "0%", "rows": "100"}
    ]
    assert "average, on 2026-03-12" in finding.summary


@pytest.mark.parametrize("few", [TODAY, TODAY - timedelta(days=1)])
def test_both_days_need_rows(few: date) -> None:
    known = facts(0.0, 0.0, 0.0, 1.0, 1.0)
    assert judge(known) == (False, 1)
    assert judge({**known, few: DayFacts(11, 0, 0, {"average": 11})}) == (True, 0)
    assert judge({day: each for day, each in known.items() if day != few} | {few: DayFacts(0, 0, 0, {"average": 0})}) == (True, 0)
