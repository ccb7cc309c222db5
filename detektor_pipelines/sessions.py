"""What every session of ours on PostgreSQL has set, whatever the server, the database or the role say.

It stands in the URL, as libpq's `options`: so it holds for every driver (psycopg, psycopg2, ADBC, psql, pg_dump) and every program that is
given the URL, Dagster, MLflow and Feast among them, and it goes before `ALTER ROLE … SET` and `ALTER DATABASE … SET`.

    postgresql://me@db/features?sslmode=require
    postgresql://me@db/features?sslmode=require&options=-ctimezone%3DUTC%20-cdatestyle%3DISO…

A pooler in between may drop them: `stack.servers.pooler` looks.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ALWAYS: Final = {
    # How values are written and read: Dagster compares its own instants without a zone, drivers read dates and intervals as text
    "timezone": "UTC",
    "datestyle": "ISO,MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",  # a double comes back as it was
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    # Which tables a name means: ours are named with their schema, and a role may have another search path
    "search_path": "public",
    # What locks and snapshots rely on: a statement sees what was committed before it
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # A backfill's statement takes minutes, a stream worker's session is idle for hours; where we want a limit, we set it
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "client_min_messages": "warning",
}
"""By name, as `SHOW` knows it. Each is known to PostgreSQL 14 and later, and everybody may set it."""

_QUIET: Final = {"PGTZ": "default", "PGDATESTYLE": "default", "PGCLIENTENCODING": "UTF8"}
"""libpq's variables that it sends behind the options, and so would go before them, with what lets it send nothing else than ours."""

QUIETED: Final = {name: os.environ[name] for name in _QUIET if os.environ.get(name)}
"""What they were in this process; the programs that it starts have them quieted too."""

os.environ.update({name: _QUIET[name] for name in QUIETED})

_SWITCH: Final = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)|((?:\\.|\S)+)", re.DOTALL)


def fixed(url: str) -> str:
    """Return the URL with `ALWAYS` in its options; what else stands there stays. Doing it twice changes nothing."""
    return changed(url, ALWAYS)


def changed(url: str, settings: Mapping[str, str]) -> str:
    """Return the URL of sessions that have `settings` too, in the place of what its options say of them."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    switches, set_before = _read(query.pop("options", ""))
    merged = set_before | {name.lower(): value for name, value in settings.items()}
    words = [*switches, *(f"-c{name}={_escaped(value)}" for name, value in merged.items())]
    return urlunsplit(parts._replace(query=urlencode(query | {"options": " ".join(words)}, quote_via=quote)))


def set_in(url: str) -> dict[str, str]:
    """Return what the URL's options set, by name."""
    return _read(dict(parse_qsl(urlsplit(url).query)).get("options", ""))[1]


def without(url: str) -> str:
    """Return the URL without options, as a person reads it."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "options"]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


def _read(options: str) -> tuple[list[str], dict[str, str]]:
    """Take options apart as PostgreSQL does: words, in which a backslash keeps the next character; `-c name=value` and `--name=value`."""
    switches: list[str] = []
    found: dict[str, str] = {}
    for name, value, other in _SWITCH.findall(options):
        if other:
            switches.append(other)
        else:
            found[name.lower().replace("-", "_")] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    return switches, found


def _escaped(value: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", value)
