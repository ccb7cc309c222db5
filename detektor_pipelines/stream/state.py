"""The windows of one view in memory: events in, values of any key at the state's instant out.

Belongs here: tiles, their sums per window, and time passing. Does not belong here: where events come from (`load`, `live_view`) and where
values go (`worker`). Every number is an integer until `values` gives it to the finaliser that batch uses too.

A tile holds what the events of one key and one hop add up to. `advance` moves the instant: at b + W the tile that ends at b leaves the
window of size W as a whole, and when it has left the longest window of its hop it is dropped; a key without tiles has only empty windows.

What always holds between two calls, for each key k and window W of hop h, at the state's instant t:

    sums[k][s]     = Σ tile.sums[s] over k's tiles of h with t - W < bucket <= ceil(t, h)
    extremes[k][s] = the extreme over the same tiles; None when none of them has a value
    seen[k][d]     = {value: the newest of these tiles' buckets that holds it}; its length is the distinct count
    lasts[k][i]    = the latest event that entered since the key's tiles were last summed, even if no window holds it now: `values` asks

The first few events in an order are kept in the tiles alone, as many as the list is long; `values` looks through the window's tiles.
    _keys[k].tiles = the number of k's tiles, of all hops
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from detektor_pipelines.language.windows import Window, ceil_to

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from detektor_pipelines.compile.finalise import Result
    from detektor_pipelines.compile.fold import Contribution, Fold
    from detektor_pipelines.compile.plan import RankedState

Latest: TypeAlias = tuple[int, str, int]
"""occurred_at, event_id and value of an event: the order of `last`."""
Ranked: TypeAlias = list[tuple[int, str, Any]]
"""The first few events, as `Latest`, in their state's order."""


class Tile:
    """What the events of one key and one hop add up to; positions as in the `Hop` it belongs to."""

    __slots__ = ("extremes", "lasts", "ranked", "sums", "values")

    def __init__(
        self, sums: list[int], lasts: list[Latest | None], extremes: list[int | None], values: list[set[str]], ranked: list[Ranked]
    ) -> None:
        self.sums = sums
        self.lasts = lasts
        self.extremes = extremes
        self.values = values
        self.ranked = ranked


class Hop:
    """The windows of one hop, what their tiles hold of a contribution, and the tiles: bucket (the hop's end, µs) → key → tile."""

    def __init__(self, fold: Fold, hop: int, windows: tuple[Window, ...]) -> None:
        plan, prepared = fold.plan, len(fold.plan.prepared)
        self.size = hop
        self.span = windows[-1].size
        """How long after its end the tile is in some window."""
        mine = {index for window in windows for _, index in fold.sums_over(window)}
        self.summed = tuple(sorted(mine))
        picks = [pick for pick in plan.picks if pick.window in windows]
        self.lasts = _used(fold, [pick for pick in picks if pick.function == "last"])
        self.extremes = _used(fold, [pick for pick in picks if pick.function != "last"])
        self.distincts = _used(fold, [each for each in plan.distincts if each.window in windows])
        self.smaller = tuple(fold.extremes[index].function == "minimum" for index in self.extremes)
        self.last_at = tuple(prepared + index for index in self.lasts)
        self.extreme_at = tuple(prepared + len(fold.lasts) + index for index in self.extremes)
        self.distinct_at = tuple(prepared + len(fold.lasts) + len(fold.extremes) + index for index in self.distincts)
        self.ranked = _used(fold, [each for each in plan.ranked if each.window in windows])
        self.orders = tuple(fold.ranked[index] for index in self.ranked)
        self.ranked_at = tuple(self._behind_distincts(fold, prepared) + index for index in self.ranked)
        self.windows = tuple(_InWindow(fold, self, window) for window in windows)
        self.tiles: dict[int, dict[str, Tile]] = {}

    def empty(self) -> Tile:
        """Return a tile of no events."""
        values: list[set[str]] = [set() for _ in self.distincts]
        return Tile([0] * len(self.summed), [None] * len(self.lasts), [None] * len(self.extremes), values, [[] for _ in self.ranked])

    def add(self, tile: Tile, ts: int, event_id: str, contribution: Contribution) -> None:
        """Add one event to a tile."""
        sums = tile.sums
        for position, index in enumerate(self.summed):
            if value := contribution[index]:
                sums[position] += value
        for position, index in enumerate(self.last_at):
            if (value := contribution[index]) is not None:
                tile.lasts[position] = _later(tile.lasts[position], (ts, event_id, value))
        for position, index in enumerate(self.extreme_at):
            if (value := contribution[index]) is not None:
                tile.extremes[position] = _more_extreme(tile.extremes[position], value, smaller=self.smaller[position])
        for position, index in enumerate(self.distinct_at):
            if (value := contribution[index]) is not None:
                tile.values[position].add(value)
        if self.ranked_at:
            self._rank(tile, ts, event_id, contribution)

    def _rank(self, tile: Tile, ts: int, event_id: str, contribution: Contribution) -> None:
        for position, index in enumerate(self.ranked_at):
            if (value := contribution[index]) is not None:
                tile.ranked[position] = _first([*tile.ranked[position], (ts, event_id, value)], self.orders[position])

    @staticmethod
    def _behind_distincts(fold: Fold, prepared: int) -> int:
        return prepared + len(fold.lasts) + len(fold.extremes) + len(fold.distincts)

    def of_key(self, key: str) -> Iterator[tuple[int, Tile]]:
        """Return the key's tiles with their buckets."""
        for bucket, tiles in self.tiles.items():
            if (tile := tiles.get(key)) is not None:
                yield bucket, tile


class _InWindow:
    """Which states of the plan a window has, and where in a tile each finds its part: pairs of (state, position)."""

    def __init__(self, fold: Fold, hop: Hop, window: Window) -> None:
        plan = fold.plan
        self.size = window.size
        self.sums = tuple((state, hop.summed.index(index)) for state, index in fold.sums_over(window))
        extremes = [pick for pick in plan.picks if pick.function != "last"]
        self.extremes = tuple(
            (state, hop.extremes.index(fold.position(pick)), pick.function == "minimum")
            for state, pick in enumerate(extremes)
            if pick.window == window
        )
        self.distincts = tuple(
            (state, hop.distincts.index(fold.position(each))) for state, each in enumerate(plan.distincts) if each.window == window
        )


class _Key:
    """A key's windows: `sums`, `extremes` and `seen` by the plan's states, `lasts` by the fold's; `tiles` counts those that are kept.

    `seen` maps, for each distinct count, a value to the newest bucket that holds it.
    """

    __slots__ = ("extremes", "lasts", "seen", "sums", "tiles")

    def __init__(self, sums: int, lasts: int, extremes: int, distincts: int) -> None:
        self.sums = [0] * sums
        self.lasts: list[Latest | None] = [None] * lasts
        self.extremes: list[int | None] = [None] * extremes
        self.seen: list[dict[str, int]] = [{} for _ in range(distincts)]
        self.tiles = 0


class ViewState:
    """All keys of one view at one instant.

    Args:
        fold: Of the view.
        instant: µs UTC to begin at.

    """

    def __init__(self, fold: Fold, instant: int) -> None:
        self.fold: Final = fold
        self.instant = instant
        self.hops: Final = tuple(Hop(fold, hop, windows) for hop, windows in fold.hops().items())
        self.dirty: set[str] = set()
        """Keys whose values may have changed since `changes` last asked."""
        self._keys: dict[str, _Key] = {}
        self._waiting: list[tuple[int, int, str, str, Contribution]] = []
        self._order = count()
        plan = fold.plan
        self._sum_names = tuple(each.name for each in plan.sums)
        self._extremes = tuple(pick for pick in plan.picks if pick.function != "last")
        self._lasts = tuple((pick, fold.position(pick)) for pick in plan.picks if pick.function == "last")
        self._sizes = (len(plan.sums), len(fold.lasts), len(self._extremes), len(plan.distincts))

    @property
    def keys(self) -> Collection[str]:
        """Keys with an event in some window."""
        return self._keys.keys()

    @property
    def waiting(self) -> int:
        """How many events lie ahead of the instant."""
        return len(self._waiting)

    def add(self, key: str, ts: int, event_id: str, contribution: Contribution) -> None:
        """Add an event, late ones included; one that lies ahead of the instant waits until `advance` reaches it."""
        if ts > self.instant:
            heappush(self._waiting, (ts, next(self._order), key, event_id, contribution))
            return
        state = self._keys.get(key)
        kept = False
        # Into the tile of each hop, and at once into the windows that hold that tile: no window is summed again for an event.
        for hop in self.hops:
            bucket = ceil_to(ts, hop.size)
            if bucket + hop.span <= self.instant:
                continue  # so late that every window of this hop has let it go
            state = state or self._new(key)
            kept = True
            tiles = hop.tiles.setdefault(bucket, {})
            tile = tiles.get(key)
            if tile is None:
                tile = tiles[key] = hop.empty()
                state.tiles += 1
            hop.add(tile, ts, event_id, contribution)
            self._enter(state, hop, bucket, contribution)
        if kept and state is not None:
            prepared = len(self.fold.plan.prepared)
            for index in range(len(self.fold.lasts)):
                if (value := contribution[prepared + index]) is not None:
                    state.lasts[index] = _later(state.lasts[index], (ts, event_id, value))
            self.dirty.add(key)

    def advance(self, instant: int) -> None:
        """Move to a later instant: tiles leave windows, waiting events enter. An earlier one changes nothing."""
        if instant <= self.instant:
            return
        before, self.instant = self.instant, instant
        # 1. Of each window, the tiles with before < bucket + size <= instant leave; each does so once, since instants only rise.
        for hop in self.hops:
            if ceil_to(before + 1, hop.size) > instant:
                continue  # buckets and sizes are multiples of the hop, and none has passed: what most advances find
            for window in hop.windows:
                for bucket in _between(hop, before - window.size, instant - window.size):
                    self._leave(hop, window, bucket)
            # 2. What has left the longest window is dropped. Afterwards: a key without tiles is in no window.
            for bucket in _between(hop, before - hop.span, instant - hop.span):
                for key in hop.tiles.pop(bucket):
                    self._keys[key].tiles -= 1
        # 3. Events that lay ahead enter; `instant` is already the new one, so that `add` does not let them wait again.
        while self._waiting and self._waiting[0][0] <= instant:
            ts, _, key, event_id, contribution = heappop(self._waiting)
            self.add(key, ts, event_id, contribution)

    def mark_all(self) -> None:
        """Count every key as changed."""
        self.dirty.update(self._keys)

    def forget_waiting(self) -> None:
        """Drop the events that lie ahead."""
        self._waiting.clear()

    def changes(self) -> list[tuple[str, list[Result]]]:
        """Return the keys that may have changed since the last call, with their values; forget keys whose windows are all empty."""
        changed = [(key, self.values(key)) for key in self.dirty]
        for key in self.dirty:
            if (state := self._keys.get(key)) is not None and not state.tiles:
                del self._keys[key]
        self.dirty.clear()
        return changed

    def values(self, key: str) -> list[Result]:
        """Return the view's features of a key, in the view's order; those of an empty window for a key that has no event."""
        state = self._keys.get(key) or _Key(*self._sizes)
        found: dict[str, Any] = dict(zip(self._sum_names, state.sums, strict=True))
        for spread in self.fold.plan.spreads:
            # n·Σx² - (Σx)²: exact, for Python's integers have no end; the finaliser divides.
            n, total, squares = (found[each.name] or 0 for each in (spread.count, spread.total, spread.squares))
            found[spread.name] = n * squares - total * total
        for pick, value in zip(self._extremes, state.extremes, strict=True):
            found[pick.name] = value
        for pick, index in self._lasts:
            latest = state.lasts[index]
            found[pick.name] = latest[2] if latest is not None and pick.window.leave(latest[0]) > self.instant else None
        for distinct, seen in zip(self.fold.plan.distincts, state.seen, strict=True):
            found[distinct.name] = len(seen)
        for ranked in self.fold.plan.ranked:
            found[ranked.name] = self._ranked(key, ranked)
        return [tree.scalar(found) for _, tree in self.fold.plan.features]

    def _ranked(self, key: str, ranked: RankedState) -> Any:
        """Return the list of a ranked state, or its one value; None where nothing is in the window."""
        hop = next(each for each in self.hops if each.size == ranked.window.hop)
        position = hop.ranked.index(self.fold.position(ranked))
        events: Ranked = []
        for bucket, tile in hop.of_key(key):
            if bucket + ranked.window.size > self.instant:
                events += tile.ranked[position]
        values = [value for _, _, value in _first(events, ranked)]
        return (values if ranked.listed else values[0]) if values else None

    def replace(self, key: str, hop: Hop, bucket: int, tile: Tile | None) -> None:
        """Put a tile in the place of the one that is there, None for no events; `settle` must follow."""
        if bucket + hop.span <= self.instant:
            return
        # Only the tiles and their number are kept right here; the windows are wrong until `settle`.
        tiles = hop.tiles.setdefault(bucket, {})
        old = tiles.pop(key, None)
        if tile is not None:
            tiles[key] = tile
        if not tiles:
            del hop.tiles[bucket]
        if (old is None) is not (tile is None):
            state = self._keys.get(key) or self._new(key)
            state.tiles += 1 if old is None else -1

    def settle(self, key: str) -> None:
        """Sum the key's windows again from its tiles."""
        count_of_tiles = self._keys[key].tiles if key in self._keys else 0
        state = self._new(key)
        state.tiles = count_of_tiles
        for hop in self.hops:
            for bucket, tile in hop.of_key(key):
                self._enter_tile(state, hop, bucket, tile)
        self.dirty.add(key)

    def settle_all(self) -> None:
        """Sum all windows again, tile by tile: what follows when many tiles were put in."""
        for key, state in self._keys.items():
            fresh = _Key(*self._sizes)
            fresh.tiles = state.tiles
            self._keys[key] = fresh
        for hop in self.hops:
            for bucket, tiles in hop.tiles.items():
                for key, tile in tiles.items():
                    self._enter_tile(self._keys[key], hop, bucket, tile)
        self.dirty.update(self._keys)

    def _new(self, key: str) -> _Key:
        self._keys[key] = state = _Key(*self._sizes)
        return state

    def _enter(self, state: _Key, hop: Hop, bucket: int, contribution: Contribution) -> None:
        """Add one event to the windows of a hop that it is in."""
        for window in hop.windows:
            if bucket + window.size <= self.instant:
                continue
            sums = state.sums
            for index, position in window.sums:
                if value := contribution[hop.summed[position]]:
                    sums[index] += value
            for index, position, smaller in window.extremes:
                if (value := contribution[hop.extreme_at[position]]) is not None:
                    state.extremes[index] = _more_extreme(state.extremes[index], value, smaller=smaller)
            for index, position in window.distincts:
                if (value := contribution[hop.distinct_at[position]]) is not None:
                    state.seen[index][value] = max(state.seen[index].get(value, 0), bucket)

    def _enter_tile(self, state: _Key, hop: Hop, bucket: int, tile: Tile) -> None:
        """Add a whole tile to the windows of its hop that it is in, as `_enter` adds one event."""
        for index, latest in zip(hop.lasts, tile.lasts, strict=True):
            if latest is not None:
                state.lasts[index] = _later(state.lasts[index], latest)
        for window in hop.windows:
            if bucket + window.size <= self.instant:
                continue
            for index, position in window.sums:
                state.sums[index] += tile.sums[position]
            for index, position, smaller in window.extremes:
                if (value := tile.extremes[position]) is not None:
                    state.extremes[index] = _more_extreme(state.extremes[index], value, smaller=smaller)
            for index, position in window.distincts:
                for each in tile.values[position]:
                    state.seen[index][each] = max(state.seen[index].get(each, 0), bucket)

    def _leave(self, hop: Hop, window: _InWindow, bucket: int) -> None:
        """Take the tiles of one bucket out of one window; they stay in `hop.tiles` for the longer ones."""
        for key, tile in hop.tiles[bucket].items():
            state = self._keys[key]
            for index, position in window.sums:
                state.sums[index] -= tile.sums[position]
            for index, position, smaller in window.extremes:
                # An extreme cannot be subtracted: only when the one that goes is the window's are the other tiles looked through.
                if tile.extremes[position] is not None and tile.extremes[position] == state.extremes[index]:
                    state.extremes[index] = self._extreme(hop, window, key, position, smaller=smaller)
            for index, position in window.distincts:
                seen = state.seen[index]
                for value in tile.values[position]:
                    if seen.get(value) == bucket:  # else a newer tile in the window holds it too
                        del seen[value]
            self.dirty.add(key)

    def _extreme(self, hop: Hop, window: _InWindow, key: str, position: int, *, smaller: bool) -> int | None:
        """Look for the extreme among the tiles that are still in the window."""
        found: int | None = None
        for bucket, tile in hop.of_key(key):
            value = tile.extremes[position]
            if value is not None and bucket + window.size > self.instant:
                found = _more_extreme(found, value, smaller=smaller)
        return found


def _used(fold: Fold, states: list[Any]) -> tuple[int, ...]:
    return tuple(sorted({fold.position(each) for each in states}))


def _first(events: Ranked, ranked: RankedState) -> Ranked:
    """Return the first few of some events in a state's order."""
    if ranked.order == "greatest":
        return sorted(events, key=_value, reverse=True)[: ranked.length]
    return sorted(events, reverse=ranked.order == "last")[: ranked.length]


def _value(event: tuple[int, str, Any]) -> Any:
    return event[2]


def _later(one: Latest | None, other: Latest) -> Latest:
    return other if one is None or other > one else one


def _more_extreme(one: int | None, other: int, *, smaller: bool) -> int:
    if one is None:
        return other
    return min(one, other) if smaller else max(one, other)


def _between(hop: Hop, after: int, until: int) -> list[int]:
    """Return the buckets in (after, until], by the shorter of two ways."""
    first = ceil_to(after + 1, hop.size)
    if (until - first) // hop.size < len(hop.tiles):
        return [bucket for bucket in range(first, until + 1, hop.size) if bucket in hop.tiles]
    return sorted(bucket for bucket in hop.tiles if after < bucket <= until)
