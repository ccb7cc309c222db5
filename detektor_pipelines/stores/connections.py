"""Connections to PostgreSQL, and its errors in words a person can act on.

psycopg for statements, ADBC for whole Arrow tables. Both import slowly, so they are imported where they are used.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores import cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from adbc_driver_postgresql.dbapi import Connection as AdbcConnection

    from detektor_pipelines.settings import Settings

_CONNECT_TIMEOUT_S: Final = 10

_BY_SQLSTATE: Final = {
    "28P01": ("PostgreSQL refuses the password.", "Check DETEKTOR_EXTERNAL_POSTGRES_URL, or run `detektor doctor`."),
    "28000": ("PostgreSQL refuses this user.", "Check DETEKTOR_EXTERNAL_POSTGRES_URL, or run `detektor doctor`."),
    "3D000": ("The database does not exist.", "Run `detektor up`: it creates what is missing."),
    "3F000": ("The database has no schema ml_learning yet.", "Run `detektor up`: it creates what is missing."),
    "42P01": ("The database lacks a table of this version.", "Run `detektor up`: it creates what is missing."),
    "42703": ("A table of the database lacks a column of this version.", "Run `detektor up`: it brings the tables up to date."),
    cluster.MOVED: ("The log was moved to another cluster while this was under way: nothing of it was written.", "Run the same again."),
    "42501": ("The database user may not do this.", "Grant it, or give another user in DETEKTOR_EXTERNAL_POSTGRES_URL."),
    "25006": ("The database is read-only (a standby?).", "Give the primary's address in DETEKTOR_EXTERNAL_POSTGRES_URL."),
    "53100": ("The disk of the PostgreSQL server is full: nothing of this step was written.", "Free space, then run the same again."),
    "53200": ("The PostgreSQL server is out of memory.", "Free memory, then run the same again."),
    "53300": ("PostgreSQL has no connection left.", "Close other programs that hold connections, or raise its max_connections."),
    "57P03": ("PostgreSQL is starting up or shutting down.", "Wait a moment, then run the same again."),
    "58030": ("PostgreSQL cannot read or write its files.", "Look at the server's log file (`detektor doctor` names it)."),
}
_BY_TEXT: Final = (
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ('role "', "28000"),
    ('database "', "3D000"),
    ('relation "', "42P01"),  # ADBC looks a table up before it copies, and does not pass that error's state on
    ('schema "', "3F000"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("the database system is", "57P03"),
    ("No space left on device", "53100"),
)
_ROW_TABLE: Final = re.compile(r'relation "feast\.\w+__[0-9a-f]{12}"')
_NO_ROWS: Final = ("The feature view was never materialized in its present version.", "`detektor status` prints the command that does it.")
_LOST: Final = ("08000", "08001", "08003", "08006", "57P01", "57P02")
_STARTING: Final = "57P03"
_NO_TABLE: Final = "42P01"


class PostgresAwayError(UserError):
    """PostgreSQL does not answer, or not yet: the same may go well in a moment."""


@contextmanager
def connect(settings: Settings, *, writes: bool = False) -> Iterator[psycopg.Connection]:
    """Open one psycopg connection, time zone UTC; commits at the end, rolls back on an exception.

    Args:
        settings: Where.
        writes: Whether something is written by what is read or done here, to Redis too: a replica is refused then.

    Raises:
        UserError: The server cannot be reached or refuses what is asked of it.

    """
    import psycopg

    with (
        postgres_errors(settings),
        psycopg.connect(
            settings.postgres_dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, options="-c timezone=UTC"
        ) as connection,
    ):
        cluster.settle(connection, writes=writes)
        connection.autocommit = False
        yield connection


@contextmanager
def connect_arrow(settings: Settings, *, writes: bool = False) -> Iterator[AdbcConnection]:
    """Open one ADBC connection without autocommit, time zone UTC; what is not committed by the caller is rolled back.

    Args:
        settings: Where.
        writes: As for `connect`.

    Raises:
        UserError: The server cannot be reached or refuses what is asked of it.

    """
    from adbc_driver_manager import AdbcConnection
    from adbc_driver_postgresql import dbapi

    _leave_signals_to_python()
    with postgres_errors(settings):
        database = _arrow_database(settings.postgres_dsn)
        with dbapi.Connection(database, AdbcConnection(database.kept)) as connection:
            place = _place(connection)
            if place is not None:
                cluster.allow(place, writes=writes)
            if place is not None and not place.at_home:
                with connect(settings):
                    pass
            with connection.cursor() as cursor:
                cursor.execute("SET TIME ZONE 'UTC'")
            connection.commit()
            yield connection


def _place(connection: AdbcConnection) -> cluster.Place | None:
    """Ask as `cluster.settle` does; None when the database has no such table (yet)."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(cluster.ASK)
            row = cursor.fetchone()
    except Exception as error:
        if sqlstate(error) != _NO_TABLE:
            raise
        row = None
    connection.rollback()
    return cluster.Place(*row) if row else None


@lru_cache(maxsize=1)
def _leave_signals_to_python() -> None:
    """Keep ADBC from taking SIGINT for itself while a statement runs.

    It would cancel the statement and drop the signal: whoever asked for the end would see a failed statement, and the rest go on. So the
    signal is heard when the statement is through; none of ours takes long, and locks are waited for a second at a time.
    """
    from adbc_driver_manager import dbapi

    def call(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], _cancel: Callable[[], None]) -> Any:
        return function(*arguments, **options)

    setattr(dbapi, "_blocking_call", call)  # noqa: B010  a private name, which type checkers do not see


@contextmanager
def postgres_errors(settings: Settings) -> Iterator[None]:
    """Turn an error of the server, by whichever driver it came, into a `UserError`; one that is our own fault passes through."""
    try:
        yield
    except Exception as error:
        explained = explain(error, settings)
        if explained is None:
            raise
        raise explained from error


def explain(error: BaseException, settings: Settings) -> UserError | None:
    """Say what a psycopg, ADBC or SQLAlchemy error means for a person; None when it is no matter of the server's state."""
    cause = getattr(error, "orig", None) or error
    if not type(cause).__module__.startswith(("psycopg", "adbc_driver_manager")):
        return None
    text = str(cause)
    state = getattr(cause, "sqlstate", None) or next((state for mark, state in _BY_TEXT if mark in text), None)
    where = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}, database {settings.postgres_database}"
    if state in _BY_SQLSTATE:
        what, fix = _NO_ROWS if _ROW_TABLE.search(text) else _BY_SQLSTATE[state]
        kind = PostgresAwayError if state == _STARTING else UserError
        return kind(what, where=f"{where}: {_first_line(text)}", fix=fix)
    if (state is None and _is_operational(cause)) or state in _LOST:
        return PostgresAwayError("PostgreSQL does not answer.", where=where, fix=_fix_for_silence(settings))
    return None


class _ArrowDatabase:
    """What ADBC knows of a server, without a connection to it. `dbapi` closes it with each connection; here that keeps it."""

    def __init__(self, dsn: str) -> None:
        import adbc_driver_postgresql

        self.kept = adbc_driver_postgresql.connect(dsn)

    def close(self) -> None:
        """Keep it."""


@lru_cache(maxsize=8)
def _arrow_database(dsn: str) -> _ArrowDatabase:
    """Learn the server's types once a process: that takes ten times as long as connecting (50 ms with all schemas in place)."""
    return _ArrowDatabase(dsn)


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters PostgreSQL gave the error, whichever driver it came by."""
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return str(state) if state else None


def _is_operational(error: BaseException) -> bool:
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no message")[:300]


def _fix_for_silence(settings: Settings) -> str:
    if settings.external_postgres_url:
        return "Start that server, or correct DETEKTOR_EXTERNAL_POSTGRES_URL; without it `detektor up` starts one here."
    return "Run `detektor up`."
