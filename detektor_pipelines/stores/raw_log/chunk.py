"""One chunk of the raw log over ADBC: the statements over temporary tables that COPY fills, and the small Arrow steps between them.

Belongs here: what `stores.raw_log.bulk.EventWriter` does inside its transaction, one function a step. Every function takes an ADBC cursor.
The temporary tables are made once a connection (`make_temporary_tables`) and empty themselves at each commit. Does not belong here: what
the statements say (`stores.raw_log.statements`), and which of two records counts (`stores.raw_log.duplicates`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import now_us
from detektor_pipelines.stores.raw_log import statements
from detektor_pipelines.stores.raw_log.erased import ASKED, LOCK, SELECT, Erased
from detektor_pipelines.stores.raw_log.statements import SCHEMA
from detektor_pipelines.stores.raw_log.table import COLUMNS, INSTANTS, JSON, body_hashes, complete, layout, normalised_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Cursor

    from detektor_pipelines.language.records import Rejection

_JSONB_VERSION: Final = "\x01"
"""What PostgreSQL's binary format for jsonb begins with; ADBC writes a text column's bytes as they are."""

_TEMPORARY: Final = (
    "CREATE TEMPORARY TABLE incoming (event_id text, body_hash uuid, occurred_at timestamptz, revision integer) ON COMMIT DELETE ROWS",
    "CREATE TEMPORARY TABLE differing (event_id text) ON COMMIT DELETE ROWS",
    "CREATE TEMPORARY TABLE revised (event_id text, body_hash uuid, occurred_at timestamptz, revision integer) ON COMMIT DELETE ROWS",
    """
    CREATE TEMPORARY TABLE refused (source text, line bigint, reason text, excerpt text, event_id text, rejected_at timestamptz)
    ON COMMIT DELETE ROWS
    """,
)
_SELECT_KNOWN: Final = """
SELECT event_id FROM incoming JOIN ml_learning.event_ids AS identity USING (event_id) WHERE identity.xmin <> pg_current_xact_id()::xid
"""
_INSERT_DIFFERING: Final = """
INSERT INTO differing
SELECT event_id FROM incoming JOIN ml_learning.event_ids AS identity USING (event_id) WHERE identity.body_hash <> incoming.body_hash
"""


def make_temporary_tables(cursor: Cursor) -> None:
    """Make the tables that the other functions fill, for the life of the connection."""
    for statement in _TEMPORARY:
        cursor.execute(statement)


def claim_origin(cursor: Cursor, parts: Sequence[pa.Table], *, mix: bool) -> None:
    """Note whether the log is simulated or real with its first event, and hold every later one to it.

    Raises:
        UserError: The other kind is there already and `mix` was not asked for.

    """
    kinds = {kind for part in parts for kind in part["simulated"].unique().to_pylist()}
    cursor.execute(statements.first_origin(simulated=min(kinds)))
    cursor.execute(statements.SELECT_ORIGIN)
    simulated, mixed = cursor.fetchone()
    if mixed or kinds == {simulated}:
        return
    if not mix:
        raise statements.other_origin(simulated=simulated)
    cursor.execute(statements.MIX_ORIGINS)


def without_erased(cursor: Cursor, parts: Sequence[pa.Table]) -> tuple[list[pa.Table], int]:
    """Drop the events of what was erased; return the rest, and how many went. Asked under the log's lock: none is stored meanwhile."""
    import pyarrow as pa

    erased = _erased(cursor)
    if not erased:
        return list(parts), 0
    kept = [part.filter(pa.array([not erased.covers(row) for row in rows_of(part.select(ASKED))], pa.bool_())) for part in parts]
    return [part for part in kept if part.num_rows], sum(part.num_rows for part in parts) - sum(part.num_rows for part in kept)


def _erased(cursor: Cursor) -> Erased:
    cursor.execute(LOCK)
    cursor.execute(SELECT)
    return Erased.of(cursor.fetchall())


def identities(table: pa.Table) -> pa.Table:
    """Return event_id, occurred_at, revision and body_hash of each row."""
    return table.select(["event_id", "occurred_at", "revision"]).append_column("body_hash", body_hashes(table))


def enter_identities(cursor: Cursor, claimed: pa.Table) -> None:
    """Enter `identities` of which none is known yet, at a third of what `claim_identities` costs.

    Raises:
        IntegrityError: (ADBC's, sqlstate 23505) One is known; nothing more can be done in this transaction.

    """
    # In the order of the primary key: concurrent writers then wait for each other instead of locking each other out.
    cursor.adbc_ingest("event_ids", claimed.sort_by("event_id"), mode="append", db_schema_name=SCHEMA)


def claim_identities(cursor: Cursor, claimed: pa.Table) -> list[str]:
    """Enter those of `identities` that are new; return the event_ids that another transaction had entered before."""
    _fill(cursor, "incoming", claimed)
    cursor.execute(statements.CLAIM_IDENTITIES)
    if cursor.rowcount == claimed.num_rows:
        return []
    cursor.execute(_SELECT_KNOWN)
    return [str(event_id) for event_id in cursor.fetch_arrow_table()["event_id"].to_pylist()]


def copy_events(cursor: Cursor, table: pa.Table) -> None:
    """Copy rows into `agent_events`; columns that are all null are left to the server."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not table.num_rows:
        return
    for name in JSON:
        binary_json = pc.binary_join_element_wise(pa.scalar(_JSONB_VERSION), table[name], "")
        table = table.set_column(table.column_names.index(name), name, binary_json)
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    cursor.adbc_ingest("agent_events", table.select(filled), mode="append", db_schema_name=SCHEMA)


def stored_with_another_body(cursor: Cursor) -> dict[str, dict[str, Any]]:
    """Lock and fetch the stored rows of those incoming events whose body differs; event_id → row, instants as int µs."""
    cursor.execute(_INSERT_DIFFERING)
    if not cursor.rowcount:
        return {}
    cursor.execute(f"SELECT count(*) FROM ({statements.LOCK_DIFFERING}) AS locked")
    cursor.fetchall()
    cursor.execute(statements.SELECT_STORED)
    rows = rows_of(cursor.fetch_arrow_table())
    return {row["event_id"]: row | {name: normalised_json(row[name]) for name in JSON} for row in rows}


def write_revisions(cursor: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows of higher revisions and make the newest of each event the one that counts."""
    import pyarrow as pa

    if not rows:
        return
    table = complete(pa.Table.from_pylist(list(rows), schema=_integer_instants()))
    copy_events(cursor, table)
    newest = table.filter(pa.compute.invert(table["retracted"]))
    _fill(cursor, "revised", identities(newest))
    cursor.execute(statements.UPDATE_IDENTITIES)


def keep_rejections(cursor: Cursor, rejections: Sequence[Rejection]) -> tuple[int, int]:
    """Store rejections, each once however often it is read; return how many were new and how many known."""
    import pyarrow as pa

    if not rejections:
        return 0, 0
    columns = {
        "source": pa.array([statements.storable(rejection.source) for rejection in rejections], pa.string()),
        "line": pa.array([rejection.line for rejection in rejections], pa.int64()),
        "reason": pa.array([statements.storable(rejection.reason) for rejection in rejections], pa.string()),
        "excerpt": pa.array([statements.storable(rejection.excerpt) for rejection in rejections], pa.string()),
        "event_id": pa.array([rejection.event_id and statements.storable(rejection.event_id) for rejection in rejections], pa.string()),
        "rejected_at": pa.array([now_us()] * len(rejections), pa.timestamp("us", "UTC")),
    }
    _fill(cursor, "refused", pa.table(columns))
    cursor.execute(statements.KEEP_REJECTIONS)
    kept = int(cursor.rowcount)
    return kept, len(rejections) - kept


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Turn a table of COLUMNS into rows, instants as int µs."""
    return list(table.cast(_integer_instants(table.column_names)).to_pylist())


def stamped(table: pa.Table) -> pa.Table:
    """Set `ingested_at` to the clock, and `known_at` where the source is live."""
    import pyarrow as pa
    import pyarrow.compute as pc

    now = pa.scalar(now_us(), pa.timestamp("us", "UTC"))
    for name in ("ingested_at", "known_at"):
        table = table.set_column(table.column_names.index(name), name, pc.fill_null(table[name], now))
    return table


def only(table: pa.Table, event_ids: Collection[str]) -> pa.Table:
    """Keep the rows of these events."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["event_id"], value_set=pa.array(list(event_ids), pa.string())))


def without(table: pa.Table, event_ids: Collection[str]) -> pa.Table:
    """Drop the rows of these events."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.invert(pc.is_in(table["event_id"], value_set=pa.array(list(event_ids), pa.string()))))


def split_at_repetitions(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Split into the first row of each event_id and the rows that repeat one, both in order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(table["event_id"]).as_py() == table.num_rows:
        return table, table.slice(table.num_rows)
    numbered = pa.table({"event_id": table["event_id"], "row": pa.array(range(table.num_rows))})
    firsts = numbered.group_by("event_id").aggregate([("row", "min")])["row_min"].combine_chunks()
    is_first = pc.is_in(numbered["row"], value_set=firsts)
    return table.filter(is_first), table.filter(pc.invert(is_first))


def _fill(cursor: Cursor, temporary: str, table: pa.Table) -> None:
    cursor.adbc_ingest(temporary, table, mode="append", temporary=True)


def _integer_instants(names: Collection[str] = COLUMNS) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.int64() if name in INSTANTS else layout().field(name).type) for name in names])
