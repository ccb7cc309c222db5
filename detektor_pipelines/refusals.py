"""What PostgreSQL, libpq and poolers say when they refuse, in words a person can act on.

Errors of a connection that was not made carry no sqlstate, whichever the driver, so these are told apart by their text; a server that says
it in another language is quoted (`UNKNOWN`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

POOLER: Final = (
    "A connection pooler stands before PostgreSQL and does not keep what a session sets: tables would be made in the wrong schema, "
    "and locks would be held by nobody."
)
POOLER_FIX: Final = (
    "Give PostgreSQL's own address and port in DETEKTOR_EXTERNAL_POSTGRES_URL. PgBouncer passes no search_path on, whatever its pool_mode; "
    "other poolers do in session mode: docs/settings.md, Servers of your own."
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be refused.

    Attributes:
        what: What went wrong.
        fix: What to do; `{user}` and `{database}` stand for those of the connection.
        away: Whether the same may go well in a moment.

    """

    what: str
    fix: str
    away: bool = False


_URL: Final = "Check DETEKTOR_EXTERNAL_POSTGRES_URL, or run `detektor doctor`."
_UP: Final = "Run `detektor up`: it creates what is missing."
_LIMIT: Final = "`detektor up` holds about 40 connections when idle and 100 at work."

BY_SQLSTATE: Final = {
    "28P01": Refusal("PostgreSQL refuses the password.", _URL),
    "28000": Refusal("PostgreSQL refuses this user.", _URL),
    "3D000": Refusal("The database does not exist.", "Run `detektor up`; on a server of your own: CREATE DATABASE {database} OWNER {user}"),
    "3F000": Refusal("The database has no schema ml_learning yet.", _UP),
    "42P01": Refusal("The database lacks a table of this version.", _UP),
    "42703": Refusal("A table of the database lacks a column of this version.", "Run `detektor up`: it brings the tables up to date."),
    "42501": Refusal("The database user may not do this.", "Grant it, or give another user in DETEKTOR_EXTERNAL_POSTGRES_URL."),
    "25006": Refusal("The database is read-only (a standby?).", "Give the primary's address in DETEKTOR_EXTERNAL_POSTGRES_URL."),
    "25P04": Refusal(
        "PostgreSQL ended a transaction that took longer than its transaction_timeout.", "ALTER ROLE {user} SET transaction_timeout = 0"
    ),
    "53100": Refusal(
        "The disk of the PostgreSQL server is full: nothing of this step was written.", "Free space, then run the same again."
    ),
    "53200": Refusal("The PostgreSQL server is out of memory.", "Free memory, then run the same again."),
    "53300": Refusal(
        "PostgreSQL has no connection left.",
        f"Close other programs that hold connections, or raise max_connections on the server. {_LIMIT}",
    ),
    "57P03": Refusal("PostgreSQL is starting up or shutting down.", "Wait a moment, then run the same again.", away=True),
    "58030": Refusal("PostgreSQL cannot read or write its files.", "Look at the server's log file (`detektor doctor` names it)."),
}

_BY_TEXT: Final[tuple[tuple[str, str | Refusal], ...]] = (
    (
        "too many connections for role",
        Refusal("This user has as many connections open as it may.", f"ALTER ROLE {{user}} CONNECTION LIMIT 150 (or -1: none). {_LIMIT}"),
    ),
    (
        "too many connections for database",
        Refusal(
            "The database has as many connections open as it may.",
            f"ALTER DATABASE {{database}} CONNECTION LIMIT 150 (or -1: none). {_LIMIT}",
        ),
    ),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    (
        "no more connections allowed",
        Refusal("The pooler before PostgreSQL takes no more connections.", f"Raise its max_client_conn. {_LIMIT}"),
    ),
    ("unsupported startup parameter", Refusal(POOLER, POOLER_FIX)),
    ("statement pooling mode", Refusal(POOLER, POOLER_FIX)),
    ("password authentication failed", "28P01"),
    (
        "no password supplied",
        Refusal(
            "PostgreSQL wants a password, and none is given.",
            "Put it into DETEKTOR_EXTERNAL_POSTGRES_URL, DETEKTOR_POSTGRES_PASSWORD_FILE or ~/.pgpass.",
        ),
    ),
    (
        "pg_hba.conf",
        Refusal(
            "The server's pg_hba.conf does not let this user into this database from here.",
            "Add a line to pg_hba.conf on the server, as `host {database} {user} <this machine's address>/32 scram-sha-256`, "
            "and have it reloaded; where only encrypted connections are let in, ?sslmode=require behind the URL is enough.",
        ),
    ),
    ("is not permitted to log in", Refusal("This role may not log in.", "ALTER ROLE {user} LOGIN")),
    (
        "not currently accepting connections",
        Refusal("The database takes no connections.", "ALTER DATABASE {database} ALLOW_CONNECTIONS true"),
    ),
    (
        "permission denied for database",
        Refusal(
            "This user may not connect to the database, or not make schemas in it.",
            "GRANT CONNECT, CREATE ON DATABASE {database} TO {user}",
        ),
    ),
    (
        "permission denied to set parameter",
        Refusal("PostgreSQL lets only others set this parameter.", "Take it out of `options` in DETEKTOR_EXTERNAL_POSTGRES_URL."),
    ),
    (
        "unrecognized configuration parameter",
        Refusal(
            "This PostgreSQL is too old, or `options` name a parameter that it does not know.",
            "PostgreSQL 14 or later is needed: docs/settings.md. Look at `options` in DETEKTOR_EXTERNAL_POSTGRES_URL.",
        ),
    ),
    (
        "does not support SSL",
        Refusal(
            "TLS is asked for, and this PostgreSQL speaks none.",
            "Look at sslmode in DETEKTOR_EXTERNAL_POSTGRES_URL and at the variable PGSSLMODE.",
        ),
    ),
    (
        "certificate",
        Refusal(
            "The TLS certificate of PostgreSQL, or ours, is not accepted.",
            "Look at sslmode, sslrootcert and sslcert in DETEKTOR_EXTERNAL_POSTGRES_URL, and at the variables PGSSLMODE and PGSSLROOTCERT.",
        ),
    ),
    (
        "definition of service",
        Refusal(
            "The variable PGSERVICE names a service that is not defined.",
            "Define it in ~/.pg_service.conf (or PGSERVICEFILE), or unset PGSERVICE.",
        ),
    ),
    ("session is read-only", "25006"),
    ("server is in hot standby mode", "25006"),
    ('role "', "28000"),
    ('database "', "3D000"),
    ('relation "', "42P01"),  # ADBC looks a table up before it copies, and does not pass that error's state on
    ('schema "', "3F000"),
    ("the database system is", "57P03"),
    ("terminating connection", "57P03"),
    ("not accept hot standby connections", "57P03"),
    ("No space left on device", "53100"),
    (
        "could not translate host name",
        Refusal("The host's name is not known.", "Correct DETEKTOR_EXTERNAL_POSTGRES_URL, or this machine's name service.", away=True),
    ),
)

ANOTHER_SERVER: Final = Refusal(
    "What answers at this port is not this home's PostgreSQL, or has another password.",
    "`detektor up --free-ports` starts this home's own beside it. Of another home? Name that one in DETEKTOR_HOME. "
    "A server of your own? Give DETEKTOR_EXTERNAL_POSTGRES_URL, with its password.",
)
"""Instead of `OF_A_LOGIN` where no server of one's own is named: mostly another home's servers have the usual ports."""

UNKNOWN: Final = Refusal("PostgreSQL refuses the connection, in its own words:", _URL)
SILENT: Final = Refusal("PostgreSQL does not answer.", "Start it, or correct DETEKTOR_EXTERNAL_POSTGRES_URL.", away=True)
OF_A_LOGIN: Final = (BY_SQLSTATE["28P01"], BY_SQLSTATE["28000"], dict(_BY_TEXT)["no password supplied"])
_ANSWERED: Final = re.compile(r"connection to server .*failed: [^\W\d_]+: {2}\S")
"""What libpq writes before what a server said: the severity, in any language, and two spaces."""


def of_text(text: str) -> Refusal | None:
    """Say what the text of an error means; None when it says nothing of a server's state."""
    for mark, found in _BY_TEXT:
        if mark in text:
            return BY_SQLSTATE[found] if isinstance(found, str) else found
    return UNKNOWN if _ANSWERED.search(text) else None
