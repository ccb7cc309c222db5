"""One view as the worker lives it: rows of the log in, packed online values out.

Belongs here: which keys are ours, repairs after a revision, and packing. The windows are `state`'s, the log is `stores.raw_log.tail`'s.
"""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.engine.as_of import split_by_range
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.windows import ceil_to
from detektor_pipelines.stores.online.packing import Unpacked, pack
from detektor_pipelines.stores.online.values import shard_of, stored_view
from detektor_pipelines.stores.raw_log.tail import FIXED
from detektor_pipelines.stream.load import keys_of, state_of
from detektor_pipelines.stream.state import Tile, ViewState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from detektor_pipelines.compile.fold import Contribution
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.stores.online.packing import Value

    ReadSpan: TypeAlias = Callable[[int, int | None], Sequence[tuple[Any, ...]]]
    """(start, end] in µs → the agent's live events as (project, event_id, ts, *columns); no end is all that lies ahead."""

_logger = logging.getLogger(__name__)

_PROJECT, _EVENT_ID, _TS = FIXED.index("project"), FIXED.index("event_id"), FIXED.index("ts")


class LiveView:
    """A view, the shards of it that are ours, and its state once `load` was called.

    Args:
        view: The definition.
        columns: The tail's columns behind FIXED.

    """

    def __init__(self, view: FeatureView, columns: Sequence[str]) -> None:
        self.view: Final = view
        self.fold: Final = fold(plan(view))
        self.stored: Final = stored_view(view)
        self.shards: frozenset[int] = frozenset()
        self._columns_of = _getter([len(FIXED) + columns.index(name) for name in self.fold.columns])
        self._names = [each.name for each in view.features]
        self._ranges = [
            (position, name, MEASURES[name].minimum, MEASURES[name].maximum)
            for position, name in enumerate(self.fold.columns)
            if name in MEASURES
        ]
        self.strict = False
        """Whether events with a measure outside its declared range are refused; set once such an event has broken something."""
        self._ours: dict[str | None, tuple[str, ...]] = {}
        """Project → those of the keys that its events count for that are ours."""
        self.state = ViewState(self.fold, 0)

    @staticmethod
    def columns_of(view: FeatureView) -> tuple[str, ...]:
        """Return the columns of the log that a view reads."""
        return plan(view).columns

    def load(self, events: pa.Table, instant: int, shards: frozenset[int]) -> list[str]:
        """Start again at `instant` with the history that is known, owning `shards`; every key counts as changed.

        Returns the event_ids that had to be left out.
        """
        self.shards = shards
        self._ours.clear()
        if not self.strict:
            try:
                self.state = state_of(self.fold, events, instant, owned=self.owns)
            except Exception:  # whatever breaks it: without the events that may be to blame it is tried again
                self.strict = True
                _logger.exception("%s: the history cannot be summed", self.view.name)
            else:
                return []
        countable, outside = split_by_range(self.view, events)
        self.state = state_of(self.fold, countable, instant, owned=self.owns)
        return [str(event_id) for event_id in outside["event_id"].to_pylist()]

    def forget(self) -> None:
        """Own nothing and count nothing until the next `load`."""
        self.shards = frozenset()
        self._ours.clear()
        self.state = ViewState(self.fold, 0)

    def owns(self, key: str) -> bool:
        """Whether a key belongs to our shards."""
        return shard_of(key) in self.shards

    def misses(self, key: str) -> bool:
        """Whether a key is ours and in no window."""
        return self.owns(key) and key not in self.state.keys

    def expire(self, stored: Mapping[str, Mapping[str, Value]]) -> None:
        """Count those of the keys (agent_id → features as they stand online) as changed that are not stored as empty windows."""
        for key, values in stored.items():
            if self.misses(key) and dict(zip(self._names, self.state.values(key), strict=True)) != values:
                self.state.dirty.add(key)

    def hear(self, row: Sequence[Any]) -> None:
        """Take one event of the tail, of revision 1 and not retracted.

        Raises:
            ValueError: In `strict`, a measure of an event that counts for a key of ours lies outside its declared range.

        """
        ts, project = row[_TS], row[_PROJECT]
        keys = self._ours_of(project)
        if not keys:  # of several workers most events are another's: they end here
            return
        contribution = self._contribution(ts, project, self._columns_of(row))
        if contribution is not None:
            for key in keys:
                self.state.add(key, ts, row[_EVENT_ID], contribution)

    def repair(self, places: Iterable[tuple[str | None, int]], read: ReadSpan) -> None:
        """Sum the tiles again that hold these places (project, occurred_at), from the log as it is known now."""
        days: dict[int, set[str]] = {}
        whole = self.state.hops[-1].size
        instant = self.state.instant
        ahead = False
        for project, ts in places:
            if self.view.longest.leave(ts) <= instant:
                continue
            ahead = ahead or ts > instant
            days.setdefault(ceil_to(min(ts, instant), whole), set()).update(self._ours_of(project))
        for end, keys in days.items():
            self._sum_anew(end, keys, read(end - whole, min(end, instant)))
        if ahead:
            self.state.forget_waiting()
            for project, event_id, ts, *values in read(instant, None):
                contribution = self._contribution_or_none(ts, project, values)
                if contribution is not None:
                    for key in self._ours_of(project):
                        self.state.add(key, ts, event_id, contribution)

    def again(self, keys: Iterable[str]) -> None:
        """Count those of the keys that are ours as changed: what stands online of them is not what was written."""
        self.state.dirty.update(filter(self.owns, keys))

    def changes(self, as_of: int, snapshot: str, *, epoch: int = 1, writer: str | None = None) -> dict[str, bytes]:
        """Return agent_id → packed value of what may have changed since the last call; `writer` says who counted it.

        Raises:
            ValueError: A value does not fit 64 bits; from now on the view is `strict`, and must be loaded again.

        """
        packed = {}
        for key, values in self.state.changes():
            row = Unpacked(as_of, as_of, as_of, snapshot, dict(zip(self._names, values, strict=True)), epoch, writer)
            try:
                packed[key] = pack(self.stored.layout, row)
            except ValueError:
                self.strict = True
                raise
        return packed

    def _ours_of(self, project: str | None) -> tuple[str, ...]:
        keys = self._ours.get(project)
        if keys is None:
            keys = self._ours[project] = tuple(filter(self.owns, keys_of(self.view.agent, project)))
        return keys

    def _contribution(self, ts: int, project: str | None, values: Sequence[Any]) -> Contribution | None:
        for position, name, low, high in self._ranges if self.strict else ():
            if (value := values[position]) is not None and not low <= value <= high:
                message = f"{name} is {value}, outside {low} … {high}"
                raise ValueError(message)
        return self.fold.contribution(ts, project, *values)

    def _contribution_or_none(self, ts: int, project: str | None, values: Sequence[Any]) -> Contribution | None:
        """Return what an event contributes; nothing when it cannot be counted, which was said when it was first heard or loaded."""
        try:
            return self._contribution(ts, project, values)
        except Exception:  # noqa: BLE001  one event must not keep the others from being repaired
            return None

    def _sum_anew(self, end: int, keys: set[str], events: Sequence[tuple[Any, ...]]) -> None:
        """Replace all tiles of `keys` in the largest hop that ends at `end`; smaller hops lie within it."""
        hops = self.state.hops
        tiles: dict[tuple[str, int, int], Tile] = {}
        for project, event_id, ts, *values in events:
            contribution = self._contribution_or_none(ts, project, values)
            if contribution is None:
                continue
            for key in keys.intersection(keys_of(self.view.agent, project)):
                for number, hop in enumerate(hops):
                    place = (key, number, ceil_to(ts, hop.size))
                    tile = tiles.get(place) or tiles.setdefault(place, hop.empty())
                    hop.add(tile, ts, event_id, contribution)
        for key in keys:
            for number, hop in enumerate(hops):
                for bucket in range(end - hops[-1].size + hop.size, end + 1, hop.size):
                    self.state.replace(key, hop, bucket, tiles.get((key, number, bucket)))
            self.state.settle(key)


def _getter(positions: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what picks the positions of a row as a tuple, also for one position and for none."""
    if not positions:
        return lambda _: ()
    if len(positions) == 1:
        (only,) = positions
        return lambda row: (row[only],)
    return itemgetter(*positions)
