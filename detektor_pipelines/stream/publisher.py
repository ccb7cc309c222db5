"""Packed values into Redis: what could not be written waits, by key and in its newest form; what is refused or lost is noticed."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, is_cluster, redis_client, redis_errors
from detektor_pipelines.stores.online import life as online_life
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.cluster import Life
    from detektor_pipelines.stores.online.packing import Value
    from detektor_pipelines.stores.online.values import Call, StoredView, WriteCounts

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
        self._refused: dict[StoredView, dict[str, int]] = {}
        """agent_id → as_of of the stored value, of those whose last write was refused."""
        self._stands: dict[StoredView, int] = {}
        """Where the furthest of our shards' `valid_through` was last found, µs UTC: a run on a host whose clock is ahead moves it too."""
        self.absent: list[str] = []
        """Of the agent_ids that the last `move` looked for, those that have no value."""
        self.unvouched: list[str] = []
        """Of these, those whose value says nothing of the log and is older than the stream by more than clocks may differ."""
        self.emptied: set[StoredView] = set()
        """The views whose `valid_through` the last `move` did not find where an earlier one had put it."""

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

    @property
    def refused(self) -> int:
        """How many values the guard refused that are not made good."""
        return sum(map(len, self._refused.values()))

    def refused_of(self, view: StoredView) -> Mapping[str, int]:
        """Return the agent_ids whose last write was refused, with the instant (µs UTC) that the stored value is true at."""
        return self._refused.get(view, {})

    @property
    def furthest(self) -> int:
        """The latest instant, µs UTC, that our shards were found to be complete up to; 0 before that was looked at."""
        return max(self._stands.values(), default=0)

    def is_outrun(self, view: StoredView, as_of: int) -> bool:
        """Whether what is said online of the view is of later than `as_of`, so that it would be read of a value that is true at `as_of`."""
        return max((self._stands.get(view, 0), *self.refused_of(view).values())) > as_of

    def write(self) -> WriteCounts:
        """Write what waits, in one round trip for each few thousand values; returns what became of them.

        Raises:
            OnlineStoreDownError: Redis does not answer; all that waited still does, writing twice is harmless.

        """
        keys: list[str] = []
        values: list[bytes] = []
        views: dict[str, StoredView] = {}
        for view, packed in self._pending.items():
            prefix = f"{online.version_prefix(self._project, view)}:"
            views[prefix] = view
            keys += [prefix + key for key in packed]
            values += packed.values()
        counts = online.write_packed(self._client, keys, values)
        for view, packed in self._pending.items():
            if theirs := self._refused.get(view):
                self._refused[view] = {key: as_of for key, as_of in theirs.items() if key not in packed}
        for each in counts.refused:
            self._refused.setdefault(views[each.key.removesuffix(each.agent_id)], {})[each.agent_id] = each.as_of
        self._pending.clear()
        return counts

    def begin(self) -> None:
        """Forget how far the shards were complete: from now on they are others."""
        self._through.clear()
        self._refused.clear()
        self._stands.clear()

    def filled(self, view: StoredView) -> None:
        """Take note that what Redis lost of a view waits to be written, or is written."""
        self._through[view] = online.FILLING

    def move(
        self,
        views: Collection[StoredView],
        instant: int,
        shards: Collection[int],
        look: tuple[StoredView, Sequence[str]] | None = None,
    ) -> set[StoredView]:
        """Say that the shards' values are complete up to `instant`; returns the views of which Redis lost values, and did not move.

        A view with refused values that are not made good does not move either. Redis lost some when `valid_through` stands before the
        instant it was last moved to, or was never set: it was emptied, or is an older copy. They are returned until `filled`.
        In the same round trip some agent_ids of a view are looked for; `absent` are then those that have no value, `unvouched` those of
        which `valid_through` says nothing, as somebody pushed them. `emptied` are the views among the lost that this worker had moved
        before: a store that nobody has filled yet has lost nothing.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        views = [view for view in views if not self._refused.get(view)]
        with redis_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            for view in views:
                online.send(pipe, online.layout_call(self._project, view))
                expected = self._through.get(view, online.FILLING + 1)
                online.send(pipe, online.move_call(self._project, view, instant, sorted(shards), expected=expected))
            looks = [] if look is None else self._looks(look, instant - clock.AHEAD_LIMIT_US)
            for call in looks:
                online.send(pipe, call)
            found = pipe.execute()
        answers = found[1 : 2 * len(views) : 2]
        self._note(look[1] if look else (), looks, found[2 * len(views) :])
        lost = {view for view, (there, _) in zip(views, answers, strict=True) if not there}
        self.emptied = {view for view in lost if self._through.get(view, online.FILLING) > online.FILLING}
        self._stands.update((view, furthest) for view, (_, furthest) in zip(views, answers, strict=True))
        self._through.update((view, instant) for view in views if view not in lost)
        return lost

    def standing(self, views: Collection[StoredView], shards: Collection[int]) -> list[int]:
        """Return the instants (µs UTC) that shards of some views are said to be complete up to.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        found = online.shard_instants(self._client, self._project, views)
        ours = [[instant for shard, instant in instants.items() if shard in shards] for instants in found]
        self._stands.update((view, max(instants, default=0)) for view, instants in zip(views, ours, strict=True))
        return [instant for instants in ours for instant in instants]

    def _looks(self, look: tuple[StoredView, Sequence[str]], before: int) -> list[Call]:
        return online.look_calls(self._project, *look, before, cluster=is_cluster(self._client))

    def _note(self, agent_ids: Sequence[str], looks: Sequence[Call], answers: Sequence[Sequence[int]]) -> None:
        """Take note of what a look found."""
        self.absent, self.unvouched, start = [], [], 0
        for (_, number, _), positions in zip(looks, answers, strict=True):
            for position in positions:
                (self.absent if position < 0 else self.unvouched).append(agent_ids[start + abs(position) - 1])
            start += number

    def distrust(self, view: StoredView, agent_ids: Collection[str], as_of: int) -> None:
        """Have values that are true at `as_of` or before, which may stand online, be true up to their own instant only.

        Raises:
            OnlineStoreDownError: Redis does not answer.

        """
        online.distrust(self._client, self._project, view, sorted(agent_ids), as_of)

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
