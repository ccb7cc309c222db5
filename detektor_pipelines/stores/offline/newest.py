"""Which of several rows counts: of one key the latest event time, of that what was known last, of that what was written last.

Belongs here: that order, once for SQL and once for Arrow; text and pure functions, no connection. What a read at an instant may see beyond
it (knowledge, gaps) is `point_in_time`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

INSTANT: Final = ("agent_id", "event_timestamp")
"""The key of a row's versions."""

VERSION: Final = ("created_at", "written_at")
"""What tells the versions apart: the newest is the one with the greatest values, from left to right."""

ROW: Final = ("event_timestamp", *VERSION)
"""What tells an agent_id's rows apart, in the same sense."""


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def newest_first(columns: Sequence[str] = ROW, table: str = "") -> str:
    """Return the terms of ORDER BY that put the newest row first; `table` is how the query calls the relation."""
    prefix = f"{table}." if table else ""
    return ", ".join(f"{prefix}{quoted(name)} DESC" for name in columns)


def oldest_first(columns: Sequence[str] = VERSION) -> str:
    """Return the terms of ORDER BY that put the newest row last."""
    return ", ".join(map(quoted, columns))


def newest_of_each(columns: str, source: str, key: Sequence[str] = INSTANT, order: Sequence[str] = VERSION) -> str:
    """Return the SELECT of the newest row of each key.

    Args:
        columns: What is selected, as it stands after SELECT.
        source: What follows FROM: a relation, with a WHERE or not.
        key: Columns that rows of one key share.
        order: Columns of which the greatest counts, from left to right.

    """
    keys = ", ".join(map(quoted, key))
    return f"SELECT DISTINCT ON ({keys}) {columns} FROM {source} ORDER BY {keys}, {newest_first(order)}"


def is_newest(rows: pa.Table) -> NDArray[np.bool_]:
    """Tell of each row whether it is the newest version of its key; the rows are sorted by (agent_id, event_timestamp, created_at)."""
    import numpy as np
    import pyarrow.compute as pc

    size = rows.num_rows
    newest = np.ones(size, dtype=bool)
    if size > 1:
        agents, instants = rows["agent_id"], rows["event_timestamp"].cast("int64").to_numpy()
        follows = pc.equal(agents.slice(0, size - 1), agents.slice(1)).to_numpy()
        newest[:-1] = ~(follows & (instants[:-1] == instants[1:]))
    return newest
