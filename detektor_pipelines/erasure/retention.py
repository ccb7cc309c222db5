"""Letting go of what is old: how many days each table keeps, and removing what is older.

What is computed stays what it was: a feature row whose window reaches back beyond the cut was published when its events were there, and
nothing computes it again (`stores.retention`). The log keeps at least the longest window and two days, so what is computed for now, online,
by the stream and for the open day, is never short of an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.erasure.events import row_tables
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores import retention
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.retention import EVENTS, FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

HOLDS: Final = {
    EVENTS: "the raw log, by when an event happened",
    "rejected_events": "what could not be read, by when it was rejected",
    FEATURES: "feature rows of all versions, by their instant; the newest row of each agent_id stays",
    "predictions": "shadow predictions, by when was decided",
    "drift_results": "what was found of drift, by day",
}
"""What a number of days can be set for."""

_SPARE: Final = 2
_COLUMNS: Final = {"rejected_events": "rejected_at", "predictions": "decided_at", "drift_results": "day"}
_MONTHS: Final = """
SELECT child.relname, (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = 'ml_learning.agent_events'::regclass
"""
_OLD_ROWS: Final = """
DELETE FROM {table} AS old WHERE event_timestamp < %(cut)s AND event_timestamp < (
    SELECT max(event_timestamp) FROM {table} AS newest WHERE newest.agent_id = old.agent_id AND newest.event_timestamp < %(cut)s
)
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a table keeps, and what is, or was, older. `days`: None for ever; `before`: the instant; `rows`: how many are older."""

    name: str
    days: int | None
    before: datetime | None
    rows: int


def keep(settings: Settings, views: Sequence[FeatureView], wanted: Mapping[str, int | None]) -> None:
    """Say how many days tables keep, None for ever; removes nothing.

    Raises:
        UserError: As `check`.

    """
    check(views, wanted)
    with connect(settings, writes=True) as connection:
        for name, days in wanted.items():
            retention.keep(connection, name, days)


def check(views: Sequence[FeatureView], wanted: Mapping[str, int | None]) -> None:
    """Refuse what tables cannot keep.

    Raises:
        UserError: There is no such table, or it would keep too little to compute the features of now.

    """
    fewest = fewest_days(views)
    for name, days in wanted.items():
        if name not in HOLDS:
            raise UserError(f"There is no retention of {name}.", where="--set", fix=f"There is one of {', '.join(HOLDS)}.")
        if days is not None and days < fewest.get(name, 1):
            raise UserError(
                f"{name} cannot keep {days} days: features of now are computed of more.", where="--set", fix=f"Keep {fewest.get(name, 1)}."
            )


def fewest_days(views: Sequence[FeatureView]) -> dict[str, int]:
    """Return how many days the log and the rows keep at least."""
    reach = max((view.longest.size + view.longest.hop for view in views), default=0)
    return {EVENTS: -(-reach // DAY) + _SPARE, FEATURES: _SPARE}


def apply(settings: Settings, *, dry_run: bool = False, tried: Mapping[str, int | None] | None = None) -> list[Cut]:
    """Remove what is older than tables keep, each in a transaction of its own; of a dry run count it only.

    Args:
        settings: Whose tables.
        dry_run: Remove nothing.
        tried: Of a dry run: days, None for ever, in the place of those that are kept.

    Raises:
        UserError: The server does not answer.

    """
    found = []
    with connect(settings, writes=True) as connection:
        kept = {name: policy.days for name, policy in retention.policies(connection).items()}
        kept |= (tried or {}) if dry_run else {}
        for name in HOLDS:
            days = kept.get(name)
            before = None if days is None else _midnight(days)
            rows = 0
            if before is not None:
                connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL detektor.removes = 'on'")
                rows = _remove(connection, name, before)
                if rows and not dry_run:
                    retention.raise_floor(connection, name, before)
            if dry_run:
                connection.rollback()
            else:
                connection.commit()
            found.append(Cut(name, days, before, rows))
    return found


def _midnight(days: int) -> datetime:
    return clock.from_us((clock.now_us() // DAY) * DAY) - timedelta(days=days)


def _remove(connection: psycopg.Connection, name: str, before: datetime) -> int:
    from psycopg import sql

    if name == EVENTS:
        return _remove_events(connection, before)
    if name == FEATURES:
        return _remove_rows(connection, before)
    statement = sql.SQL("DELETE FROM {} WHERE {} < %s").format(sql.Identifier("ml_learning", name), sql.Identifier(_COLUMNS[name]))
    return connection.execute(statement, (before,)).rowcount


def _remove_events(connection: psycopg.Connection, before: datetime) -> int:
    """Empty the months that are over, whose places are free at once, and delete the rest. Their tables stay: writers know of them."""
    from psycopg import sql

    rows = 0
    for month, end in connection.execute(_MONTHS).fetchall():
        table = sql.Identifier("ml_learning", month)
        if end is not None and end <= before:
            counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
            rows += counted[0] if counted else 0
            connection.execute(sql.SQL("TRUNCATE {}").format(table))
    rows += connection.execute("DELETE FROM ml_learning.agent_events WHERE occurred_at < %s", (before,)).rowcount
    connection.execute("DELETE FROM ml_learning.event_ids WHERE occurred_at < %s", (before,))
    return rows


def _remove_rows(connection: psycopg.Connection, before: datetime) -> int:
    """Delete old rows but the newest of each agent_id before the cut: it says what is true until its next one."""
    from psycopg import sql

    rows = 0
    for table in row_tables(connection):
        rows += connection.execute(sql.SQL(_OLD_ROWS).format(table=sql.Identifier("feast", table.name)), {"cut": before}).rowcount
    connection.execute("DELETE FROM ml_learning.partition_state WHERE partition < %s", (before.date(),))
    return rows
