"""Packed values into Redis: what could not be written waits, by key and in its newest form, and an emptied Redis is noticed."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from detektor_pipelines.stores import online, online_life
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, redis_client, redis_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.cluster import Life
    from detektor_pipelines.stores.online import StoredView
    from detektor_pipelines.stores.packing import Value

_READ_AT_ONCE: Final = 1_000


class Publisher:
    """What one worker writes. Not for several threads at once.

    Args:
        settings: Where Redis is.

    """

    def __init__(self, settings: Settings) -> None:
        self._project = settings.project
        self._client = redis_client(settings)
        self._pending: dict[StoredView, dict[str, bytes]] = {}
        self._life: Life | None = None
        self._through: dict[StoredView, int] = {}
        """Where our shards' `valid_through` stands at least, unless Redis lost it."""

    @property
    def pending(self) -> int:
        """How many values wait to be written."""
        return sum(map(len, self._pending.values()))

    def claim(self, life: Life) -> None:
        """Say that what is written from now on is of this life of the log.

        Raises:
            UserError: The online store is another copy's of the log.
            OnlineStoreDownError: Redis does not answer.

        """
        if self._life not in {None, life}:
            self._leave()  # the log was moved under us: nobody has to wait until we are forgotten
        online_life.claim(self._client, self._project, life, worker=True)
        self._life = life

    def take(self, view: StoredView, packed: Mapping[str, bytes]) -> None:
        """Keep values (agent_id → packed) for the next `write`; a newer one of the same key takes the place of an older."""
        if packed:
            self._pending.setdefault(view, {}).update(packed)

    def write(self) -> int:
        """Write what waits, in one round trip for each few thousand values; returns how many values that were.

        Raises:
            OnlineStoreDownError: Redis does not answer; all that waited still does, writing twice is harmless.

        """
        keys: list[str] = []
        values: list[bytes] = []
        for view, packed in self._pending.items():
            prefix = f"{online.version_prefix(self._project, view)}:"
            keys += [prefix + key for key in packed]
            values += packed.values()
        online.write_packed(self._client, keys, values)
        written = self.pending
        self._pending.clear()
        return written

    def begin(self) -> None:
        """Forget how far the shards were complete: from now on they are others."""
        self._through.clear()

    def filled(self, view: StoredView) -> None:
        """Take note that what Redis lost of a view waits to be written, or is written."""
        self._through[view] = online.FILLING

    def move(self, views: Collection[StoredView], instant: int, shards: Collection[int]) -> set[StoredView]:
        """Say that the shards' values are complete up to `instant`; returns the views of which Redis lost values, and did not move.

        Redis lost some when `valid_through` stands before the instant it was last moved to, or was never set: it was emptied, or is an
        older copy. They are returned until `filled`.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        with redis_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            for view in views:
                online.send(pipe, online.layout_call(self._project, view))
                expected = self._through.get(view, online.FILLING + 1)
                online.send(pipe, online.move_call(self._project, view, instant, sorted(shards), expected=expected))
            answers = pipe.execute()[1::2]
        lost = {view for view, there in zip(views, answers, strict=True) if not there}
        self._through.update((view, instant) for view in views if view not in lost)
        return lost

    def stored(self, view: StoredView, wanted: Callable[[str], bool]) -> dict[str, Mapping[str, Value]]:
        """Return agent_id → features as they stand online, of those that are wanted.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        agent_ids = list(filter(wanted, online.agent_ids(self._client, self._project, view, sys.maxsize)))
        found: dict[str, Mapping[str, Value]] = {}
        for start in range(0, len(agent_ids), _READ_AT_ONCE):
            rows = online.read(self._client, self._project, view, agent_ids[start : start + _READ_AT_ONCE])
            found.update((row.agent_id, row.values) for row in rows if row is not None)
        return found

    def close(self) -> None:
        """Close the connections."""
        with suppress(OnlineStoreDownError):
            self._leave()
        self._client.close()

    def _leave(self) -> None:
        if self._life is not None:
            online_life.leave(self._client, self._project, self._life)
            self._life = None
