"""The rows that features are joined to when Feast asks for history: a data frame, or an SQL query.

Belongs here: getting labels into a temporary table and the answer out, over ADBC. A data frame sends only its keys and instants; its other
columns never leave this process, so their types come back as they were.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores import offline_utils

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.offline.newest import quoted
from detektor_pipelines.stores.offline.point_in_time import AT, ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from adbc_driver_postgresql.dbapi import Connection, Cursor

    Prepare = Callable[[Cursor], None]

TABLE: Final = "detektor_labels"
"""The temporary table: the labels' keys, ROW and AT, and of a query its other columns too."""

_INSTANT: Final = pa.timestamp("us", tz="UTC")

_FIX: Final = "Give texts such as 'code-reviewer', or 'code-reviewer@project'; in a query, cast the column: agent_id::text."

Keys: TypeAlias = "Mapping[str, pa.DataType]"
"""The join keys with the types that their entities have."""


class Labels(Protocol):
    """What a point-in-time join needs of its input.

    `schema`: the columns with their pandas types. `at`: the one that holds the instant. `joined`: columns that the join's query gives
    back itself.
    """

    schema: dict[str, Any]
    at: str
    joined: Sequence[str]

    def extent(self) -> tuple[datetime | None, datetime | None]:
        """Return the first and the last instant, None when there is no label."""
        ...

    def answer(self, query: str, keys: Keys, prepare: Prepare) -> pa.Table:
        """Fill the temporary table, let `prepare` make what else the join reads, run it, return the labels' columns and the features.

        No labels give no rows.

        Raises:
            UserError: A key or the instant has a type that cannot be one.

        """
        ...


class FrameLabels:
    """Labels of a data frame."""

    def __init__(self, dsn: str, frame: pd.DataFrame) -> None:
        self._dsn = dsn
        self._frame = frame
        self.schema: dict[str, Any] = frame.dtypes.to_dict()  # type: ignore[assignment]
        self.at: str = offline_utils.infer_event_timestamp_from_entity_df(self.schema)
        self.joined: Sequence[str] = ()

    def extent(self) -> tuple[datetime | None, datetime | None]:
        """Return the first and the last instant, None when there is no label."""
        instants = self._instants().dropna()
        return (None, None) if instants.empty else (instants.min().to_pydatetime(), instants.max().to_pydatetime())

    def answer(self, query: str, keys: Keys, prepare: Prepare) -> pa.Table:
        """Fill the temporary table, let `prepare` make what else the join reads, run it, return the labels' columns and the features.

        No labels give no rows.

        Raises:
            UserError: A key or the instant has a type that cannot be one.

        """
        uploaded = pa.table({name: self._key(name, kind) for name, kind in keys.items()})
        uploaded = uploaded.append_column(ROW, pa.array(range(len(self._frame)), pa.int64()))
        uploaded = uploaded.append_column(AT, pa.array(self._instants().dt.floor("us"), _INSTANT))
        with connected(self._dsn) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(TABLE, uploaded, mode="create", temporary=True)
            prepare(cursor)
            cursor.execute(query)
            features = plain(cursor.fetch_arrow_table())
        table = pa.Table.from_pandas(self._frame, preserve_index=False)
        for name in features.column_names:
            table = table.append_column(name, features.column(name))
        return table

    def _key(self, name: str, kind: pa.DataType) -> pa.Array:
        """Return a key's values. A frame has some type or other for a column in which nothing stands, and one of its own for categories."""
        try:
            found = pa.Array.from_pandas(self._frame[name])
        except pa.ArrowException as error:
            raise UserError(f"The column {name} of the labels holds values of several types: {error}", fix=_FIX) from error
        if found.null_count == len(found):
            return pa.nulls(len(found), kind)
        if pa.types.is_dictionary(found.type):
            found = found.cast(found.type.value_type)
        _refuse_numbers(name, found.type, kind)
        return found

    def _instants(self) -> pd.Series[pd.Timestamp]:
        given = self._frame[self.at]
        if given.isna().all():  # of whatever type
            return pd.Series(pd.NaT, index=given.index, dtype="datetime64[us, UTC]")
        return pd.to_datetime(given, utc=True, format="ISO8601")


class QueryLabels:
    """Labels that an SQL query gives."""

    def __init__(self, dsn: str, query: str) -> None:
        self._dsn = dsn
        self._query = query
        empty = fetch(dsn, f"SELECT * FROM ({query}) AS q LIMIT 0")
        self._types = empty.schema
        self.schema: dict[str, Any] = empty.to_pandas().dtypes.to_dict()
        self.at: str = offline_utils.infer_event_timestamp_from_entity_df(self.schema)
        self.joined: Sequence[str] = list(self.schema)

    def extent(self) -> tuple[datetime | None, datetime | None]:
        """Return the first and the last instant, None when there is no label."""
        at = f"{quoted(self.at)}::timestamptz"
        bounds = fetch(self._dsn, f"SELECT min({at}) AS first, max({at}) AS last FROM ({self._query}) AS q")
        return bounds.column("first")[0].as_py(), bounds.column("last")[0].as_py()

    def answer(self, query: str, keys: Keys, prepare: Prepare) -> pa.Table:
        """Fill the temporary table, let `prepare` make what else the join reads, run it, return the labels' columns and the features.

        No labels give no rows.

        Raises:
            UserError: A key has a type that cannot be one.

        """
        for name, kind in keys.items():
            _refuse_numbers(name, self._types.field(name).type, kind)
        labels = f"SELECT q.*, row_number() OVER () AS {ROW}, {quoted(self.at)}::timestamptz AS {AT} FROM ({self._query}) AS q"
        with connected(self._dsn) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {TABLE} ON COMMIT DROP AS {labels}")
            prepare(cursor)
            cursor.execute(query)
            return plain(cursor.fetch_arrow_table())


def _refuse_numbers(name: str, found: pa.DataType, wanted: pa.DataType) -> None:
    """PostgreSQL compares no number with a text, and says so in words of its own."""
    if pa.types.is_string(wanted) and (pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_boolean(found)):
        raise UserError(f"The column {name} of the labels holds {found}, but {name} is a text.", fix=_FIX)


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """Open one ADBC connection without autocommit, time zone UTC."""
    from adbc_driver_postgresql import dbapi

    # Many cheap look-ups: compiling the query takes longer than running it
    with dbapi.connect(sessions.changed(sessions.fixed(dsn), {"jit": "off"})) as connection:
        yield connection


def fetch(dsn: str, query: str) -> pa.Table:
    """Run one query on a connection of its own."""
    with connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return plain(cursor.fetch_arrow_table())


def plain(table: pa.Table) -> pa.Table:
    """Return plain Arrow types, one chunk a column (Feast writes the first chunk only). A numeric comes as text: it becomes float64."""
    for number, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            storage = pa.chunked_array([chunk.storage for chunk in table.column(number).chunks], field.type.storage_type)
            numeric = getattr(field.type, "type_name", "") == "numeric"
            table = table.set_column(number, field.name, storage.cast(pa.float64()) if numeric else storage)
    return table.combine_chunks().replace_schema_metadata(None)
