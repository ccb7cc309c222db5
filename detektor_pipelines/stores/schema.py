"""The tables of schema `ml_learning`: `migrate` brings a database to the newest revision.

Alembic keeps the revisions (`stores/migrations/versions`, raw SQL); its version table stands in `ml_learning` too.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines import __version__
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack.servers import pooler
from detektor_pipelines.stores.connections import connect, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy import Connection

    from detektor_pipelines.settings import Settings

SCHEMAS: Final = ("ml_learning", "feast")
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_LOCK: Final = 0x64657465_6B746F72
"""Advisory lock of the migration ("detektor" in ASCII), so that two processes started together do not both create a table."""


_ROLES_REVISION: Final = "0006"
_NAMES: Final = {role: f"detektor_{role}" for role in ("ingest", "compute", "serve", "read", "admin")}
_ROLES: Final[dict[str, str | list[str]]] = {**_NAMES, "roles": list(_NAMES.values())}
_WITHOUT_ROLES: Final = """
SELECT (
    SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'ml_learning.agent_events'::regclass
) AND CASE
    WHEN EXISTS (SELECT FROM unnest(%(roles)s::text[]) AS name WHERE to_regrole(name) IS NULL)
        THEN (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)
    ELSE NOT (has_table_privilege(%(ingest)s, 'ml_learning.event_ids', 'INSERT') AND has_schema_privilege(%(compute)s, 'feast', 'USAGE')
        AND has_table_privilege(%(serve)s, 'ml_learning.partition_state', 'SELECT')
        AND has_table_privilege(%(read)s, 'ml_learning.agent_events', 'SELECT')
        AND has_table_privilege(%(admin)s, 'ml_learning.agent_events', 'DELETE')) END
"""
"""True where the roles or what they may do are missing, as after a plain pg_restore into another cluster, and this user can mend it."""


def migrate(settings: Settings) -> None:
    """Create the schemas and tables that are missing; harmless when the database is up to date, safe when called concurrently.

    Roles that a restored database lacks are made too, with what they may do, where this user can make them.

    Raises:
        UserError: The server cannot be reached, its user may not create tables, a pooler before it does not keep sessions, or a later
            release of ours has been here: its tables may hold what this one would misread, so nothing is changed.

    """
    if settings.external_postgres_url:
        pooler.check(settings)
    if _is_up_to_date(settings):
        return
    from alembic import command  # SQLAlchemy comes with it: half a second
    from alembic.config import Config

    with postgres_errors(settings), _locked_connection(settings) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        _refuse_later(config, connection, settings)
        command.upgrade(config, "head")
        _give_back_roles(connection, config)
    with connect(settings, writes=True):  # a log that was moved here begins to live here
        pass


def _is_up_to_date(settings: Settings) -> bool:
    """Whether there is nothing to do: the newest revision, and the roles as they should be. A log that was moved here begins to live here.

    Most calls end with this question, asked without Alembic: a revision that it does not know, or none, is left to those who do.
    """
    with connect(settings, writes=True) as connection:
        row = connection.execute("SELECT to_regclass('ml_learning.alembic_version') IS NOT NULL").fetchone()
        if row != (True,):
            return False
        found = connection.execute("SELECT version_num FROM ml_learning.alembic_version").fetchall()
        newest = max(file.stem.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
        return found == [(newest,)] and connection.execute(_WITHOUT_ROLES, _ROLES).fetchone() != (True,)


def _give_back_roles(connection: Connection, config: Config) -> None:
    from alembic.script import ScriptDirectory

    cursor = connection.connection.cursor()  # the driver's own: a sign of percent is no parameter when there is none
    cursor.execute(_WITHOUT_ROLES, _ROLES)
    if cursor.fetchone() == (True,):
        migration = ScriptDirectory.from_config(config).get_revision(_ROLES_REVISION).module
        for statement in migration.statements():
            cursor.execute(statement)


def _refuse_later(config: Config, connection: Connection, settings: Settings) -> None:
    from alembic.script import ScriptDirectory
    from sqlalchemy import text

    if connection.execute(text("SELECT to_regclass('ml_learning.alembic_version') IS NULL")).scalar():
        return
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    later = sorted(set(connection.execute(text("SELECT version_num FROM ml_learning.alembic_version")).scalars()) - known)
    connection.commit()
    if later:
        raise UserError(
            f"The tables are those of a later release: their revision is {later[0]}, release {__version__} knows none beyond {max(known)}.",
            where=f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}, database {settings.postgres_database}",
            fix="Install that release (`detektor --version` there), or restore the backup of before the upgrade: docs/releases.md.",
        )


@contextmanager
def _locked_connection(settings: Settings) -> Iterator[Connection]:
    """Open a SQLAlchemy connection that holds the migration lock; the lock goes with the session."""
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(settings.sqlalchemy_url("ml_learning", driver="psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        for schema in SCHEMAS:  # asked first: IF NOT EXISTS wants the right to make one even where it is there
            if connection.execute(text("SELECT to_regnamespace(:name) IS NULL"), {"name": schema}).scalar():
                connection.execute(text(f"CREATE SCHEMA {schema}"))
        connection.commit()
        yield connection
        connection.commit()
