"""What counts as a change: seldom by chance however many measures there are, surely when something did change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.report.chance import ALPHA, FEWEST, FEWEST_UNITS, changes, edge

WEEKS = 26
MEASURES = 20


def quiet(chance: np.random.Generator) -> dict[str, tuple[list[float], list[float]]]:
    """Return measures of a history in which nothing changes: shares of busy and idle weeks, and amounts that vary more than Poisson's."""
    busy = chance.gamma(4, 10, (MEASURES, WEEKS))
    found = {}
    for number in range(MEASURES):
        bottom = chance.poisson(busy[number])
        if number % 2:
            found[f"m{number}"] = (chance.binomial(bottom, 0.3).tolist(), bottom.tolist())
        else:
            found[f"m{number}"] = (bottom.tolist(), [1.0] * WEEKS)
    return found


def test_a_period_without_a_change_seldom_names_any_of_its_measures():
    periods = 120
    chance = np.random.default_rng(7)
    named = sum(any(each.chance <= ALPHA for each in changes(quiet(chance), shuffles=199)) for _ in range(periods))
    # 5 % are meant, 6 of 120; more than 12 is what a right test comes to once in a hundred times
    assert named <= 12


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.4), (0.5, 0.2)])
def test_a_share_that_changes_is_named_with_its_week_and_both_sides(before, after):
    chance = np.random.default_rng(3)
    found = 0
    for _ in range(20):
        measures = quiet(chance)
        bottom = [40] * WEEKS
        shares = [before] * 16 + [after] * 10
        measures["planted"] = (chance.binomial(bottom, shares).tolist(), bottom)
        (planted,) = [each for each in changes(measures, shuffles=199) if each.measure == "planted"]
        found += planted.chance <= ALPHA and abs(planted.split - 16) <= 2
        assert planted.before[1] + planted.after[1] == 40 * WEEKS
    assert found >= 19


def test_the_same_history_gives_the_same_answer():
    measures = quiet(np.random.default_rng(5))
    assert changes(measures) == changes(measures)


@pytest.mark.parametrize(
    ("top", "bottom"),
    [
        ([1.0] * (FEWEST_UNITS - 1), [30.0] * (FEWEST_UNITS - 1)),
        ([0.0, 1.0] * 6, [1.0] * 12),
        ([3.0] * WEEKS, [6.0] * WEEKS),
        ([0.0] * WEEKS, [0.0] * WEEKS),
    ],
    ids=["too few weeks", f"fewer than {FEWEST} behind it", "the same throughout", "nothing"],
)
def test_what_cannot_be_judged_is_not(top, bottom):
    assert changes({"m": (top, bottom)}) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=8, max_size=40))
def test_any_numbers_are_judged_without_a_fault(pairs):
    measures = {"m": ([float(min(pair)) for pair in pairs], [float(max(pair)) for pair in pairs])}
    for each in changes(measures, shuffles=19):
        assert 0 < each.chance <= 1
        assert edge(len(pairs)) <= each.split <= len(pairs) - edge(len(pairs))
        assert each.before[0] + each.after[0] == sum(measures["m"][0])
