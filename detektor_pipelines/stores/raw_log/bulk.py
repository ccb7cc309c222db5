"""Writing the raw log: whole Arrow tables of events, each event_id once.

One chunk is one transaction: the identities go to `ml_learning.event_ids` first, whose primary key decides between concurrent writers; then
the new events are copied into `ml_learning.agent_events`; then records of known events are compared (`stores.raw_log.duplicates`). A run
that is interrupted leaves whole chunks, and running it again adds the rest. Events in memory go by `stores.raw_log.writer`, without Arrow.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from detektor_pipelines.stores.connections import connect_arrow, sqlstate
from detektor_pipelines.stores.raw_log import chunk
from detektor_pipelines.stores.raw_log.duplicates import settle
from detektor_pipelines.stores.raw_log.months import ensure_months, months_of
from detektor_pipelines.stores.raw_log.table import by_operation, complete
from detektor_pipelines.stores.raw_log.writer import EventWriter, IngestCounts
from detektor_pipelines.stores.retries import transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection, Cursor

    from detektor_pipelines.language.records import AgentEvent, Rejection
    from detektor_pipelines.settings import Settings

CHUNK_ROWS: Final = 50_000
"""Rows of one transaction: large enough for bulk speed, small enough that three connections share the work."""

_FIRST_ROWS: Final = 2_000
_again: Final = transactions(first_pause=0.05)
_KNOWN_ALREADY: Final = "23505"  # unique violation


def append(settings: Settings, events: Iterable[AgentEvent], rejections: Iterable[Rejection] = (), *, mix: bool = False) -> IngestCounts:
    """Store events and rejections; safe beside other writers, harmless when repeated.

    Args:
        settings: Which database.
        events: Checked events (`ingest.checks`), held in memory.
        rejections: What could not be read.
        mix: Let simulated and real events share the database.

    Raises:
        UserError: The database cannot be reached or is full; simulated beside real without `mix`.

    """
    with EventWriter(settings, mix=mix) as writer:
        return writer.write(list(events), list(rejections))


def append_table(settings: Settings, table: pa.Table, *, mix: bool = False, connections: int = 3) -> IngestCounts:
    """Store a table of events in the layout of `agent_events` (columns: `table.COLUMNS`, absent ones as DEFAULTS or null).

    The bulk path of the simulator: chunks of CHUNK_ROWS, over `connections` connections at once. Of three, two keep two cores busy while
    the third waits for its commit to reach the disk. The events are taken as they are; whoever makes the table answers for ranges and
    vocabularies.

    Raises:
        UserError: As `append`.
        ValueError: The table is not in that layout.

    """
    # Of several chunks the first is small: the log's first event says where it comes from, and the others wait until that is committed.
    first = CHUNK_ROWS if table.num_rows <= CHUNK_ROWS else _FIRST_ROWS
    chunks = [table.slice(0, first)] if table.num_rows else []
    chunks += [table.slice(start, CHUNK_ROWS) for start in range(first, table.num_rows, CHUNK_ROWS)]
    with ExitStack() as stack:
        writers = [stack.enter_context(TableWriter(settings, mix=mix)) for _ in range(min(connections, len(chunks)))]
        pool = stack.enter_context(ThreadPoolExecutor(max(len(writers), 1)))

        def write_share(number: int) -> IngestCounts:
            share = chunks[number :: len(writers)]
            return sum((writers[number].write_table(complete(each)) for each in share), IngestCounts())

        return sum(pool.map(write_share, range(len(writers))), IngestCounts())


class TableWriter:
    """One connection that appends to the raw log; a context manager, not for several threads at once.

    Args:
        settings: Which database.
        mix: Let simulated and real events share the database.

    """

    def __init__(self, settings: Settings, *, mix: bool = False) -> None:
        self._settings = settings
        self._mix = mix
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._months: set[str] = set()
        self._all_new = True
        """Whether the next chunk is taken to hold no known event: that is cheap, and found out when it is wrong."""

    def __enter__(self) -> Self:
        self._connection = self._stack.enter_context(connect_arrow(self._settings, writes=True))
        with self._connection.cursor() as cursor:
            chunk.make_temporary_tables(cursor)
        self._connection.commit()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write_table(self, table: pa.Table) -> IngestCounts:
        """Store one chunk of `table.COLUMNS`; an event_id that it holds twice is compared with its first record.

        Raises:
            UserError: As `append`.

        """
        counts = IngestCounts()
        while table.num_rows:
            first, table = chunk.split_at_repetitions(table)
            counts += self._write_distinct(first)
        return counts

    def _write_distinct(self, table: pa.Table) -> IngestCounts:
        import pyarrow as pa

        parts = by_operation(chunk.stamped(table))
        self._ensure_months(table)
        # Before the transaction: hashing takes a while, and an open transaction holds up others.
        identities = pa.concat_tables([chunk.identities(part) for part in parts])
        return self._retried(lambda cursor: self._chunk(cursor, parts, identities))

    def _ensure_months(self, table: pa.Table) -> None:
        missing = months_of(table["occurred_at"]) - self._months
        if missing:
            ensure_months(self._open(), missing)
            self._months |= missing

    def _chunk(self, cursor: Cursor, parts: Sequence[pa.Table], identities: pa.Table) -> IngestCounts:
        import pyarrow as pa

        parts, erased = chunk.without_erased(cursor, parts)
        if not parts:
            return IngestCounts(erased=erased)
        if erased:
            identities = chunk.only(identities, pa.concat_tables(parts)["event_id"].to_pylist())
        chunk.claim_origin(cursor, parts, mix=self._mix)
        known = self._claim(cursor, identities)
        for part in parts:
            chunk.copy_events(cursor, chunk.without(part, known) if known else part)
        counts = IngestCounts(added=identities.num_rows - len(known), erased=erased)
        return counts + self._compare(cursor, pa.concat_tables(parts), len(known)) if known else counts

    def _claim(self, cursor: Cursor, identities: pa.Table) -> list[str]:
        if self._all_new:
            chunk.enter_identities(cursor, identities)
            return []
        known = chunk.claim_identities(cursor, identities)
        self._all_new = not known
        return known

    def _compare(self, cursor: Cursor, table: pa.Table, known: int) -> IngestCounts:
        """Judge the records whose event was stored before with another body, and write what follows from it."""
        stored = chunk.stored_with_another_body(cursor)
        found = settle(stored, chunk.rows_of(chunk.only(table, stored)) if stored else ())
        tally = Counter(verdict.judgement for verdict in found.verdicts.values())
        chunk.write_revisions(cursor, found.revised)
        rejected, rejected_known = chunk.keep_rejections(cursor, found.conflicts)
        return IngestCounts(
            known=known - len(stored) + tally["same"],
            also_seen=tally["shorter"] + tally["longer"] + tally["heard"],
            reread=tally["reread"],
            conflicts=tally["conflict"],
            rejected=rejected,
            rejected_known=rejected_known,
        )

    def _retried(self, work: Callable[[Cursor], IngestCounts]) -> IngestCounts:
        """Do the work in one transaction; again if PostgreSQL ended it to break a deadlock."""
        return _again(self._transaction, work)

    def _transaction(self, work: Callable[[Cursor], IngestCounts]) -> IngestCounts:
        """Do the work in one transaction; in a second one, with more care, if an event was known."""
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                counts = work(cursor)
            connection.commit()
        except Exception as error:
            connection.rollback()
            if self._all_new and sqlstate(error) == _KNOWN_ALREADY:
                self._all_new = False
                return self._transaction(work)
            raise
        return counts

    def _open(self) -> Connection:
        if self._connection is None:
            message = "TableWriter is a context manager: use it in a with statement"
            raise RuntimeError(message)
        return self._connection
