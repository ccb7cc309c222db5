"""What follows a coding task: its documentation, its deployment, and the search for the cause where that fails."""

from __future__ import annotations

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
from detektor_pipelines.simulation.calendar import DAY_US, HOUR_US, at_waking_hours, utc_offset_us, weekday
from detektor_pipelines.simulation.calibration import ERROR_TYPE_SHARES, ERROR_TYPES
from detektor_pipelines.simulation.draws import Draws, child
from detektor_pipelines.simulation.side_jobs import diagnosis, documentation

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Floats, Ints, Keys, Truths
    from detektor_pipelines.simulation.tasks import FinishedTasks

_ACTIONS: Final = ("deploy", "rollback", "hold")
_STRATEGIES: Final = ("rolling", "blue_green", "canary", "recreate", "push")
_STRATEGY_SHARES: Final = (0.42, 0.16, 0.2, 0.07, 0.15)
_ENVIRONMENTS: Final = ("production", "staging", "development")
_ENVIRONMENT_SHARES: Final = (0.56, 0.32, 0.12)
_FRIDAY: Final = 4
_AFTERNOON: Final = 14


def aftermath(tasks: FinishedTasks) -> list[Block]:
    """Documents of some approved tasks, deployments of others, diagnoses of what broke."""
    draws = Draws(tasks.scene.keys)
    documented = np.flatnonzero(tasks.approved & draws.chance("documented", 0.55))
    shipped = np.flatnonzero(tasks.approved & draws.chance("shipped", 0.65))
    return [
        *_documents(tasks.scene.take(documented), tasks.committed[documented], tasks.end[documented]),
        *_deployments(tasks.scene.take(shipped), tasks.size[shipped], tasks.committed[shipped], tasks.end[shipped]),
    ]


def _documents(scene: Scene, committed: Ints, ready: Ints) -> list[Block]:
    keys = child(scene.keys, 0, "document")
    draws = Draws(keys)
    wait = draws.lognormal("wait", 35.0 * MINUTE, 1.6).clip(0, 20 * DAY_US).astype(np.int64)
    return documentation(keys, scene, at_waking_hours(draws, ready + wait, scene.project), committed)


def _deployments(scene: Scene, size: Floats, committed: Ints, ready: Ints) -> list[Block]:
    """Hold first where it looks bad, then roll out; what fails is rolled back or looked into, or both."""
    hold_keys = child(scene.keys, 0, "hold")
    draws = Draws(hold_keys)
    start = at_waking_hours(draws, ready + draws.lognormal("wait", 70.0 * MINUTE, 1.2).astype(np.int64), scene.project)
    local = start + utc_offset_us(scene.project)
    friday = (weekday(local // DAY_US) == _FRIDAY) & (local % DAY_US // HOUR_US >= _AFTERNOON)
    held = draws.chance("hold", sigmoid(-2.1 - 0.6 * scene.stability + 1.1 * friday))
    at = np.flatnonzero(held)
    hold = _deploy(hold_keys[at], scene.take(at), start[at], "hold", np.ones(len(at), dtype=np.bool_), None)
    start = np.where(held, at_waking_hours(Draws(child(scene.keys, 1, "hold")), start + 4 * HOUR_US, scene.project), start)

    keys = child(scene.keys, 0, "deploy")
    draws = Draws(keys)
    careful = np.isin(draws.pick("strategy", _STRATEGY_SHARES), (1, 2))
    success = draws.chance("success", sigmoid(2.35 + 0.9 * scene.stability + 0.35 * scene.care - 0.35 * size + 0.5 * careful))
    roll_out = _deploy(keys, scene, start, "deploy", success, committed)
    failed = np.flatnonzero(~success)
    undone = failed[draws.chance("rolled back", 0.6)[failed]]
    undo_keys = child(scene.keys[undone], 0, "rollback")
    undo_wait = Draws(undo_keys).lognormal("wait", 8.0 * MINUTE, 0.8).astype(np.int64)
    undo_success = Draws(undo_keys).chance("success", 0.95)
    undo = _deploy(undo_keys, scene.take(undone), roll_out.end[undone] + undo_wait, "rollback", undo_success, None)
    searched = failed[draws.chance("searched", 0.7)[failed]]
    cause_keys = child(scene.keys[searched], 0, "cause")
    cause_start = roll_out.end[searched] + (20 * MINUTE * Draws(cause_keys).uniform("wait")).astype(np.int64)
    return [
        hold,
        roll_out,
        undo,
        feedback(roll_out, 0.18, 0.4 * scene.stability + np.where(success, 0.5, -0.8)),
        *diagnosis("debugger", cause_keys, scene.take(searched), cause_start),
    ]


def _deploy(keys: Keys, scene: Scene, start: Ints, action: str, success: Truths, committed: Ints | None) -> Block:
    draws = Draws(keys)
    acts = action != "hold"
    work = run(
        "deploy",
        "deployment-specialist",
        keys,
        scene,
        start,
        slower=0.0 if acts else -0.8,
        measures={"files_changed": 1 + counts(draws, "files", 3.0)},
        categories={
            "action": Category(np.full(len(keys), _ACTIONS.index(action), dtype=np.int64), _ACTIONS),
            "outcome": outcome(success, cancelled=draws.chance("cancelled", 0.02 if acts else 0.0)),
            "environment": Category(draws.pick("environment", _ENVIRONMENT_SHARES), _ENVIRONMENTS),
            "strategy": Category(draws.pick("strategy", _STRATEGY_SHARES), _STRATEGIES).where(np.full(len(keys), acts)),
            "error_type": Category(draws.pick("error", ERROR_TYPE_SHARES), ERROR_TYPES).where(~success),
        },
    )
    healthy = draws.lognormal("health", 22_000 * np.exp(-0.3 * scene.stability), 0.9).clip(200, 3_600_000).astype(np.int64)
    reached = (success | draws.chance("half way", 0.4)) & acts
    work.measures["health_check_ms"] = masked(healthy, reached)
    if committed is not None:
        work.measures["lead_time_ms"] = (work.end - committed) // MS
    if action == "deploy":
        work.measures["attempt"] = np.ones(len(keys), dtype=np.int64)
    return work
