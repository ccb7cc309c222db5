"""What a read is answered from: Redis (`live_values`), or what was kept last (`last_known`).

Belongs here: the choice between them. An answer is never mixed of kept values and others.

    redis           it was read from Redis now
    fallback        Redis is away; or it is late, and every agent asked for was kept recently: lateness makes nobody NOT_FOUND; or somebody
                    has switched to what was kept (`static`)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias

from detektor_pipelines.serving.values.live_values import KEYS_A_TRIP, LiveValues, OnlineStoreLateError
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

Source: TypeAlias = Literal["redis", "fallback"]


class Sources:
    """Where values come from. To be made and closed inside the event loop that uses it."""

    def __init__(self, settings: Settings, last_known: LastKnown, metrics: ServerMetrics) -> None:
        self.live = LiveValues(settings)
        self.last_known = last_known
        self.static = StaticSwitch(settings)
        self.sampler = read_log.Sampler(settings.serve_read_sample)
        self._settings = settings
        self._metrics = metrics

    async def get(self, lookups: Sequence[Lookup]) -> tuple[list[bytes | None], Source]:
        """Return what `online.keys_of` asks for, and where it comes from. The lookups are of the same agents, one view each.

        Raises:
            OnlineStoreDownError: Redis does not answer, and nothing was kept.

        """
        if self.static.on and self.last_known:
            self._metrics.fallback.inc()
            return self.last_known.get(online.keys_of(lookups)), "fallback"
        try:
            found = await self._live(lookups)
        except OnlineStoreDownError as error:
            if not self.last_known:
                raise
            return self.instead(error, online.keys_of(lookups)), "fallback"
        if chosen := read_log.sampled(lookups, found, self.sampler):
            self.live.send(read_log.commands(self._settings.project, chosen))
        return found, "redis"

    def instead(self, error: OnlineStoreDownError, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under some keys, because of an error of Redis."""
        self._metrics.fallback.inc()
        if isinstance(error, OnlineStoreLateError):
            self._metrics.late.inc()
        return self.last_known.get(keys)

    def is_patient(self, lookups: Sequence[Lookup], keys: Sequence[str] = ()) -> bool:
        """Whether a read has nothing else to be answered from than Redis; `keys`: of the lookups, when they are at hand."""
        return not self.last_known.knows(keys or online.keys_of(lookups), len(lookups[0].agent_ids))

    async def close(self) -> None:
        """Close the connections."""
        await self.live.close()

    async def _live(self, lookups: Sequence[Lookup]) -> list[bytes | None]:
        if sum(len(each.agent_ids) for each in lookups) > KEYS_A_TRIP:  # beside the event loop, and whoever asks for so much is patient
            return await self.live.get(await asyncio.to_thread(online.keys_of, lookups), patient=True)
        keys = online.keys_of(lookups)
        return await self.live.get(keys, patient=self.is_patient(lookups, keys))
