"""The integer states that `compile.sql` describes, computed over arrays: the same numbers without a query to plan.

Planning a view's SQL takes DuckDB longer than running it over a hundred thousand events, so the batch calculates here what is made of sums,
latest events, extremes and distinct values. What is not, and what lies outside its declared range, runs as SQL (`engine.compute`).

Events come in cells (`arrays.cells`). A row is an (agent_id, instant) at which something may change. Rows stand in order, so a cell is in a
window at the rows [first, behind): a sum is that of the cells that have come by a row less that of those that have gone, an extreme is the
greatest over the stretches that hold a row, and a value counts once in the union of its stretches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.compile.finalise import LIMB
from detektor_pipelines.engine.arrays.cells import EXACT, NEVER, NOTHING, ceil, distinct_key, exact, in_order, pick_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.compile.finalise import Vector
    from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, SpreadState, SumState
    from detektor_pipelines.compile.sql import Form, Span
    from detektor_pipelines.engine.arrays.cells import Cells, Members, Picked, Sums
    from detektor_pipelines.engine.arrays.event_vectors import Ints, Truths
    from detektor_pipelines.language.windows import Window

_BY_PLACE: Final = 2**25
"""Up to so many instants of all agent_ids together the rows are found by a table of them: five-minute steps of half a year, 600 times."""


def by_cells(plan: Plan) -> bool:
    """Whether the states of the log's events can be computed here, if every value keeps its range (`TooWideError`)."""
    return not plan.ranked


def suits(plan: Plan, events: pa.Table) -> bool:
    """Whether the states of these events can be computed here, if every value keeps its range (`TooWideError`)."""
    return by_cells(plan) and not any(events[name].null_count for name in ("ts", "known", "live"))


class Intervals:
    """The states of some cells over one span, in both forms.

    Args:
        plan: Of the view; `suits` says whether it can be had here.
        cells: Of all events that count in the span; others do no harm.
        span: The instants wanted, (start, end].

    Raises:
        TooWideError: By `states`: an event holds a value that the definition's proofs do not cover.

    """

    def __init__(self, plan: Plan, cells: Cells, span: Span) -> None:
        self.plan, self.cells = plan, cells
        grain = plan.view.grain
        self.leaves = {window: leaves_at(cells.buckets, window, grain) for window in plan.view.windows}
        self.longest = self.leaves[plan.view.windows[-1]]
        self.occurred = ceil(cells.buckets, grain)
        self.rows = _Rows(span.start, span.end, grain, len(cells.names), self._instants())

    def keys(self) -> pa.ChunkedArray:
        """Return each row's agent_id, ascending."""
        import pyarrow as pa

        agent = self.plan.view.agent
        names = pa.array([agent, *(f"{agent}@{name}" for name in self.cells.names[1:])], pa.string())
        return pa.chunked_array([names.take(pa.array(self.rows.keys))])

    def instants(self) -> Ints:
        """Return each row's instant, ascending for each agent_id."""
        return self.rows.instants

    def states(self, form: Form) -> dict[str, Vector]:
        """Return each state's values at the rows, as `engine.compute.States` has them."""
        return dict(_Form(self, form).states())

    def _instants(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield (key, instant) of the rows, each perhaps several times: where cells enter, leave, and are known about."""
        cells = self.cells
        yield cells.keys, self.occurred
        for leave in self.leaves.values():
            yield cells.keys, leave
        if cells.late:
            some = cells.known < self.longest
            yield cells.keys[some], cells.known[some]
            some = (cells.known < cells.until) & (cells.until < self.longest)
            yield cells.keys[some], cells.until[some]


class _Rows:
    """The rows wanted, and which of them comes first at or after an instant of a key.

    Args:
        start, end: The span, (start, end], multiples of the grain.
        grain: Between instants.
        keys: How many keys there are.
        instants: (key, instant) of what may be a row.

    """

    def __init__(self, start: int, end: int, grain: int, keys: int, instants: Iterator[tuple[Ints, Ints]]) -> None:
        import numpy as np

        self._grain, self._before = grain, start // grain + 1
        self._steps = max(end // grain - start // grain, 0)
        places = [self._places(key[at > start], at[at > start]) for key, at in instants]
        size = keys * (self._steps + 1)
        self._ranks: NDArray[np.int32] | None = None
        if size <= _BY_PLACE:
            there = np.zeros(size, dtype=bool)
            for each in places:
                there[each] = True
            # The last place of each key stands for what lies behind the span
            there.reshape(keys, self._steps + 1)[:, self._steps] = False
            self._ranks = np.cumsum(there, dtype=np.int32)
            self._ranks -= there
            self._found = np.flatnonzero(there)
        else:
            found = np.unique(np.concatenate(places))
            self._found = found[found % (self._steps + 1) != self._steps]
        self.keys, steps = np.divmod(self._found, self._steps + 1)
        self.instants = (steps + self._before) * grain

    def first(self, keys: Ints, instants: Ints) -> Ints:
        """Return the position of the first row of each key that is not before an instant."""
        import numpy as np

        places = self._places(keys, instants)
        return np.searchsorted(self._found, places) if self._ranks is None else self._ranks[places].astype(np.int64)

    def _places(self, keys: Ints, instants: Ints) -> Ints:
        """Return a number that rises with key and instant; what lies before the span counts as its first instant."""
        import numpy as np

        return keys * (self._steps + 1) + np.clip(instants // self._grain - self._before, 0, self._steps)

    def __len__(self) -> int:
        return len(self._found)


class _Form:
    """The states of one form, served or known now."""

    def __init__(self, shared: Intervals, form: Form) -> None:
        import numpy as np

        self._shared, self._plan = shared, shared.plan
        self._cells, self._rows, self._held = shared.cells, shared.rows, shared.cells.held[form]
        served = form == "served"
        cells = self._cells
        self._first = self._rows.first(cells.keys, cells.known if served and cells.late else shared.occurred)
        gone = {window: np.minimum(leave, cells.until) if served else leave for window, leave in shared.leaves.items()}
        # A cell that is gone before it is known comes and goes at the same row
        self._behind = {window: np.maximum(self._first, self._rows.first(cells.keys, at)) for window, at in gone.items()}
        self._came = _Running.of(self._first, len(self._rows))
        self._went = {window: _Running.of(behind, len(self._rows)) for window, behind in self._behind.items()}
        self._added: tuple[str, Sums, Ints] | None = None
        self._sums: dict[str, Ints] = {}
        self._appearances: dict[str, _Appearances] = {}

    def states(self) -> Iterator[tuple[str, Vector]]:
        """Yield name, values and validity."""
        import numpy as np

        always = np.ones(len(self._rows), dtype=bool)
        for each in sorted(self._plan.sums, key=lambda each: each.prepared.name):  # those of a window after those of another
            if not each.wide:
                yield each.name, (self._sum(each), always)
        for distinct in self._plan.distincts:
            yield distinct.name, (self._distinct(distinct), always)
        for spread in self._plan.spreads:
            for name, limb in zip(("hi", "lo"), self._spread(spread), strict=True):
                yield f"{spread.name}_{name}", (limb, always)
        for each in self._plan.limbs:
            total = self._sum(each)
            high = abs(total) // LIMB
            high = np.where(total < 0, -high, high)  # towards zero, as SQL divides
            yield f"{each.name}_hi", (high.astype(np.int64), always)
            yield f"{each.name}_lo", ((total - high * LIMB).astype(np.int64), always)
        for pick in self._plan.picks:
            yield pick.name, self._pick(pick)
        if self._cells.late:
            yield "late_known", self._late_known()

    def _sum(self, state: SumState) -> Ints:
        """Return the sum over the window at each row; the rows of all keys in one, for behind its last event a key's sums are 0 again."""
        if state.name not in self._sums:
            added, came = self._adding(state)
            self._sums[state.name] = came - self._went[state.window].sums(added)
        return self._sums[state.name]

    def _adding(self, state: SumState) -> tuple[Sums, Ints]:
        """Return what each cell adds, and the sum at each row of those that have come: the same for each window."""
        name = state.prepared.name
        if self._added is None or self._added[0] != name:
            added = exact(self._held.sums[name], wide=state.wide)
            self._added = name, added, self._came.sums(added)
        return self._added[1:]

    def _spread(self, spread: SpreadState) -> tuple[Ints, Ints]:
        """Return n·Σx² - (Σx)², never negative, in two limbs."""
        import numpy as np

        n, total, squares = (self._sum(each) for each in (spread.count, spread.total, spread.squares))
        high, low = np.zeros(len(n), dtype=np.int64), np.zeros(len(n), dtype=np.int64)
        wide = n.astype(np.float64) * squares.astype(np.float64) > EXACT
        for mask, kind in ((wide, object), (~wide, np.int64)):
            count, sums, powers = (each[mask].astype(kind) for each in (n, total, squares))
            numerators = count * powers - sums * sums
            high[mask], low[mask] = numerators // LIMB, numerators % LIMB
        return high, low

    def _pick(self, pick: PickState) -> Vector:
        """Return the latest event's value, or the extreme one, at each row."""
        import numpy as np

        picked = self._held.picks[pick_key(pick)]
        came, went = self._came, self._went[pick.window]
        if picked.by_place and came.ordered and went.ordered and self._rise(picked.best):
            return _latest(picked, came.cells, went.cells)
        found = self._greatest(self._first, self._behind[pick.window], picked.best)
        some = found != NOTHING
        values = np.zeros(len(found), dtype=np.int64)
        if picked.by_place:
            order = np.argsort(picked.best)
            values[some] = picked.values[order[np.searchsorted(picked.best, found[some], sorter=order)]]
        else:
            values[some] = -found[some] if pick.function == "minimum" else found[some]
        return values, some

    def _rise(self, places: Ints) -> bool:
        """Whether no cell's event comes before that of an earlier cell of the same key."""
        some = places != NOTHING
        keys, places = self._cells.keys[some], places[some]
        return bool(((places[1:] >= places[:-1]) | (keys[1:] != keys[:-1])).all())

    def _late_known(self) -> Vector:
        """Return when the platform learnt of what makes the forms differ at each row."""
        import numpy as np

        cells, shared = self._cells, self._shared
        changed = np.where(cells.until == NEVER, cells.known, cells.until)
        first = self._rows.first(cells.keys, shared.occurred)
        behind = self._rows.first(cells.keys, np.minimum(changed, shared.longest))
        found = self._greatest(first, np.where(changed > shared.occurred, behind, first), self._held.knowledge)
        some = found != NOTHING
        return np.where(some, found, 0), some

    def _greatest(self, first: Ints, behind: Ints, values: Ints) -> Ints:
        """Return at each row the greatest of the values whose stretch [first, behind) holds it.

        A stretch is the union of two of a power of two's length. `found[i]` begins as what holds for the longest such stretch from i on,
        and is handed down to its halves until it stands for row i alone.
        """
        import numpy as np

        some = (first < behind) & (values != NOTHING)
        first, behind, values = first[some], behind[some], values[some]
        found = np.full(len(self._rows), NOTHING, dtype=np.int64)
        levels = np.frexp((behind - first).astype(np.float64))[1] - 1
        for level in range(int(levels.max(initial=0)), -1, -1):
            half = 1 << level
            handed = found.copy()
            np.maximum(handed[half:], found[:-half], out=handed[half:])
            found = handed
            mine = levels == level
            np.maximum.at(found, first[mine], values[mine])
            np.maximum.at(found, behind[mine] - half, values[mine])
        return found

    def _distinct(self, state: DistinctState) -> Ints:
        """Return how many values are in the window at each row."""
        import numpy as np

        key = distinct_key(state)
        if key not in self._appearances:
            self._appearances[key] = _Appearances.of(self._held.members[key], self._cells.keys, self._first)
        members = self._appearances[key]
        first, behind = self._first[members.cells], self._behind[state.window][members.cells]
        # How far the stretches of the same value reach that begin earlier: an offset for each value keeps them apart
        size = len(self._rows)
        offset = np.cumsum(members.changes) * (size + 1)
        reach = np.maximum.accumulate(behind + offset) - offset
        begins = members.changes.copy()
        begins[1:] |= first[1:] >= reach[:-1]
        ends = np.ones(len(first), dtype=bool)
        ends[:-1] = begins[1:]
        return np.cumsum(np.bincount(first[begins], minlength=size)[:size] - np.bincount(reach[ends], minlength=size)[:size])


@dataclass(frozen=True)
class _Running:
    """How many cells have come by each row, or have gone by then.

    Attributes:
        order: Which cell does it first, and so on; None as they stand.
        cells: How many cells have done it at each row.

    """

    order: Ints | None
    cells: Ints

    @classmethod
    def of(cls, rows: Ints, size: int) -> _Running:
        """Take the row of each cell at which it does so, `size` if at none."""
        import numpy as np

        ordered = bool((rows[1:] >= rows[:-1]).all())
        return cls(None if ordered else in_order(rows), np.cumsum(np.bincount(rows, minlength=size)[:size]))

    @property
    def ordered(self) -> bool:
        """Whether the cells do it in the order that they stand in."""
        return self.order is None

    def sums(self, values: Sums) -> Ints:
        """Return the sum at each row of the values of the cells that have done it."""
        import numpy as np

        running: Any = np.zeros(len(values) + 1, dtype=values.dtype)
        np.cumsum(values if self.order is None else values[self.order], out=running[1:])
        found: Ints = running[self.cells]
        return found


@dataclass(frozen=True)
class _Appearances:
    """The cells that hold each distinct value of each key, in the order of their first rows; `changes` is true where a value begins."""

    cells: Ints
    changes: Truths

    @classmethod
    def of(cls, members: Members, keys: Ints, first: Ints) -> _Appearances:
        """Put the members of cells in order, given each cell's key and first row."""
        import numpy as np

        cells, values = members.cells, members.values
        if members.texts is None:  # as codes of their own: of any size, and below 0
            values = np.unique(values, return_inverse=True)[1]
        codes = keys[cells] * (values.max(initial=0) + 1) + values
        begin = first[cells]
        order = in_order(codes) if (begin[1:] >= begin[:-1]).all() else np.lexsort((begin, codes))
        codes = codes[order]
        changes = np.ones(len(codes), dtype=bool)
        changes[1:] = codes[1:] != codes[:-1]
        return cls(cells[order], changes)


def _latest(picked: Picked, came: Ints, gone: Ints) -> Vector:
    """Return what is picked of the last cell that has any, at each row, where cells come and go in the order that they stand in."""
    import numpy as np

    last = np.full(len(picked.best) + 1, NOTHING, dtype=np.int64)
    last[1:] = np.maximum.accumulate(np.where(picked.best != NOTHING, np.arange(len(picked.best)), NOTHING))
    found = last[came]
    some = found >= gone
    return np.where(some, picked.values[np.where(some, found, 0)] if len(picked.values) else 0, 0), some


def leaves_at(buckets: Ints, window: Window, grain: int) -> Ints:
    """Return the instants of the grain from which events of buckets are no longer in a window."""
    return ceil(ceil(buckets, window.hop) + window.size, grain)
