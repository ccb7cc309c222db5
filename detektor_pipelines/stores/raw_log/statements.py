"""The statements of one chunk of the raw log, and the small Arrow steps between them.

Belongs here: what `stores.raw_log.bulk.EventWriter` does inside its transaction, one function a step. Every function takes an ADBC cursor.
The temporary tables are made once a connection (`make_temporary_tables`) and empty themselves at each commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import now_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.stores.raw_log.duplicates import moves
from detektor_pipelines.stores.raw_log.table import BODY, COLUMNS, INSTANTS, body_hashes, complete, layout

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Cursor

SCHEMA: Final = "ml_learning"

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
_INSERT_IDENTITIES: Final = """
INSERT INTO ml_learning.event_ids (event_id, revision, body_hash, occurred_at)
SELECT event_id, revision, body_hash, occurred_at FROM incoming ORDER BY event_id
ON CONFLICT DO NOTHING
"""
_SELECT_KNOWN: Final = """
SELECT event_id FROM incoming JOIN ml_learning.event_ids AS identity USING (event_id) WHERE identity.xmin <> pg_current_xact_id()::xid
"""
_INSERT_DIFFERING: Final = """
INSERT INTO differing
SELECT event_id FROM incoming JOIN ml_learning.event_ids AS identity USING (event_id) WHERE identity.body_hash <> incoming.body_hash
"""
_LOCK_DIFFERING: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM ml_learning.event_ids WHERE event_id IN (SELECT event_id FROM differing) ORDER BY event_id FOR UPDATE
) AS locked
"""
_SELECT_STORED: Final = f"""
SELECT {", ".join("event.attributes::text AS attributes" if name == "attributes" else f"event.{name}" for name in COLUMNS)}
FROM differing
JOIN ml_learning.event_ids AS identity USING (event_id)
JOIN ml_learning.agent_events AS event
  ON event.event_id = identity.event_id AND event.revision = identity.revision AND event.occurred_at = identity.occurred_at
"""
_UPDATE_IDENTITIES: Final = """
UPDATE ml_learning.event_ids AS identity
SET revision = revised.revision, body_hash = revised.body_hash, occurred_at = revised.occurred_at
FROM revised WHERE identity.event_id = revised.event_id
"""
_INSERT_REJECTIONS: Final = """
INSERT INTO ml_learning.rejected_events (source, line, reason, excerpt, event_id, rejected_at, fingerprint)
SELECT source, line, reason, excerpt, event_id, rejected_at,
    md5(jsonb_build_array(source, line, CASE WHEN line IS NOT NULL OR event_id IS NULL THEN reason END, event_id, excerpt)::text)::uuid
FROM refused ORDER BY source, line
ON CONFLICT DO NOTHING
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
    cursor.execute(f"INSERT INTO ml_learning.log_origin (simulated) VALUES ({min(kinds)}) ON CONFLICT DO NOTHING")
    cursor.execute("SELECT simulated, mixed FROM ml_learning.log_origin")
    simulated, mixed = cursor.fetchone()
    if mixed or kinds == {simulated}:
        return
    if not mix:
        there, here = ("simulated", "real") if simulated else ("real", "simulated")
        raise UserError(
            f"The raw log holds {there} events and these are {here}: features over both would say nothing about either.",
            where="ml_learning.agent_events",
            fix="Use another database (DETEKTOR_HOME=…), or repeat with --mix to store them together.",
        )
    cursor.execute("UPDATE ml_learning.log_origin SET mixed = true")


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
    cursor.execute(_INSERT_IDENTITIES)
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
    position = table.column_names.index("attributes")
    binary_json = pc.binary_join_element_wise(pa.scalar(_JSONB_VERSION), table["attributes"], "")
    table = table.set_column(position, "attributes", binary_json)
    filled = [name for name in table.column_names if table[name].null_count < table.num_rows]
    cursor.adbc_ingest("agent_events", table.select(filled), mode="append", db_schema_name=SCHEMA)


def stored_with_another_body(cursor: Cursor) -> dict[str, dict[str, Any]]:
    """Lock and fetch the stored rows of those incoming events whose body differs; event_id → row, instants as int µs."""
    cursor.execute(_INSERT_DIFFERING)
    if not cursor.rowcount:
        return {}
    cursor.execute(_LOCK_DIFFERING)
    cursor.fetchall()
    cursor.execute(_SELECT_STORED)
    return {row["event_id"]: row | {"attributes": _normalised(row["attributes"])} for row in rows_of(cursor.fetch_arrow_table())}


def write_revisions(cursor: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows of higher revisions and make the newest of each event the one that counts."""
    import pyarrow as pa

    if not rows:
        return
    table = complete(pa.Table.from_pylist(list(rows), schema=_integer_instants()))
    copy_events(cursor, table)
    newest = table.filter(pa.compute.invert(table["retracted"]))
    _fill(cursor, "revised", identities(newest))
    cursor.execute(_UPDATE_IDENTITIES)


def revisions(stored: Mapping[str, Any], incoming: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the rows that put the incoming record in the stored one's place.

    An event that leaves its agent, project or instant first gets a retracted revision under the old ones: so whoever published them learns
    that they changed. Of a live event the platform learns what the new record says when it comes, so both are known from then on, and until
    then the stored one is what was served; of history that is read from files again every revision is known from when it happened.
    """
    learnt = {"ingested_at": incoming["ingested_at"]}
    if not (_is_history(stored) and _is_history(incoming)):
        learnt["known_at"] = incoming["ingested_at"]
    revision = stored["revision"] + 1
    if not moves(stored, incoming):
        return [{**incoming, **learnt, "revision": revision}]
    tombstone = {**stored, **learnt, "revision": revision, "retracted": True}
    return [tombstone, {**incoming, **learnt, "revision": revision + 1}]


def _is_history(row: Mapping[str, Any]) -> bool:
    """Whether it counts as known from when it happened; a live record that came at that very instant does not."""
    return bool(row["known_at"] == row["occurred_at"] != row["ingested_at"])


def keep_rejections(cursor: Cursor, rejections: Sequence[Rejection]) -> tuple[int, int]:
    """Store rejections, each once however often it is read; return how many were new and how many known.

    A conflict (an event_id without a line) is known by its record alone: its reason tells of the stored one, which may change.
    """
    import pyarrow as pa

    if not rejections:
        return 0, 0
    columns = {
        "source": pa.array([_storable(rejection.source) for rejection in rejections], pa.string()),
        "line": pa.array([rejection.line for rejection in rejections], pa.int64()),
        "reason": pa.array([_storable(rejection.reason) for rejection in rejections], pa.string()),
        "excerpt": pa.array([_storable(rejection.excerpt) for rejection in rejections], pa.string()),
        "event_id": pa.array([rejection.event_id and _storable(rejection.event_id) for rejection in rejections], pa.string()),
        "rejected_at": pa.array([now_us()] * len(rejections), pa.timestamp("us", "UTC")),
    }
    _fill(cursor, "refused", pa.table(columns))
    cursor.execute(_INSERT_REJECTIONS)
    kept = int(cursor.rowcount)
    return kept, len(rejections) - kept


def conflict(row: Mapping[str, Any], reason: str) -> Rejection:
    """Make the rejection of a record that contradicts the stored one; its excerpt is the whole body, for nothing may be lost."""
    import orjson

    said = {name: row[name] for name in BODY if row[name] is not None}
    return Rejection(row["source"], None, reason, orjson.dumps(said).decode(), row["event_id"])


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


def _normalised(attributes: str | None) -> str | None:
    """Write the server's JSON text as `table.json_text` does."""
    import orjson

    return orjson.dumps(orjson.loads(attributes), option=orjson.OPT_SORT_KEYS).decode() if attributes else None


def _storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: U+0000 and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
