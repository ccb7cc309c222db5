"""The offline store: feature rows in PostgreSQL, appended and never changed, and what was published from which knowledge.

    feast.<view>__<hash>            rows of one version of a view (`row_tables` makes them)
    ml_learning.partition_state     snapshot, row count and hash of each published (view, version, day)

Which of rows with the same (agent_id, event_timestamp) is the newest version says `newest`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import dated, end, number, owner_number, owner_numbers, owner_sql, start
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.connections import sqlstate
from detektor_pipelines.stores.offline.newest import INSTANT, is_newest, newest_of_each
from detektor_pipelines.stores.offline.row_tables import SCHEMA, STAMPS, ensure_tables, row_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import psycopg
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection, Cursor

    from detektor_pipelines.language.views import FeatureView

__all__ = [
    "SCHEMA",
    "STAMPS",
    "DayRows",
    "NewerKnowledgeError",
    "PublishedDay",
    "ensure_tables",
    "hashes_by_day",
    "publication_lock",
    "publish",
    "published_days",
    "row_table",
    "states",
]

_LOCK_NOT_AVAILABLE: Final = "55P03"


class NewerKnowledgeError(UserError):
    """Another run, which has read newer events, published the same day meanwhile."""


@dataclass(frozen=True, slots=True)
class DayRows:
    """What one day's publication stands for: number of newest versions, their hash, how many rows were inserted."""

    rows: int
    hash: str
    written: int


@dataclass(frozen=True, slots=True)
class PublishedDay:
    """One row of `partition_state`; `published_at` is the clock's instant that its rows were cut off at."""

    day: date
    snapshot: str
    rows: int
    hash: str
    published_at: datetime


def publish(
    connection: Connection, view: FeatureView, days: Sequence[date], rows: pa.Table, snapshot: str, *, at: int | None = None
) -> dict[date, DayRows]:
    """Publish the rows of `days` in one transaction: insert what differs from its newest version, record each day's state.

    `connection` has no transaction under way. `rows` are all rows of those days in the layout of `engine.compute.row_schema`, sorted by
    its key; `snapshot` is the one they were computed from, `at` the clock's instant they were cut off at (µs, by default now).

    Raises:
        NewerKnowledgeError: A day was published from newer knowledge meanwhile; nothing of this is.

    """
    hashes = hashes_by_day(rows, days)
    with connection.cursor() as cursor:
        _lock(connection, cursor, view)
        known = _states(cursor, view, days)
        _refuse_older(view, known, snapshot)
        _refuse_erased(cursor, view, snapshot)
        target = row_table(view)
        instant = clock.from_us(_written_at(cursor))
        span = _instants(days)
        if known or _holds_rows(cursor, target, span):
            written = _insert_differences(cursor, view, rows, instant, span)
        else:
            _append(cursor, target, rows, instant)
            written = _count_by_day(rows)
        _record(cursor, view, hashes, snapshot, clock.now_us() if at is None else at)
    connection.commit()
    return {day: DayRows(count, digest, written.get(day, 0)) for day, (count, digest) in hashes.items()}


def published_days(connection: Connection, view: FeatureView) -> list[PublishedDay]:
    """Return what is published of the view's current version, oldest day first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT partition, snapshot::text, rows, hash, published_at FROM ml_learning.partition_state"
            f" WHERE view = '{view.name}' AND data_hash = '{data_hash(view)}' ORDER BY partition",
        )
        return [PublishedDay(*row) for row in cursor.fetchall()]


def published_agents(connection: psycopg.Connection, view: FeatureView) -> list[str]:
    """Return the agent_ids that have a row of the view's current version, ascending; none when it was never materialized."""
    table = f'{SCHEMA}."{row_table(view)}"'
    if connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone() != (True,):
        return []
    rows = connection.execute(
        f"""
        WITH RECURSIVE keys AS (
            (SELECT agent_id FROM {table} ORDER BY agent_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.agent_id FROM {table} t WHERE t.agent_id > k.agent_id ORDER BY t.agent_id LIMIT 1)
            FROM keys k WHERE k.agent_id IS NOT NULL
        )
        SELECT agent_id FROM keys WHERE agent_id IS NOT NULL
        """
    ).fetchall()
    return [agent_id for (agent_id,) in rows]


def states(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> list[PublishedDay]:
    """Return what is published of those `days`, ascending."""
    rows = connection.execute(
        "SELECT partition, snapshot::text, rows, hash, published_at FROM ml_learning.partition_state"
        " WHERE view = %s AND data_hash = %s AND partition = ANY(%s) ORDER BY partition",
        (view.name, data_hash(view), list(days)),
    ).fetchall()
    return [PublishedDay(*row) for row in rows]


def hashes_by_day(rows: pa.Table, days: Sequence[date]) -> dict[date, tuple[int, str]]:
    """Return, for each day, the number of newest versions and the SHA-256 over them: agent_id, event_timestamp and values.

    created_at is left out: knowledge that changed nothing moves it, and a repair must hash as a rebuild does.
    """
    import numpy as np

    chosen = rows.filter(is_newest(rows))
    stamps = chosen["event_timestamp"].cast("int64").to_numpy()
    owner = owner_number(stamps)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], [number(day) + shift for day in days for shift in (0, 1)])
    texts = chosen["agent_id"].to_numpy()[order]
    # A feature is two arrays, values and validity: a null is told apart from the 0 that stands in its place.
    columns = [stamps[order]]
    for name in chosen.column_names[len(STAMPS) - 1 :]:
        column = chosen[name]
        if str(column.type).startswith("timestamp"):
            column = column.cast("int64")
        values = _text_digests(column) if str(column.type) == "string" else column.fill_null(0).to_numpy()
        columns.append(values[order])
        columns.append(column.is_valid().to_numpy()[order])
    found = {}
    for position, day in enumerate(days):
        first, last = bounds[2 * position], bounds[2 * position + 1]
        digest = hashlib.sha256("\n".join(texts[first:last]).encode())
        for column in columns:
            digest.update(np.ascontiguousarray(column[first:last]).tobytes())
        found[day] = (int(last - first), digest.hexdigest())
    return found


def _text_digests(column: pa.ChunkedArray) -> Any:
    """Return a text column as 32 bytes a value, those of no text for null: what is hashed by day has values of one width."""
    import numpy as np

    return np.frombuffer(b"".join(hashlib.sha256((text or "").encode()).digest() for text in column.to_pylist()), dtype="V32")


def _lock(connection: Connection, cursor: Cursor, view: FeatureView) -> None:
    """Take the view's lock in a new transaction, waiting for it a second at a time.

    Python hears no signal while it waits for the server: a run that stands behind another one could not be cancelled.
    """
    while True:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        try:
            cursor.execute(f"SELECT pg_advisory_xact_lock({publication_lock(view)}) IS NULL")
            cursor.fetchone()  # ADBC says how a query went when its rows are read
        except Exception as error:
            if sqlstate(error) != _LOCK_NOT_AVAILABLE:
                raise
            connection.rollback()
        else:
            cursor.execute("SET LOCAL lock_timeout = 0")
            return


def publication_lock(view: FeatureView | str) -> int:
    """Key of the advisory lock that the publication of a view, which may be given by its name, holds until it is committed."""
    name = view if isinstance(view, str) else view.name
    return int.from_bytes(hashlib.sha256(f"publish {name}".encode()).digest()[:8], "big", signed=True)


def _instants(days: Sequence[date]) -> tuple[datetime, datetime]:
    return start(min(days)), end(max(days))


def _states(cursor: Cursor, view: FeatureView, days: Sequence[date]) -> dict[date, str]:
    """Return the snapshots of those days that are published."""
    cursor.execute(
        "SELECT partition, snapshot::text FROM ml_learning.partition_state"
        f" WHERE view = '{view.name}' AND data_hash = '{data_hash(view)}'"
        f" AND partition BETWEEN '{min(days)}' AND '{max(days)}'",
    )
    wanted = set(days)
    return {day: snapshot for day, snapshot in cursor.fetchall() if day in wanted}


def _refuse_older(view: FeatureView, known: Mapping[date, str], snapshot: str) -> None:
    newer = sorted(day for day, stored in known.items() if _is_newer(stored, snapshot))
    if newer:
        raise NewerKnowledgeError(
            f"{view.name} {newer[0]} was published from newer knowledge than this run has; nothing of the run was published.",
            where=f"{len(newer)} of {len(known)} days, stored snapshot {known[newer[0]]}, this run's {snapshot}",
            fix="Run it again: it will read the newer events too.",
        )


def _refuse_erased(cursor: Cursor, view: FeatureView, snapshot: str) -> None:
    """Refuse rows of a run that read the log before something was erased from it: they may know of that."""
    cursor.execute(
        f"SELECT EXISTS (SELECT FROM ml_learning.erasures WHERE xid >= pg_snapshot_xmin('{snapshot}')"
        f" AND NOT pg_visible_in_snapshot(xid, '{snapshot}'))"
    )
    if cursor.fetchone() == (True,):
        raise NewerKnowledgeError(
            f"Something was erased from the log while {view.name} was computed; nothing of the run was published.",
            where=f"this run's snapshot {snapshot}",
            fix="Run it again: it will read what is left.",
        )


def _is_newer(stored: str, ours: str) -> bool:
    """Whether a snapshot sees a transaction that ours does not: snapshots of one log are ordered in time."""
    (low, high, busy), (our_low, our_high, our_busy) = _parsed(stored), _parsed(ours)
    if high != our_high:
        return high > our_high
    return low > our_low or not our_busy <= busy


def _parsed(snapshot: str) -> tuple[int, int, set[int]]:
    low, high, busy = snapshot.split(":")
    return int(low), int(high), {int(each) for each in busy.split(",") if each}


def _written_at(cursor: Cursor) -> int:
    """Return the server's clock in µs: under the view's lock it orders the publications."""
    cursor.execute("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint")
    return int(cursor.fetchone()[0])


def _holds_rows(cursor: Cursor, table: str, span: tuple[datetime, datetime]) -> bool:
    cursor.execute(
        f'SELECT EXISTS (SELECT FROM {SCHEMA}."{table}" WHERE event_timestamp > '
        f"'{span[0].isoformat()}' AND event_timestamp <= '{span[1].isoformat()}')",
    )
    return bool(cursor.fetchone()[0])


def _append(cursor: Cursor, table: str, rows: pa.Table, instant: datetime, *, temporary: bool = False) -> None:
    import pyarrow as pa

    stamp = pa.chunked_array([pa.repeat(pa.scalar(instant, pa.timestamp("us", tz="UTC")), rows.num_rows)])
    stamped = rows.add_column(3, "written_at", stamp)
    if temporary:
        cursor.adbc_ingest(table, stamped, mode="create", temporary=True)
    elif rows.num_rows:
        cursor.adbc_ingest(table, stamped, mode="append", db_schema_name=SCHEMA)


def _count_by_day(rows: pa.Table) -> dict[date, int]:
    import numpy as np

    counted = np.unique(owner_numbers(rows["event_timestamp"]), return_counts=True)
    return {dated(int(day)): int(count) for day, count in zip(*counted, strict=True)}


def _insert_differences(
    cursor: Cursor, view: FeatureView, rows: pa.Table, instant: datetime, span: tuple[datetime, datetime]
) -> dict[date, int]:
    """Insert what differs from its newest stored version; return the inserted rows by day."""
    _append(cursor, "incoming", rows, instant, temporary=True)
    cursor.execute(_differences_sql(view, span))
    cursor.execute(f"SELECT {owner_sql('event_timestamp')}, count(*) FROM differing GROUP BY 1")
    counts = {day: int(count) for day, count in cursor.fetchall()}
    names = ", ".join(f'"{name}"' for name in (*STAMPS, *(each.name for each in view.features)))
    cursor.execute(f'INSERT INTO {SCHEMA}."{row_table(view)}" ({names}) SELECT {names} FROM differing')
    cursor.execute("DROP TABLE differing, incoming")
    return counts


def _differences_sql(view: FeatureView, span: tuple[datetime, datetime]) -> str:
    """Return the statement that collects in `differing` what publication must add.

    Three cases an instant, f being its final value, the last of its incoming rows:
    - the value as served then: added when the newest stored version of the same created_at is missing or differs;
    - f where no stored version is newer than what was served: added when it is a version of its own;
    - f where one is: added when it differs, with a created_at that makes it the newest.
    """
    names = [f'"{each.name}"' for each in view.features]
    values, key = ", ".join(names), "agent_id, event_timestamp"
    # Of a key and instant, `incoming` has one row (both forms agree) or two (created_at = event_timestamp: as served; later: as known
    # now). `same` has the newest write of each stored created_at, `newest` the newest version, `final` the last incoming row. The two
    # SELECTs never give the same (key, created_at): the first takes created_at = event_timestamp, the second only later ones.
    # IS DISTINCT FROM compares with nulls: a value that became null is a difference.
    columns, incoming = f"{key}, created_at, written_at, {values}", ", ".join(f"i.{name}" for name in names)
    ours, theirs = (f"ROW({', '.join(f'{side}.{name}' for name in names)})" for side in ("i", "s"))
    knowledge = *INSTANT, "created_at"
    return f"""
        CREATE TEMP TABLE differing ON COMMIT DROP AS
        WITH stored AS MATERIALIZED (
            SELECT {columns} FROM {SCHEMA}."{row_table(view)}"
            WHERE event_timestamp > '{span[0].isoformat()}' AND event_timestamp <= '{span[1].isoformat()}'
        ), same AS (
            {newest_of_each(columns, "stored", knowledge, ("written_at",))}
        ), newest AS (
            {newest_of_each(columns, "stored")}
        ), final AS (
            {newest_of_each(columns, "incoming", order=("created_at",))}
        )
        SELECT {key}, created_at, i.written_at, {incoming}
        FROM incoming i LEFT JOIN same s USING ({key}, created_at)
        WHERE created_at = event_timestamp AND (s.written_at IS NULL OR {ours} IS DISTINCT FROM {theirs})
        UNION ALL
        SELECT {key}, GREATEST(i.created_at, s.created_at), i.written_at, {incoming}
        FROM final i LEFT JOIN newest s USING ({key})
        WHERE CASE WHEN s.created_at > event_timestamp THEN {ours} IS DISTINCT FROM {theirs}
                   ELSE i.created_at > event_timestamp END
    """


def _record(cursor: Cursor, view: FeatureView, hashes: Mapping[date, tuple[int, str]], snapshot: str, at: int) -> None:
    published, version = clock.from_us(at).isoformat(), data_hash(view)
    rows = ", ".join(
        f"('{view.name}', '{version}', '{day}', '{snapshot}'::pg_snapshot, {count}, '{digest}', '{published}')"
        for day, (count, digest) in hashes.items()
    )
    cursor.execute(
        "INSERT INTO ml_learning.partition_state"
        f" (view, data_hash, partition, snapshot, rows, hash, published_at) VALUES {rows}"
        " ON CONFLICT (view, data_hash, partition) DO UPDATE SET snapshot = EXCLUDED.snapshot,"
        " rows = EXCLUDED.rows, hash = EXCLUDED.hash, published_at = EXCLUDED.published_at",
    )
