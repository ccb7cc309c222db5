"""From a reference and the values of seven days to what is said of each feature: no connection, arrays in, results out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.drift.profiles import counts
from detektor_pipelines.quality.drift.results import METHODS, WINDOW_DAYS, Result
from detektor_pipelines.quality.drift.samples import A_DAY
from detektor_pipelines.quality.drift.statistics import (
    bounds,
    chance,
    distance_of,
    distances,
    level_of,
    of_one_view,
    overlap_of,
    shares,
    smoothed,
    squared,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift.profiles import Profile
    from detektor_pipelines.quality.drift.results import Level, Method
    from detektor_pipelines.quality.drift.samples import Sample
    from detektor_pipelines.quality.drift.statistics import Chance


_NAMED: Final = 3


def window_days(view: FeatureView) -> dict[str, float]:
    """Return how many days of events a value of each feature is about; of a derived one, those of the view's longest window."""
    return {each.name: (each.over or view.longest).size / DAY for each in view.features}


def judge(
    view: FeatureView, reference: int, agent_ids: Sequence[str], kept: Mapping[str, Profile], sample: Sample, day: date
) -> list[Result]:
    """Judge each feature by each method.

    Args:
        view: The definition.
        reference: Number of the reference.
        agent_ids: Of the reference.
        kept: Its profiles by feature.
        sample: Values of the seven days that end with `day`.
        day: The last of them.

    """
    spans = window_days(view)
    measured = [
        each
        for feature in view.features
        if feature.name in kept
        for each in _measured(
            feature.name, kept[feature.name], window_counts(kept[feature.name], sample, feature.name, agent_ids), spans[feature.name]
        )
    ]
    return list(_results(view, reference, day, _note(agent_ids, sample), measured))


@dataclass(frozen=True, slots=True)
class _Measured:
    """A distance and what chance does to it; None where nothing can be said."""

    feature: str
    method: Method
    distance: float
    by_chance: Chance | None
    n_reference: int
    n_current: int


def _results(view: FeatureView, reference: int, day: date, note: str, measured: Sequence[_Measured]) -> Iterator[Result]:
    """Put intervals to all of them at once: each alone would take longer than all else."""
    possible = [(each, each.by_chance) for each in measured if each.by_chance is not None]
    known = [(each, found) for (each, _), found in zip(possible, of_one_view([found for _, found in possible]), strict=True)]
    squares = np.array([squared(each.method, each.distance) for each, _ in known])
    mean, freedom, residual = (np.array([getattr(found, name) for _, found in known]) for name in ("mean", "freedom", "residual"))
    told = bounds(squares, mean, freedom, residual)
    places = {id(each): place for place, (each, _) in enumerate(known)}
    for each in measured:
        score, highest, p_value = 0.0, 1.0, 1.0
        level: Level = "too_few"
        if (place := places.get(id(each))) is not None:
            score, highest = (distance_of(each.method, float(side[place])) for side in (told.low, told.high))
            p_value = float(told.p_values[place])
            level = level_of(score, float(told.noise[place]), each.n_reference, each.n_current)
        yield Result(
            view=view.name,
            feature=each.feature,
            method=each.method,
            day=day,
            score=score,
            observed=each.distance,
            high=highest,
            p_value=p_value,
            n_reference=each.n_reference,
            n_current=each.n_current,
            level=level,
            reference=reference,
            note=note,
        )


def window_counts(profile: Profile, sample: Sample, feature: str, agent_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return a week's counts (agent_ids of the reference, bins and null); zeros for who is not there."""
    order = {name: place for place, name in enumerate(sample.agent_ids)}
    rows = np.array([order.get(name, -1) for name in agent_ids], dtype=np.intp)
    size = profile.cells.shape[2]
    if not len(sample.agent_ids):
        return np.zeros((len(rows), size), dtype=np.int64)
    counted = counts(sample.values[feature], sample.present, profile.bins, WINDOW_DAYS * A_DAY).sum(axis=1)
    return np.where(rows[:, None] >= 0, counted[np.maximum(rows, 0)], 0)


def _measured(feature: str, profile: Profile, window: NDArray[np.int64], span: float) -> Iterator[_Measured]:
    yield from _compared(feature, profile.cells[:, :, :-1], window[:, :-1], span, METHODS[:3])
    yield from _compared(feature, _nulls(profile.cells), _nulls(window), span, METHODS[3:])


def _nulls(counted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts of values and of nulls instead of those by bin."""
    return np.stack([counted[..., :-1].sum(axis=-1), counted[..., -1]], axis=-1)


def _compared(
    feature: str, cells: NDArray[np.int64], window: NDArray[np.int64], span: float, methods: Sequence[Method]
) -> Iterator[_Measured]:
    sizes = int(cells.sum()) // A_DAY, int(window.sum()) // A_DAY
    weeks, found = cells.shape[1], shares(cells, window)
    if found is None:
        yield from (_Measured(feature, method, 0.0, None, *sizes) for method in methods)
        return
    reference, current = smoothed(found, weeks, max(1.0, WINDOW_DAYS / span) / float((found.weights**2).sum()))
    by_chance = chance(cells, found, reference, _overlap(weeks, span))
    measured = distances(reference, current)
    for method in methods:
        yield _Measured(feature, method, measured["psi" if method == "null_share" else method], by_chance, *sizes)


@cache
def _overlap(weeks: int, span: float) -> NDArray[np.float64]:
    return overlap_of(weeks, span)


def _note(agent_ids: Sequence[str], sample: Sample) -> str:
    here = {name for name, present in zip(sample.agent_ids, sample.present, strict=True) if present.any()}
    new, gone = sorted(here - set(agent_ids)), sorted(set(agent_ids) - here)
    said = [f"{_many(new)} new and not compared: {_few(new)}" if new else "", f"{_many(gone)} not at work: {_few(gone)}" if gone else ""]
    return "; ".join(each for each in said if each)


def _many(names: Sequence[str]) -> str:
    return "1 agent_id is" if len(names) == 1 else f"{len(names)} agent_ids are"


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
