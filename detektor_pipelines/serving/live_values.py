"""Reads of the online store for the feature server: those of many requests in one round trip, and none while Redis is away.

Belongs here: how Redis is asked. What is asked for and what the answer means is `stores.online`.

Requests that arrive while a round trip is under way share the next one: under load a round trip costs each of them a part of what it costs
alone. When Redis does not answer in time everything fails at once, without trying, until a probe beside the requests hears it again: a
request waits for a dead Redis once at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, redis_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from redis.asyncio import Redis

    from detektor_pipelines.settings import Settings

LANES: Final = 2
"""Round trips at a time, each on a connection of its own: a large one does not hold up all others."""

KEYS_A_TRIP: Final = 2_000
PROBE_EVERY_S: Final = 0.1

_log = logging.getLogger(__name__)


class LiveValues:
    """Answers of Redis. To be made and closed inside the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self._clients = [_client(settings) for _ in range(LANES)]
        self._idle = list(self._clients)
        self._seconds = settings.serve_redis_timeout_ms / 1_000
        self._waiting: deque[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._down: OnlineStoreDownError | None = None

    @property
    def down(self) -> OnlineStoreDownError | None:
        """Why Redis is not asked now; None while it answers."""
        return self._down

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of some keys, None where there is none.

        Raises:
            OnlineStoreDownError: Redis does not answer, or has not answered others a moment ago.

        """
        if self._down is not None:
            raise _again(self._down)
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if self._idle:
            self._start(self._serve(self._idle.pop()))
        return await answer

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send commands whose outcome nobody waits for; lost when Redis is away."""
        if self._down is None and commands:
            self._start(self._send(commands))

    async def close(self) -> None:
        """End what runs and close the connections."""
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

    def _taken(self) -> list[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]]:
        """Take those who wait, in their order, as many as fit into one round trip; one at least."""
        taken = [self._waiting.popleft()]
        size = len(taken[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= KEYS_A_TRIP:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][0])
        return taken

    async def _trip(self, client: Redis, asked: Sequence[tuple[Sequence[str], asyncio.Future[list[bytes | None]]]]) -> None:
        try:
            found = await self._mget(client, [key for keys, _ in asked for key in keys])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        position = 0
        for keys, answer in asked:
            if not answer.done():  # its request may have gone
                answer.set_result(found[position : position + len(keys)])
            position += len(keys)

    async def _mget(self, client: Redis, keys: list[str]) -> list[bytes | None]:
        if self._down is not None:
            raise _again(self._down)
        try:
            async with asyncio.timeout(self._seconds):
                with redis_errors(client):  # type: ignore[arg-type]  # asks for the address only
                    return cast("list[bytes | None]", await client.execute_command("MGET", *keys))  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise self._went(_late(client, self._seconds)) from None
        except OnlineStoreDownError as error:
            raise self._went(error) from None

    def _went(self, error: OnlineStoreDownError) -> OnlineStoreDownError:
        """Note that Redis is away, and begin to ask for it."""
        if self._down is None:
            self._down = error
            _log.warning("%s (%s)", error.what, error.where)
            self._start(self._probe())
        return error

    async def _probe(self) -> None:
        client = self._clients[0]
        while self._down is not None:
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                async with asyncio.timeout(self._seconds):
                    with redis_errors(client):  # type: ignore[arg-type]
                        await cast("Awaitable[bool]", client.ping())
            except (TimeoutError, OnlineStoreDownError):
                continue
            self._down = None
        _log.warning("Redis answers again.")

    async def _send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        from redis.exceptions import RedisError

        with suppress(RedisError, TimeoutError):
            async with asyncio.timeout(self._seconds), self._clients[-1].pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                await pipe.execute()


def _client(settings: Settings) -> Redis:
    """One connection; the retry is for one that the server closed while it was idle."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(settings.redis_url, single_connection_client=True, retry=Retry(NoBackoff(), 1))


def _again(error: OnlineStoreDownError) -> OnlineStoreDownError:
    """Return it anew: one that is raised a thousand times keeps a thousand tracebacks."""
    return OnlineStoreDownError(error.what, where=error.where, fix=error.fix)


def _late(client: Redis, seconds: float) -> OnlineStoreDownError:
    address = client.connection_pool.connection_kwargs
    return OnlineStoreDownError(
        f"Redis does not answer within {seconds * 1_000:.0f} ms.",
        where=f"Redis at {address.get('host', 'localhost')}:{address.get('port', 6379)}",
        fix="Run `detektor status`, or give it more time by DETEKTOR_SERVE_REDIS_TIMEOUT_MS.",
    )
