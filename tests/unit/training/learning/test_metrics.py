"""Metrics against values worked out by hand and against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.training.learning.metrics import (
    METRICS,
    auc,
    average_precision,
    brier,
    calibration_error,
    difference,
    draws,
    estimate,
    log_loss,
    reliability,
)

LABELS = np.array([True, False, True, False])
SAID = np.array([0.9, 0.8, 0.7, 0.1])


def test_by_hand() -> None:
    assert auc(LABELS, SAID) == 3 / 4  # of the four pairs only (0.7, 0.8) is the wrong way round
    assert average_precision(LABELS, SAID) == pytest.approx((1 + 2 / 3) / 2)
    assert log_loss(LABELS, SAID) == pytest.approx(-(math.log(0.9) + math.log(0.2) + math.log(0.7) + math.log(0.9)) / 4)
    assert brier(LABELS, SAID) == pytest.approx((0.01 + 0.64 + 0.09 + 0.01) / 4)


def test_a_constant_ranks_nothing() -> None:
    same = np.full(4, 0.5)
    assert auc(LABELS, same) == 0.5
    assert average_precision(LABELS, same) == 0.5
    assert log_loss(LABELS, same) == pytest.approx(math.log(2))
    assert brier(LABELS, same) == 0.25


def test_one_class_has_no_rank() -> None:
    assert math.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))
    assert math.isnan(average_precision(np.array([False]), np.array([0.1])))


def test_a_certain_mistake_is_no_infinity() -> None:
    assert math.isfinite(log_loss(np.array([True]), np.array([0.0])))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=2, max_size=60))
def test_as_scikit_learn_says(pairs: list[tuple[bool, int]]) -> None:
    from sklearn import metrics

    labels, said = np.array([label for label, _ in pairs]), np.array([tenths / 10 for _, tenths in pairs])
    if labels.all() or not labels.any():
        return
    assert auc(labels, said) == pytest.approx(metrics.roc_auc_score(labels, said))
    assert average_precision(labels, said) == pytest.approx(metrics.average_precision_score(labels, said))
    assert log_loss(labels, said) == pytest.approx(metrics.log_loss(labels, said))
    assert brier(labels, said) == pytest.approx(metrics.brier_score_loss(labels, said))


def test_draws_are_of_whole_days_and_the_same_for_a_seed() -> None:
    days = np.array([0, 0, 0, 5, 5, 9])
    first, again, other = (draws(days, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
    for rows in first:
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[1] == counts[2]
        assert counts[3] == counts[4]
        assert counts[0] + counts[3] + counts[5] == 3


def test_an_interval_holds_the_value_and_shrinks_with_more_days() -> None:
    drawn = np.random.default_rng(1)

    def width(days: int) -> float:
        said = drawn.uniform(0.05, 0.95, days * 3)
        labels = drawn.random(days * 3) < said
        found = estimate(METRICS["auc"], labels, said, draws(np.repeat(np.arange(days), 3), 1))
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(600) < width(40)


def test_a_difference_is_taken_on_the_same_rows() -> None:
    drawn = draws(np.arange(4), 1)
    found = difference(brier, LABELS, SAID, SAID, drawn)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_reliability_by_hand() -> None:
    said = np.repeat([0.2, 0.8], 40)
    labels = np.concatenate([np.arange(40) < 10, np.arange(40) < 32])
    low, high = reliability(labels, said)
    assert (low.count, low.predicted, low.observed) == (40, pytest.approx(0.2), 0.25)
    assert (high.count, high.predicted, high.observed) == (40, pytest.approx(0.8), 0.8)
    assert calibration_error((low, high)) == pytest.approx(0.025)


def test_equal_probabilities_are_one_bin_and_few_are_too() -> None:
    assert len(reliability(LABELS.repeat(100), np.full(400, 0.3))) == 1
    assert len(reliability(LABELS, SAID)) == 1
