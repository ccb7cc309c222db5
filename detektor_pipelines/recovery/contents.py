"""What stands in a database, in numbers that two clusters can be held against each other by: rows, and a hash over each table.

The hash of a table is the sum of PostgreSQL's own 64-bit hashes of its rows, so it knows no order and takes one pass. It is meant to find
what was lost or changed by accident; against intent the files of a backup have their SHA-256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.recovery.manifest import Contents

if TYPE_CHECKING:
    import psycopg

LOG: Final = "ml_learning.agent_events"

_TABLES: Final = f"""
SELECT format('%I.%I', space.nspname, class.relname) FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE class.relkind = 'r' AND class.relpersistence <> 't' AND space.nspname <> 'information_schema' AND space.nspname NOT LIKE 'pg\\_%'
  AND class.oid NOT IN (SELECT relid FROM pg_partition_tree('{LOG}'))
ORDER BY 1
"""
_SESSION: Final = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1; SET LOCAL statement_timeout = 0"
)
_HASHES: Final = {"record": "hash_record_extended({row}, 0)", "text": "hashtextextended({row}::text, 0)"}
_CONTENTS: Final = "SELECT count(*), coalesce(sum({hash}), 0)::text FROM {table} AS held"


def tables(connection: psycopg.Connection) -> list[str]:
    """Return the tables that hold rows, quoted and with their schema; those of the log, which is counted by its chunks, left out."""
    return [name for (name,) in connection.execute(_TABLES)]


def of_table(connection: psycopg.Connection, table: str, by: str | None = None) -> Contents:
    """Count and hash a table; `by` as another one was, for a comparison. A transaction is under way."""
    import psycopg

    connection.execute(_SESSION)
    if by is not None:
        return _of(connection, by, table)
    try:
        with connection.transaction():
            return _of(connection, "record", table)
    except psycopg.errors.UndefinedFunction:  # of one of its columns' types no hash is defined
        return _of(connection, "text", table)


def of_log(connection: psycopg.Connection, first: int, end: int | None) -> Contents:
    """Count and hash the log's rows with first <= xid < end, without an end all from `first` on. A transaction is under way."""
    connection.execute(_SESSION)
    return _of(connection, "record", f"(SELECT * FROM {LOG} WHERE {between(first, end)})")


def between(first: int, end: int | None) -> str:
    """Return the condition of a piece of the log."""
    return f"xid >= '{first}'" + ("" if end is None else f" AND xid < '{end}'")


def _of(connection: psycopg.Connection, by: str, table: str) -> Contents:
    row = connection.execute(_CONTENTS.format(hash=_HASHES[by].format(row="held"), table=table)).fetchone()
    return Contents(int(row[0]), str(row[1]), by) if row else Contents(0, "0", by)
