"""The tables that feature rows stand in, one for each version of a view, and the SQL views that people read.

    feast.<view>__<hash>            rows of one version of a view; a new version never touches an old one's
    feast.<view>                    under its plain name, for people: the registered version, or one that was created since
    feast.agent_features_historical all views' rows in one relation, the values as jsonb, of what the plain names show

Belongs here: making them. Who reads for others reads a version's own table, never the plain name. That is pointed at a version when the
version is registered (`register`), and when its table is made (`ensure_tables`); a later run of an older version leaves it where it is.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import SCHEMA, row_table
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.settings import OWNER_PREFIX
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

HISTORICAL: Final = "agent_features_historical"
STAMPS: Final = ("agent_id", "event_timestamp", "created_at", "written_at")

_LOCK: Final = 0x6F66_666C_696E
_OWNER: Final = """
SELECT rolname FROM pg_namespace JOIN pg_roles AS role ON role.oid = nspowner
WHERE nspname = %(schema)s AND rolname = %(role)s AND rolname <> current_user AND pg_has_role(role.oid, 'SET')
"""
_TYPES: Final = {"int64": "bigint", "float64": "double precision", "instant": "timestamptz", "text": "text"}
_COMMENTS: Final = """
SELECT relname, relkind::text, coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v')
"""


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of a view as its table needs it. `columns`: (feature, one of int64, float64, instant, text), in the view's order."""

    view: str
    agent: str
    data_hash: str
    columns: tuple[tuple[str, str], ...]

    @property
    def table(self) -> str:
        """Name of its table, without the schema."""
        return f"{self.view}__{self.data_hash[:SHORT]}"

    @property
    def mark(self) -> str:
        """The comment by which a plain-name SQL view says which version it shows."""
        return f"detektor: {self.agent} {self.data_hash}"


def version_of(view: FeatureView) -> TableVersion:
    """Return a definition's version."""
    return TableVersion(view.name, view.agent, data_hash(view), tuple((each.name, each.value_type) for each in view.features))


def ensure_tables(settings: Settings, views: Sequence[FeatureView]) -> None:
    """Create the row tables that are missing, and point the plain names at those; harmless, and cheap, when all are there.

    Raises:
        UserError: The server cannot be reached.

    """
    with connect(settings) as connection:
        ensure_tables_over(connection, views)


def ensure_tables_over(connection: psycopg.Connection, views: Sequence[FeatureView]) -> None:
    """Do what `ensure_tables` does, in the transaction of a connection that is open."""
    tables, shown = _present(connection)
    missing = [each for each in map(version_of, views) if each.table not in tables or each.view not in shown]
    if missing:
        _make(connection, missing)


def register(connection: psycopg.Connection, versions: Sequence[TableVersion]) -> None:
    """Create the tables of versions that are being registered where they are missing, and point the plain names at them."""
    tables, shown = _present(connection)
    elsewhere = [each for each in versions if each.table not in tables or shown.get(each.view) != each.mark]
    if elsewhere:
        _make(connection, elsewhere)


def first_seen(connection: psycopg.Connection, view: str) -> dict[str, int]:
    """Return when the table of each of a view's versions was made (µs UTC), by short hash; those made before this was kept are absent."""
    found = {}
    for name, kind, comment in connection.execute(_COMMENTS, (SCHEMA,)).fetchall():
        words = comment.split()
        if kind == "r" and name.startswith(f"{view}__") and words[:1] == ["detektor:"]:
            found[name.removeprefix(f"{view}__")] = clock.parse_instant(words[-1])
    return found


def _present(connection: psycopg.Connection) -> tuple[set[str], Mapping[str, str]]:
    """Return the tables, and the comment of each SQL view."""
    rows = connection.execute(_COMMENTS, (SCHEMA,)).fetchall()
    return {name for name, kind, _ in rows if kind == "r"}, {name: comment for name, kind, comment in rows if kind == "v"}


def _make(connection: psycopg.Connection, versions: Sequence[TableVersion]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    with _as_owner_of_the_schema(connection):
        for version in versions:
            _create(connection, version)
        _point(connection, versions)


@contextmanager
def _as_owner_of_the_schema(connection: psycopg.Connection) -> Iterator[None]:
    """Have what is made belong to the role that owns the schema, where it is the platform's: then any program may change it later."""
    from psycopg import sql

    row = connection.execute(_OWNER, {"schema": SCHEMA, "role": OWNER_PREFIX + SCHEMA}).fetchone()
    if row is None:
        yield
        return
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(row[0])))
    yield
    connection.execute("RESET ROLE")  # after an error the transaction is over, and with it the role


def _create(connection: psycopg.Connection, version: TableVersion) -> None:
    from psycopg import sql

    table = sql.Identifier(SCHEMA, version.table)
    exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f'{SCHEMA}."{version.table}"',)).fetchone()
    if exists and exists[0]:
        return
    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in version.columns)
    statement = (
        "CREATE TABLE {} (agent_id text NOT NULL, event_timestamp timestamptz NOT NULL, created_at timestamptz NOT NULL,"
        f" written_at timestamptz NOT NULL, {columns}, PRIMARY KEY (agent_id, event_timestamp, created_at, written_at))"
    )
    connection.execute(sql.SQL(statement).format(table))
    seen = connection.execute("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint").fetchone()
    comment = f"{version.mark} {clock.to_text(seen[0] if seen else clock.now_us()).replace(' ', 'T')}"
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(comment)))


def _point(connection: psycopg.Connection, versions: Sequence[TableVersion]) -> None:
    """Let the plain names show these versions, and the relation of all views what the plain names show.

    SQL views that people have made on top of a plain name show the new version too, where its columns let PostgreSQL do that. Where they
    do not, those go on reading what they have read until now, under another name.
    """
    import psycopg
    from psycopg import sql

    aside = []
    for version in versions:
        plain = sql.Identifier(SCHEMA, version.view)
        create = sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT * FROM {}").format(plain, sql.Identifier(SCHEMA, version.table))
        try:
            with connection.transaction():
                connection.execute(create)
        except psycopg.errors.InvalidTableDefinition:  # a column is gone, or another one stands in its place
            aside.append(_set_aside(connection, version.view))
            connection.execute(create)
        connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(plain, sql.Literal(version.mark)))
    _show_all(connection)
    for name in aside:
        with suppress(psycopg.errors.DependentObjectsStillExist), connection.transaction():
            connection.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(SCHEMA, name)))


def _set_aside(connection: psycopg.Connection, view: str) -> str:
    """Rename a plain-name SQL view after the version that it shows; return its new name."""
    from psycopg import sql

    _, shown = _present(connection)
    name = f"{view}_until_{shown[view].split()[-1][:SHORT]}"
    if name in shown:  # set aside before, then shown once more
        name += f"_{clock.now_us()}"
    connection.execute(sql.SQL("COMMENT ON VIEW {} IS NULL").format(sql.Identifier(SCHEMA, view)))
    connection.execute(sql.SQL("ALTER VIEW {} RENAME TO {}").format(sql.Identifier(SCHEMA, view), sql.Identifier(name)))
    return name


def _show_all(connection: psycopg.Connection) -> None:
    from psycopg import sql

    known = connection.execute(
        "SELECT relname, split_part(obj_description(oid, 'pg_class'), ' ', 2) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        " AND relkind = 'v' AND obj_description(oid, 'pg_class') LIKE 'detektor: %%' ORDER BY relname",
        (SCHEMA,),
    ).fetchall()
    one = "SELECT {} AS feature_view, {} AS agent_type, {}, to_jsonb(r) - {} AS features FROM {} r"
    stamps = sql.SQL(", ").join(map(sql.Identifier, STAMPS))
    parts = [
        sql.SQL(one).format(
            sql.Literal(name),
            sql.Literal(agent),
            stamps,
            sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, STAMPS))),
            sql.Identifier(SCHEMA, name),
        )
        for name, agent in known
    ]
    every = sql.Identifier(SCHEMA, HISTORICAL)
    connection.execute(sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(every, sql.SQL(" UNION ALL ").join(parts)))


__all__ = [
    "HISTORICAL",
    "SCHEMA",
    "STAMPS",
    "TableVersion",
    "ensure_tables",
    "ensure_tables_over",
    "first_seen",
    "register",
    "row_table",
    "version_of",
]
