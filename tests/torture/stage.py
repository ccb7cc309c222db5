"""The platform that a history is played on: real PostgreSQL and Redis, the product's own functions, one clock that the history moves.

Belongs here: doing things to the platform and reading what it answers. What is right is `judge`'s business.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
from torture.ledger import Ledger
from torture.truth import DAY, HOUR, Record, up
from torture.views import AGENT, FIRST, second

from detektor_pipelines.clock import from_us, parse_instant, to_text
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.quality.parity import check as parity
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import ensure_tables, row_table
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import EventWriter
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from redis import Redis
    from torture.feast_client import FeastClient

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.quality.parity.check import Parity
    from detektor_pipelines.settings import Settings

START = parse_instant("2026-03-10T08:30:00Z")
SECOND_US = 1_000_000
MONTHS = {f"2026-{month:02d}" for month in range(1, 8)}
_EPOCH = date(1970, 1, 1)
HEADER = 28
_FAR = 1_000_000
_FIRST_LIFE = """
UPDATE ml_learning.log_cluster AS kept SET epoch = 1, shift = 0, system_identifier = control.system_identifier,
    timeline = ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
FROM pg_control_system() AS control;
ALTER TABLE ml_learning.agent_events ALTER COLUMN xid SET DEFAULT pg_current_xact_id()
"""
_RAW = ("event_id", "revision", "agent_type", "raw_name", "project", "occurred_at", "known_at", "ingested_at", "derived", "simulated")


def day_of(instant: int) -> date:
    """The day that owns an instant: midnight belongs to the day that ends."""
    return _EPOCH + timedelta(days=(instant - 1) // DAY)


def midnight(day: date) -> int:
    """The day's first instant."""
    return (day - _EPOCH).days * DAY


@dataclass(frozen=True)
class Published:
    """A published day: the log's moment that it was computed at, and the clock's instant."""

    moment: int
    at: int

    def covers(self, day: date, grain: int) -> int:
        """Rule 22: up to when."""
        return min(midnight(day) + DAY, self.at - self.at % grain)


@dataclass
class Running:
    """A stream worker, and how far its clock is ahead of the others'."""

    worker: Worker
    offset: int
    views: tuple[FeatureView, ...]
    interrupted: bool = False


@dataclass
class Version:
    """What is known of one version of the view. `vouched`: the moment of the log whose commits the stream has said are all in."""

    view: FeatureView
    published: dict[date, Published] = field(default_factory=dict)
    vouched: int = 0
    floor: dict[str, int] = field(default_factory=dict)
    """By key, the moment that the value last read online had seen."""
    was_online: set[str] = field(default_factory=set)


class Stage:
    """One history's platform. Instants are int µs UTC; every action begins a second after the one before."""

    def __init__(self, settings: Settings, view: FeatureView, elsewhere: Callable[[Settings], Settings] | None = None) -> None:
        self.settings = settings
        self._elsewhere = elsewhere
        """Restores the database into another cluster; without it a move is made up."""
        self.now = START
        self.ledger = Ledger()
        self.versions = [Version(view)]
        self.workers: list[Running] = []
        self.ahead_until = 0
        """Up to when something was put online by a clock that was ahead."""
        self.disturbed = False
        """Whether Redis lost values that were not yet missed by anybody."""
        self.open: tuple[psycopg.Connection, list[Record]] | None = None
        self.copy: dict[bytes, bytes] | None = None
        self._ticks = 0.0
        self._client: FeastClient | None = None
        self._stack = contextlib.ExitStack()
        self.redis: Redis = online.redis_client(settings)
        self._connections = contextlib.ExitStack()
        self.admin = self._stack.enter_context(_admin(settings))
        self._empty()
        self._reconnect()
        self.set_clock()

    # Beginning and end -------------------------------------------------------------------------------------------------------

    def _reconnect(self) -> None:
        """Open the connections of the product's own that live as long as a program does, as after a restart of everything."""
        self._connections.close()
        with connect(self.settings, writes=True):
            self.arrow = self._connections.enter_context(connect_arrow(self.settings))
        self._live = self._connections.enter_context(LiveWriter(self.settings))

    def _empty(self) -> None:
        self.admin.execute(_FIRST_LIFE)
        with connect_arrow(self.settings) as connection:
            ensure_months(connection, MONTHS)
        views = [each for view in FIRST.values() for each in (second(view), view)]
        for view in views:  # one by one: two versions have one name
            ensure_tables(self.settings, (view,))
        tables = ", ".join(f'feast."{row_table(view)}"' for view in views)
        self.admin.execute(
            "TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.rejected_events, ml_learning.log_origin,"
            f" ml_learning.partition_state, {tables}"
        )
        self.redis.flushdb()
        module: Any
        for name, module in list(sys.modules.items()):
            if name.startswith("detektor_pipelines.stream") and hasattr(module, "time"):
                module.time = SimpleNamespace(**{**vars(time), "monotonic": lambda: self._ticks})

    @property
    def feast(self) -> FeastClient:
        """Feast's own store, with the newest version registered."""
        if self._client is None:
            from torture.feast_client import FeastClient

            self._client = self._stack.enter_context(contextlib.closing(FeastClient(self.settings)))
        self._client.register(self.versions[-1].view)
        return self._client

    def close(self) -> None:
        """End what runs."""
        self.roll_back()
        while self.workers:
            self.kill(0)
        self._connections.close()
        self._stack.close()
        self.redis.close()
        for name, module in list(sys.modules.items()):
            if name.startswith("detektor_pipelines.stream") and hasattr(module, "time"):
                module.time = time

    @property
    def is_ahead(self) -> bool:
        """Whether what a wrong clock put online still lies ahead of the right one."""
        return self.ahead_until > self.now + 60 * SECOND_US

    # The clock ---------------------------------------------------------------------------------------------------------------

    def set_clock(self, offset: int = 0) -> None:
        """Let the platform's clock say the history's instant, or one beside it."""
        os.environ["DETEKTOR_NOW"] = to_text(self.now + offset)

    @contextlib.contextmanager
    def clock_off_by(self, offset: int) -> Iterator[None]:
        """Do something with another clock."""
        self.set_clock(offset)
        try:
            yield
        finally:
            self.set_clock()

    def advance(self, us: int) -> None:
        """Let time pass."""
        self.now += us
        self.set_clock()

    # The log -----------------------------------------------------------------------------------------------------------------

    def hear(self, record: Record) -> bool:
        """Write one live event or a fuller record of one; returns whether it was taken."""
        (outcome,) = self._live.write([_event(record, live=True)])
        return outcome.status != "rejected"

    def read_files(self, records: Sequence[Record], *, again: bool = False) -> None:
        """Write events as the reader of files does."""
        with EventWriter(self.settings, reingest=again) as writer:
            writer.write([_event(record, live=False) for record in records])

    def insert(self, connection: psycopg.Connection, record: Record) -> None:
        """Write one revision past the checks, in the connection's transaction."""
        row: dict[str, Any] = dict.fromkeys(_RAW, False)
        row |= {"event_id": record.event_id, "revision": record.revision, "agent_type": AGENT, "raw_name": AGENT}
        row |= {"project": record.project, "occurred_at": from_us(record.ts), "known_at": from_us(record.known)}
        row |= {
            "ingested_at": from_us(self.now),
            "retracted": record.retracted,
            "source": "raw",
            "reader_revision": 1,
            "operation": "review",
        }
        row |= record.said
        marks = ", ".join(f"%({name})s" for name in row)
        connection.execute(f"INSERT INTO ml_learning.agent_events ({', '.join(row)}) VALUES ({marks})", row)
        connection.execute(
            "INSERT INTO ml_learning.event_ids VALUES (%(event_id)s, %(revision)s, gen_random_uuid(), %(occurred_at)s)"
            " ON CONFLICT (event_id) DO UPDATE SET revision = excluded.revision, body_hash = excluded.body_hash",
            row,
        )

    def begin(self, record: Record) -> None:
        """Write an event in a transaction that stays open."""
        connection = psycopg.connect(self.settings.postgres_dsn, options="-c timezone=UTC")
        self.insert(connection, record)
        self.open = connection, [record]

    def commit_open(self) -> None:
        """End the open transaction; its events are in the log from now on."""
        if self.open:
            connection, records = self.open
            connection.commit()
            connection.close()
            self.ledger.commit(records)
            self.open = None

    def roll_back(self) -> None:
        """End the open transaction as if it had never been."""
        if self.open:
            self.open[0].rollback()
            self.open[0].close()
            self.open = None

    def note_numbers(self) -> None:
        """Read which transactions wrote what, in the log's present life."""
        rows = self.admin.execute("SELECT event_id, revision, xid::text::bigint FROM ml_learning.agent_events").fetchall()
        self.ledger.numbered(self.epoch(), {(event_id, revision): xid for event_id, revision, xid in rows})

    def epoch(self) -> int:
        """The number of the log's life."""
        row = self.admin.execute("SELECT epoch FROM ml_learning.log_cluster").fetchone()
        assert row is not None
        return int(row[0])

    # Batch -------------------------------------------------------------------------------------------------------------------

    def run(self, version: Version, days: Sequence[date], *, offset: int = 0) -> list[date]:
        """Materialize days and publish online, as a run of Dagster does; returns the days that failed the gate."""
        failed: list[date] = []
        with self.clock_off_by(offset):
            if days:
                done = materialize(self.settings, version.view, days)
                for each in done.days:
                    if each.status == "failed":
                        failed.append(each.day)
                    else:
                        version.published[each.day] = Published(self.ledger.moment, self.now + offset)
            publish_online(self.settings, version.view)
        return failed

    def repair_online(self) -> None:
        """`detektor online repair`."""
        from detektor_pipelines.engine.repair import repair

        for _ in repair(self.settings, [version.view for version in self.versions]):
            pass

    def restore(self) -> None:
        """Move the database to another cluster: its transactions keep numbers that this one has not come to yet."""
        self.commit_open()
        while self.workers:
            self.kill(0)
        if self._elsewhere is not None:
            self.note_numbers()
            self._connections.close()
            self.admin.close()
            self.settings = self._elsewhere(self.settings)
            self.admin = self._stack.enter_context(_admin(self.settings))
            self._reconnect()
            return
        self.admin.execute("UPDATE ml_learning.agent_events SET xid = (xid::text::bigint + %s)::text::xid8", (_FAR,))
        for view, data_hash, day, snapshot in self.admin.execute(
            "SELECT view, data_hash, partition, snapshot::text FROM ml_learning.partition_state"
        ).fetchall():
            self.admin.execute(
                "UPDATE ml_learning.partition_state SET snapshot = %s WHERE (view, data_hash, partition) = (%s, %s, %s)",
                (_shifted(snapshot), view, data_hash, day),
            )
        for key, value in self.all_keys().items():
            self.redis.set(key, self._renumbered(key, value))
        self.copy = None if self.copy is None else {key: self._renumbered(key, value) for key, value in self.copy.items()}
        self.note_numbers()
        self.admin.execute("UPDATE ml_learning.log_cluster SET system_identifier = system_identifier - 1")
        self._reconnect()

    def promote(self) -> None:
        """Go on with a physical copy of the cluster: the same transactions so far, and another timeline."""
        self.commit_open()
        while self.workers:
            self.kill(0)
        self.note_numbers()
        self.admin.execute("UPDATE ml_learning.log_cluster SET timeline = timeline - 1")
        self._reconnect()

    def _renumbered(self, key: bytes, value: bytes) -> bytes:
        """A value of the log's present life, its snapshot in the numbers of the cluster that the log came from."""
        if b"#" in key or not value.startswith(b"\xde\x01"):
            return value
        version = next(each for each in self.versions if self.key(each.view, "").encode() in key)
        features, said = split(version.view, value)
        number, slash, rest = said.rpartition(b"/")
        if not said or (number or b"1") != str(self.epoch()).encode():
            return value
        snapshot, space, writer = rest.partition(b" ")
        return features + number + slash + _shifted(snapshot.decode()).encode() + space + writer

    def stale(self, version: Version) -> list[date]:
        """The days that the repair of late data would compute."""
        with connect(self.settings) as connection:
            return stale_days(connection, version.view)

    # The stream --------------------------------------------------------------------------------------------------------------

    def start(self, offset: int) -> None:
        """Start a worker on the newest version."""
        views = (self.versions[-1].view,)
        self.workers.append(Running(Worker(self.settings, views), offset, views))

    def round(self) -> None:
        """One tick of each worker; a second passes for what they do now and then."""
        for each in self.workers:
            self._ticks += 1.0
            with self.clock_off_by(each.offset):
                try:
                    each.worker.tick()
                except UserError:
                    if not each.interrupted:
                        raise
                    each.interrupted = False

    def kill(self, number: int) -> None:
        """Let a worker be gone at once, with all that it had not written."""
        running = self.workers.pop(number)
        self._end_session(running)
        connection = running.worker._connection
        if connection is not None:
            connection.close()
        running.worker._publisher.close()

    def cut(self, number: int) -> None:
        """Cut a worker off PostgreSQL; it lives."""
        running = self.workers[number]
        running.interrupted = self._end_session(running)

    def _end_session(self, running: Running) -> bool:
        connection = running.worker._connection
        if connection is None or connection.closed:
            return False
        pid = connection.info.backend_pid
        self.admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        while self.admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).rowcount:
            time.sleep(0.001)
        return True

    # Parity ------------------------------------------------------------------------------------------------------------------

    def parity(self, version: Version) -> Parity:
        """Ask whether readers get what they should; while it waits for them the workers tick."""

        def sleep(_: float) -> None:
            self.advance(SECOND_US // 10)
            self.round()

        judgement.time = SimpleNamespace(**{**vars(time), "monotonic": lambda: self._ticks / 10, "sleep": sleep})
        try:
            (found,) = parity.check(self.settings, [version.view], 10_000)
        finally:
            judgement.time = time
        return found

    # Redis -------------------------------------------------------------------------------------------------------------------

    def all_keys(self) -> dict[bytes, bytes]:
        """Everything of ours in Redis that is a string."""
        keys = list(self.redis.scan_iter(match="feast:*", count=1_000, _type="string"))
        return {key: value for key in keys if (value := self.redis.get(key)) is not None}

    def put_back(self, copy: Mapping[bytes, bytes]) -> None:
        """Let Redis hold what it held once, and nothing else."""
        self.redis.flushdb()
        for key, value in copy.items():
            self.redis.set(key, value)

    def key(self, view: FeatureView, agent_id: str) -> str:
        """Where a value stands."""
        return online.value_key(self.settings.project, view, agent_id)

    def lost(self) -> None:
        """Take note that Redis lost something: what it knew is not to be expected of it."""
        self.disturbed = True
        for version in self.versions:
            version.vouched = 0
            version.floor.clear()
            version.was_online.clear()


def _admin(settings: Settings) -> psycopg.Connection:
    return psycopg.connect(settings.postgres_dsn, autocommit=True, options="-c timezone=UTC")


def _shifted(snapshot: str) -> str:
    return ":".join(",".join(str(int(xid) + _FAR) for xid in part.split(",") if xid) for part in snapshot.split(":"))


def split(view: FeatureView, packed: bytes) -> tuple[bytes, bytes]:
    """Part a packed value into features and what is said of the log."""
    number = len(view.features)
    size = HEADER + -(-number // 8) + 8 * number
    return packed[:size], packed[size:]


def without_knowledge(view: FeatureView, packed: bytes) -> bytes:
    """The same value, of which nobody says what it has seen."""
    return split(view, packed)[0]


def with_other_number(view: FeatureView, packed: bytes, feature: str) -> bytes:
    """The same value, but that one integer feature is one more."""
    number = len(view.features)
    at = HEADER + -(-number // 8) + 8 * sorted(each.name for each in view.features).index(feature)
    (value,) = struct.unpack_from("<q", packed, at)
    return packed[:at] + struct.pack("<q", value + 1) + packed[at + 8 :]


def _event(record: Record, *, live: bool) -> AgentEvent:
    measures = {name: value for name, value in record.said.items() if isinstance(value, int)}
    texts = {name: value for name, value in record.said.items() if isinstance(value, str) and name != "task_id"}
    task = record.said.get("task_id")
    return AgentEvent(
        event_id=record.event_id,
        agent_type=AGENT,
        raw_name=AGENT,
        operation="review",
        occurred_at=record.ts,
        source="torture",
        project=record.project,
        task_id=None if task is None else str(task),
        known_at=None if live else record.ts,
        measures=measures,
        categories=texts,
    )


__all__ = [
    "HOUR",
    "Published",
    "Running",
    "Stage",
    "Version",
    "day_of",
    "midnight",
    "split",
    "up",
    "with_other_number",
    "without_knowledge",
]
