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
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from detektor_pipelines.serving.values.circuit import Circuit, again
from detektor_pipelines.stores.connections_redis import (
    OnlineStoreDownError,
    async_client_of,
    mget_async,
    redis_errors,
    redis_faults,
    where_is,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis

    from detektor_pipelines.settings import Settings

LANES: Final = 2
"""Round trips at a time, each on a connection of its own: a large one does not hold up all others."""

KEYS_A_TRIP: Final = 2_000
SEND_AFTER_S: Final = 0.1
UNSENT_LIMIT: Final = 2_000


class OnlineStoreLateError(OnlineStoreDownError):
    """Redis has not answered for a moment; it may yet."""


class _Asked(NamedTuple):
    """Who waits for the values of some keys. `patient`: until Redis has answered or is away, however late that is."""

    keys: Sequence[str]
    answer: asyncio.Future[list[bytes | None]]
    patient: bool


class LiveValues:
    """Answers of Redis. To be made and closed inside the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._clients = [_client(settings) for _ in range(LANES)]
        self._idle = list(self._clients)
        self._seconds = settings.serve_redis_timeout_ms / 1_000
        self._late_seconds = settings.serve_redis_late_ms / 1_000
        self._waiting: deque[_Asked] = deque()
        self._late: set[int] = set()  # lanes, by their client's id
        self._unsent: list[tuple[Any, ...]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._circuit = Circuit(self._ping)

    @property
    def down(self) -> OnlineStoreDownError | None:
        """Why Redis is not asked now; None while it is."""
        return self._circuit.why

    async def get(self, keys: Sequence[str], *, patient: bool = True) -> list[bytes | None]:
        """Return the values of some keys, None where there is none. Who is not `patient` rather has an error than a late answer.

        Raises:
            OnlineStoreDownError: Redis does not answer, or has not answered others a moment ago.
            OnlineStoreLateError: It has not answered for `DETEKTOR_SERVE_REDIS_LATE_MS`.

        """
        self._refuse_when_down()
        patient = patient or not self._late_seconds or len(keys) > KEYS_A_TRIP  # so many take their time even when all is well
        if not patient and len(self._late) == LANES:
            raise self._too_late()
        asked = _Asked(keys, asyncio.get_running_loop().create_future(), patient)
        self._waiting.append(asked)
        if self._idle:
            self._start(self._serve(self._idle.pop()))
        return await asked.answer

    async def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return some fields of a hash, None where there is none.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        self._refuse_when_down()
        with self._circuit.watching():
            client = self._clients[-1]
            found: list[bytes | None] = await self._answered(client, cast("Awaitable[Any]", client.hmget(key, list(names))))
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Redis) -> None:
        """Make round trips on one connection until nobody waits."""
        try:
            while self._waiting:
                await self._trip(client, self._taken())
        finally:
            self._idle.append(client)

    def _taken(self) -> list[_Asked]:
        """Take those who wait, in their order, as many as fit into one round trip; one at least."""
        taken = [self._waiting.popleft()]
        size = len(taken[0].keys)
        while self._waiting and size + len(self._waiting[0].keys) <= KEYS_A_TRIP:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].keys)
        return taken

    async def _trip(self, client: Redis, taken: Sequence[_Asked]) -> None:
        watch = _Watch(self._late_seconds, lambda: self._is_late(client, taken))
        try:
            found = await self._found(client, [key for asked in taken for key in asked.keys])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            _fail(taken, error)
            return
        finally:
            watch.end()
            self._late.discard(id(client))
        position = 0
        for asked in taken:
            if not asked.answer.done():  # its request may have gone, or was told that it is late
                asked.answer.set_result(found[position : position + len(asked.keys)])
            position += len(asked.keys)

    async def _found(self, client: Redis, keys: list[str]) -> list[bytes | None]:
        self._refuse_when_down()
        with self._circuit.watching():
            found: list[bytes | None] = await self._answered(client, mget_async(client, keys))
            return found

    async def _ping(self) -> None:
        await self._answered(self._clients[0], cast("Awaitable[bool]", self._clients[0].ping()))

    async def _answered(self, client: Redis, answer: Awaitable[Any]) -> Any:
        """Wait for an answer, no longer than the time-out."""
        limit = asyncio.timeout(None)
        watch = _Watch(self._seconds, lambda: limit.reschedule(0))
        try:
            async with limit:
                with redis_errors(client):
                    return await answer
        except TimeoutError:
            what = f"Redis does not answer within {self._seconds * 1_000:.0f} ms."
            fix = "Run `detektor status`, or give it more time by DETEKTOR_SERVE_REDIS_TIMEOUT_MS."
            raise OnlineStoreDownError(what, where=where_is(client), fix=fix) from None
        finally:
            watch.end()

    def _is_late(self, client: Redis, taken: Sequence[_Asked]) -> None:
        """Let those go who need not wait for this trip; when no lane is left, those too whose trip has not begun."""
        self._late.add(id(client))
        _fail([asked for asked in taken if not asked.patient], self._too_late())
        if len(self._late) == LANES:
            _fail([asked for asked in self._waiting if not asked.patient], self._too_late())
            self._waiting = deque(asked for asked in self._waiting if asked.patient)

    def _refuse_when_down(self) -> None:
        if (why := self._circuit.why) is not None:
            raise again(why)

    def _too_late(self) -> OnlineStoreLateError:
        what = f"Redis has not answered for {self._late_seconds * 1_000:.0f} ms."
        return OnlineStoreLateError(what, where=where_is(self._clients[0]), fix="Give it more time by DETEKTOR_SERVE_REDIS_LATE_MS.")

    async def _send(self) -> None:
        commands, self._unsent = self._unsent, []
        with suppress(*redis_faults(), TimeoutError):
            async with asyncio.timeout(self._seconds), self._clients[-1].pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                await pipe.execute()


class _Watch:
    """Calls once when some time has passed; 0 never.

    In two halves, because the time also passes while this process itself is held up, as by turning thirty megabytes into JSON: between
    them the event loop reads what has come.
    """

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._half, self._call = seconds / 2, call
        self._handle = asyncio.get_running_loop().call_later(self._half, self._second_half) if seconds else None

    def end(self) -> None:
        """Do not call any more."""
        if self._handle is not None:
            self._handle.cancel()

    def _second_half(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._half, self._call)


def _client(settings: Settings) -> Redis:
    """One connection; the retry is for one that the server closed while it was idle."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    options: dict[str, Any] = {"single_connection_client": True, "socket_timeout": None, "retry": Retry(NoBackoff(), 1)}
    if settings.redis_address.kind != "server":  # one of several that does not even refuse must leave time for the next
        options["socket_connect_timeout"] = settings.serve_redis_timeout_ms / 2_000
    return async_client_of(settings.redis_url, **options)


def _fail(asked: Sequence[_Asked], error: Exception) -> None:
    for each in asked:
        if not each.answer.done():
            each.answer.set_exception(again(error) if isinstance(error, OnlineStoreDownError) else error)
