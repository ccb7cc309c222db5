"""The stream worker: polls the log, moves the windows, writes what changed.

One `tick` is: what became visible, the instant, the values of the keys that changed. A value carries the tick's instant and snapshot, so
that batch can compute the same thing from the same knowledge. Nothing is kept on disk: a start reads the events of the longest windows.

A lost connection to PostgreSQL loses the locks of our shards with it, so the worker starts again, as after any other fault in the middle of
a tick; without shards it counts nothing. With Redis away it goes on counting, and writes the newest value of each changed key when it is
back.

Clocks of hosts differ, so a worker begins at what stands online when that is a little ahead of its own clock, and what the guard refuses
all the same is counted again, for the stored value's instant. What lies further ahead is an error of somebody's clock: it is said, and left
for `detektor online repair`; until then our values are true up to their own instant and no further. A Redis that evicts is looked through
in turns (`known_keys`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from detektor_pipelines import clock, sessions
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect_arrow, postgres_errors
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.offline.rows import published_agents
from detektor_pipelines.stores.online.values import this_process
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, read_events
from detektor_pipelines.stores.raw_log.tail import FIXED, LogTail, Poll, Snapshot, events_between, places_of
from detektor_pipelines.stream.known_keys import LOOK_S, KnownKeys
from detektor_pipelines.stream.leases import Leases
from detektor_pipelines.stream.live_view import LiveView
from detektor_pipelines.stream.publisher import Publisher
from detektor_pipelines.stream.rate_limited_log import RateLimitedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.cluster import Life
    from detektor_pipelines.stores.online.values import StoredView

LIMIT: Final = 2_000
"""Events a tick: a burst is worked off in parts, each written when it is counted."""

_FAR: Final = 2**53 - 1
_BALANCE_S: Final = 1.0
_REDIS_AGAIN_S: Final = 0.25
_AHEAD_S: Final = 1.0
_AGENT, _PROJECT, _EVENT_ID, _REVISION, _RETRACTED = map(FIXED.index, ("agent_type", "project", "event_id", "revision", "retracted"))

_logger = logging.getLogger(__name__)


@dataclass
class Health:
    """What a worker says of itself. Instants are µs UTC.

    Attributes:
        as_of: The newest tick's instant.
        complete: The newest tick's after which nothing waited to be read or written.
        snapshot: What it had read.
        shards: What it owns.
        keys: In some window.
        waiting: Events ahead of the clock.
        pending: Values that Redis did not take yet.
        unresolved: Values that the guard refused and that are not made good: `valid_through` of their views waits for them.
        behind: Whether the last poll left events for the next.
        events: Heard since the start.
        values: Written since the start.
        refused: Of those that were not, the ones that the guard refused, because what stood there knew something else.
        lost: Values that Redis no longer had though they had been there; each is written again.
        lost_at: When it last found such; Unix time, 0 for never.
        ahead: By how much something online lies ahead of the clock, µs; 0 within what clocks may differ by.
        rejected: Events that could not be counted.
        loads: How often it started again.
        load_seconds: How long the last beginning took.
        loading: Whether one is under way: it may take a minute, and no round is finished meanwhile.
        beat: When it last finished a round, whatever came of it; Unix time, by the machine's clock.

    """

    as_of: int = 0
    complete: int = field(default_factory=clock.now_us)
    snapshot: Snapshot = field(default_factory=lambda: Snapshot(0))
    shards: frozenset[int] = frozenset()
    keys: int = 0
    waiting: int = 0
    pending: int = 0
    unresolved: int = 0
    behind: bool = False
    events: int = 0
    values: int = 0
    refused: int = 0
    lost: int = 0
    lost_at: float = 0.0
    ahead: int = 0
    rejected: int = 0
    loads: int = 0
    load_seconds: float = 0.0
    loading: bool = False
    beat: float = field(default_factory=time.time)


class Worker:
    """All views, on one connection to PostgreSQL and one to Redis; a context manager, not for several threads at once.

    Args:
        settings: Where the servers are.
        views: What to keep fresh.
        limit: Events a tick.
        reject: Takes an event that cannot be counted; by default the rejected table.

    """

    def __init__(
        self,
        settings: Settings,
        views: Sequence[FeatureView],
        *,
        limit: int = LIMIT,
        reject: Callable[[Settings, Rejection], None] | None = None,
    ) -> None:
        self._settings = settings
        self._limit = limit
        self._reject = reject or _keep
        self._columns = tuple(sorted({column for view in views for column in LiveView.columns_of(view)}))
        self._views = [LiveView(view, self._columns) for view in views]
        self._by_agent: dict[str, list[LiveView]] = {}
        for view in self._views:
            self._by_agent.setdefault(view.view.agent, []).append(view)
        self._publisher = Publisher(settings)
        self._connection: psycopg.Connection | None = None
        self._leases: Leases | None = None
        self._tail = LogTail(self._columns, Snapshot(0), limit)
        self._revised: set[str] = set()
        """Events of which a burst's first parts held a revision: the revised event may be in a later part."""
        self._unswept: set[LiveView] = set()
        """Views with keys online that may hold what has left their windows."""
        self._known: KnownKeys[LiveView] = KnownKeys()
        self._unchecked: dict[LiveView, set[str]] = {view: set() for view in self._views}
        """Keys written since we last looked whether `valid_through` stands further than our values."""
        self._writer = this_process("stream")
        self._life: Life | None = None
        self._no_earlier = 0
        """Where a value stands online that refused ours: the next ones are not of an earlier instant."""
        self._rarely = RateLimitedLog(_logger)
        self._balanced = self._moved = self._claimed = self._redis_down_until = self._tried_ahead = 0.0
        self.health = Health()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the shards back and close the connections."""
        self._disconnect()
        self._publisher.close()

    def tick(self) -> int:
        """Do one round: returns how many events became visible.

        Raises:
            UserError: PostgreSQL does not answer, or the online store is another copy's of the log; the next tick starts again, as after
                any exception.

        """
        with postgres_errors(self._settings):
            try:
                connection = self._ready()
                rows = self._count(connection) if self.health.shards else self._stand_by()
                self._publish()
            except Exception:
                self._disconnect()
                raise
        self.health.beat = time.time()
        return rows

    def _count(self, connection: psycopg.Connection) -> int:
        """Take what became visible, and pass on the values that changed."""
        poll = self._tail.poll(connection)
        as_of = max(self.health.as_of, clock.now_us(), self._no_earlier)
        for view in self._views:
            view.state.advance(as_of)
        self._hear(connection, poll)
        if self._publisher.refused:
            self._count_refused()
        for view in self._views:
            if view.state.dirty:
                packed = view.changes(as_of, str(poll.snapshot), epoch=self._life.epoch if self._life else 1, writer=self._writer)
                self._known.add(view, packed)
                self._unchecked[view].update(packed)
                self._publisher.take(view.stored, packed)
        self.health.as_of, self.health.snapshot, self.health.behind = as_of, poll.snapshot, poll.behind
        self.health.events += len(poll.rows)
        return len(poll.rows)

    def _count_refused(self) -> None:
        """Count the refused values as changed; those that lie far ahead of the clock only now and then, for they will be refused again."""
        limit, now = clock.now_us() + clock.AHEAD_LIMIT_US, time.monotonic()
        all_of_them = now >= self._tried_ahead + _AHEAD_S
        if all_of_them:
            self._tried_ahead = now
        for view in self._views:
            view.again(key for key, as_of in self._publisher.refused_of(view.stored).items() if all_of_them or as_of <= limit)

    def _stand_by(self) -> int:
        """Let time pass without shards."""
        self.health.as_of, self.health.behind = max(self.health.as_of, clock.now_us()), False
        return 0

    def _ready(self) -> psycopg.Connection:
        """Return the connection, with the shards that are ours, and the state that belongs to them."""
        now = time.monotonic()
        if self.health.as_of > clock.now_us() + clock.AHEAD_LIMIT_US:
            self._begin_at_the_clock()
        if self._connection is not None and self._leases is not None and now < self._balanced + _BALANCE_S:
            return self._connection
        if self._connection is None or self._leases is None:
            self._connection = _connect(self._settings)
            self._leases = Leases(self._connection, self._settings.project)
        before = self.health.shards
        shards = self._leases.balance()
        if shards != before:
            self._forget()
            if shards:
                self.health.loading = True
                try:
                    self._load(shards)
                finally:
                    self.health.loading = False
        self._balanced = time.monotonic()
        return self._connection

    def _begin_at_the_clock(self) -> None:
        """Forget what was counted with a clock that was ahead: the windows cannot go back, so they are summed again."""
        _logger.error("The clock went back by more than a minute, to %s: starting again at it", clock.to_text(clock.now_us()))
        self._disconnect()
        self._no_earlier = 0
        self.health.as_of = self.health.complete = clock.now_us()

    def _begin_at(self, shards: frozenset[int]) -> int:
        """Return the instant to begin at: the clock's, or what stands online when that is ahead of it by no more than clocks differ."""
        now = max(self.health.as_of, clock.now_us())
        try:
            standing = self._publisher.standing([view.stored for view in self._views], shards)
        except OnlineStoreDownError:  # then the guard will say so
            standing = []
        return max(now, *(each for each in standing if each <= clock.now_us() + clock.AHEAD_LIMIT_US), now)

    def _load(self, shards: frozenset[int]) -> None:
        """Start again with what the log holds."""
        started = time.perf_counter()
        now = self._begin_at(shards)
        with connect_arrow(self._settings, writes=True) as connection:
            snapshot = begin_snapshot(connection)
            for view in self._views:
                columns = view.fold.plan.columns
                start = now - reach_back(view.fold.plan)
                events = read_events(connection, view.view.agent, columns, start, _FAR)
                for event_id in view.load(events, now, shards):
                    self._refuse(event_id, "a measure lies outside its declared range")
            connection.rollback()
        self._tail.snapshot = Snapshot.parse(snapshot)
        if self._connection is not None:
            self._life, self._claimed = cluster.life(self._connection), 0.0
        self._unswept.update(self._views)
        self.health.as_of, self.health.shards = now, shards
        self.health.loads += 1
        self.health.load_seconds = time.perf_counter() - started
        _logger.info("Started again with shards %s in %.1f s", sorted(shards), self.health.load_seconds)

    def _hear(self, connection: psycopg.Connection, poll: Poll) -> None:
        revised = []
        for row in poll.rows:
            if row[_REVISION] > 1 or row[_RETRACTED] or row[_EVENT_ID] in self._revised:
                revised.append(row[_EVENT_ID])
                continue
            for view in self._by_agent.get(row[_AGENT], ()):
                try:
                    view.hear(row)
                except Exception as error:  # noqa: BLE001  whatever it is: the others must not wait for it
                    self._refuse(row[_EVENT_ID], f"{type(error).__name__}: {error}")
        if revised:
            self._repair(connection, revised, poll.snapshot)
        self._revised = self._revised.union(revised) if poll.behind else set()

    def _repair(self, connection: psycopg.Connection, event_ids: Sequence[str], snapshot: Snapshot) -> None:
        places: dict[str, set[tuple[str | None, int]]] = {}
        for agent, project, at in places_of(connection, event_ids):
            places.setdefault(agent, set()).add((project, at))
        for agent, found in places.items():
            for view in self._by_agent.get(agent, ()):
                columns = view.fold.columns

                def read(start: int, end: int | None, agent: str = agent, columns: tuple[str, ...] = columns) -> list[tuple[Any, ...]]:
                    return events_between(connection, agent, columns, (start, end), snapshot)

                view.repair(found, read)

    def _refuse(self, event_id: str, why: str) -> None:
        self.health.rejected += 1
        reason = f"the stream cannot count it: {why}"
        _logger.error("Event %s rejected: %s", event_id, reason)
        self._reject(self._settings, Rejection("stream", None, reason, excerpt="", event_id=event_id))

    def _publish(self) -> None:
        """Write what changed, and now and then how far the values are complete."""
        now = time.monotonic()
        if now < self._redis_down_until:
            return
        try:
            if self._life is not None and now >= self._claimed + _BALANCE_S:
                self._publisher.claim(self._life)
                self._claimed = now
            if self._publisher.pending:
                self._write()
            if self._unswept:
                self._sweep()
            elif not self.health.behind:
                if not self._publisher.refused:
                    self.health.complete = self.health.as_of
                if now >= self._moved + LOOK_S and self.health.shards:
                    lost = self._move()
                    self._moved = self._moved if lost else now
                    self.health.lost_at = time.time() if self._publisher.emptied else self.health.lost_at
                    self._refill(lost)
        except OnlineStoreDownError as error:
            self._redis_down_until = now + _REDIS_AGAIN_S
            _logger.warning("Redis did not take the values; %d wait. %s", self._publisher.pending, error)
        finally:
            self._say_what_is_ahead()
            self.health.pending, self.health.unresolved = self._publisher.pending, self._publisher.refused
            self.health.keys = sum(len(view.state.keys) for view in self._views)
            self.health.waiting = sum(view.state.waiting for view in self._views)

    def _write(self) -> None:
        """Write what waits; what is refused is counted again by the next tick, for an instant that is not before the stored value's."""
        counts = self._publisher.write()
        self.health.values += counts.written
        if not counts.refused:
            return
        self.health.refused += len(counts.refused)
        limit = clock.now_us() + clock.AHEAD_LIMIT_US
        self._no_earlier = max(self._no_earlier, *(each.as_of for each in counts.refused if each.as_of <= limit), 0)
        text = "%d values were refused, for example of %s: what stands online knows something else; they are counted again"
        self._rarely.say(logging.WARNING, text, len(counts.refused), counts.refused[0].agent_id)

    def _move(self) -> set[StoredView]:
        """Say how far the values are complete, and look for some of them; returns the views of which Redis lost all.

        One that is not there any more though nobody took it away counts as changed: the next tick writes it. So does one that somebody
        pushed a while ago: `valid_through` says nothing of it, so it grows old though nothing happens to its agent_id.
        """
        found = self._known.some() if not self._publisher.pending else None
        look = None if found is None else (found[0].stored, found[1])
        lost = self._publisher.move([view.stored for view in self._views], self.health.as_of, self.health.shards, look)
        self._look_whether_outrun()
        if found is not None:
            found[0].again(self._publisher.unvouched)
        if found is not None and (absent := self._publisher.absent):
            self.health.lost += len(absent)
            self.health.lost_at = time.time()
            found[0].again(absent)
            text = "Redis has lost %d values of %s, for example of %s; they are written again. If it evicts, see `detektor doctor`"
            self._rarely.say(logging.WARNING, text, len(absent), found[0].view.name, absent[0])
        return lost

    def _look_whether_outrun(self) -> None:
        """Keep `valid_through` from being read of what we wrote, where it stands further: nobody has asked what happens until there.

        It is said by somebody whose clock is ahead. Where that is a little, our next values are not of an earlier instant.
        """
        furthest = self._publisher.furthest
        if furthest <= clock.now_us() + clock.AHEAD_LIMIT_US:
            self._no_earlier = max(self._no_earlier, furthest)
        for view, written in self._unchecked.items():
            if self._publisher.is_outrun(view.stored, self.health.as_of):
                self._publisher.distrust(view.stored, written, self.health.as_of)
            elif self._publisher.refused_of(view.stored):
                continue  # `move` left the view out
            written.clear()

    def _say_what_is_ahead(self) -> None:
        """Take note of what lies ahead of the clock, and say what fixes it."""
        refused = (as_of for view in self._views for as_of in self._publisher.refused_of(view.stored).values())
        ahead = max(self._publisher.furthest, *refused, 0) - clock.now_us()
        self.health.ahead = ahead if ahead > clock.AHEAD_LIMIT_US else 0
        if self.health.ahead:
            text = "Something online lies %.0f s ahead of the clock: nobody trusts it, and newer values do not replace it. %s"
            self._rarely.say(logging.ERROR, text, ahead / 1_000_000, "Set the clocks right, then run `detektor online repair`.")

    def _refill(self, lost: set[StoredView]) -> None:
        """Write an emptied Redis full again: keys that are in no window from the offline store, the others from memory."""
        from detektor_pipelines.engine.online import publish_online

        for view in self._views:
            if view.stored in lost:
                publish_online(self._settings, view.view)
                view.state.mark_all()
                self._unswept.add(view)
                self._publisher.filled(view.stored)

    def _sweep(self) -> None:
        """Count keys as changed whose windows emptied while nobody counted, or that are not online at all: the next tick writes them."""
        for view in tuple(self._unswept):
            idle = self._publisher.stored(view.stored, view.misses)
            view.expire(idle)
            self._known.add(view, idle)
            if self._connection is not None:
                view.again(key for key in published_agents(self._connection, view.view) if key not in idle and view.misses(key))
            self._unswept.remove(view)

    def _forget(self) -> None:
        """Have no shards, and nothing counted."""
        for view in self._views:
            view.forget()
        self._publisher.begin()
        self._known.clear()
        for written in self._unchecked.values():
            written.clear()
        self._unswept.clear()
        self._revised.clear()
        self.health.shards = frozenset()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._leases = None
        self._forget()


def _connect(settings: Settings) -> psycopg.Connection:
    """Open the session that polls and holds the locks; a dead peer is noticed within seconds.

    Raises:
        UserError: It leads to a replica, whose knowledge may be behind what is online.

    """
    import psycopg

    # The plans are generic: a guess of how many rows a poll finds must lead neither to a scan of the log nor to compiling the query
    limits = {"statement_timeout": "60s", "jit": "off", "enable_seqscan": "off"}
    connection = psycopg.connect(
        sessions.changed(settings.postgres_dsn, limits),
        autocommit=True,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        application_name="detektor stream",
    )
    return cluster.settled(connection)


def _keep(settings: Settings, rejection: Rejection) -> None:
    from detektor_pipelines.stores.raw_log.bulk import append

    append(settings, (), [rejection])
