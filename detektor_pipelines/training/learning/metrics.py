"""How good predicted probabilities are: four figures, their intervals, and whether the probabilities can be taken at their word.

    AUC                 the chance that a true one gets more than a false one (ties count half)
    average precision   the mean precision over the true ones, from the most probable down (a step function, as scikit-learn's)
    log loss            mean of −ln of the probability given to what came (nats)
    Brier               mean of the squared error of the probability

Intervals: whole days are drawn again with replacement (a block bootstrap), as the decisions of one day share what nobody sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    Probabilities = NDArray[np.float64]
    Truths = NDArray[np.bool_]
    Metric = Callable[[Truths, Probabilities], float]

RESAMPLES: Final = 500
INTERVAL: Final = (2.5, 97.5)
"""Its percentiles: 95 %."""

_LEAST: Final = 1e-9
"""A probability of 0 or 1 is taken as so far from it, else one mistake makes the log loss infinite."""
_BINS: Final = 10
_IN_A_BIN: Final = 20
"""Predictions, at least: the share that came true of fewer says little."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return `0.681 [0.642, 0.719]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one probability: how many, their mean, and the share of them that came true."""

    count: int
    predicted: float
    observed: float


def auc(labels: Truths, probabilities: Probabilities) -> float:
    """Return the area under the ROC curve; NaN when all labels are the same."""
    import numpy as np

    true = int(np.count_nonzero(labels))
    false = len(labels) - true
    if not true or not false:
        return float("nan")
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[labels].sum() - true * (true + 1) / 2) / (true * false))


def average_precision(labels: Truths, probabilities: Probabilities) -> float:
    """Return the mean precision at each true one, equal probabilities taken together; NaN when none is true."""
    import numpy as np

    true = int(np.count_nonzero(labels))
    if not true:
        return float("nan")
    order = np.argsort(-probabilities, kind="stable")
    hits, ranked = np.cumsum(labels[order]), probabilities[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / (ends + 1)).sum() / true)


def log_loss(labels: Truths, probabilities: Probabilities) -> float:
    """Return the mean negative log-likelihood in nats."""
    import numpy as np

    clipped = np.clip(probabilities, _LEAST, 1 - _LEAST)
    return float(-np.log(np.where(labels, clipped, 1 - clipped)).mean())


def brier(labels: Truths, probabilities: Probabilities) -> float:
    """Return the mean squared error."""
    return float(((probabilities - labels) ** 2).mean())


METRICS: Final[Mapping[str, Metric]] = {"auc": auc, "average_precision": average_precision, "log_loss": log_loss, "brier": brier}


def draws(days: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Return places of rows, of whole days drawn with replacement, RESAMPLES times; the same for the same seed."""
    import numpy as np

    generator = np.random.default_rng(seed)
    present, starts = np.unique(days, return_index=True)
    blocks = np.split(np.arange(len(days)), starts[1:])
    return [np.concatenate([blocks[each] for each in generator.integers(0, len(present), len(present))]) for _ in range(RESAMPLES)]


def estimate(metric: Metric, labels: Truths, probabilities: Probabilities, drawn: list[NDArray[np.int64]]) -> Estimate:
    """Return a metric and its interval."""
    return _interval(metric(labels, probabilities), [metric(labels[rows], probabilities[rows]) for rows in drawn])


def difference(
    metric: Metric, labels: Truths, probabilities: Probabilities, others: Probabilities, drawn: list[NDArray[np.int64]]
) -> Estimate:
    """Return by how much a metric of some probabilities is above that of others, on the same rows in each draw."""
    values = [metric(labels[rows], probabilities[rows]) - metric(labels[rows], others[rows]) for rows in drawn]
    return _interval(metric(labels, probabilities) - metric(labels, others), values)


def _interval(value: float, values: list[float]) -> Estimate:
    import numpy as np

    known = np.array(values)[~np.isnan(values)]  # a draw in which all labels are the same says nothing
    if not len(known):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(known, INTERVAL)
    return Estimate(value, float(low), float(high))


def reliability(labels: Truths, probabilities: Probabilities) -> tuple[Bin, ...]:
    """Return up to ten bins of about as many predictions each, from the least probable up; equal probabilities are never parted."""
    import numpy as np

    bins = max(1, min(_BINS, len(probabilities) // _IN_A_BIN))
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, probabilities, side="left")
    found = []
    for each in np.unique(places):
        rows = places == each
        found.append(Bin(int(rows.sum()), float(probabilities[rows].mean()), float(labels[rows].mean())))
    return tuple(found)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the mean distance between what was predicted and what came, weighted by the bins' counts."""
    return sum(each.count * abs(each.predicted - each.observed) for each in bins) / sum(each.count for each in bins)
