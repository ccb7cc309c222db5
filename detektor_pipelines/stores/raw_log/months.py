"""Monthly partitions of `ml_learning.agent_events`, made when the first event of a month arrives.

A partition is made as a table of its own and then attached, in a transaction of its own: attaching does not wait for writers, nor they for
it, while CREATE TABLE … PARTITION OF would. An advisory lock lets one of several writers make it and the others find it. A function of the
database does it with its owner's rights: who only ingests owns no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

_DAY_US: Final = 86_400_000_000
_LOCK: Final = 0x6D6F6E7468
"""Advisory lock ("month" in ASCII) of whoever makes a partition."""


def months_of(occurred_at: pa.ChunkedArray) -> set[str]:
    """Return the months (`2026-11`) that the instants (timestamp[us, UTC]) fall in."""
    import numpy as np
    import pyarrow as pa

    days = np.unique(occurred_at.cast(pa.int64()).to_numpy() // _DAY_US)
    return set(np.unique(days.astype("datetime64[D]").astype("datetime64[M]")).astype(str).tolist())


def partition_name(month: str) -> str:
    """Return the table of a month: `2026-11` → `agent_events_y2026m11`."""
    year, _, number = month.partition("-")
    return f"agent_events_y{year}m{number}"


def ensure_months(connection: Connection, months: set[str]) -> None:
    """Make the partitions that are missing and commit them; the connection must be outside a transaction."""
    with connection.cursor() as cursor:
        for month in sorted(months):
            if not _is_attached(cursor, month):
                _make(cursor, month)
    connection.commit()


def _is_attached(cursor: object, month: str) -> bool:
    cursor.execute(  # type: ignore[attr-defined]
        f"SELECT count(*) FROM pg_inherits WHERE inhrelid = to_regclass('ml_learning.{partition_name(month)}')"
    )
    return bool(cursor.fetchone()[0])  # type: ignore[attr-defined]


def _make(cursor: object, month: str) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]
    execute(f"SELECT pg_advisory_xact_lock({_LOCK}) IS NULL")
    if _is_attached(cursor, month):  # another writer made it while we waited for the lock
        return
    execute(f"SELECT ml_learning.make_month('{month}-01') IS NULL")
