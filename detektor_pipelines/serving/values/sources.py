"""What a read is answered from: values of a moment ago (`hot_values`), Redis (`live_values`), or what was kept last (`last_known`).

Belongs here: the choice between them. An answer is never mixed of kept values and others.

    cache           every view's part was read from Redis within DETEKTOR_SERVE_CACHE_MS
    redis           some of it was read from Redis now; the rest, if any, is of the cache
    fallback        Redis is away; or it is late, and every agent asked for was kept recently: lateness makes nobody NOT_FOUND; or somebody
                    has switched to what was kept (`static`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from detektor_pipelines.serving.values.hot_values import HotValues
from detektor_pipelines.serving.values.live_values import LiveValues, OnlineStoreLateError
from detektor_pipelines.serving.values.static import StaticSwitch
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.serving.server_metrics import ServerMetrics
    from detektor_pipelines.serving.values.last_known import LastKnown
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import Lookup

Source: TypeAlias = Literal["cache", "redis", "fallback"]


class Sources:
    """Where values come from. To be made and closed inside the event loop that uses it."""

    def __init__(self, settings: Settings, last_known: LastKnown, metrics: ServerMetrics) -> None:
        self.live = LiveValues(settings)
        self.last_known = last_known
        self.static = StaticSwitch(settings)
        self._settings = settings
        self._metrics = metrics
        self._hot = HotValues(settings.serve_cache_ms)

    async def get(self, lookups: Sequence[Lookup]) -> tuple[list[bytes | None], Source]:
        """Return what `online.keys_of` asks for, and where it comes from. The lookups are of the same agents, one view each.

        Raises:
            OnlineStoreDownError: Redis does not answer, and nothing was kept.

        """
        if self.static.on and self.last_known:
            self._metrics.fallback.inc()
            return self.last_known.get(online.keys_of(lookups)), "fallback"
        try:
            found, source = await self._hot_or_live(lookups) if self._hot else (await self._live(lookups), "redis")
        except OnlineStoreDownError as error:
            if not self.last_known:
                raise
            self._metrics.fallback.inc()
            if isinstance(error, OnlineStoreLateError):
                self._metrics.late.inc()
            return self.last_known.get(online.keys_of(lookups)), "fallback"
        if chosen := read_log.sampled(lookups, found, self._settings.serve_read_sample):
            self.live.send(read_log.commands(self._settings.project, chosen))
        return found, source

    async def close(self) -> None:
        """Close the connections."""
        await self.live.close()

    async def _live(self, lookups: Sequence[Lookup]) -> list[bytes | None]:
        keys = online.keys_of(lookups)
        return await self.live.get(keys, patient=not self.last_known.knows(keys, len(lookups[0].agent_ids)))

    async def _hot_or_live(self, lookups: Sequence[Lookup]) -> tuple[list[bytes | None], Source]:
        parts = [self._hot.get(each) for each in lookups]
        missing = [each for each, part in zip(lookups, parts, strict=True) if part is None]
        self._metrics.cached.inc(sum(len(each.agent_ids) for each in lookups) - sum(len(each.agent_ids) for each in missing))
        if missing:
            read_at, position = self._hot.timer(), 0
            found = await self._live(missing)
            for number, each in enumerate(lookups):
                if parts[number] is None:
                    end = position + len(each.agent_ids) + 1
                    parts[number] = part = found[position:end]
                    self._hot.put(each, part, read_at=read_at)
                    position = end
        return [value for part in parts for value in part or ()], "redis" if missing else "cache"
