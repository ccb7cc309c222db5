"""Three distances between two distributions over bins, and how much of each chance explains.

    profile   cells of the reference: counts by (agent_id, week, bin), what a reference is stored as
    window    counts of the seven days that are judged, by (agent_id, bin)

1. `shares`: each agent_id of the window is held against its own past, so that who works more in this week changes nothing. Both
   distributions are means over agent_ids, weighted by their days in the window.
2. `chance`: how far the window's shares stray by chance. Rows an hour apart, and days an agent_id apart in one window of a feature, are not
   independent, so rows are never counted. Weeks of an agent_id are the unit: how much its weeks differ within the reference, which holds
   whatever dependence there is inside a week. Weeks overlap where a feature's window is longer than one; how much is known (the share of
   days that two windows have in common), and the variance is corrected by it.
3. `noise`: under no change, sum (q-p)^2/p is about `mean` times an F variable (Rao and Scott 1981, Thomas and Rao 1987: chi-square tests of
   clustered samples, with Satterthwaite's degrees of freedom). Its quantile is what chance reaches.
4. `bounds`: with a change, it is a noncentral F variable, and the interval holds the true sums of which the observed one is no rare
   outcome. All three distances are functions of that sum as long as the difference is small: PSI is about the sum, the square of the
   Jensen-Shannon distance (base 2) an (8 ln 2)th of it, that of Cramér's V a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.quality.drift.results import ALERT, CALM, CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detektor_pipelines.quality.drift.results import Level, Method

    Floats = NDArray[np.float64]

FEWEST_CURRENT: Final = 14
"""Days of agent_ids in the window, such as two agent_ids on all seven days."""
FEWEST_REFERENCE: Final = 56
FEWEST_WEEKS: Final = 3
UPPER: Final = (1 + CONFIDENCE) / 2
LN2: Final = float(np.log(2))
_HALVINGS: Final = 30
GREATEST_NOISE: Final = 1.0
"""Where chance alone reaches a PSI of this, nothing short of another world could be told from it."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Two distributions over the same bins, and who they are of.

    Attributes:
        reference: Shares by bin, of the agent_ids that both have.
        current: The same of the window.
        weights: Of those agent_ids, their sum is 1.
        members: Which rows of the profile's cells they are.

    """

    reference: Floats
    current: Floats
    weights: Floats
    members: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Chance:
    """What chance alone does to sum (q-p)^2/p: `mean` times an F variable with these degrees of freedom.

    `in_step`: how many times as far the mean over agent_ids strayed as it would have, were they independent of each other.
    """

    mean: float
    freedom: float
    residual: float
    in_step: float


def shares(cells: NDArray[np.int64], window: NDArray[np.int64]) -> Shares | None:
    """Return the two distributions; None when no agent_id has values in both.

    Args:
        cells: (agent_ids, weeks, bins) counts of the reference.
        window: (agent_ids, bins) counts of what is judged.

    """
    past, present = cells.sum(axis=1), window.sum(axis=1)
    members = np.flatnonzero((past.sum(axis=1) > 0) & (present > 0))
    if not members.size:
        return None
    weights = present[members] / present[members].sum()
    before = past[members] / past[members].sum(axis=1, keepdims=True)
    now = window[members] / present[members][:, None]
    return Shares(weights @ before, weights @ now, weights, members)


def smoothed(found: Shares, weeks: int, units: float) -> tuple[Floats, Floats]:
    """Return both distributions without a zero: half an agent_id's week a bin in the reference, one unit of the reference in the window."""
    size, bins = len(found.weights) * weeks, len(found.reference)
    reference = (found.reference * size + 0.5) / (size + 0.5 * bins)
    return reference, (found.current * units + reference) / (units + 1)


def chance(cells: NDArray[np.int64], found: Shares, reference: Floats, overlap: Floats) -> Chance | None:
    """Return what chance does to the sum, None where the reference has too few weeks to say.

    Args:
        cells: As for `shares`.
        found: Its answer.
        reference: Smoothed shares of the reference.
        overlap: (weeks, weeks) correlation of an agent_id's weeks that the feature's window makes.

    """
    chosen = cells[found.members]
    totals = chosen.sum(axis=2)
    filled = totals > 0
    weeks = filled.sum(axis=1)
    if filled.any(axis=0).sum() < FEWEST_WEEKS or len(reference) < 2:  # noqa: PLR2004  values of one bin cannot move
        return None
    number = len(overlap)
    between = (overlap.sum() - number) / (number * (number - 1))
    inflation = (1 + overlap.mean()) / (1 - between)
    time = _freedom(overlap)
    weekly = np.where(filled[:, :, None], chosen / np.maximum(totals, 1)[:, :, None], 0.0)
    means = weekly.sum(axis=1) / np.maximum(weeks, 1)[:, None]
    squares = np.where(filled[:, :, None], (weekly - means[:, None, :]) ** 2, 0.0).sum(axis=1)
    several = weeks > 1
    if not several.any():
        return None
    variances = squares[several] / (weeks[several] - 1)[:, None]
    spread = np.tile(variances.mean(axis=0), (len(weeks), 1))
    spread[several] = variances
    alone = (found.weights**2) @ spread / reference * inflation  # by bin, were agent_ids independent of each other
    joint = np.einsum("a,awk->wk", found.weights, weekly)
    present = np.einsum("a,aw->w", found.weights, filled.astype(np.float64))
    used = present > 0
    together = np.var(joint[used] / present[used][:, None], axis=0, ddof=1) / reference * inflation
    replicas = 1 / float((found.weights**2).sum())
    floor = 0.5 * (len(reference) - 1) * overlap.mean() / replicas  # a change of one agent_id in one week may always be chance
    apart, shared = float(alone.sum()), float(together.sum())
    return _moments(alone, time * replicas, floor, shared / apart if apart > 0 else 1.0)


def of_one_view(found: Sequence[Chance]) -> list[Chance]:
    """Return what chance does to the features of a view, whose agent_ids may have good and bad weeks together.

    How much more their mean strays for that, one feature has too few weeks to tell; all features of the view together have enough.
    """
    in_step = max(1.0, float(np.mean([each.in_step for each in found]))) if found else 1.0
    return [replace(each, mean=each.mean * in_step) for each in found]


def _moments(terms: Floats, replicas: float, floor: float, in_step: float) -> Chance:
    total = float(terms.sum())
    freedom = max(1.0, total**2 / float((terms**2).sum())) if total > 0 else 1.0
    return Chance(max(total, floor), freedom, max(replicas * freedom, 1.0), in_step)


def _freedom(overlap: Floats) -> float:
    """Degrees of freedom of a variance over weeks that overlap: (trace)^2 / trace of the square, of the centred correlation."""
    centre = np.eye(len(overlap)) - 1 / len(overlap)
    centred = centre @ overlap @ centre
    return float(np.trace(centred) ** 2 / np.trace(centred @ centred))


def overlap_of(weeks: int, window_days: float, step_days: int = 7) -> Floats:
    """Return the correlation between the means of an agent_id's weeks, when each value sums the last `window_days` of independent days."""
    days = np.arange(weeks * step_days)
    apart = np.abs(days[:, None] - days[None, :])
    daily = np.maximum(0.0, 1 - apart / max(window_days, 1e-9))
    by_week = daily.reshape(weeks, step_days, weeks, step_days).mean(axis=(1, 3))
    scale = np.sqrt(np.diag(by_week))
    correlation: Floats = by_week / scale[:, None] / scale[None, :]
    return correlation


def distances(reference: Floats, current: Floats) -> dict[Method, float]:
    """Return PSI, Jensen-Shannon distance and Cramér's V of two smoothed distributions."""
    from scipy.spatial.distance import jensenshannon

    difference = current - reference
    return {
        "psi": float((difference * np.log(current / reference)).sum()),
        "jensen_shannon": float(jensenshannon(reference, current, base=2)),
        "chi_square": float(np.sqrt((difference**2 / (reference + current)).sum() / 2)),
    }


def squared(method: Method, distance: float) -> float:
    """Return the sum of (q-p)^2/p that such a distance comes to, for a small difference."""
    return {"psi": distance, "null_share": distance, "jensen_shannon": 8 * LN2 * distance**2, "chi_square": 4 * distance**2}[method]


def distance_of(method: Method, square: float) -> float:
    """Return the distance of such a sum; `squared` backwards, at most 1 for those that end there."""
    if method in ("psi", "null_share"):
        return square
    return min(1.0, float(np.sqrt(square / (8 * LN2 if method == "jensen_shannon" else 4))))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What true sums lie between, the p-values of none, and what chance alone exceeds once in twenty times."""

    low: Floats
    high: Floats
    p_values: Floats
    noise: Floats


def bounds(squares: Floats, mean: Floats, freedom: Floats, residual: Floats) -> Bounds:
    """Return the bounds of sums whose chance is `mean` times an F variable; all arrays are aligned.

    A sum over `mean` is a noncentral F variable; the bounds are those true sums of which the observed one is a quantile.
    """
    from scipy.special import fdtrc, fdtri

    scaled = squares / mean
    low = _noncentrality(scaled, freedom, residual, UPPER)
    high = _noncentrality(scaled, freedom, residual, 1 - UPPER)
    return Bounds(low * mean / freedom, high * mean / freedom, fdtrc(freedom, residual, scaled), mean * fdtri(freedom, residual, UPPER))


def _noncentrality(scaled: Floats, freedom: Floats, residual: Floats, level: float) -> Floats:
    """Return of each the noncentrality with which it is the quantile `level`, by bisection; 0 where none is that great."""
    from scipy.special import fdtr, ncfdtr

    least = np.zeros_like(scaled)
    most = freedom * (4 * scaled + 40) * (1 if level > 0.5 else 4)  # noqa: PLR2004  beyond any bound at this confidence
    wanted = fdtr(freedom, residual, scaled) > level
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        above = ncfdtr(freedom, residual, middle, scaled) > level
        least, most = np.where(above, middle, least), np.where(above, most, middle)
    return np.where(wanted, least, 0.0)


def level_of(score: float, chance_reaches: float, n_reference: int, n_current: int) -> Level:
    """Return what follows from a score: only what the interval shows is told."""
    if n_reference < FEWEST_REFERENCE or n_current < FEWEST_CURRENT:
        return "too_few"
    if score > ALERT:
        return "alert"
    if score > CALM:
        return "watch"
    return "calm" if chance_reaches <= GREATEST_NOISE else "too_few"
