"""The rule of the volume: what is far from usual, and what is not judged."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.quality.volume import DailyEvents, limits, spread, usual

MONDAY = date(2026, 3, 30)
AFTER = datetime(2026, 5, 1, tzinfo=UTC)


def mondays(*counts: int, today: int) -> DailyEvents:
    """The counts of the Mondays before, the newest last, and of today; the first one is the agent's first day."""
    days = {MONDAY - timedelta(weeks=len(counts) - number): count for number, count in enumerate(counts)}
    return DailyEvents({**days, MONDAY: today}, min(days, default=MONDAY))


@pytest.mark.parametrize(("today", "passes"), [(100, True), (0, False), (39, False), (40, True), (240, True), (241, False)])
def test_usual_is_within_the_spread_and_a_factor_of_each_earlier_day(today: int, passes: bool) -> None:  # noqa: FBT001
    # median 100, spread 10 (of chance): 70 … 150; half the least 40, twice the greatest 240
    assert usual(mondays(80, 100, 100, 120, today=today), [MONDAY], now=AFTER).passed is passes


def test_an_open_day_may_still_have_few_events_but_not_too_many() -> None:
    noon = datetime(2026, 3, 30, 12, tzinfo=UTC)
    assert usual(mondays(100, 100, 100, today=0), [MONDAY], now=noon).passed
    assert not usual(mondays(100, 100, 100, today=500), [MONDAY], now=noon).passed


def test_an_agent_that_rests_on_that_weekday_may_rest_again() -> None:
    assert usual(mondays(0, 0, 0, 0, today=0), [MONDAY], now=AFTER).passed
    assert usual(mondays(0, 0, 0, 0, today=5), [MONDAY], now=AFTER).passed
    assert not usual(mondays(0, 0, 0, 0, today=6), [MONDAY], now=AFTER).passed


@pytest.mark.parametrize(("counts", "judged"), [((), 0), ((5, 5), 0), ((5, 5, 5), 1)])
def test_three_earlier_days_are_needed_and_fewer_are_said_to_be_that(counts: tuple[int, ...], judged: int) -> None:
    finding = usual(mondays(*counts, today=500), [MONDAY], now=AFTER)
    assert finding.figures["days_judged"] == judged
    assert finding.passed is not bool(judged)
    assert (f"there are {len(counts)}." in finding.summary) is not bool(judged)


def test_days_before_the_agents_first_event_are_no_days_without_events() -> None:
    events = DailyEvents({MONDAY: 90}, MONDAY - timedelta(weeks=2))
    assert usual(events, [MONDAY], now=AFTER).figures["days_judged"] == 0


def test_one_odd_day_before_does_not_widen_the_spread() -> None:
    assert spread([100, 100, 99, 5_000]) == 10.0


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=8))
def test_what_was_there_before_is_always_usual(counts: list[int]) -> None:
    low, high = limits(counts)
    assert low <= min(counts)
    assert high >= max(counts)
