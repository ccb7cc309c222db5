"""Random numbers that are functions of a key: no generator, no order, so that one day's events do not depend on the others.

Each thing that happens has a 64-bit key (made from the seed, its project, its day, its number); each question asked about it is a
named stream. The numbers come from SplitMix64 (Steele, Lea, Flood 2014) over key and stream.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.simulation.arrays import Floats, Ints, Keys, Truths
    from detektor_pipelines.simulation.calibration import Curve

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_UNUSED_BITS: Final = np.uint64(11)
_POISSON_EXACT: Final = 60.0
"""Means above this are drawn from the normal distribution: the sum of the series would take too many steps."""


def child(keys: Keys, number: Ints | int, stream: str) -> Keys:
    """Keys of the `number`-th things of the kind `stream` that belong to `keys`."""
    with np.errstate(over="ignore"):
        nth = (np.asarray(number, dtype=np.int64).astype(np.uint64) + np.uint64(1)) * _GOLDEN
        return _scramble(keys ^ (_salt(stream) + nth))


class Draws:
    """Random answers for each of `keys`; the same key and stream always give the same answer."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def uniform(self, stream: str) -> Floats:
        """Evenly spread in [0, 1)."""
        return (_scramble(self.keys ^ _salt(stream)) >> _UNUSED_BITS).astype(np.float64) * 2.0**-53

    def normal(self, stream: str) -> Floats:
        """Mean 0, standard deviation 1 (Box-Muller)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(f"{stream}.radius")))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.uniform(f"{stream}.angle")), dtype=np.float64)

    def chance(self, stream: str, probability: Floats | float) -> Truths:
        """True with the given probability."""
        return np.asarray(self.uniform(stream) < probability, dtype=np.bool_)

    def pick(self, stream: str, weights: Sequence[float]) -> Ints:
        """Index of one of the weights, which sum to 1."""
        edges = np.cumsum(weights)[:-1]
        return np.searchsorted(edges, self.uniform(stream), side="right").astype(np.int64)

    def lognormal(self, stream: str, median: Floats | float, sigma: float) -> Floats:
        """A positive value whose logarithm is normal."""
        return np.asarray(median * np.exp(sigma * self.normal(stream)), dtype=np.float64)

    def curve(self, stream: str, curve: Curve) -> Ints:
        """A whole number of the distribution that has these quantiles."""
        return np.rint(curve.at(self.uniform(stream))).astype(np.int64)

    def poisson(self, stream: str, mean: Floats) -> Ints:
        """A count with this mean; it never falls when the mean grows."""
        uniform = self.uniform(stream)
        small = mean <= _POISSON_EXACT
        counts = np.zeros(len(uniform), dtype=np.int64)
        term = np.exp(-np.minimum(mean, _POISSON_EXACT))
        reached = term.copy()
        left = np.flatnonzero(small & (uniform >= reached))
        step = 0
        while left.size and step < 4 * _POISSON_EXACT:
            step += 1
            counts[left] = step
            term[left] *= mean[left] / step
            reached[left] += term[left]
            left = left[uniform[left] >= reached[left]]
        large = np.floor(mean + np.sqrt(mean) * self.normal(stream) + 0.5)
        return np.where(small, counts, np.maximum(large, 0)).astype(np.int64)


@lru_cache(maxsize=1024)
def _salt(stream: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "big"))


def _scramble(keys: Keys) -> Keys:
    with np.errstate(over="ignore"):
        mixed = keys + _GOLDEN
        mixed = (mixed ^ (mixed >> _SHIFTS[0])) * _MIX_1
        mixed = (mixed ^ (mixed >> _SHIFTS[1])) * _MIX_2
        return mixed ^ (mixed >> _SHIFTS[2])
