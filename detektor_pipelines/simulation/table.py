"""Blocks of events → one Arrow table in the layout of `ml_learning.agent_events`, sorted by occurred_at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from detektor_pipelines.language.events import AGENT_TYPES, CATEGORIES, MEASURES, OPERATIONS
from detektor_pipelines.simulation.blocks import MISSING, Block
from detektor_pipelines.simulation.calendar import DAY_US, project_name
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.simulation.arrays import Ints, Keys, Truths

SOURCE: Final = "simulator"
INSTANT: Final = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("revision", pa.int32()),
        ("agent_type", pa.string()),
        ("raw_name", pa.string()),
        ("project", pa.string()),
        ("session_id", pa.string()),
        ("task_id", pa.string()),
        ("operation", pa.string()),
        ("occurred_at", INSTANT),
        ("known_at", INSTANT),
        ("derived", pa.bool_()),
        ("simulated", pa.bool_()),
        ("source", pa.string()),
        ("reader_revision", pa.int32()),
        ("attributes", pa.string()),
        *((name, pa.int64()) for name in MEASURES),
        *((name, pa.string()) for name in CATEGORIES),
    ]
)
"""Columns of the raw log, less those that the store stamps (ingested_at, xid)."""

DEVELOPERS: Final = 2
"""Of one project."""

_STEPS: Final = ("tool_call", "chat")
"""What may be thinned out to meet a number of events: a run counts for more than one of its steps."""


def to_table(blocks: Sequence[Block], seed: int, start_us: int, end_us: int, events: int | None) -> pa.Table:
    """Events with start_us < occurred_at <= end_us; where there are more than `events`, steps are thinned out evenly.

    Args:
        blocks: in any order.
        seed: stands in the event ids.
        start_us: µs UTC.
        end_us: µs UTC.
        events: most rows, None for all.

    """
    chosen = _choose(blocks, start_us, end_us, events)
    parts = [(block, at) for block, at in zip(blocks, chosen, strict=True) if at.size]
    rows = sum(at.size for _, at in parts)
    occurred = _gather(parts, lambda block: block.end, np.int64)
    order = np.argsort(occurred, kind="stable")
    place = np.empty(rows, dtype=np.int64)
    place[order] = np.arange(rows)
    task = _gather(parts, lambda block: block.scene.keys, np.uint64)
    by_agent = _gather(parts, lambda block: np.full(len(block), block.by_agent), np.bool_)
    session = _sessions(seed, _gather(parts, lambda block: block.scene.project, np.int64), occurred // DAY_US, task)
    agent = _dictionary(_gather(parts, lambda block: np.full(len(block), AGENT_TYPES.index(block.agent)), np.int64)[order], AGENT_TYPES)
    project = _gather(parts, lambda block: block.scene.project, np.int64)[order]
    operations = tuple(OPERATIONS)
    columns = {
        "event_id": _hexadecimal(_gather(parts, lambda block: block.keys, np.uint64)[order], f"sim:{seed}:"),
        "revision": pa.array(np.ones(rows, dtype=np.int32)),
        "agent_type": agent,
        "raw_name": agent,
        "project": _dictionary(project, [project_name(index) for index in range(int(project.max(initial=-1)) + 1)]),
        "session_id": _hexadecimal(session[order], "s-", known=by_agent[order]),
        "task_id": _hexadecimal(task[order], "t-"),
        "operation": _dictionary(
            _gather(parts, lambda block: np.full(len(block), operations.index(block.operation)), np.int64)[order], operations
        ),
        "occurred_at": pa.array(occurred[order]).cast(INSTANT),
        "known_at": pa.array(occurred[order]).cast(INSTANT),
        "derived": pa.array(np.zeros(rows, dtype=np.bool_)),
        "simulated": pa.array(np.ones(rows, dtype=np.bool_)),
        "source": _dictionary(np.zeros(rows, dtype=np.int64), (SOURCE,)),
        "reader_revision": pa.array(np.ones(rows, dtype=np.int32)),
        "attributes": pa.nulls(rows, pa.string()),
    }
    columns |= {name: _measure(name, parts, place) for name in MEASURES}
    columns |= {name: _category(name, parts, place) for name in CATEGORIES}
    return pa.table(columns, schema=SCHEMA)


def _sessions(seed: int, project: Ints, day: Ints, task: Keys) -> Keys:
    """A session is what one of a project's developers has done on one day; each task is one developer's."""
    developer = (task % np.uint64(DEVELOPERS)).astype(np.int64)
    homes = child(np.full(len(task), seed, dtype=np.uint64), project, "project")
    return child(child(homes, developer, "developer"), day, "session")


def _choose(blocks: Sequence[Block], start_us: int, end_us: int, events: int | None) -> list[Ints]:
    """Indexes of the rows to keep, for each block."""
    inside = [np.flatnonzero((block.end > start_us) & (block.end <= end_us)) for block in blocks]
    if events is None or sum(at.size for at in inside) <= events:
        return inside
    ranks = [Draws(block.keys[at]).uniform("thinning") - (block.operation not in _STEPS) for block, at in zip(blocks, inside, strict=True)]
    limit = np.partition(np.concatenate(ranks), events - 1)[events - 1]
    return [at[rank <= limit] for at, rank in zip(inside, ranks, strict=True)]


def _gather(parts: Sequence[tuple[Block, Ints]], column: Callable[[Block], np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([column(block)[at] for block, at in parts]).astype(dtype, copy=False) if parts else np.zeros(0, dtype=dtype)


def _measure(name: str, parts: Sequence[tuple[Block, Ints]], place: Ints) -> pa.Array:
    if not any(name in block.measures for block, _ in parts):
        return pa.nulls(len(place), pa.int64())
    values = np.zeros(len(place), dtype=np.int64)
    null = np.ones(len(place), dtype=np.bool_)
    offset = 0
    for block, at in parts:
        if (measured := block.measures.get(name)) is not None:
            where = place[offset : offset + at.size]
            values[where] = measured[at]
            null[where] = measured[at] == MISSING
        offset += at.size
    return pa.array(values, mask=null)


def _category(name: str, parts: Sequence[tuple[Block, Ints]], place: Ints) -> pa.Array:
    vocabulary = list(dict.fromkeys(value for block, _ in parts if name in block.categories for value in block.categories[name].vocabulary))
    if not vocabulary:
        return pa.nulls(len(place), pa.string())
    codes = np.full(len(place), -1, dtype=np.int64)
    offset = 0
    for block, at in parts:
        if (category := block.categories.get(name)) is not None:
            of_all = np.asarray([*(vocabulary.index(value) for value in category.vocabulary), -1])
            codes[place[offset : offset + at.size]] = of_all[category.codes[at]]
        offset += at.size
    return _dictionary(codes, vocabulary)


def _dictionary(codes: Ints, vocabulary: Sequence[str]) -> pa.Array:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(vocabulary, pa.string())).cast(pa.string())


def _hexadecimal(keys: Keys, prefix: str, *, known: Truths | None = None) -> pa.Array:
    """Prefix and 16 hexadecimal digits for each key."""
    digits = np.frombuffer(keys.astype(">u8").tobytes().hex().encode(), dtype=np.uint8).reshape(len(keys), 16)
    head = np.frombuffer(prefix.encode(), dtype=np.uint8)
    text = np.empty((len(keys), len(head) + 16), dtype=np.uint8)
    text[:, : len(head)] = head
    text[:, len(head) :] = digits
    offsets = np.arange(0, (len(keys) + 1) * text.shape[1], text.shape[1], dtype=np.int32)
    validity = None if known is None else pa.array(known).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(keys), [validity, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())])
