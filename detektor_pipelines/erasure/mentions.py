"""Everything else in the database: tables of Dagster, MLflow, Feast and of people, whatever columns they have.

Rows with an agent_id and an instant (saved datasets) go when their values knew of what is erased. In texts that must stay readable for the
program that wrote them, the name is replaced: Dagster's events, MLflow's tags. Nothing here is a list of tables: what another release or
another program adds is found too, and what cannot be replaced (a key) is counted and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.erasure.events import row_tables
from detektor_pipelines.erasure.subject import PUT_IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg import sql

    from detektor_pipelines.erasure.events import Touched
    from detektor_pipelines.erasure.record import Record
    from detektor_pipelines.erasure.subject import Subject

_COLUMNS: Final = """
SELECT space.nspname, class.relname, attribute.attname, kind.typname, EXISTS (
    SELECT FROM pg_index AS keys WHERE keys.indrelid = class.oid AND keys.indisunique AND attribute.attnum = ANY(keys.indkey)
) OR EXISTS (
    SELECT FROM pg_constraint AS link WHERE link.contype = 'f' AND (
        (link.conrelid = class.oid AND attribute.attnum = ANY(link.conkey))
        OR (link.confrelid = class.oid AND attribute.attnum = ANY(link.confkey))
    )
)
FROM pg_attribute AS attribute
JOIN pg_class AS class ON class.oid = attribute.attrelid
JOIN pg_namespace AS space ON space.oid = class.relnamespace
JOIN pg_type AS kind ON kind.oid = attribute.atttypid
WHERE class.relkind = 'r' AND class.relpersistence <> 't' AND attribute.attnum > 0 AND NOT attribute.attisdropped
  AND space.nspname NOT LIKE 'pg\\_%' AND space.nspname <> 'information_schema'
  AND kind.typname IN ('text', 'varchar', 'bpchar', 'json', 'jsonb', 'bytea', '_text')
ORDER BY 1, 2, attribute.attnum
"""
_OURS: Final = "ml_learning"
_LEFT_ALONE: Final = "ml_learning.erasures"
_NEVER_CHANGED: Final = "ml_learning.predictions"
_REPLACEABLE: Final = {"text": "text", "varchar": "varchar", "json": "json", "jsonb": "jsonb"}
_INSTANT: Final = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'event_timestamp' AND NOT attisdropped
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may hold a name. `is_key`: whether rows are found by it, so that its values cannot be replaced one by one."""

    schema: str
    table: str
    name: str
    kind: str
    is_key: bool

    @property
    def where(self) -> str:
        """Its table, for people."""
        return f"{self.schema}.{self.table}"

    @property
    def is_of_the_log(self) -> bool:
        """Whether it is part of an event: other events that name what is erased are not changed, for they are others' own."""
        return self.schema == _OURS and self.table.startswith(("agent_events", "event_ids"))

    @property
    def is_replaceable(self) -> bool:
        """Whether a name in it may be replaced by another text."""
        return not (self.is_key or self.is_of_the_log or self.where == _NEVER_CHANGED) and self.kind in _REPLACEABLE


def remove(connection: psycopg.Connection, subject: Subject, touched: Touched, record: Record) -> None:
    """Remove rows that knew of it, and its name from texts; the caller commits."""
    _remove_rows(connection, subject, touched, record)
    for column in _columns(connection):
        if subject.pattern and column.is_replaceable:
            record.went(f"mentions in {column.where}", _replace(connection, column, subject))


def found(connection: psycopg.Connection, subject: Subject) -> dict[str, int]:
    """Count the rows that name it, by table and column; of an agent the rows that are its own."""
    from psycopg import sql

    counts = {}
    for column in _columns(connection):
        table, name = sql.Identifier(column.schema, column.table), sql.Identifier(column.name)
        if column.name == "agent_id" and column.kind in {"text", "varchar"}:
            agents = connection.execute(sql.SQL("SELECT {0}, count(*) FROM {1} GROUP BY 1").format(name, table)).fetchall()
            number = sum(rows for agent_id, rows in agents if agent_id is not None and subject.owns(agent_id))
        elif subject.pattern:
            text = _as_text(column, name)
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE position(%s IN {}) > 0 AND {} ~ %s").format(table, text, text),
                (subject.needle, subject.pattern),
            ).fetchone()
            number = row[0] if row else 0
        else:
            continue
        if number:
            counts[f"{column.where}.{column.name}"] = number
    return counts


def _columns(connection: psycopg.Connection) -> Iterator[Column]:
    for row in connection.execute(_COLUMNS).fetchall():
        column = Column(*row)
        if column.where != _LEFT_ALONE:
            yield column


def _remove_rows(connection: psycopg.Connection, subject: Subject, touched: Touched, record: Record) -> None:
    """Delete rows of agent_ids of its own, and those of shared ones whose instants lie where their values knew of it."""
    from psycopg import sql

    ours = {f"feast.{table.name}" for table in row_tables(connection)}
    for column in _columns(connection):
        if column.name != "agent_id" or column.where in ours or column.schema == _OURS or column.kind not in {"text", "varchar"}:
            continue
        table = sql.Identifier(column.schema, column.table)
        known = {agent_id for (agent_id,) in connection.execute(sql.SQL("SELECT DISTINCT agent_id FROM {}").format(table)).fetchall()}
        own = [agent_id for agent_id in known if agent_id is not None and (subject.owns(agent_id) or agent_id in touched.own)]
        number = connection.execute(sql.SQL("DELETE FROM {} WHERE agent_id = ANY(%s)").format(table), (own,)).rowcount
        if connection.execute(_INSTANT, (f'"{column.schema}"."{column.table}"',)).fetchone():
            for agent_id in known.intersection(touched.shared):
                statement = sql.SQL("DELETE FROM {} WHERE agent_id = %s AND event_timestamp >= %s").format(table)
                number += connection.execute(statement, (agent_id, touched.spans[agent_id][0])).rowcount
        record.went(f"rows of {column.where}", number)


def _replace(connection: psycopg.Connection, column: Column, subject: Subject) -> int:
    from psycopg import sql

    table, name = sql.Identifier(column.schema, column.table), sql.Identifier(column.name)
    text, kind = _as_text(column, name), sql.SQL(_REPLACEABLE[column.kind])
    statement = sql.SQL(
        "UPDATE {table} SET {name} = regexp_replace({text}, %(pattern)s, %(put)s, 'g')::{kind}"
        " WHERE position(%(needle)s IN {text}) > 0 AND {text} ~ %(pattern)s"
    ).format(table=table, name=name, text=text, kind=kind)
    # Once more for two names side by side: the sign between them belongs to the first
    said: dict[str, Any] = {"pattern": subject.pattern, "needle": subject.needle, "put": rf"\1{PUT_IN_PLACE}"}
    number = connection.execute(statement, said).rowcount
    if number:
        connection.execute(statement, said)
    return number


def _as_text(column: Column, name: sql.Identifier) -> sql.Composed:
    from psycopg import sql

    form = {"bytea": "encode({}, 'escape')", "_text": "array_to_string({}, E'\\n')"}.get(column.kind, "{}::text")
    return sql.SQL(form).format(name)


__all__ = ["found", "remove"]
