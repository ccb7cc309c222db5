"""A training set of made-up rows, without a log: as large, as long and as predictable as a test wants it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.training.references import column_names, parse
from detektor_pipelines.training.sets import TrainingSet, ViewUsed, table_hash

VIEW = view_named("code_review_features")
FIRST = parse_instant("2026-03-01T00:00:00Z")


def training_set_of(
    *,
    rows: int = 800,
    days: int = 184,
    strength: float = 2.0,
    share: float = 0.4,
    references: tuple[str, ...] = (VIEW.name,),
) -> TrainingSet:
    """Return `rows` decisions over `days` days.

    `strength`: how much the label hangs on rejection_rate; `share`: how often it is true.
    """
    drawn = np.random.default_rng(1)
    asked = parse(references)
    decided = np.sort(drawn.integers(FIRST, FIRST + days * DAY, rows))
    instants = pa.timestamp("us", "UTC")
    columns, moved = {}, drawn.normal(size=rows)
    for reference, name in zip(asked, column_names(asked), strict=True):
        values = moved if reference.feature.name == "rejection_rate" else drawn.normal(size=rows)
        empty = drawn.random(rows) < 0.1 if reference.feature.nullable else np.zeros(rows, dtype=bool)
        columns[name] = _column(reference.feature.value_type, values, decided, empty)
    logits = np.log(share / (1 - share)) + strength * moved
    labels = drawn.random(rows) < 1 / (1 + np.exp(-logits))
    table = pa.table(
        {
            "agent_id": [f"code-reviewer@{'abc'[number % 3]}" for number in range(rows)],
            "decided_at": pa.array(decided).cast(instants),
            "label_known_at": pa.array(decided + 60_000_000).cast(instants),
            "task_id": [f"t{number}" for number in range(rows)],
            "label": labels,
            **columns,
        }
    )
    views = {each.view.name: each.view for each in asked}
    return TrainingSet(
        table=table,
        references=tuple(map(str, asked)),
        views=tuple(ViewUsed(view.name, view.version, data_hash(view)) for view in views.values()),
        label_name="rejected",
        label_hash="0" * 64,
        set_hash=table_hash(table),
        snapshot="1:1:",
        agent="code-reviewer",
        until=from_us(FIRST + days * DAY),
        first_event=from_us(FIRST),
        last_event=from_us(FIRST + days * DAY),
    )


def _column(kind: str, values: np.ndarray, decided: np.ndarray, empty: np.ndarray) -> pa.Array:
    if kind == "instant":
        return pa.array(decided - (np.abs(values) * DAY).astype(np.int64), pa.int64(), mask=empty).cast(pa.timestamp("us", "UTC"))
    if kind == "int64":
        return pa.array(np.abs(values * 10).astype(np.int64), pa.int64(), mask=empty)
    return pa.array(values, pa.float64(), mask=empty)
