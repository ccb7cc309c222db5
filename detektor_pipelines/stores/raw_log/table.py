"""The raw log's rows as Arrow: column names and types, events as a table, and the hash of an event's body.

Belongs here: the shape of `ml_learning.agent_events` on its way in. Does not belong here: writing it (`stores.raw_log.bulk`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.language.events import CATEGORIES, IDENTITIES, MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from detektor_pipelines.language.records import AgentEvent

TEXTS: Final = ("event_id", "agent_type", "raw_name", *IDENTITIES, "operation", "source", "attributes", "extra")
INSTANTS: Final = ("occurred_at", "known_at", "ingested_at")
FLAGS: Final = ("derived", "simulated", "retracted")
NUMBERS: Final = ("revision", "reader_revision")

COLUMNS: Final = (
    *("event_id", "revision", "agent_type", "raw_name", *IDENTITIES, "operation", *INSTANTS, *FLAGS),
    *("source", "reader_revision", "attributes", "extra", *MEASURES, *CATEGORIES),
)
"""Columns of `ml_learning.agent_events` without `xid`, which the server fills."""

DEFAULTS: Final = {"revision": 1, "reader_revision": 1, "derived": False, "simulated": False, "retracted": False}
"""What a column that a table leaves out, or a null in it, stands for; all other columns of COLUMNS are null or required."""

REQUIRED: Final = ("event_id", "agent_type", "raw_name", "operation", "occurred_at", "source")

BODY: Final = tuple(sorted({*COLUMNS} - {"event_id", "revision", "known_at", "ingested_at", "retracted", "source", "reader_revision"}))
"""What two records of one event are compared by: everything but when, where and by which reader it was read."""

JSON: Final = ("attributes", "extra")
"""Columns that are jsonb in the log and JSON text with sorted keys here."""


_FIELD_START: Final = "\x1f"


@lru_cache(maxsize=1)
def layout() -> pa.Schema:
    """Return COLUMNS with their Arrow types; JSON is text, instants are timestamp[us, UTC]."""
    import pyarrow as pa

    kinds: dict[str, Any] = dict.fromkeys((*TEXTS, *CATEGORIES), pa.string())
    kinds |= dict.fromkeys(INSTANTS, pa.timestamp("us", "UTC"))
    kinds |= dict.fromkeys(FLAGS, pa.bool_())
    kinds |= dict.fromkeys(NUMBERS, pa.int32())
    kinds |= dict.fromkeys(MEASURES, pa.int64())
    return pa.schema([(name, kinds[name]) for name in COLUMNS])


def table_of(events: Sequence[AgentEvent]) -> pa.Table:
    """Lay events out as a table of COLUMNS; `ingested_at` is null, and so is `known_at` of a live source."""
    import pyarrow as pa

    schema = layout()
    plain = [
        name for name in COLUMNS if name not in MEASURES and name not in CATEGORIES and name not in {*JSON, "retracted", "ingested_at"}
    ]
    arrays: dict[str, pa.Array] = {name: _array([getattr(event, name) for event in events], schema.field(name).type) for name in plain}
    arrays |= {name: pa.array([json_text(getattr(event, name)) for event in events], pa.string()) for name in JSON}
    arrays |= _sparse([event.measures for event in events], pa.int64())
    arrays |= _sparse([event.categories for event in events], pa.string())
    return complete(pa.table(arrays))


def complete(table: pa.Table) -> pa.Table:
    """Give a table all of COLUMNS in their order and types, missing ones as DEFAULTS or null.

    Raises:
        ValueError: The table has a column that is none of COLUMNS, lacks one of REQUIRED, or one that cannot be cast.

    """
    import pyarrow as pa
    import pyarrow.compute as pc

    unknown = sorted(set(table.column_names) - set(COLUMNS))
    missing = [name for name in REQUIRED if name not in table.column_names or table[name].null_count]
    if unknown or missing:
        message = f"not a table of agent events: unknown columns {unknown}, absent or null ones {missing}"
        raise ValueError(message)
    arrays = []
    for column in layout():
        array = table[column.name].cast(column.type) if column.name in table.column_names else pa.nulls(table.num_rows, column.type)
        if column.name in DEFAULTS and array.null_count:
            array = pc.fill_null(array, pa.scalar(DEFAULTS[column.name], column.type))
        arrays.append(array)
    return pa.table(arrays, schema=layout())


def by_operation(table: pa.Table) -> list[pa.Table]:
    """Split a table into one for each operation, its rows in the order of event_id.

    Events of one operation have the same measures and categories. So most columns of such a part are null throughout and cost nothing in
    what follows: hashing and copying take half the time. In the primary key's order, PostgreSQL finds their places in it sooner.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = pc.dictionary_encode(table["operation"].combine_chunks()).indices.to_numpy().astype(np.uint16)
    by_id = pc.sort_indices(table["event_id"]).to_numpy()
    ordered = table.take(pa.array(by_id[np.argsort(codes[by_id], kind="stable")]))
    ends = np.cumsum(np.bincount(codes)).tolist()
    return [ordered.slice(start, end - start) for start, end in pairwise([0, *ends])]


def body_hashes(table: pa.Table) -> pa.Array:
    """Hash each row's body: 16 bytes (md5, for comparing two records of one event_id, not for safety).

    Null columns leave no trace in it, so that a new measure or category changes no hash of an event that lacks it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    fields: list[Any] = []
    for name in BODY:
        column = table[name]
        if column.null_count == table.num_rows:
            continue
        mark = f"{_FIELD_START}{name}="
        as_text = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).cast(pa.string())
        # A null takes its mark along: the join skips both. Without nulls the mark needs no join of its own.
        fields += [pc.binary_join_element_wise(mark, as_text, "")] if column.null_count else [mark, as_text]
    bodies = pc.binary_join_element_wise(*fields, "", null_handling="skip").cast(pa.binary())
    digests = (hashlib.md5(body, usedforsecurity=False).digest() for body in bodies.to_pylist())
    return pa.array(digests, pa.binary())


def json_text(attributes: Any) -> str | None:
    """Write an object as JSON with sorted keys, or None when there are none; U+0000, which jsonb cannot hold, becomes U+FFFD."""
    import orjson

    if not attributes:
        return None
    text = orjson.dumps(dict(attributes), option=orjson.OPT_SORT_KEYS).decode()
    return text.replace("\\u0000", "\ufffd") if "\\u0000" in text else text


def normalised_json(text: str | None) -> str | None:
    """Write the server's JSON text as `json_text` does."""
    import orjson

    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode() if text else None


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)


def _sparse(rows: Sequence[Any], kind: pa.DataType) -> dict[str, pa.Array]:
    """Lay mappings out as columns, only those that occur."""
    import pyarrow as pa

    names = {name for row in rows for name in row}
    return {name: pa.array([row.get(name) for row in rows], kind) for name in names}
