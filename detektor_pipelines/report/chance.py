"""What changed beyond chance: one change in each of many measures, judged together by shuffling the period's weeks (or days).

A measure is a ratio of sums by unit of time: failures by ended work, issues by reviews, events by week. For each split of the period
in two, the ratio behind it is held against the one before it, in spreads of the same split over shuffled units. The largest over all
splits is what a measure comes to. Chance is asked of all measures at once: in how many shuffles does any measure come to as much?
(Westfall and Young 1993, single-step max-T; the units are shuffled whole and all measures alike, so dependence within a unit and between
measures is kept.) If nothing changed, so that the units could have come in any order, one report in twenty at most names anything,
however many measures there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SHUFFLES: Final = 1_999
"""The smallest chance that can be told is one in SHUFFLES + 1."""
ALPHA: Final = 0.05
FEWEST_UNITS: Final = 8
"""Of time: fewer cannot be shuffled into anything that tells chance from change."""
FEWEST: Final = 20
"""What a measure's denominator must hold in all."""
FEWEST_A_SIDE: Final = 8
_EDGE: Final = 0.1
"""Share of the units that lie on each side of a split at least."""
_SEED: Final = 20_261_128


@dataclass(frozen=True, slots=True)
class Change:
    """One measure's largest change.

    `split`: the first unit behind it. `before`, `after`: (numerator, denominator) on both sides. `spreads`: how far apart they are.
    `chance`: in which share of shuffles any measure comes to as much.
    """

    measure: Any
    split: int
    before: tuple[float, float]
    after: tuple[float, float]
    spreads: float
    chance: float


def changes(measures: Mapping[Any, tuple[Sequence[float], Sequence[float]]], *, shuffles: int = SHUFFLES) -> list[Change]:
    """Return the largest change of each measure that can be judged, the least likely by chance first.

    Args:
        measures: name → (numerators, denominators), each one number a unit of time, in their order.
        shuffles: How often the units are shuffled.

    """
    import numpy as np

    usable = {name: (np.asarray(top, float), np.asarray(bottom, float)) for name, (top, bottom) in measures.items()}
    usable = {name: pair for name, pair in usable.items() if judgeable(*pair)}
    if not usable:
        return []
    units = len(next(iter(usable.values()))[0])
    chance = np.random.default_rng(_SEED)
    orders = np.vstack([np.arange(units), *(chance.permutation(units) for _ in range(shuffles))])
    most = np.zeros(shuffles + 1)
    found: dict[Any, tuple[float, int]] = {}
    for name, (top, bottom) in usable.items():
        spreads = _spreads(top[orders], bottom[orders])
        split = int(spreads[0].argmax())
        found[name] = float(spreads[0, split]), split
        most = np.maximum(most, spreads.max(axis=1))
    judged = []
    for name, (spreads_apart, split) in found.items():
        top, bottom = usable[name]
        where = split + edge(units)
        sides = [(float(top[part].sum()), float(bottom[part].sum())) for part in (slice(0, where), slice(where, None))]
        by_chance = float((most >= spreads_apart - 1e-9).mean())
        judged.append(Change(name, where, sides[0], sides[1], spreads_apart, by_chance))
    return sorted(judged, key=lambda each: (-each.spreads, str(each.measure)))


def judgeable(top: NDArray[Any], bottom: NDArray[Any]) -> bool:
    """Whether a measure has enough behind it, and is not the same throughout."""
    active = bottom > 0
    if len(bottom) < FEWEST_UNITS or active.sum() < FEWEST_UNITS or bottom.sum() < FEWEST:
        return False
    ratios = top[active] / bottom[active]
    return bool((ratios != ratios[0]).any())


def edge(units: int) -> int:
    """How many units lie on each side of a split at least."""
    return max(2, round(units * _EDGE))


def _spreads(top: NDArray[Any], bottom: NDArray[Any]) -> NDArray[Any]:
    """Return for each order of the units and each split how far apart the sides are; shapes (orders, units) to (orders, splits).

    A split with too little on one side counts as no difference.
    """
    import numpy as np

    units = top.shape[1]
    first = edge(units)
    tops, bottoms = (each.cumsum(axis=1)[:, first - 1 : units - first] for each in (top, bottom))
    rest_top, rest_bottom = top.sum(axis=1, keepdims=True) - tops, bottom.sum(axis=1, keepdims=True) - bottoms
    enough = (bottoms >= min(FEWEST_A_SIDE, bottom[0].sum() * _EDGE)) & (rest_bottom >= min(FEWEST_A_SIDE, bottom[0].sum() * _EDGE))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(enough, rest_top / rest_bottom - tops / bottoms, 0.0)
    spread = np.sqrt((apart**2).mean(axis=0))
    return np.abs(apart) / np.where(spread > 0, spread, np.inf)
