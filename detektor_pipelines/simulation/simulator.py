"""A made-up history of all eight agents, realistic enough to develop, demonstrate and measure on; every event is marked `simulated`.

What happens: people start coding tasks at working hours. The coder implements (in one to three attempts, running tests), the reviewer
approves or sends back (three rounds at most), then some tasks are documented, some deployed (perhaps held first), and what fails is rolled
back or looked into by the debugger. Beside that, faults, pipeline faults, sweeps of the documents, requests for advice and research packs
arrive on their own. Inside each run there are tool calls and model answers in bursts. Hours or days later people judge some of the work:
feedback events with the same task_id. Weekends, public holidays and nights are quiet, August is slow, days differ; the third project
starts late, the fifth goes idle, and on at least one day in each quarter everything breaks.

What a model can learn: each project has slow states that nobody sees (the coder's care, the reviewer's strictness, the stability of what
runs, the craft of texts), which keep for weeks. Outcomes are drawn with probabilities that hang on them: a review's verdict on strictness
minus care (and the task's size and round), an implementation's success and its tests on care, a deployment's success on stability and
care, a diagnosis, a document, an advice and a pack on craft, feedback on all of these. The same states move what features measure
(rejection rates, issues, tool errors, hypotheses, coupling, …), so the last weeks tell something about the next decision. Each draw has
its own noise, so they never tell all: the features of the last two weeks give an area under the ROC curve of 0.6 to 0.7 for "will this
review reject".

Figures are those of real transcripts (`simulation/calibration.py`, `docs/simulation.md`). All is a function of the seed, the project and
the date (`simulation/draws.py`): for the same end, a longer history, another number of projects or of events leaves a day's tasks as they
are, only more or fewer of them begin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.clock import EPOCH
from detektor_pipelines.simulation import activity
from detektor_pipelines.simulation.aftermath import aftermath
from detektor_pipelines.simulation.blocks import Block, Category, make_scene
from detektor_pipelines.simulation.calendar import DAY_US, make_cells
from detektor_pipelines.simulation.side_jobs import advice, faults, pipeline_faults, research, sweeps
from detektor_pipelines.simulation.table import to_table
from detektor_pipelines.simulation.tasks import coding_tasks

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa

    from detektor_pipelines.simulation.calendar import Cells

WARM_UP_DAYS: Final = 14
"""Tasks begun this long before the first day still send reviews, deployments and feedback into it."""

TASKS_A_DAY: Final = 0.74
"""Coding tasks of an ordinary project on an ordinary weekday: 8 projects come to about 200,000 events in 184 days."""

_SCALE_ROUNDS: Final = 8


def simulate_table(*, days: int, projects: int, seed: int, end: date, events: int | None = None) -> pa.Table:
    """Simulate the `days` days before `end`.

    Args:
        days: length of the history, 1 or more.
        projects: number of projects, 1 or more.
        seed: 0 or more; the same seed gives the same events.
        end: the history ends at this day's 00:00 UTC.
        events: exactly so many events; by default what that many projects and days come to (about 136 a project and day).

    Returns:
        Rows in the layout of `ml_learning.agent_events` without what the store stamps (`simulation.table.SCHEMA`), sorted by
        occurred_at, with start < occurred_at <= end.

    """
    end_day = (end - EPOCH.date()).days
    start_us, end_us = (end_day - days) * DAY_US, end_day * DAY_US
    cells = make_cells(seed, projects, end_day - days - WARM_UP_DAYS, end_day)
    works = _works(cells, 1.0)
    if events is not None:
        works = _scaled(cells, start_us, end_us, events)
    return to_table(_with_steps(works), seed, start_us, end_us, events)


def _scaled(cells: Cells, start_us: int, end_us: int, events: int) -> list[Block]:
    """Work at the intensity that gives `events` events or slightly more."""
    scale, aim = 1.0, events * 1.004 + 60
    works = _works(cells, scale)
    for _ in range(_SCALE_ROUNDS):
        reached = _expected(works, start_us, end_us)
        if events + 20 <= reached <= aim + 0.01 * events + 200:
            break
        scale *= aim / max(reached, aim / 50, 1.0)
        works = _works(cells, scale)
    return works


def _expected(works: list[Block], start_us: int, end_us: int) -> int:
    total = 0
    for work in works:
        inside = (work.end > start_us) & (work.end <= end_us)
        total += int(np.sum(activity.number_of_events(work)[inside] if "tool_calls" in work.measures else inside))
    return total


def _works(cells: Cells, scale: float) -> list[Block]:
    """All pieces of work (and feedback, and test runs), without the steps inside them."""
    busy = cells.busy * scale * TASKS_A_DAY
    # Faults do not wait for somebody to be busy: half of them come with the work, half with time.
    faulty = (0.6 * busy + 0.25 * scale * (cells.busy > 0)) * np.exp(-0.35 * cells.stability) * np.where(cells.incident, 4.0, 1.0)
    blocks, tasks = coding_tasks(make_scene(cells, "task", busy))
    return _merged(
        [
            *blocks,
            *aftermath(tasks),
            *advice(make_scene(cells, "advice", 0.45 * busy)),
            *sweeps(make_scene(cells, "sweep", 0.35 * busy)),
            *faults(make_scene(cells, "fault", 0.32 * faulty)),
            *pipeline_faults(make_scene(cells, "pipeline fault", 0.4 * faulty)),
            *research(make_scene(cells, "research", 0.4 * busy)),
        ]
    )


def _with_steps(works: list[Block]) -> list[Block]:
    steps = [step for work in works if "tool_calls" in work.measures for step in activity.inside(work)]
    return [*works, *steps]


def _merged(blocks: list[Block]) -> list[Block]:
    """One block for the same operation, agent and columns."""
    alike: dict[tuple[object, ...], list[Block]] = {}
    for block in blocks:
        alike.setdefault((block.operation, block.agent, *block.measures, *block.categories), []).append(block)
    return [same[0] if len(same) == 1 else _concatenated(same) for same in alike.values()]


def _concatenated(blocks: list[Block]) -> Block:
    first = blocks[0]
    return replace(
        first,
        keys=np.concatenate([block.keys for block in blocks]),
        scene=type(first.scene).concatenated([block.scene for block in blocks]),
        end=np.concatenate([block.end for block in blocks]),
        measures={name: np.concatenate([block.measures[name] for block in blocks]) for name in first.measures},
        categories={
            name: Category(np.concatenate([block.categories[name].codes for block in blocks]), category.vocabulary)
            for name, category in first.categories.items()
        },
        trouble=None if first.trouble is None else np.concatenate([block.trouble for block in blocks if block.trouble is not None]),
    )
