"""Feast's saved datasets in PostgreSQL: what `create_saved_dataset` writes and `get_saved_dataset` reads, a table each.

    SavedDatasetPostgreSQLStorage(table_ref="reviews_march")          schema feast
    SavedDatasetPostgreSQLStorage(table_ref="learning.reviews")       another one, which must exist

Feast's own store fails whichever way the table is named: with a schema it makes a table whose name has the dot in it and then inserts into
another one; without it writes into the schema of `db_schema` and reads from that of the connection. And it gives back the keys, the instant
and the features only: here everything that was saved comes back, labels too, row by row in its order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource, SavedDatasetPostgreSQLStorage

from detektor_pipelines.compile.feast import EVENT_TIMESTAMP, SCHEMA
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.feast.labels import connected
from detektor_pipelines.stores.offline.point_in_time import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.data_source import DataSource
    from feast.saved_dataset import SavedDatasetStorage

_MARK: Final = "detektor: a saved dataset of Feast"
"""The table's comment: nothing without it is overwritten."""

_FIND: Final = "SELECT c.oid, obj_description(c.oid, 'pg_class') FROM pg_class c WHERE c.oid = to_regclass('{}')"


def save(dsn: str, table: pa.Table, storage: SavedDatasetStorage, *, overwrite: bool) -> None:
    """Write a table to where `storage` says.

    Raises:
        UserError: The storage is none of PostgreSQL's, the schema does not exist, what stands there is no saved dataset, there are no rows,
            or the column of instants is not called as Feast looks for it.
        SavedDatasetLocationAlreadyExists: There is one, and `overwrite` is not given.

    """
    if not isinstance(storage, SavedDatasetPostgreSQLStorage):
        fix = "Give SavedDatasetPostgreSQLStorage(table_ref='name'), of feast.infra.offline_stores.contrib.postgres_offline_store."
        raise UserError(
            f"A {type(storage).__name__} is no place in PostgreSQL.", where="create_saved_dataset", fix=f"{fix}postgres_source."
        )
    schema, name = place(storage.postgres_options._table)  # noqa: SLF001 - Feast has no other way to it
    where = f"create_saved_dataset, table {schema}.{name}"
    if EVENT_TIMESTAMP not in table.column_names:
        fix = f"Call the labels' column of instants {EVENT_TIMESTAMP}: Feast reads a saved dataset by that name."
        raise UserError(f"The rows have no column {EVENT_TIMESTAMP}.", where=where, fix=fix)
    if not table.num_rows:
        raise UserError("There are no rows to save.", where=where, fix="Give labels.")
    with connected(dsn) as connection, connection.cursor() as cursor:
        _make_room(cursor, schema, name, where, overwrite=overwrite)
        cursor.adbc_ingest(name, table, mode="create", db_schema_name=schema)
        cursor.execute(f"COMMENT ON TABLE {quoted(schema)}.{quoted(name)} IS '{_MARK}'")
        connection.commit()


def place(table_ref: str) -> tuple[str, str]:
    """Return schema and table of a name, `table` or `schema.table`; each may stand in double quotes.

    Raises:
        UserError: It is no such name.

    """
    parts = [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in table_ref.split(".")]
    if not 1 <= len(parts) <= 2 or not all(parts) or any('"' in part or "'" in part for part in parts):  # noqa: PLR2004 - schema and table
        raise UserError(f"{table_ref!r} is no table's name.", where="PostgreSQL", fix="Write table, or schema.table.")
    return (SCHEMA, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def is_one(source: DataSource) -> bool:
    """Tell whether a source is what Feast makes of a saved dataset's storage: it names a table and no column of instants."""
    return isinstance(source, PostgreSQLSource) and not source.timestamp_field and bool(_table(source))


def whole(source: DataSource) -> str:
    """Return the query for all that was saved, in its order."""
    schema, name = place(_table(source))
    return f"SELECT * FROM {quoted(schema)}.{quoted(name)} ORDER BY ctid"


def _table(source: Any) -> str:
    return str(source._postgres_options._table)  # noqa: SLF001 - Feast has no other way to it


def _make_room(cursor: Any, schema: str, name: str, where: str, *, overwrite: bool) -> None:
    cursor.execute(f"SELECT to_regnamespace('{quoted(schema)}') IS NOT NULL")
    if not cursor.fetchone()[0]:
        raise UserError(f"There is no schema {schema}.", where=where, fix=f"CREATE SCHEMA {schema}, or name the table alone.")
    cursor.execute(_FIND.format(f"{quoted(schema)}.{quoted(name)}"))
    found = cursor.fetchone()
    if found is None:
        return
    if found[1] != _MARK:
        raise UserError(f"{schema}.{name} exists and is no saved dataset: it is left alone.", where=where, fix="Give another name.")
    if not overwrite:
        raise SavedDatasetLocationAlreadyExists(f"{schema}.{name}")
    cursor.execute(f"DROP TABLE {quoted(schema)}.{quoted(name)}")
