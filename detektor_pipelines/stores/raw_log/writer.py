"""Writing the raw log from events in memory: each event_id once, and what was rejected beside them.

As in `stores.raw_log.bulk` one chunk is one transaction: the identities go to `ml_learning.event_ids` first, whose primary key decides
between concurrent writers; then the new events are copied into `ml_learning.agent_events`; then records of known events are compared
(`stores.raw_log.duplicates`). A run that is interrupted leaves whole chunks, and running it again adds the rest.

Over psycopg and without Arrow, which takes a second and a hundred megabytes before it has written the first row.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.connections import connect, sqlstate
from detektor_pipelines.stores.raw_log import erased, live, statements
from detektor_pipelines.stores.raw_log.erased import Erased
from detektor_pipelines.stores.raw_log.lines import IDENTITY, columns_of, lines_of
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stores.retries import transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    import psycopg

    from detektor_pipelines.language.records import AgentEvent, Rejection
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.raw_log.lines import Line

CHUNK_EVENTS: Final = 10_000
"""Events of one transaction at most: enough for bulk speed, few enough for little memory."""

_again: Final = transactions(first_pause=0.05)
_KNOWN_ALREADY: Final = "23505"  # unique violation

_INCOMING: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (event_id text, revision integer, occurred_at timestamptz, body_hash uuid)
ON COMMIT DELETE ROWS
"""
_SELECT_KNOWN: Final = """
SELECT event_id, identity.body_hash <> incoming.body_hash
FROM incoming JOIN ml_learning.event_ids AS identity USING (event_id) WHERE identity.xmin <> pg_current_xact_id()::xid
"""


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What became of the records handed to the store; every record is counted once.

    Attributes:
        added: New events.
        known: Stored before with the same body.
        also_seen: Another text of a stored event: a shorter one, a longer one that now counts, or what was heard of it live.
        reread: Stored before, but now read differently (agent, project, reader); `reingest` writes them.
        repaired: The same, written by `reingest`.
        conflicts: Contradict a stored event; among the rejected.
        rejected: Rejections kept by this run, conflicts included.
        rejected_known: Rejections kept by an earlier run.
        erased: Belong to what was erased (`detektor erase`), and were not stored.

    """

    added: int = 0
    known: int = 0
    also_seen: int = 0
    reread: int = 0
    repaired: int = 0
    conflicts: int = 0
    rejected: int = 0
    rejected_known: int = 0
    erased: int = 0

    def __add__(self, other: IngestCounts) -> IngestCounts:
        return IngestCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


class Chunk(NamedTuple):
    """What one transaction stores: distinct events laid out in the order of event_id, and when that was done (µs UTC)."""

    lines: list[Line]
    at: int


def chunks_of(events: Sequence[AgentEvent]) -> Iterator[Chunk]:
    """Lay checked events out, each chunk when it is asked for; an event's second record comes in a later one than its first.

    Raises:
        ValueError: An event has a measure or category that its operation has not.

    """
    for start in range(0, len(events), CHUNK_EVENTS):
        for distinct in _without_repetitions(events[start : start + CHUNK_EVENTS]):
            now = now_us()
            # In the order of the primary key: concurrent writers wait for each other instead of locking each other out, and PostgreSQL
            # finds the places in it sooner.
            yield Chunk(sorted(lines_of(distinct, now), key=lambda line: line.event.event_id), now)


class EventWriter:
    """One connection that appends to the raw log; a context manager, not for several threads at once.

    Args:
        settings: Which database.
        mix: Let simulated and real events share the database.
        reingest: Write events that are read differently now as a higher revision.

    """

    def __init__(self, settings: Settings, *, mix: bool = False, reingest: bool = False) -> None:
        self._settings = settings
        self._mix = mix
        self._reingest = reingest
        self._stack = ExitStack()
        self._connection: psycopg.Connection | None = None
        self._months: set[str] = set()
        self._all_new = True
        """Whether the next chunk is taken to hold no known event: that is cheap, and found out when it is wrong."""

    def __enter__(self) -> Self:
        self._connection = self._stack.enter_context(connect(self._settings, writes=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, events: Sequence[AgentEvent], rejections: Sequence[Rejection] = ()) -> IngestCounts:
        """Store checked events and rejections, in one transaction a chunk.

        Raises:
            UserError: The database cannot be reached or is full; simulated beside real without `mix`.

        """
        return self.write_chunks(chunks_of(events), rejections)

    def write_chunks(self, chunks: Iterable[Chunk], rejections: Sequence[Rejection] = ()) -> IngestCounts:
        """Store rejections and what was laid out: laying out takes a while, and needs neither a connection nor this thread.

        Raises:
            UserError: As `write`.

        """
        counts = self._retried(lambda connection: _reject(connection, rejections)) if rejections else IngestCounts()
        return sum(map(self._write_chunk, chunks), counts)

    def _write_chunk(self, chunk: Chunk) -> IngestCounts:
        self._ensure_months(chunk.lines)
        return self._retried(lambda connection: self._chunk(connection, *chunk))

    def _ensure_months(self, lines: Iterable[Line]) -> None:
        days = {line.event.occurred_at // DAY for line in lines}
        missing = {f"{from_us(day * DAY):%Y-%m}" for day in days} - self._months
        if missing:
            ensure_months(self._open(), missing)
            self._months |= missing

    def _chunk(self, connection: psycopg.Connection, lines: Sequence[Line], now: int) -> IngestCounts:
        gone = _erased(connection)
        kept = [line for line in lines if not gone.covers(live.row_of(line.event, now))] if gone else lines
        counts = IngestCounts(erased=len(lines) - len(kept))
        if not kept:
            return counts
        self._claim_origin(connection, {line.event.simulated for line in kept})
        known = self._claim(connection, kept)
        copy_events(connection, [line for line in kept if line.event.event_id not in known] if known else kept)
        counts += IngestCounts(added=len(kept) - len(known))
        if not known:
            return counts
        differing = [live.row_of(line.event, now) for line in kept if known.get(line.event.event_id)]
        return counts + self._compare(connection, differing, len(known)) if differing else counts + IngestCounts(known=len(known))

    def _claim_origin(self, connection: psycopg.Connection, kinds: set[bool]) -> None:
        """Note whether the log is simulated or real with its first event, and hold every later one to it."""
        connection.execute(statements.first_origin(simulated=min(kinds)))
        simulated, mixed = connection.execute(statements.SELECT_ORIGIN).fetchone() or (min(kinds), False)
        if mixed or kinds == {simulated}:
            return
        if not self._mix:
            raise statements.other_origin(simulated=simulated)
        connection.execute(statements.MIX_ORIGINS)

    def _claim(self, connection: psycopg.Connection, lines: Sequence[Line]) -> dict[str, bool]:
        """Enter the identities that are new; return the event_ids that were entered before, and whether their body differs."""
        if self._all_new:
            _copy(connection, f"{statements.SCHEMA}.event_ids", IDENTITY, (line.identity for line in lines))
            return {}
        connection.execute(_INCOMING)
        _copy(connection, "incoming", IDENTITY, (line.identity for line in lines))
        claimed = connection.execute(statements.CLAIM_IDENTITIES).rowcount
        known: dict[str, bool] = dict(connection.execute(_SELECT_KNOWN).fetchall()) if claimed < len(lines) else {}
        self._all_new = not known
        return known

    def _compare(self, connection: psycopg.Connection, differing: Sequence[live.Row], known: int) -> IngestCounts:
        """Judge the records whose event was stored before with another body, and write what follows from it."""
        found = live.settle_differing(connection, differing, reingest=self._reingest)
        tally = Counter(verdict.judgement for verdict in found.verdicts.values())
        rejected = live.keep_rejections(connection, found.conflicts)
        return IngestCounts(
            known=known - len(differing) + tally["same"],
            also_seen=tally["shorter"] + tally["longer"] + tally["heard"],
            reread=0 if self._reingest else tally["reread"],
            repaired=tally["reread"] if self._reingest else 0,
            conflicts=tally["conflict"],
            rejected=rejected,
            rejected_known=len(found.conflicts) - rejected,
        )

    def _retried(self, work: Callable[[psycopg.Connection], IngestCounts]) -> IngestCounts:
        """Do the work in one transaction; again if PostgreSQL ended it to break a deadlock."""
        return _again(self._transaction, work)

    def _transaction(self, work: Callable[[psycopg.Connection], IngestCounts]) -> IngestCounts:
        """Do the work in one transaction; in a second one, with more care, if an event was known."""
        connection = self._open()
        try:
            with connection.transaction():
                return work(connection)
        except Exception as error:
            if not self._all_new or sqlstate(error) != _KNOWN_ALREADY:
                raise
        self._all_new = False
        return self._transaction(work)

    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            message = "EventWriter is a context manager: use it in a with statement"
            raise RuntimeError(message)
        return self._connection


def _without_repetitions(events: Sequence[AgentEvent]) -> Iterator[Sequence[AgentEvent]]:
    """Yield the first record of each event, then what repeats one in the same way, so that a second is compared with a first."""
    while events:
        firsts: dict[str, AgentEvent] = {}
        for event in events:
            firsts.setdefault(event.event_id, event)
        if len(firsts) == len(events):
            yield events
            return
        yield list(firsts.values())
        events = [event for event in events if firsts[event.event_id] is not event]


def copy_events(connection: psycopg.Connection, lines: Sequence[Line]) -> None:
    """Copy rows into `agent_events`, each operation's with the columns that it has."""
    in_order = sorted(lines, key=lambda line: line.event.operation)
    for operation, rows in groupby(in_order, key=lambda line: line.event.operation):
        _copy(connection, f"{statements.SCHEMA}.agent_events", columns_of(operation), (line.row for line in rows))


def _copy(connection: psycopg.Connection, table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        copy.write("".join(lines))


def _reject(connection: psycopg.Connection, rejections: Sequence[Rejection]) -> IngestCounts:
    gone = _erased(connection)
    kept = [each for each in rejections if not gone.is_named_in(each.source, each.excerpt, each.reason, each.event_id or "")]
    rejected = live.keep_rejections(connection, kept)
    return IngestCounts(rejected=rejected, rejected_known=len(kept) - rejected, erased=len(rejections) - len(kept))


def _erased(connection: psycopg.Connection) -> Erased:
    """What was erased, asked under the log's lock: nothing of it is stored meanwhile."""
    connection.execute(erased.LOCK)
    return Erased.of(connection.execute(erased.SELECT).fetchall())
