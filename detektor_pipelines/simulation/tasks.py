"""A coding task: implementation, test runs, at most three rounds of review, each of which may send it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.simulation.blocks import (
    MINUTE,
    MS,
    Block,
    Category,
    Scene,
    counts,
    feedback,
    masked,
    outcome,
    run,
    sigmoid,
)
from detektor_pipelines.simulation.calendar import at_waking_hours
from detektor_pipelines.simulation.calibration import (
    ERROR_TYPE_SHARES,
    ERROR_TYPES,
    READABLE_VERDICT_RATE,
    TEST_RUN_DURATION,
)
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Floats, Ints, Truths

ROUNDS: Final = 3
TRIES: Final = 3
"""Attempts in one round before the coder gives the task up."""

_KINDS: Final = ("feature", "bugfix", "refactor", "test", "chore")
_KIND_SHARES: Final = (0.38, 0.27, 0.15, 0.08, 0.12)


@dataclass(frozen=True)
class FinishedTasks:
    """What became of the tasks: whether a review approved, when the loop ended (µs UTC), when the code was last committed."""

    scene: Scene
    size: Floats
    approved: Truths
    end: Ints
    committed: Ints


def coding_tasks(scene: Scene) -> tuple[list[Block], FinishedTasks]:
    """Play the tasks of `scene` through to approval, or to giving up."""
    draws = Draws(scene.keys)
    size = draws.normal("size")
    kind = draws.pick("kind", _KIND_SHARES)
    clock = scene.start.copy()
    committed = clock.copy()
    attempts = np.zeros(len(scene), dtype=np.int64)
    approved = np.zeros(len(scene), dtype=np.bool_)
    active = np.arange(len(scene))
    blocks: list[Block] = []
    for review_round in range(1, ROUNDS + 1):
        done = np.zeros(len(scene), dtype=np.bool_)
        pending = active
        for attempt in range(1, TRIES + 1):
            attempts[pending] += 1
            work, success = _implementation(
                scene.take(pending), size[pending], kind[pending], attempts[pending], clock[pending], review_round
            )
            blocks += [work, *_test_runs(work, success), feedback(work, 0.22, _coders_quality(work, success, review_round))]
            clock[pending] = work.end + (3 + 20 * Draws(work.keys).uniform("pause") ** 2) * MINUTE
            committed[pending] = work.end
            done[pending] = success
            pending = pending[~success]
            if attempt == TRIES:
                active = active[done[active]]
        review, accepted = _review(scene.take(active), size[active], clock[active], review_round)
        blocks += [review, feedback(review, 0.2, _reviewers_quality(review))]
        pause = Draws(review.keys).lognormal("answer", 15.0 * MINUTE, 1.2).astype(np.int64)
        clock[active] = np.where(accepted, review.end, at_waking_hours(Draws(review.keys), review.end + pause, review.scene.project))
        approved[active] = accepted
        active = active[~accepted]
    return blocks, FinishedTasks(scene, size, approved, clock, committed)


def _implementation(scene: Scene, size: Floats, kind: Ints, attempt: Ints, start: Ints, review_round: int) -> tuple[Block, Truths]:
    keys = child(scene.keys, attempt, "implement")
    draws = Draws(keys)
    success = draws.chance("success", sigmoid(2.3 + 0.7 * scene.care - 0.4 * size + 0.4 * (attempt > 1)))
    rework = 0.6 if review_round > 1 else 0.0
    work = run(
        "implement",
        "detektor-coder",
        keys,
        scene,
        start,
        slower=0.2 * size - 0.12 * scene.care - 0.5 * rework,
        measures={
            "files_changed": 1 + counts(draws, "files", 2.5 * np.exp(0.4 * size)),
            "lines_added": draws.lognormal("added", 70 * np.exp(0.6 * size - rework), 0.9).astype(np.int64),
            "lines_removed": draws.lognormal("removed", 25 * np.exp(0.5 * size - rework), 1.1).astype(np.int64),
            "tests_added": counts(draws, "tests", 2.2 * np.exp(0.35 * scene.care + 0.3 * size)),
            "review_round": np.full(len(scene), review_round, dtype=np.int64),
            "attempt": attempt,
        },
        categories={
            "outcome": outcome(success),
            "task_kind": Category(kind, _KINDS),
            "error_type": Category(draws.pick("error", ERROR_TYPE_SHARES), ERROR_TYPES).where(~success),
        },
    )
    return work, success


def _test_runs(work: Block, success: Truths) -> list[Block]:
    """Inside an implementation: after each change that its author thought complete."""
    number = 1 + counts(Draws(work.keys), "test runs", 1.0)
    at = np.repeat(np.arange(len(work)), number)
    nth = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)
    scene = work.scene.take(at)
    keys = child(work.keys[at], nth, "test run")
    draws = Draws(keys)
    last = nth == number[at] - 1
    red = np.where(last & ~success[at], 0.75, sigmoid(-1.75 - 0.55 * scene.care))
    failed = np.where(draws.chance("red", red), 1 + counts(draws, "failed", 1.6), 0)
    suite = Draws(child(np.zeros(len(at), dtype=np.uint64), scene.project, "suite")).lognormal("size", 260.0, 0.8)
    duration_us = work.measures["duration_ms"][at] * MS
    back = np.where(last, 0.02, 0.05 + 0.8 * draws.uniform("when"))
    end = work.end[at] - (duration_us * back).astype(np.int64)
    duration_ms = np.minimum(draws.curve("duration", TEST_RUN_DURATION), duration_us // MS)
    return [
        Block(
            "test_run",
            work.agent,
            keys,
            scene,
            end,
            {
                "duration_ms": duration_ms,
                "tests_failed": failed,
                "tests_passed": (suite * (0.9 + 0.2 * draws.uniform("part"))).astype(np.int64),
            },
            {"outcome": outcome(failed == 0)},
        ),
    ]


def _review(scene: Scene, size: Floats, ready: Ints, review_round: int) -> tuple[Block, Truths]:
    keys = child(scene.keys, review_round, "review")
    draws = Draws(keys)
    wait = draws.lognormal("wait", 8.0 * MINUTE, 1.1).astype(np.int64)
    logit = -0.8 + 1.1 * scene.strictness - 1.1 * scene.care + 0.35 * size - 0.7 * (review_round - 1)
    rejected = draws.chance("rejected", sigmoid(logit))
    verdict_read = draws.chance("verdict read", READABLE_VERDICT_RATE)
    counts_read = verdict_read | draws.chance("issues read", 0.3)
    critical = counts(draws, "critical", np.where(rejected, 0.45, 0.01))
    major = counts(draws, "major", np.where(rejected, 1.3, 0.15) * np.exp(0.2 * scene.strictness))
    minor = counts(draws, "minor", 1.8 * np.exp(0.3 * scene.strictness - 0.2 * scene.care + 0.2 * size))
    found = critical + major + minor
    review = run(
        "review",
        "code-reviewer",
        keys,
        scene,
        at_waking_hours(draws, ready + wait, scene.project),
        slower=0.15 * size + 0.08 * scene.strictness - 0.05,
        measures={
            "issues_found": masked(found, counts_read),
            "issues_critical": masked(critical, counts_read),
            "issues_major": masked(major, counts_read),
            "issues_minor": masked(minor, counts_read),
            "fixes_suggested": masked((found * (0.4 + 0.5 * draws.uniform("fixes"))).astype(np.int64), counts_read),
            "review_round": np.full(len(scene), review_round, dtype=np.int64),
            "files_changed": 1 + counts(draws, "files", 2.5 * np.exp(0.4 * size)),
            "lines_added": draws.lognormal("added", 70 * np.exp(0.6 * size), 0.9).astype(np.int64),
            "lines_removed": draws.lognormal("removed", 25 * np.exp(0.5 * size), 1.1).astype(np.int64),
        },
        categories={
            "outcome": outcome(draws.chance("finished", 0.985)),
            "verdict": Category(rejected.astype(np.int64), ("approved", "rejected")).where(verdict_read),
        },
    )
    return review, ~rejected


def _coders_quality(work: Block, success: Truths, review_round: int) -> Floats:
    return np.asarray(0.55 * work.scene.care + np.where(success, 0.45, -0.7) - 0.25 * (review_round - 1), dtype=np.float64)


def _reviewers_quality(review: Block) -> Floats:
    """A reviewer that is too strict annoys, one that is too mild does not help."""
    return np.asarray(0.6 - 0.35 * review.scene.strictness**2 + 0.2 * review.scene.care, dtype=np.float64)
