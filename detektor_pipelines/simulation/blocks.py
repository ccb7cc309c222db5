"""Events of one operation and agent, column by column, and the scene (a task, a fault) they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.simulation.calendar import Cells, start_of_work
from detektor_pipelines.simulation.calibration import MODEL_SHARES, MODELS, RUN_DURATIONS, RUN_TOOL_CALLS
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.simulation.arrays import Floats, Ints, Keys, Truths

MISSING: Final = np.iinfo(np.int64).min
"""Stands for null in a block's measures."""

MS: Final = 1_000
MINUTE: Final = 60_000_000


@dataclass(frozen=True)
class Scene:
    """One element for each thing people work on: a task, a fault, a topic; `start` in µs UTC, the states as in `Cells`."""

    keys: Keys
    project: Ints
    day: Ints
    start: Ints
    incident: Truths
    care: Floats
    strictness: Floats
    stability: Floats
    craft: Floats

    def take(self, index: Ints) -> Scene:
        """The elements at `index`."""
        return Scene(**{each.name: getattr(self, each.name)[index] for each in fields(self)})

    @classmethod
    def concatenated(cls, scenes: Sequence[Scene]) -> Scene:
        """All elements, one scene after the other."""
        return cls(**{each.name: np.concatenate([getattr(scene, each.name) for scene in scenes]) for each in fields(cls)})

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Category:
    """Codes into a vocabulary, -1 for null."""

    codes: Ints
    vocabulary: Sequence[str]

    def where(self, known: Truths) -> Category:
        """Null where not `known`."""
        return Category(np.where(known, self.codes, -1), self.vocabulary)


@dataclass(frozen=True)
class Block:
    """Events of one operation and one agent; `end` is occurred_at in µs UTC, `trouble` scales the errors of its tool calls."""

    operation: str
    agent: str
    keys: Keys
    scene: Scene
    end: Ints
    measures: dict[str, Ints] = field(default_factory=dict)
    categories: dict[str, Category] = field(default_factory=dict)
    trouble: Floats | None = None
    by_agent: bool = True

    def __len__(self) -> int:
        return len(self.keys)


def make_scene(cells: Cells, kind: str, mean: Floats) -> Scene:
    """As many things of this kind on each project and day as a Poisson process of this mean has, begun at working hours."""
    number = Draws(cells.keys).poisson(kind, mean)
    at = np.repeat(np.arange(len(number)), number)
    nth = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)
    keys = child(cells.keys[at], nth, kind)
    project, day = cells.project[at], cells.day[at]
    return Scene(
        keys,
        project,
        day,
        start_of_work(Draws(keys), day, project),
        cells.incident[at],
        cells.care[at],
        cells.strictness[at],
        cells.stability[at],
        cells.craft[at],
    )


def run(  # noqa: PLR0913  an event has that many sides
    operation: str,
    agent: str,
    keys: Keys,
    scene: Scene,
    start: Ints,
    *,
    slower: Floats | float = 0.0,
    measures: dict[str, Ints],
    categories: dict[str, Category],
) -> Block:
    """An agent's piece of work from `start` on; `slower` is added to the logarithm of its wall time."""
    draws = Draws(keys)
    pace = draws.uniform("pace")
    # The calls of a run follow its length loosely: most of the same rank, some noise of their own.
    calls_rank = np.clip(0.6 * pace + 0.4 * draws.uniform("calls"), 0, 1)
    calls_rank = np.where(calls_rank < 0.5, calls_rank**2 / 0.48, 1 - (1 - calls_rank) ** 2 / 0.48).clip(0, 1)  # noqa: PLR2004
    duration_ms = np.minimum(RUN_DURATIONS[operation].at(pace) * np.exp(slower), 86_400_000.0).astype(np.int64)
    return Block(
        operation,
        agent,
        keys,
        scene,
        start + duration_ms * MS,
        {"duration_ms": duration_ms, "tool_calls": RUN_TOOL_CALLS[operation].at(calls_rank).astype(np.int64), **measures},
        {"model": Category(draws.pick("model", MODEL_SHARES), MODELS), **categories},
        np.exp(-0.3 * scene.care) * np.where(scene.incident, 1.8, 1.0) / 1.1,
    )


def feedback(block: Block, probability: float, quality: Floats) -> Block:
    """What people said of some of the events, hours or days later: the better the work, the better the score, with much noise."""
    chosen = np.flatnonzero(Draws(block.keys).chance("judged", probability))
    keys = child(block.keys[chosen], 0, "feedback")
    draws = Draws(keys)
    score = np.rint(1_000 * np.tanh(0.7 * quality[chosen] + 0.55 * draws.normal("opinion"))).astype(np.int64)
    delay = draws.lognormal("delay", 9.0 * 60 * MINUTE, 1.1).clip(0, 30 * 24 * 60 * MINUTE).astype(np.int64)
    judged = draws.chance("verdict", 0.85)
    return Block(
        "feedback",
        block.agent,
        keys,
        block.scene.take(chosen),
        block.end[chosen] + delay,
        {"score_milli": score},
        {"verdict": Category((score <= 0).astype(np.int64), ("approved", "rejected")).where(judged)},
        by_agent=False,
    )


def outcome(success: Truths, *, cancelled: Truths | None = None) -> Category:
    """The category `outcome`."""
    codes = np.where(success, 0, 1)
    return Category(codes if cancelled is None else np.where(cancelled, 2, codes), ("success", "failure", "cancelled"))


def sigmoid(logit: Floats) -> Floats:
    """The probability that belongs to a logit."""
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)


def counts(draws: Draws, stream: str, mean: Floats | float) -> Ints:
    """A Poisson count of each element."""
    return draws.poisson(stream, np.broadcast_to(np.asarray(mean, dtype=np.float64), len(draws.keys)).copy())


def masked(values: Ints, known: Truths) -> Ints:
    """The values, null where not known."""
    return np.where(known, values, MISSING)
