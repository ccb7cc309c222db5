"""The values that were served last, for when Redis is away: `home/static-features.json`, and a copy in memory.

    {"written_at": "2026-11-24T00:00:00Z", "values": {"<key as stores.online names it>": "<packed value, base64>"}}

Belongs here: keeping them. They are the online store's own bytes, so whoever reads them gets the same statuses: what has grown too old
since says OUTSIDE_MAX_AGE. Only the current versions of the views are kept. The file is replaced as a whole, never seen half written.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final, cast

import orjson

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores import online
from detektor_pipelines.stores.connections_redis import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from detektor_pipelines.settings import Settings

FILE: Final = "static-features.json"
VALUES_LIMIT: Final = 50_000
"""About 20 MB in the file; further ones are left out, and the log says so."""

_A_TRIP: Final = 500

_log = logging.getLogger(__name__)


class LastKnown:
    """What was kept last: read from the file at first, then from Redis at intervals."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.home / FILE
        self._values: dict[str, bytes] = {}
        self.written_at: str | None = None
        self._read()

    def __len__(self) -> int:
        """Return how many values and marks of completeness there are."""
        return len(self._values)

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the kept values of some keys, None where there is none."""
        return [self._values.get(key) for key in keys]

    async def keep(self) -> None:
        """Take what Redis holds, at once and then at intervals, until cancelled; what was kept stays while Redis is away or empty."""
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        every = self._settings.serve_fallback_seconds
        url = self._settings.redis_url
        async with Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=ANSWER_TIMEOUT_S) as client:
            while True:
                try:
                    if await asyncio.to_thread(self._kept_by_another, every / 2):
                        await asyncio.to_thread(self._read)
                    elif found := await _all_values(client, self._settings.project):
                        await asyncio.to_thread(self._write, found)
                except (RedisError, OSError) as error:
                    _log.warning("%s is not kept up to date: %s", self._file, error)
                await asyncio.sleep(every)

    def _kept_by_another(self, seconds: float) -> bool:
        """Whether another worker has just written the file."""
        try:
            return -1 < time.time() - self._file.stat().st_mtime < seconds
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

    def _write(self, values: dict[str, bytes]) -> None:
        now = clock.from_us(clock.now_us()).isoformat().replace("+00:00", "Z")
        content = {"written_at": now, "values": {key: b64encode(value).decode() for key, value in values.items()}}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        _replace(self._file, orjson.dumps(content, option=orjson.OPT_INDENT_2))
        self._values, self.written_at = values, now


async def _all_values(client: Redis, project: str) -> dict[str, bytes]:
    """Return the values of the current versions, and up to when they are complete; empty when there are no values.

    `valid_through` is read first: it moves after the values it speaks of are down, so it is never ahead of those read here.
    """
    marks = [online.valid_through_key(project, view) for view in VIEWS]
    found = await _values_of(client, marks)
    prefixes = tuple(f"{online.version_prefix(project, view)}:" for view in VIEWS)
    keys = []
    async for key in client.scan_iter(match=f"feast:{escaped(project)}:*", count=1_000):
        name = cast("bytes", key).decode(errors="replace")
        if name.startswith(prefixes):
            keys.append(name)
        if len(keys) > VALUES_LIMIT:
            _log.warning("Only %d values are kept for when Redis is away.", VALUES_LIMIT)
            break
    values: dict[str, bytes] = {}
    for start in range(0, len(keys), _A_TRIP):
        values |= await _values_of(client, keys[start : start + _A_TRIP])
    return found | values if values else {}


async def _values_of(client: Redis, keys: list[str]) -> dict[str, bytes]:
    values = cast("list[bytes | None]", await client.execute_command("MGET", *keys))  # type: ignore[no-untyped-call]
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


def _replace(file: Path, content: bytes) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
