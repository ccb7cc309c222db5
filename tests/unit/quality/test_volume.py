"""The rule of the volume: what is far from usual, and what is not judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.quality.volume import LEAST, WEEKS, DailyEvents, limits, usual

SUNDAY = date(2026, 3, 29)
AFTER = datetime(2026, 12, 1, tzinfo=UTC)


def weeks(*counts: int, now: int) -> DailyEvents:
    """The counts of the weeks before, the newest last, and of the one up to SUNDAY, each on its Monday: the first is the agent's first."""
    mondays = [SUNDAY - timedelta(weeks=number, days=6) for number in range(len(counts), -1, -1)]
    return DailyEvents(dict(zip(mondays, (*counts, now), strict=True)), mondays[0])


@pytest.mark.parametrize(("now", "passes"), [(1000, True), (4000, True), (4001, False), (100, True), (99, False), (0, False)])
def test_usual_is_within_factors_of_the_median_week(now: int, passes: bool) -> None:  # noqa: FBT001
    assert usual(weeks(400, 1000, 1000, 2500, now=now), [SUNDAY], now=AFTER).passed is passes


@pytest.mark.parametrize(("before", "now", "passes"), [(10, 310, True), (10, 311, False), (300, 0, True), (334, 0, False), (0, 300, True)])
def test_an_agent_that_seldom_works_may_work_on_a_day_or_not_at_all(before: int, now: int, passes: bool) -> None:  # noqa: FBT001
    assert usual(weeks(before, before, before, now=now), [SUNDAY], now=AFTER).passed is passes


def test_a_single_silent_or_busy_day_is_no_news() -> None:
    steady = {SUNDAY - timedelta(days=number): 200 for number in range(70)}
    events = DailyEvents(steady | {SUNDAY: 0, SUNDAY - timedelta(days=3): 2_000}, min(steady))
    assert usual(events, [SUNDAY - timedelta(days=3), SUNDAY], now=AFTER).passed


def test_an_open_day_may_still_have_few_events_but_not_too_many() -> None:
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert usual(weeks(1000, 1000, 1000, now=0), [SUNDAY], now=noon).passed
    assert not usual(weeks(1000, 1000, 1000, now=5000), [SUNDAY], now=noon).passed
    assert not usual(weeks(1000, 1000, 1000, now=0), [SUNDAY], now=datetime(2026, 3, 30, tzinfo=UTC)).passed


@pytest.mark.parametrize(("counts", "judged"), [((), 0), ((5, 5), 0), ((5, 5, 5), 1)])
def test_three_earlier_weeks_are_needed_and_fewer_are_said_to_be_that(counts: tuple[int, ...], judged: int) -> None:
    finding = usual(weeks(*counts, now=5000), [SUNDAY], now=AFTER)
    assert finding.figures["days_judged"] == judged
    assert finding.passed is not bool(judged)
    assert (f"there are {len(counts)}." in finding.summary) is not bool(judged)


def test_a_week_that_began_before_the_agents_first_event_is_no_week_with_few() -> None:
    events = weeks(1000, 1000, 1000, now=0)
    assert events.first is not None
    later = DailyEvents(events.counts, events.first + timedelta(days=1))
    assert usual(later, [SUNDAY], now=AFTER).figures["days_judged"] == 0


def test_only_eight_weeks_count() -> None:
    assert usual(weeks(9000, *[1000] * WEEKS, now=1000), [SUNDAY], now=AFTER).passed
    assert not usual(weeks(*[9000] * WEEKS, *[1000] * WEEKS, now=9000), [SUNDAY], now=AFTER).passed


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=8), st.integers(-LEAST, LEAST))
def test_what_is_near_the_median_is_always_usual(counts: list[int], off: int) -> None:
    low, high = limits(counts)
    assert low <= max(0, median(counts) + off) <= high


@pytest.mark.slow
def test_weeks_of_all_simulated_agents_are_usual_and_a_silent_one_is_not() -> None:
    from detektor_pipelines.simulation.simulator import simulate_table

    end = date(2026, 11, 23)
    table = simulate_table(days=184, projects=8, seed=1, end=end, events=200_000)
    days = [end - timedelta(days=number) for number in range(184, 0, -1)]
    found: dict[str, Counter[date]] = defaultdict(Counter)
    for agent, at in zip(table["agent_type"].to_pylist(), table["occurred_at"].to_pylist(), strict=True):
        found[agent][(at - timedelta(microseconds=1)).date()] += 1
    assert len(found) == len(VIEWS)
    for agent, counts in found.items():
        assert usual(DailyEvents(counts, min(counts)), days, now=AFTER).cases == (), agent
        silent = DailyEvents(dict(counts) | dict.fromkeys(days[-7:], 0), min(counts))
        assert usual(silent, days, now=AFTER).cases[-1]["seven days up to"] == "Sun 2026-11-22", agent
