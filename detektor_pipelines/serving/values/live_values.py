"""Reads of the online store for the feature server: those of many requests in one round trip, and none while Redis is away.

Belongs here: how Redis is asked. What is asked for and what the answer means is `stores.online.values`, whether it is asked at all
`circuit`.

Requests that arrive while a round trip is under way share the next one: under load a round trip costs each of them a part of what it costs
alone. When Redis does not answer in time everything fails at once, without trying, until it answers again: a request waits for a dead
Redis once at most.

Between "answers" and "away" there is "late": a round trip that is out for longer than a good one is. Whoever has something else to answer
from is told so and waits no more; the round trip goes on, and its end says whether Redis is away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from detektor_pipelines.serving.values.circuit import Circuit, again
from detektor_pipelines.serving.values.watch import Watch
from detektor_pipelines.serving.values.wire import Wire, mget, wire_of
from detektor_pipelines.stores.connections_redis import (
    OnlineStoreDownError,
    async_client_of,
    mget_async,
    redis_errors,
    redis_faults,
    where_is,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from redis.asyncio import Redis

    from detektor_pipelines.settings import Settings

LANES: Final = 2
"""Round trips at a time, each on a connection of its own: a large one does not hold up all others."""

KEYS_A_TRIP: Final = 2_000
SEND_AFTER_S: Final = 0.1
UNSENT_LIMIT: Final = 2_000


class OnlineStoreLateError(OnlineStoreDownError):
    """Redis has not answered for a moment; it may yet."""


class Waiting(Protocol):
    """Who waits for some values. It is told once; a fault of its own must not leave it."""

    def patient(self) -> bool:
        """Whether it waits until Redis has answered or is away, however late that is; asked only when Redis is late."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def answered(self, values: list[bytes | None]) -> None:
        """Take the values."""

    def failed(self, error: Exception) -> None:
        """Take what happened instead."""


class _Lane:
    """A connection, and who waits for the round trip that is under way on it; `limit`: ends one that redis-py makes."""

    def __init__(self, client: Redis, live: LiveValues, late_s: float, seconds: float) -> None:
        self.client = client
        self.wire: Wire | None = None
        self.limit: asyncio.Timeout | None = None
        self.taken: Sequence[_Asked] = ()
        self.watch = Watch((late_s, lambda: live.is_late(self)), (seconds, lambda: live.is_over(self)))


class _Asked(NamedTuple):
    """Who waits for the values of some keys."""

    keys: Sequence[str] | Sequence[bytes]
    who: Waiting


class _Awaited:
    """A future that waits."""

    def __init__(self, *, patient: bool) -> None:
        self.future: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self.done = self.future.done
        self.answered = self.future.set_result
        self.failed = self.future.set_exception
        self._patient = patient

    def patient(self) -> bool:
        """As it was told."""
        return self._patient


class LiveValues:
    """Answers of Redis. To be made and closed inside the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = settings.serve_redis_timeout_ms / 1_000
        self._late_seconds = settings.serve_redis_late_ms / 1_000
        self._lanes = [_Lane(_client(settings), self, self._late_seconds, self._seconds) for _ in range(LANES)]
        self._idle = list(self._lanes)
        self._aside = _client(settings)  # for all but the round trips, which have their connections for themselves
        self._waiting: deque[_Asked] = deque()
        self._late: set[_Lane] = set()
        self._unsent: list[tuple[Any, ...]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._circuit = Circuit(self._ping)

    @property
    def down(self) -> OnlineStoreDownError | None:
        """Why Redis is not asked now; None while it is."""
        return self._circuit.why

    async def get(self, keys: Sequence[str] | Sequence[bytes], *, patient: bool = True) -> list[bytes | None]:
        """Return the values of some keys, None where there is none. Who is not `patient` rather has an error than a late answer.

        Raises:
            OnlineStoreDownError: Redis does not answer, or has not answered others a moment ago.
            OnlineStoreLateError: It has not answered for `DETEKTOR_SERVE_REDIS_LATE_MS`.

        """
        if len(keys) > KEYS_A_TRIP:
            return await self._many(keys)
        awaited = _Awaited(patient=patient or not self._late_seconds)
        self.ask(keys, awaited)
        return await awaited.future

    async def _many(self, keys: Sequence[str] | Sequence[bytes]) -> list[bytes | None]:
        """Read more than one round trip takes, patiently: so many take their time even when all is well, and others go in between.

        From the last key to the first: what says up to when a view's values are complete stands behind them (`online.keys_of`), and must
        not be newer than they are.
        """
        pieces = []
        for start in reversed(range(0, len(keys), KEYS_A_TRIP)):
            awaited = _Awaited(patient=True)
            self.ask(keys[start : start + KEYS_A_TRIP], awaited)
            pieces.append(await awaited.future)
        return list(chain.from_iterable(reversed(pieces)))

    def ask(self, keys: Sequence[str] | Sequence[bytes], who: Waiting) -> None:
        """Have somebody told the values of some keys, None where there is none.

        Raises:
            OnlineStoreDownError, OnlineStoreLateError: As `get`; then it is not told again.

        """
        self._refuse_when_down()
        if len(self._late) == LANES and not who.patient():
            raise self._too_late()
        self._waiting.append(_Asked(keys, who))
        if len(self._idle) == LANES:
            self._begin(self._idle.pop())
        elif self._idle:
            self._loop.call_soon(self._begin, self._idle.pop())  # then those who ask in the same turn of the loop share the trip

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return some fields of a hash, None where there is none.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        self._refuse_when_down()
        with self._circuit.watching():
            found: list[bytes | None] = await self._answered(self._aside, cast("Awaitable[Any]", self._aside.hmget(key, list(names))))
            return found

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send commands whose outcome nobody waits for, a moment later together with others; lost when Redis is away."""
        if not commands or self.down is not None:
            return
        if not self._unsent:
            asyncio.get_running_loop().call_later(SEND_AFTER_S, lambda: self._start(self._send()))
        self._unsent += commands
        del self._unsent[:-UNSENT_LIMIT]

    async def close(self) -> None:
        """End what runs and close the connections."""
        await self._circuit.close()
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            lane.watch.close()
            if lane.wire is not None:
                lane.wire.end()
            await lane.client.aclose()
        await self._aside.aclose()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self, lane: _Lane) -> None:
        """Make round trips until nobody waits."""
        if not self._waiting:
            self._idle.append(lane)
        elif lane.wire is None or lane.wire.over or self._circuit.why is not None:
            self._start(self._serve(lane))
        else:
            lane.taken = self._taken()
            lane.watch.begin()
            lane.wire.ask(mget([asked.keys for asked in lane.taken]))

    def _came(self, lane: _Lane, found: list[bytes | None] | None) -> None:
        """Take what the wire brings: the values, or nothing, and then redis-py is to say why."""
        lane.watch.end()
        taken, lane.taken = lane.taken, ()
        if found is None:
            self._start(self._serve(lane, taken))
            return
        self._late.discard(lane)
        self._begin(lane)  # Redis works while these are answered
        _tell(taken, found)

    async def _serve(self, lane: _Lane, taken: Sequence[_Asked] = ()) -> None:
        """Make round trips the way that connects, first for some whose wire has failed, until one has succeeded or nobody waits."""
        try:
            await self._without_wire(lane)
            if taken:
                await self._trip(lane, taken)
            while self._waiting and lane.wire is None:
                await self._trip(lane, self._taken())
        finally:
            self._begin(lane)

    async def _without_wire(self, lane: _Lane) -> None:
        """Have redis-py connect a lane anew."""
        if lane.wire is not None:
            lane.wire.end()
            lane.wire = None
            with suppress(*redis_faults(), OSError):
                await cast("Any", lane.client.connection).disconnect(nowait=True)

    def _taken(self) -> list[_Asked]:
        """Take those who wait, in their order, as many as fit into one round trip; one at least."""
        taken = [self._waiting.popleft()]
        size = len(taken[0].keys)
        while self._waiting and size + len(self._waiting[0].keys) <= KEYS_A_TRIP:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].keys)
        return taken

    async def _trip(self, lane: _Lane, taken: Sequence[_Asked]) -> None:
        lane.taken, lane.limit = taken, asyncio.timeout(None)
        lane.watch.begin()
        try:
            self._refuse_when_down()
            async with lane.limit:
                keys: list[Any] = [key for asked in taken for key in asked.keys]
                with redis_errors(lane.client):
                    found = await mget_async(lane.client, keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            _fail(taken, self._noted(lane.client, error))
            return
        finally:
            lane.watch.end()
            lane.taken, lane.limit = (), None
            self._late.discard(lane)
        _tell(taken, found)
        lane.wire = wire_of(lane.client, lambda values: self._came(lane, values))

    def _noted(self, client: Redis, error: Exception) -> Exception:
        """Return what a round trip's error means, and let the circuit know."""
        if isinstance(error, TimeoutError):
            error = self._timed_out(client)
        if isinstance(error, OnlineStoreDownError):
            self._circuit.open_for(error)
        return error

    async def _ping(self) -> None:
        await self._answered(self._aside, cast("Awaitable[bool]", self._aside.ping()))

    async def _answered(self, client: Redis, answer: Awaitable[Any]) -> Any:
        """Wait for an answer, no longer than the time-out."""
        limit = asyncio.timeout(None)
        watch = Watch((self._seconds, lambda: limit.reschedule(0)))
        watch.begin()
        try:
            async with limit:
                with redis_errors(client):
                    return await answer
        except TimeoutError:
            raise self._timed_out(client) from None
        finally:
            watch.close()

    def _timed_out(self, client: Redis) -> OnlineStoreDownError:
        what = f"Redis does not answer within {self._seconds * 1_000:.0f} ms."
        fix = "Run `detektor status`, or give it more time by DETEKTOR_SERVE_REDIS_TIMEOUT_MS."
        return OnlineStoreDownError(what, where=where_is(client), fix=fix)

    def is_late(self, lane: _Lane) -> None:
        """Let those go who need not wait for a lane's trip; when no lane is left, those too whose trip has not begun."""
        self._late.add(lane)
        _fail([asked for asked in lane.taken if not asked.who.patient()], self._too_late())
        if len(self._late) == LANES:
            waiting, self._waiting = self._waiting, deque()
            late: list[_Asked] = []
            for asked in waiting:
                (self._waiting if asked.who.patient() else late).append(asked)
            _fail(late, self._too_late())

    def is_over(self, lane: _Lane) -> None:
        """End a lane's trip, which has taken too long."""
        if lane.limit is not None:
            lane.limit.reschedule(0)
            return
        cast("Wire", lane.wire).end()
        taken, lane.taken = lane.taken, ()
        self._late.discard(lane)
        _fail(taken, self._noted(lane.client, TimeoutError()))
        self._start(self._serve(lane))

    def _refuse_when_down(self) -> None:
        if (why := self._circuit.why) is not None:
            raise again(why)

    def _too_late(self) -> OnlineStoreLateError:
        what = f"Redis has not answered for {self._late_seconds * 1_000:.0f} ms."
        return OnlineStoreLateError(what, where=where_is(self._aside), fix="Give it more time by DETEKTOR_SERVE_REDIS_LATE_MS.")

    async def _send(self) -> None:
        commands, self._unsent = self._unsent, []
        with suppress(*redis_faults(), TimeoutError):
            async with asyncio.timeout(self._seconds), self._aside.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                await pipe.execute()


def _client(settings: Settings) -> Redis:
    """One connection; the retry is for one that the server closed while it was idle."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    options: dict[str, Any] = {"single_connection_client": True, "socket_timeout": None, "retry": Retry(NoBackoff(), 1)}
    if settings.redis_address.kind != "server":  # one of several that does not even refuse must leave time for the next
        options["socket_connect_timeout"] = settings.serve_redis_timeout_ms / 2_000
    return async_client_of(settings.redis_url, **options)


def _tell(taken: Sequence[_Asked], found: list[bytes | None]) -> None:
    """Give each its values."""
    if len(taken) == 1:
        if not taken[0].who.done():
            taken[0].who.answered(found)
        return
    position = 0
    for keys, who in taken:
        end = position + len(keys)
        if not who.done():  # its request may have gone, or was told that it is late
            who.answered(found[position:end])
        position = end


def _fail(asked: Sequence[_Asked], error: Exception) -> None:
    for each in asked:
        if not each.who.done():
            each.who.failed(again(error) if isinstance(error, OnlineStoreDownError) else error)
