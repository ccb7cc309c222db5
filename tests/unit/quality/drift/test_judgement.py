"""Drift without a database: distances against a second computation, false alarms on stationary weeks, power on shifts."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.rule_views import view_of

from detektor_pipelines.language import count, days, event, mean
from detektor_pipelines.quality.drift.judgement import judge, window_days
from detektor_pipelines.quality.drift.profiles import bins_of, from_data, profiles, to_data
from detektor_pipelines.quality.drift.results import ALERT, METHODS
from detektor_pipelines.quality.drift.samples import A_DAY, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from detektor_pipelines.quality.drift.results import Result

WEEKS, DAY = 8, date(2026, 6, 7)
SPANS = (1, 7, 30)
VIEW = view_of(
    daily=(count(), days(1)),
    weekly=(count(), days(7)),
    monthly=(count(), days(30)),
    average=(mean(event.issues_found), days(7)),
)


def counted(generator: np.random.Generator, agents: int, number: int, rate: float = 1.2) -> dict[str, NDArray[np.float64]]:
    """Sums over trailing days of independent daily events, of agents that work more and less: neighbours share most of their events."""
    each = generator.gamma(2.0, rate / 2, size=(agents, 1))
    daily = generator.poisson(each, size=(agents, number + 30)).astype(float)
    cumulated = np.cumsum(daily, axis=1)
    found = {
        name: (cumulated[:, 30:] - cumulated[:, 30 - span : -span])
        for name, span in zip(("daily", "weekly", "monthly"), SPANS, strict=True)
    }
    issues = generator.gamma(3.0, 1.0, size=daily.shape) * daily
    sums = np.cumsum(issues, axis=1)
    weekly = found["weekly"]
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.where(weekly > 0, (sums[:, 30:] - sums[:, 23:-7]) / weekly, np.nan)
    return {name: np.repeat(values, A_DAY, axis=1) for name, values in (found | {"average": average}).items()}


def sample_of(values: dict[str, NDArray[np.float64]]) -> Sample:
    agents, instants = next(iter(values.values())).shape
    return Sample(tuple(f"agent@{number:03}" for number in range(agents)), np.ones((agents, instants), dtype=bool), values)


def judged(history: Sample, week: int, change: Callable[[Sample], Sample] = lambda each: each) -> list[Result]:
    """What is said of a week after the reference, which is the first eight."""
    kept = profiles(history.part(0, 7 * WEEKS), window_days(VIEW))
    window = change(history.part(7 * week, 7 * week + 7))
    return judge(VIEW, 1, history.agent_ids, kept, window, DAY)


def changed(**features: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[Sample], Sample]:
    def change(sample: Sample) -> Sample:
        values = {name: features[name](each) if name in features else each for name, each in sample.values.items()}
        return Sample(sample.agent_ids, sample.present, values)

    return change


def by_method(results: list[Result], feature: str) -> dict[str, Result]:
    return {each.method: each for each in results if each.feature == feature}


@pytest.fixture(scope="module")
def stationary() -> list[Sample]:
    generator = np.random.default_rng(7)
    return [sample_of(counted(generator, 12, 7 * 20)) for _ in range(6)]


def test_chance_alone_raises_no_alarm(stationary: list[Sample]) -> None:
    """At most one feature-week in twenty; an index that is held against 0.2 as it is would be one in five and more."""
    found = [each for history in stationary for week in range(WEEKS + 4, 20) for each in judged(history, week)]
    assert {each.method for each in found} == set(METHODS)
    for method in METHODS:
        ours = [each for each in found if each.method == method]
        assert sum(each.level == "alert" for each in ours) <= 0.05 * len(ours)
    values = [each for each in found if each.method == "psi"]
    assert sum(each.observed > ALERT for each in values) > 0.1 * len(values)
    tests = np.array([each.p_value for each in found if each.method == "chi_square" and each.level != "too_few"])
    assert np.mean(tests < 0.05) <= 0.08


def test_a_shift_is_told(stationary: list[Sample]) -> None:
    levels: dict[str, Counter[str]] = {}
    for history in stationary:
        more = changed(daily=lambda each: each + 3, weekly=lambda each: 3 * each + 7)
        for each in judged(history, 14, more):
            if each.method == "psi":
                levels.setdefault(each.feature, Counter())[each.level] += 1
    assert levels["daily"]["alert"] == levels["weekly"]["alert"] == len(stationary)


def test_nulls_are_judged_apart_from_the_values(stationary: list[Sample]) -> None:
    def every_second(values: NDArray[np.float64]) -> NDArray[np.float64]:
        half = values.copy()
        half[::2] = np.nan
        return half

    found = by_method(judged(stationary[0], 14, changed(average=every_second)), "average")
    assert found["null_share"].level == "alert"
    assert found["psi"].level != "alert"


def test_a_value_that_was_never_there_is_no_old_one(stationary: list[Sample]) -> None:
    """Of a constant, or of a feature of few values, whatever is new is a bin of its own, also between or beyond them."""
    values = {name: np.ones_like(each) for name, each in stationary[0].values.items()}
    history = sample_of(values)
    assert by_method(judged(history, 14), "weekly")["psi"].level == "calm"
    assert by_method(judged(history, 14, changed(weekly=lambda each: 7 * each)), "weekly")["psi"].level == "alert"


def test_asking_more_often_makes_nothing_surer(stationary: list[Sample]) -> None:
    """Rows an hour apart are not independent: more of the same must not shrink the interval."""
    history = stationary[1]
    doubled = sample_of({name: np.repeat(each[:, ::2], 2, axis=1) for name, each in history.values.items()})
    for ours, theirs in zip(judged(history, 14), judged(doubled, 14), strict=True):
        assert (ours.score, ours.high, ours.p_value) == pytest.approx((theirs.score, theirs.high, theirs.p_value))


def test_who_works_more_this_week_is_no_drift() -> None:
    """Each agent_id is held against its own past: of ten with high and ten with low values only some are at work in the week."""
    generator = np.random.default_rng(3)
    level = np.repeat([5.0, 50.0], 10)[:, None]
    values = {name: level + generator.integers(0, 3, size=(20, 7 * 16 * A_DAY)) for name in ("daily", "weekly", "monthly", "average")}
    history = sample_of(values)

    def only_high(sample: Sample) -> Sample:
        present = sample.present.copy()
        present[:8] = False
        return Sample(sample.agent_ids, present, sample.values)

    found = by_method(judged(history, 12, only_high), "weekly")["psi"]
    assert found.level == "calm"
    assert found.note == "8 agent_ids are not at work: agent@000, agent@001, agent@002, …"


def test_too_few_are_said_to_be_too_few() -> None:
    history = sample_of({name: each[:1] for name, each in counted(np.random.default_rng(1), 2, 7 * 16).items()})
    found = judged(history, 12, changed(weekly=lambda each: each + 100))
    assert {each.level for each in found} == {"too_few"}
    assert {each.n_current for each in found if each.feature == "daily" and each.method == "psi"} == {7}


def test_nobody_in_both_is_too_few_and_says_who(stationary: list[Sample]) -> None:
    def others(sample: Sample) -> Sample:
        return Sample(tuple(f"new@{number}" for number in range(len(sample.agent_ids))), sample.present, sample.values)

    found = judged(stationary[0], 14, others)
    assert {each.level for each in found} == {"too_few"}
    assert "12 agent_ids are new and not compared: new@0, new@1, new@10, …" in found[0].note


def test_distances_are_what_their_names_say() -> None:
    """A second computation, value by value: two agent_ids, each with the same share of the week, and bins of single values."""
    reference = np.array([[0.0] * 6 + [1.0] * 3 + [2.0], [1.0] * 5 + [2.0] * 5])
    window = np.array([[0.0] * 2 + [1.0] * 3 + [2.0] * 2, [1.0] * 1 + [2.0] * 6])
    weeks = np.repeat(np.tile(reference, (1, 7)), A_DAY, axis=1)  # ten weeks
    sample = sample_of({each.name: weeks for each in VIEW.features})
    now = Sample(sample.agent_ids, np.ones((2, 28), dtype=bool), {each.name: np.repeat(window, A_DAY, axis=1) for each in VIEW.features})
    found = by_method(judge(VIEW, 1, sample.agent_ids, profiles(sample, window_days(VIEW)), now, DAY), "weekly")
    p_raw = [(0.6 + 0.0) / 2, (0.3 + 0.5) / 2, (0.1 + 0.5) / 2, 0.0]
    q_raw = [(2 / 7 + 0) / 2, (3 / 7 + 1 / 7) / 2, (2 / 7 + 6 / 7) / 2, 0.0]
    p = [(20 * share + 0.5) / 22 for share in p_raw]  # two agent_ids, ten weeks, half a week a bin
    q = [(2 * now + before) / 3 for now, before in zip(q_raw, p, strict=True)]  # two agent_ids, a week each
    psi = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    divergence = sum(a * math.log2(a / m) + b * math.log2(b / m) for a, b, m in zip(p, q, middle, strict=True)) / 2
    expected = sum((b - a) ** 2 / (2 * (a + b)) for a, b in zip(p, q, strict=True))
    assert found["psi"].observed == pytest.approx(psi)
    assert found["jensen_shannon"].observed == pytest.approx(math.sqrt(divergence))
    assert found["chi_square"].observed == pytest.approx(math.sqrt(expected))
    assert (found["psi"].n_reference, found["psi"].n_current) == (140, 14)


@pytest.mark.parametrize(
    ("values", "number", "edges", "exact"),
    [
        ([1, 1, 2, 3], 5, [1, 2, 3], True),
        ([0] * 90 + list(range(1, 11)), 5, [0], False),  # ties in one bin
        (list(range(100)), 4, [24, 49, 74], False),
        ([math.nan, math.nan], 5, [], True),
        ([*([0] * 40), *range(10), *([9] * 50)], 3, [0], False),  # the greatest is no bound: nothing lies beyond it
    ],
)
def test_bins_hold_equal_values_together(values: list[float], number: int, edges: list[float], exact: bool) -> None:  # noqa: FBT001
    found = bins_of(np.array(values, dtype=float), number)
    assert found.exact is exact
    assert found.edges.tolist() == edges
    known = np.array([each for each in values if not math.isnan(each)], dtype=float)
    places = found.places(known)
    assert len({(value, place) for value, place in zip(known.tolist(), places.tolist(), strict=True)}) == len(set(known.tolist()))
    assert set(places.tolist()) <= set(range(found.number))


def test_a_reference_is_the_same_after_it_was_kept() -> None:
    sample = sample_of(counted(np.random.default_rng(2), 5, 7 * WEEKS))
    kept = profiles(sample, window_days(VIEW))
    agent_ids, again = from_data(to_data(sample.agent_ids, kept))
    assert agent_ids == sample.agent_ids
    for name, each in kept.items():
        assert again[name].bins.edges.tolist() == each.bins.edges.tolist()
        assert again[name].cells.tolist() == each.cells.tolist()
