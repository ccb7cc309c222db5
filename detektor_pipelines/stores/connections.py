"""Connections to PostgreSQL, and its errors in words a person can act on.

psycopg for statements, ADBC for whole Arrow tables. Both import slowly, so they are imported where they are used.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import refusals
from detektor_pipelines.errors import UserError
from detektor_pipelines.refusals import Refusal
from detektor_pipelines.stores import cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from adbc_driver_postgresql.dbapi import Connection as AdbcConnection

    from detektor_pipelines.settings import Settings

_CONNECT_TIMEOUT_S: Final = 10

_MOVED: Final = Refusal("The log was moved to another cluster while this was under way: nothing of it was written.", "Run the same again.")
_ROW_TABLE: Final = re.compile(r'relation "feast\.\w+__[0-9a-f]{12}"')
_NO_ROWS: Final = Refusal(
    "The feature view was never materialized in its present version.", "`detektor status` prints the command that does it."
)
_LOST: Final = ("08000", "08001", "08003", "08006", "57P01", "57P02")
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
        psycopg.connect(settings.postgres_dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S) as connection,
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
    state = getattr(cause, "sqlstate", None)
    where = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}, database {settings.postgres_database}"
    refusal = _MOVED if state == cluster.MOVED else refusals.BY_SQLSTATE.get(state) if state else refusals.of_text(text)
    if refusal:
        refusal = _NO_ROWS if _ROW_TABLE.search(text) else refusal
        if refusal in refusals.OF_A_LOGIN and not settings.external_postgres_url:
            refusal = refusals.ANOTHER_SERVER
        kind = PostgresAwayError if refusal.away else UserError
        fix = refusal.fix.format(user=settings.postgres_user, database=settings.postgres_database)
        return kind(refusal.what, where=f"{where}: {_first_line(text)}", fix=fix)
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
