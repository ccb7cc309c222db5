"""Plays histories, and makes one that goes wrong as short as it can be."""

from __future__ import annotations

import json
import time
import traceback
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from torture.actions import History, generate, perform
from torture.judge import Judge, WrongAnswerError
from torture.stage import Stage
from torture.views import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.actions import Action

    from detektor_pipelines.settings import Settings

SHRINKING_S = 60.0


@dataclass(frozen=True)
class Failure:
    """A history whose last action made an answer wrong."""

    history: History
    kind: str
    text: str

    def told(self, seed: int) -> str:
        """Say what happened, and how to see it again."""
        steps = "\n".join(f"  {number + 1:2} {name} {drawn}" for number, (name, drawn) in enumerate(self.history.actions))
        command = f".venv/bin/python -m pytest tests/torture -n 0 --seeds {seed}"
        return f"seed {seed}, {self.text}\nview {self.history.view}:\n{steps}\nas data: {as_data(self.history)}\nagain:   {command}"


def as_data(history: History) -> str:
    """A history as one line of JSON, for `failed.jsonl`."""
    return json.dumps([history.view, *history.actions])


def from_data(line: str) -> History:
    """Read what `as_data` wrote."""
    view, *actions = json.loads(line)
    return History(view, tuple((name, seed) for name, seed in actions))


def play(
    settings: Settings,
    history: History,
    *,
    watch: Callable[[Stage, Action], None] | None = None,
    elsewhere: Callable[[Settings], Settings] | None = None,
) -> Failure | None:
    """Play a history on an empty platform, every reader's answer held against the rules after each action.

    `watch` hears of each action before it is done; `elsewhere` restores the database into another cluster, in earnest.
    """
    stage = Stage(settings, FIRST[history.view], elsewhere)
    try:
        judge = Judge(stage)
        for number, action in enumerate(history.actions):
            if watch is not None:
                watch(stage, action)
            try:
                done = perform(stage, action)
                judge.check(done, Random(action[1] + 1))
            except WrongAnswerError as error:
                return Failure(replace(history, actions=history.actions[: number + 1]), error.kind, f"after {action[0]}: {error}")
            except Exception as error:  # noqa: BLE001  whatever the product raises is an answer too
                place = traceback.extract_tb(error.__traceback__)[-1]
                text = f"{action[0]} raised {type(error).__name__}: {error} ({place.filename}:{place.lineno})"
                return Failure(replace(history, actions=history.actions[: number + 1]), type(error).__name__, text)
    finally:
        stage.close()
    return None


def shrunk(settings: Settings, failure: Failure, *, seconds: float = SHRINKING_S) -> Failure:
    """Leave out actions for as long as what remains goes wrong in the same way."""
    until = time.monotonic() + seconds
    size = max(1, len(failure.history.actions) // 2)
    while size:
        start = len(failure.history.actions) - 1 - size  # the last action is where it shows
        while start > -size and time.monotonic() < until:
            first, actions = max(start, 0), failure.history.actions
            found = play(settings, replace(failure.history, actions=(*actions[:first], *actions[first + size :])))
            if found is not None and found.kind == failure.kind:
                failure = found
                start = min(start, len(failure.history.actions) - 1 - size)
            else:
                start -= size
        size = 0 if time.monotonic() >= until else size // 2
    return failure


__all__ = ["Failure", "as_data", "from_data", "generate", "play", "shrunk"]
