"""The values that were served last, for when Redis is away: `home/static-features.json`, and a copy in memory.

    {"written_at": "2026-11-24T00:00:00Z", "values": {"<key as stores.online names it>": "<packed value, base64>"}}

Belongs here: keeping them. They are the online store's own bytes, so whoever reads them gets the same statuses: what has grown too old
since says OUTSIDE_MAX_AGE. Only the current versions of the views are kept. The file is replaced as a whole, never seen half written.

Keeping goes on beside the requests, in the same event loop: it works in pieces of less than a millisecond, and a thread does only what lets
go of the interpreter, which is writing to disk. One call that turns all values into JSON would hold every request up, from a thread too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from base64 import b64decode, b64encode
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import orjson

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.values.static import StaticSwitch
from detektor_pipelines.stores.connections_redis import async_client_of, escaped, mget_async, redis_errors
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from detektor_pipelines.settings import Settings

FILE: Final = "static-features.json"
VALUES_LIMIT: Final = 50_000
"""About 20 MB in the file; further ones are left out, and the log says so."""

_A_PIECE: Final = 200
"""Values between two pauses: about a third of a millisecond."""

_log = logging.getLogger(__name__)


class LastKnown:
    """What was kept last: read from the file at first, then from Redis at intervals."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.home / FILE
        self._static = StaticSwitch(settings)
        self._values: dict[str, bytes] = {}
        self._kept_at: float | None = None
        self.written_at: str | None = None
        self._read()

    def __len__(self) -> int:
        """Return how many values and marks of completeness there are."""
        return len(self._values)

    def knows(self, keys: Sequence[str], agents: int) -> bool:
        """Whether what was kept within twice the interval has these views, and each agent in one of them.

        `keys`: of `online.keys_of`, for views that are all asked for the same number of agents.
        """
        if self._kept_at is None or time.monotonic() - self._kept_at > 2 * self._settings.serve_fallback_seconds:
            return False
        values, step = self._values, agents + 1
        return all(key in values for key in keys[agents::step]) and all(
            any(key in values for key in keys[agent::step]) for agent in range(agents)
        )

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the kept values of some keys, None where there is none."""
        return [self._values.get(key) for key in keys]

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Take what Redis holds, at once and then at intervals, until the block ends; what was kept stays while Redis is away or empty."""
        task = asyncio.get_running_loop().create_task(self._keep())
        try:
            yield
        finally:
            while not task.done():  # a cancellation that comes just with an answer is lost (`asyncio.wait_for` before Python 3.12)
                task.cancel()
                await asyncio.wait([task], timeout=0.1)

    async def _keep(self) -> None:
        client = async_client_of(self._settings.redis_url)
        try:
            while True:
                try:
                    if not self._static.on:  # else it may be Redis that is wrong
                        await self._keep_once(client)
                except Exception as error:  # noqa: BLE001 - whatever it is, the next time may do better
                    _log.warning("%s is not kept up to date: %r", self._file, error)
                await asyncio.sleep(self._settings.serve_fallback_seconds)
        finally:
            await client.aclose()

    async def _keep_once(self, client: Redis) -> None:
        with redis_errors(client):
            taken = await self._take(client)
        if taken and not self._static.on and not self._written_by_another():
            await self._write()

    async def _take(self, client: Redis) -> bool:
        """Take the values of the current versions, then up to when they are complete; whether there are any.

        `valid_through` is read first: it moves after the values it speaks of are down, so it is never ahead of those read here. Until the
        end the old one speaks for old and new values.
        """
        project = self._settings.project
        marks = await _values_of(client, [online.valid_through_key(project, view) for view in VIEWS])
        taken: set[str] = set()
        async with aclosing(_names(client, project)) as pieces:
            async for names in pieces:
                if len(taken) >= VALUES_LIMIT:
                    _log.warning("Only %d values are kept for when Redis is away.", VALUES_LIMIT)
                    break
                self._values |= await _values_of(client, names)
                taken.update(names)
        if not taken:
            return False
        self._values |= marks
        self._kept_at, self.written_at = time.monotonic(), clock.to_text(clock.now_us())
        async for names in _in_pieces(list(self._values)):
            for name in names:
                if name not in taken and name not in marks:
                    del self._values[name]
        while taken:  # to let go of so many at once takes its time, too
            await asyncio.sleep(0)
            for _ in range(min(_A_PIECE, len(taken))):
                taken.pop()
        return True

    def _written_by_another(self) -> bool:
        """Whether another worker has just written the file."""
        try:
            return -1 < time.time() - self._file.stat().st_mtime < self._settings.serve_fallback_seconds / 2
        except OSError:
            return False

    def _read(self) -> None:
        try:
            content = orjson.loads(self._file.read_bytes())
            values = {key: b64decode(value, validate=True) for key, value in content["values"].items()}
            self._values, self.written_at = values, str(content["written_at"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s cannot be read (%s); it is written anew from Redis", self._file, error)

    async def _write(self) -> None:
        parts = [b'{\n  "written_at": %b,\n  "values": {' % orjson.dumps(self.written_at)]
        comma = b""
        async for names in _in_pieces(list(self._values)):
            lines = [b'\n    %b: "%b"' % (orjson.dumps(name), b64encode(self._values[name])) for name in names]
            parts.append(comma + b",".join(lines))
            comma = b","
        await asyncio.to_thread(_replace, self._file, [*parts, b"\n  }\n}\n"])


async def _names(client: Redis, project: str) -> AsyncGenerator[list[str]]:
    """Yield the keys of the current versions' values, some at a time."""
    prefixes = tuple(f"{online.version_prefix(project, view)}:" for view in VIEWS)
    names = []
    async for key in client.scan_iter(match=f"feast:{escaped(project)}:*", count=_A_PIECE):
        name = cast("bytes", key).decode(errors="replace")
        if name.startswith(prefixes):
            names.append(name)
        if len(names) == _A_PIECE:
            yield names
            names = []
    if names:
        yield names


async def _values_of(client: Redis, keys: list[str]) -> dict[str, bytes]:
    values = await mget_async(client, keys)
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


async def _in_pieces(names: list[str]) -> AsyncIterator[list[str]]:
    """Yield some at a time, and let others run in between."""
    for start in range(0, len(names), _A_PIECE):
        await asyncio.sleep(0)
        yield names[start : start + _A_PIECE]


def _replace(file: Path, parts: Iterable[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
