"""Where the log lives: transaction ids belong to one PostgreSQL cluster, and a log may be moved to another.

`agent_events.xid` and `partition_state.snapshot` are compared to tell what was seen. After pg_dump and pg_restore the new cluster counts
from the beginning, so old events would look as if they had yet to happen; after the promotion of a physical copy the old primary may give
the same ids to other transactions. So the log has numbers of its own, which only ever grow, and `ml_learning.log_cluster` says how they
follow from the ids of the cluster that it is on:

    number of a transaction = its id + shift        agent_events.xid's default; ml_learning.log_snapshot() is the same for a snapshot

    cluster A, shift 0       … 6,801  6,802                                dumped here
    cluster B, shift 6,040                  6,803 (763)  6,804 (764) …     restored: the numbers go on, no stored one changes

Every new connection of ours is held against that row before anything else (`settle`): on another cluster or timeline the log's next life
begins, in one short transaction whatever the log's size. Its number is the `epoch`; values online carry it, for what was online before may
know of events that a restored log does not hold. Until then a trigger keeps everybody from adding to the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import refusals, sessions
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

MOVED: Final = "DTLOG"
"""sqlstate of the trigger: the log was moved and its next life has not begun, so nothing may be added."""

ASK: Final = """
SELECT pg_is_in_recovery(), control.system_identifier,
       CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END,
       kept.system_identifier, kept.timeline
FROM pg_control_system() AS control LEFT JOIN ml_learning.log_cluster AS kept ON true
"""
"""Where we are, and where the log was last: one row, for `Place`. Takes 40 µs and no privilege."""

SNAPSHOT: Final = "(SELECT CASE WHEN shift = 0 THEN pg_current_snapshot() ELSE ml_learning.log_snapshot() END FROM ml_learning.log_cluster)"
"""What is visible now in the log's numbers, as `ml_learning.log_snapshot()` says it, for who asks all the time: 5 µs instead of 50."""

EXAMINE: Final = """
SELECT epoch, 'cluster ' || kept.system_identifier || ', timeline ' || kept.timeline,
    to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    CASE
        WHEN pg_is_in_recovery() THEN 'replica'
        WHEN (kept.system_identifier, kept.timeline)
            <> (control.system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int) THEN 'moved'
        WHEN (SELECT max(xid) FROM ml_learning.agent_events) >= pg_snapshot_xmax(ml_learning.log_snapshot()) THEN 'ahead'
        ELSE 'home'
    END
FROM ml_learning.log_cluster AS kept CROSS JOIN pg_control_system() AS control
"""
"""One row for `detektor doctor`: epoch, where the log was last, since when, and what is to be said about it. Changes nothing."""

_LOCK: Final = 0x636C_7573_7465_72
"""Advisory lock ("cluster" in ASCII) of whoever begins a life."""

_PATIENT: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
_STILL: Final = "LOCK TABLE ml_learning.agent_events, ml_learning.partition_state IN ACCESS EXCLUSIVE MODE"
_SHIFT: Final = """
SELECT greatest(0, greatest(
    (SELECT max(xid)::text::bigint + 1 FROM ml_learning.agent_events),
    (SELECT max(pg_snapshot_xmax(snapshot))::text::bigint FROM ml_learning.partition_state)
) - pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
"""
_DEFAULT: Final = "ALTER TABLE ml_learning.agent_events ALTER COLUMN xid SET DEFAULT {}"
_SECONDS: Final = "EXTRACT(EPOCH FROM clock_timestamp() - timestamptz '2026-01-01 00:00+00')::bigint"
_BEGIN: Final = f"""
INSERT INTO ml_learning.log_cluster AS kept (epoch, system_identifier, timeline, shift, since)
VALUES ({_SECONDS}, %(system_identifier)s, %(timeline)s, coalesce(%(shift)s, 0), clock_timestamp())
ON CONFLICT (only_row) DO UPDATE SET epoch = greatest(kept.epoch + 1, excluded.epoch), system_identifier = excluded.system_identifier,
    timeline = excluded.timeline, shift = coalesce(%(shift)s, kept.shift), since = excluded.since
RETURNING epoch
"""
"""The number of a life is the second in which it began, counted from 2026: so two restores of one dump do not get the same."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the log: its number (1 is the first, later ones are greater), cluster and timeline, and since when (server's clock)."""

    epoch: int
    system_identifier: int
    timeline: int
    since: datetime

    @property
    def name(self) -> str:
        """What tells it from every other life, also of another database."""
        return f"{self.epoch}/{self.system_identifier}/{self.timeline}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads to, and where the log was last: a row of `ASK`. A replica does not know its timeline."""

    replica: bool
    system_identifier: int
    timeline: int | None
    kept_system_identifier: int | None
    kept_timeline: int | None

    @property
    def at_home(self) -> bool:
        """Whether the log lives here. A replica has what its primary has."""
        return self.replica or (self.system_identifier, self.timeline) == (self.kept_system_identifier, self.kept_timeline)

    @property
    def counts_on(self) -> bool:
        """Whether the transaction ids go on where the log was last: a copy of the same cluster, promoted."""
        return self.system_identifier == self.kept_system_identifier


def epoch(connection: psycopg.Connection) -> int:
    """Return the number of the log's life: 1 for the first, and a greater one each time the log begins to live on another cluster."""
    return life(connection).epoch


def life(connection: psycopg.Connection) -> Life:
    """Return the log's present life.

    Raises:
        UserError: There is none: somebody deleted it.

    """
    row = connection.execute("SELECT epoch, system_identifier, timeline, since FROM ml_learning.log_cluster").fetchone()
    if row is None:
        raise UserError("The log does not say where it lives.", where="ml_learning.log_cluster is empty", fix="Run `detektor up`.")
    return Life(*row)


def begin_after(connection: psycopg.Connection, epoch: int) -> Life:
    """Begin a life of the log where it is, with a number above `epoch`; what was put online before belongs to an earlier one.

    Raises:
        psycopg.Error: This user may not.

    """
    connection.execute(
        f"UPDATE ml_learning.log_cluster SET epoch = greatest(epoch + 1, %s + 1, {_SECONDS}), since = clock_timestamp()", (epoch,)
    )
    return life(connection)


def settle(connection: psycopg.Connection, *, writes: bool) -> None:
    """Make sure that the log lives where this new connection leads to: on another cluster or timeline its next life begins.

    Args:
        connection: In autocommit, nothing under way.
        writes: Whether it is for something that writes, here or, from what it reads here, to Redis.

    Raises:
        UserError: `writes`, and it leads to a replica; or a life must begin, and this user does not own the log's tables; or what stands
            before PostgreSQL has dropped what the session was to have set.

    """
    if connection.info.parameter_status("TimeZone") != sessions.ALWAYS["timezone"]:  # the server has said so: costs nothing
        raise UserError(refusals.POOLER, where=f"PostgreSQL at {connection.info.host}:{connection.info.port}", fix=refusals.POOLER_FIX)
    place = _place(connection)
    if place is not None:
        allow(place, writes=writes)
        if not place.at_home:
            _move_in(connection)


def settled(connection: psycopg.Connection) -> psycopg.Connection:
    """Return a new connection (autocommit) that writes, as `settle` leaves it; one that is refused is closed.

    Raises:
        UserError: As `settle`.

    """
    try:
        settle(connection, writes=True)
    except BaseException:
        connection.close()
        raise
    return connection


def allow(place: Place, *, writes: bool) -> None:
    """Let reading pass everywhere, writing not on a replica.

    Raises:
        UserError: `writes`, and it is one.

    """
    if writes and place.replica:
        raise UserError(
            "This PostgreSQL is a replica: nothing can be written there, and what it knows may be behind.",
            where=f"cluster {place.system_identifier}",
            fix="Give the primary's address in DETEKTOR_EXTERNAL_POSTGRES_URL; if the primary is gone, promote this one (pg_ctl promote).",
        )


def _place(connection: psycopg.Connection) -> Place | None:
    """Ask; None when the database has no such table (yet)."""
    import psycopg

    try:
        row = connection.execute(ASK).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return Place(*row) if row else None


def _move_in(connection: psycopg.Connection) -> None:
    """Begin the log's next life, unless another process did while we waited for it.

    Raises:
        UserError: This user does not own the log's tables.

    """
    import psycopg

    try:
        _begin(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            "The log was moved to another cluster, and this database user may not say that it lives there now.",
            where=f"ml_learning.log_cluster: {error.diag.message_primary}",
            fix="Run `detektor up` once with the user that owns the tables in DETEKTOR_EXTERNAL_POSTGRES_URL; then everybody can go on.",
        ) from error


def _begin(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute(_PATIENT)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        place = _place(connection)
        if place is None or place.at_home:
            return
        where: dict[str, Any] = {"system_identifier": place.system_identifier, "timeline": place.timeline, "shift": None}
        if not place.counts_on:
            where["shift"] = _count_on(connection)
        row = connection.execute(_BEGIN, where).fetchone()
    before = f"cluster {place.kept_system_identifier}, timeline {place.kept_timeline}"
    _logger.warning(
        "The log was moved: from %s to cluster %s, timeline %s. Its life %s begins.",
        *(before, place.system_identifier, place.timeline, row and row[0]),
    )


def _count_on(connection: psycopg.Connection) -> int:
    """Let the log's numbers go on above all that it holds; returns what is added to this cluster's ids from now on."""
    connection.execute(_STILL)
    row = connection.execute(_SHIFT).fetchone()
    shift = int(row[0]) if row else 0
    number = f"(pg_current_xact_id()::text::bigint + {shift})::text::xid8" if shift else "pg_current_xact_id()"
    connection.execute(_DEFAULT.format(number))
    return shift


__all__ = ["ASK", "MOVED", "Life", "Place", "allow", "begin_after", "epoch", "life", "settle", "settled"]
