"""Whether what stands at a PostgreSQL address of one's own keeps what a session sets.

A pooler such as PgBouncer may drop a session's options, so that Dagster's and MLflow's tables land in one schema, or give each transaction
to another session, so that nobody holds the locks that migrations and stream workers take. Both are seen here before anything is made.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from detektor_pipelines import refusals, sessions
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

_CONNECT_SECONDS: Final = 5
_PATH: Final = "detektor_looks"
_WHOSE: Final = "SELECT pg_backend_pid(), current_setting('detektor.looks', true)"


def check(settings: Settings) -> None:
    """Check that two sessions are two, and are as they were asked for; takes four round trips.

    Raises:
        UserError: They are not, or nobody may connect; says what to do.

    """
    found = refusal(settings)
    if found is not None:
        raise found


def refusal(settings: Settings) -> UserError | None:
    """Return why this PostgreSQL cannot be used; None when it can."""
    import psycopg

    where = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}, database {settings.postgres_database}"
    try:
        kept = _keeps_sessions(sessions.changed(settings.postgres_dsn, {"search_path": _PATH}))
    except psycopg.Error as error:
        told = refusals.of_text(str(error)) or refusals.SILENT
        fix = told.fix.format(user=settings.postgres_user, database=settings.postgres_database)
        return UserError(told.what, where=f"{where}: {str(error).strip().partition(chr(10))[0][:300]}", fix=fix)
    return None if kept else UserError(refusals.POOLER, where=where, fix=refusals.POOLER_FIX)


def _keeps_sessions(url: str) -> bool:
    import psycopg

    mark = secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None) as first:
        if first.execute("SHOW search_path").fetchone() != (_PATH,):
            return False
        first.execute("SELECT set_config('detektor.looks', %s, false)", (mark,))
        (own, _) = first.execute(_WHOSE).fetchone() or (None, None)
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None) as second:
            # From here on `second` is in a transaction, and holds the backend that it was given
            (others, seen) = second.execute(_WHOSE).fetchone() or (None, None)
            return (own, mark) == first.execute(_WHOSE).fetchone() and others != own and seen != mark
