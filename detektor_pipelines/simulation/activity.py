"""What goes on inside an agent's piece of work: its tool calls and the model's answers, in bursts between its start and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.simulation.blocks import MS, Block, Category, Scene
from detektor_pipelines.simulation.calibration import (
    CACHE_CREATION_TOKENS,
    CACHE_READ_TOKENS,
    ERROR_TYPE_SHARES,
    ERROR_TYPES,
    GAP_SIGMA,
    INPUT_TOKENS,
    MESSAGE_DURATION,
    MESSAGES_PER_TOOL_CALL,
    MODEL_SHARES,
    MODELS,
    OUTPUT_TOKENS,
    TOOL_NAMES,
    TOOL_SHARES,
    TOOLS,
    WAITING_FACTOR,
    WAITING_RATE,
)
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Floats, Ints, Truths

CODER: Final = "detektor-coder"
_SUCCESS_SHARE_OF_MESSAGES: Final = 0.997


def messages_of(tool_calls: Ints) -> Ints:
    """How many times the model answers in a run with so many tool calls: once more than it works, and several tools at a time."""
    return np.asarray(1 + np.rint(tool_calls * MESSAGES_PER_TOOL_CALL), dtype=np.int64)


def number_of_events(work: Block) -> Ints:
    """Events that each element of `work` comes to, itself included."""
    calls = work.measures["tool_calls"]
    return np.asarray(1 + (work.agent != CODER) + calls + messages_of(calls), dtype=np.int64)


def inside(work: Block) -> list[Block]:
    """Events inside each run, and the run's call where another agent called it; completes the run's own sums of tokens and errors."""
    calls = work.measures["tool_calls"]
    messages = messages_of(calls)
    steps = calls + messages
    at = np.repeat(np.arange(len(work)), steps)
    first = np.cumsum(steps) - steps
    nth = np.arange(len(at)) - first[at]
    # Answers lie evenly among the calls, the first answer before the first call.
    answers = (nth * messages[at]) // steps[at]
    is_message = (nth == 0) | (answers > ((nth - 1) * messages[at]) // steps[at])
    keys = child(work.keys[at], nth, "step")
    end = work.end[at] - _before_the_end(Draws(keys), at, first, steps, work.measures["duration_ms"] * MS)

    message_at, call_at = np.flatnonzero(is_message), np.flatnonzero(~is_message)
    chat = _chat(work, at[message_at], Draws(keys[message_at]), end[message_at])
    tool, failed = _tool_calls(work, at[call_at], Draws(keys[call_at]), end[call_at])
    work.measures["tool_errors"] = np.bincount(at[call_at], failed, minlength=len(work)).astype(np.int64)
    for tokens in ("input_tokens", "output_tokens"):
        work.measures[tokens] = np.bincount(at[message_at], chat.measures[tokens], minlength=len(work)).astype(np.int64)
    return [chat, tool] if work.agent == CODER else [chat, tool, _invocation(work)]


def _before_the_end(draws: Draws, at: Ints, first: Ints, steps: Ints, duration_us: Ints) -> Ints:
    """µs between each step and its run's end. Gaps are whole numbers, so that a sum does not depend on what else is summed."""
    waiting = np.where(draws.chance("waiting", WAITING_RATE), WAITING_FACTOR, 1.0)
    gaps = np.maximum(draws.lognormal("gap", 1_000.0 * waiting, GAP_SIGMA).clip(0, 100_000_000), 1).astype(np.int64)
    reached = np.cumsum(gaps)
    before = np.where(first > 0, reached[np.maximum(first - 1, 0)], 0) if len(reached) else first
    last = first + steps - 1
    total = reached[last] - before if len(reached) else first
    still = 1.0 - (reached - before[at]) / (total + 1)[at]
    return np.asarray((still * duration_us[at]).astype(np.int64) + 1, dtype=np.int64)


def _chat(work: Block, at: Ints, draws: Draws, end: Ints) -> Block:
    duration_ms = np.minimum(draws.curve("duration", MESSAGE_DURATION), work.measures["duration_ms"][at])
    success = draws.chance("answered", _SUCCESS_SHARE_OF_MESSAGES)
    return Block(
        "chat",
        work.agent,
        draws.keys,
        scene_of(work.scene, at),
        end,
        {
            "duration_ms": duration_ms,
            "input_tokens": draws.curve("input", INPUT_TOKENS),
            "output_tokens": draws.curve("output", OUTPUT_TOKENS),
            "cache_read_tokens": draws.curve("cache read", CACHE_READ_TOKENS),
            "cache_creation_tokens": draws.curve("cache creation", CACHE_CREATION_TOKENS),
        },
        {
            "outcome": _outcome(success),
            "model": Category(Draws(work.keys).pick("model", MODEL_SHARES)[at], MODELS),
            "error_type": Category(np.zeros(len(at), dtype=np.int64), ("overloaded",)).where(~success),
        },
    )


def _tool_calls(work: Block, at: Ints, draws: Draws, end: Ints) -> tuple[Block, Truths]:
    tool = draws.pick("tool", TOOL_SHARES[work.agent])
    trouble: Floats = np.ones(len(work)) if work.trouble is None else work.trouble
    failed = draws.chance("failed", np.asarray([each.error_rate for each in TOOLS])[tool] * trouble[at])
    rank = draws.uniform("duration")
    duration = np.zeros(len(tool))
    for index, each in enumerate(TOOLS):
        of_tool = np.flatnonzero(tool == index)
        duration[of_tool] = each.duration.at(rank[of_tool])
    block = Block(
        "tool_call",
        work.agent,
        draws.keys,
        scene_of(work.scene, at),
        end,
        {"duration_ms": np.minimum(duration.astype(np.int64), work.measures["duration_ms"][at])},
        {
            "outcome": _outcome(~failed),
            "tool_name": Category(tool, TOOL_NAMES),
            "error_type": Category(draws.pick("error", ERROR_TYPE_SHARES), ERROR_TYPES).where(failed),
        },
    )
    return block, failed


def _invocation(work: Block) -> Block:
    """The call that started the run, seen by its caller: it ends a moment after the run."""
    keys = child(work.keys, 0, "invocation")
    taken = ("duration_ms", "input_tokens", "output_tokens", "tool_calls", "tool_errors")
    return Block(
        "invoke_agent",
        work.agent,
        keys,
        work.scene,
        work.end + (40 + 900 * Draws(keys).uniform("moment")).astype(np.int64) * MS,
        {name: work.measures[name] for name in taken},
        {name: work.categories[name] for name in ("outcome", "model")},
    )


def scene_of(scene: Scene, at: Ints) -> Scene:
    """Scenes of a run's steps: what the table needs of them, without the states."""
    keys, project = scene.keys[at], scene.project[at]
    empty = np.zeros(0)
    return Scene(keys, project, scene.day, scene.start, scene.incident, empty, empty, empty, empty)


def _outcome(success: Truths) -> Category:
    return Category(np.where(success, 0, 1), ("success", "failure"))
