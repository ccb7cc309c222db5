"""Values that this process read a moment ago, for agents that everybody asks for: answered without Redis, never older than a bound.

Off by default (`DETEKTOR_SERVE_CACHE_MS`, 0). Belongs here: keeping them. What an answer is made of is said by `sources`.

Kept is what Redis answered, a value together with the `valid_through` that was read with it: the value's age, its status and what parity
gets to see are then what they would have been with Redis, as of that moment. A view's part of a read comes from here as a whole or not at
all, and of several moments the oldest `valid_through` speaks for all. An agent that has no value is kept too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.stores.online.values import Lookup

ENTRIES: Final = 10_000
"""Agents' values that are kept, of all views together; about 6 MB. The ones not asked for longest leave first."""


class _Kept(NamedTuple):
    read_at: float
    value: bytes | None
    valid_through: bytes | None


class HotValues:
    """The values of the last `milliseconds`; 0 keeps none."""

    def __init__(self, milliseconds: float, *, entries: int = ENTRIES, timer: Callable[[], float] = time.monotonic) -> None:
        self._bound = milliseconds / 1_000
        self._kept: LRUCache[tuple[str, str], _Kept] = LRUCache(entries)
        self.timer = timer

    def __bool__(self) -> bool:
        """Whether anything is kept at all."""
        return self._bound > 0

    def get(self, lookup: Lookup) -> list[bytes | None] | None:
        """Return a lookup's part of the answer, as `online.keys_of` asks for it; None unless every one of its agents is there."""
        version, since = lookup.view.version, self.timer() - self._bound
        found = []
        for agent_id in lookup.agent_ids:
            kept = self._kept.get((version, agent_id))
            if kept is None or kept.read_at < since:
                return None
            found.append(kept)
        oldest = min(found, key=lambda kept: kept.read_at, default=None)
        return None if oldest is None else [*(kept.value for kept in found), oldest.valid_through]

    def put(self, lookup: Lookup, answers: Sequence[bytes | None], *, read_at: float) -> None:
        """Keep a lookup's part of an answer of Redis. `read_at`: by `timer`, before Redis was asked."""
        version, valid_through = lookup.view.version, answers[-1]
        for agent_id, value in zip(lookup.agent_ids, answers[:-1], strict=True):
            self._kept[version, agent_id] = _Kept(read_at, value, valid_through)
