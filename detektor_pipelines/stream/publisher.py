"""Packed values into Redis: what could not be written waits, by key and in its newest form, and an emptied Redis is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from detektor_pipelines.stores import online
from detektor_pipelines.stores.connections_redis import redis_client, redis_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online import StoredView


class Publisher:
    """What one worker writes. Not for several threads at once.

    Args:
        settings: Where Redis is.

    """

    def __init__(self, settings: Settings) -> None:
        self._project = settings.project
        self._client = redis_client(settings)
        self._pending: dict[StoredView, dict[str, bytes]] = {}

    @property
    def pending(self) -> int:
        """How many values wait to be written."""
        return sum(map(len, self._pending.values()))

    def take(self, view: StoredView, packed: Mapping[str, bytes]) -> None:
        """Keep values (agent_id → packed) for the next `write`; a newer one of the same key takes the place of an older."""
        if packed:
            self._pending.setdefault(view, {}).update(packed)

    def write(self) -> int:
        """Write what waits, in one round trip for each few thousand values; returns how many values that were.

        Raises:
            OnlineStoreDownError: Redis does not answer; all that waited still does, writing twice is harmless.

        """
        calls = []
        for view, packed in self._pending.items():
            prefix = f"{online.version_prefix(self._project, view)}:"
            calls += online.guard_calls([prefix + key for key in packed], list(packed.values()))
        with redis_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            for start in range(0, len(calls), online.CALLS_A_ROUND_TRIP):
                for script, number, arguments in calls[start : start + online.CALLS_A_ROUND_TRIP]:
                    pipe.eval(script, number, *arguments)
                pipe.execute()
        written = self.pending
        self._pending.clear()
        return written

    def move(self, views: Collection[StoredView], instant: int, shards: Collection[int]) -> set[StoredView]:
        """Say that the shards' values are complete up to `instant`; returns the views of which Redis knew nothing.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        with redis_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            for view in views:
                script, number, arguments = online.layout_call(self._project, view)
                pipe.eval(script, number, *cast("list[str]", arguments))
                script, number, arguments = online.move_call(self._project, view, instant, sorted(shards))
                pipe.eval(script, number, *cast("list[str]", arguments))
            answers = pipe.execute()[1::2]
        return {view for view, there in zip(views, answers, strict=True) if not there}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
