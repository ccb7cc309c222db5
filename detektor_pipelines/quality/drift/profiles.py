"""What a reference is kept as: for each feature its bins, and counts of values by agent_id, week and bin.

Kept as data, so that what a week is compared with stays what it was when days of the reference are computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detektor_pipelines.quality.drift.results import WINDOW_DAYS
from detektor_pipelines.quality.drift.samples import A_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detektor_pipelines.quality.drift.samples import Sample

BINS: Final = 10
FEWEST_BINS: Final = 3
UNITS_A_BIN: Final = 5
"""Independent values that a bin ought to get in a window (Cochran's rule of chi-square tests); below it chance is all that one sees."""

_WEEK: Final = WINDOW_DAYS * A_DAY


@dataclass(frozen=True, slots=True)
class Bins:
    """How a feature's values are told apart.

    `edges` ascend. With `exact` each of them is a value, and one bin more holds all others; else they are upper bounds of bins, the last
    bin is open.
    """

    edges: NDArray[np.float64]
    exact: bool

    @property
    def number(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1

    def places(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return each value's bin; of NaN nothing sensible."""
        found = np.searchsorted(self.edges, values, side="left").astype(np.int64)
        if not self.exact or not len(self.edges):
            return found
        hit = self.edges[np.minimum(found, len(self.edges) - 1)] == values
        return np.where(hit, found, len(self.edges))

    def labels(self) -> list[str]:
        """Return what a person calls the bins."""
        if self.exact:
            return [*(_number(each) for each in self.edges), "other"]
        return [*(f"≤ {_number(each)}" for each in self.edges), f"> {_number(self.edges[-1])}"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A feature's reference: its bins, and counts (agent_ids, weeks, bins and, last, null)."""

    bins: Bins
    cells: NDArray[np.int64]


def bins_of(values: NDArray[np.float64], number: int = BINS) -> Bins:
    """Return at most about `number` bins for a reference of these values.

    Where it has no more different values than that, each is a bin of its own, and what it never had is another. Else bins hold equal parts
    of it, equal values in one.
    """
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= number:
        return Bins(distinct, exact=True)
    edges = np.unique(np.quantile(known, np.arange(1, number) / number, method="inverted_cdf"))
    return Bins(edges[:-1] if edges[-1] == distinct[-1] else edges, exact=False)


def bins_for(agent_ids: int, window_days: float) -> int:
    """Return how many bins a window of so many agent_ids can fill, for a feature over so many days."""
    units = agent_ids * max(1.0, WINDOW_DAYS / window_days)
    return int(np.clip(units // UNITS_A_BIN, FEWEST_BINS, BINS))


def profiles(sample: Sample, window_days: Mapping[str, float]) -> dict[str, Profile]:
    """Return what is kept of a reference of whole weeks, by feature; `window_days` as `judgement.window_days` has them."""
    found = {}
    for name, values in sample.values.items():
        number = bins_for(len(sample.agent_ids), window_days[name])
        bins = bins_of(values[sample.present], number) if len(sample.agent_ids) else Bins(np.zeros(0), exact=True)
        found[name] = Profile(bins, counts(values, sample.present, bins, _WEEK))
    return found


def counts(values: NDArray[np.float64], present: NDArray[np.bool_], bins: Bins, length: int) -> NDArray[np.int64]:
    """Count values by agent_id, stretch of `length` instants, and bin; null is the last."""
    agents, instants = present.shape
    stretches, size = instants // length, bins.number + 1
    if not agents:
        return np.zeros((0, stretches, size), dtype=np.int64)
    place = np.where(np.isnan(values), bins.number, bins.places(values))
    row = np.arange(agents)[:, None] * stretches + np.arange(instants)[None, :] // length
    counted = np.bincount((row * size + place)[present], minlength=agents * stretches * size)
    return counted.reshape(agents, stretches, size).astype(np.int64)


def to_data(agent_ids: Sequence[str], found: Mapping[str, Profile]) -> dict[str, Any]:
    """Return a reference for JSON; `from_data` reads it."""
    return {
        "agent_ids": list(agent_ids),
        "features": {
            name: {"edges": each.bins.edges.tolist(), "exact": each.bins.exact, "cells": each.cells.tolist()}
            for name, each in found.items()
        },
    }


def from_data(data: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Profile]]:
    """Return agent_ids and profiles by feature."""
    found = {
        name: Profile(Bins(np.array(each["edges"], dtype=np.float64), each["exact"]), np.array(each["cells"], dtype=np.int64))
        for name, each in data["features"].items()
    }
    return tuple(data["agent_ids"]), found


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004  three digits say enough of what is less
