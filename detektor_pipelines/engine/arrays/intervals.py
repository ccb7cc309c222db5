"""The integer states that `compile.sql` describes, computed over arrays: the same numbers without a query to plan.

Planning a view's SQL takes DuckDB longer than running it over a hundred thousand events, so the batch calculates here what is made of sums,
latest events, extremes and distinct values. What is not, and what lies outside its declared range, runs as SQL (`engine.compute`).

Events come in cells (`arrays.cells`). A row is an (agent_id, instant) at which something may change. Rows stand in order, so a cell is in a
window at the rows [first, behind): a sum adds it at the one and takes it back at the other, an extreme is the greatest over the stretches
that hold a row, and a value counts once in the union of its stretches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile.finalise import LIMB
from detektor_pipelines.engine.arrays.cells import EXACT, NEVER, NOTHING, ceil, distinct_key, exact, pick_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from detektor_pipelines.compile.finalise import Vector
    from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, SpreadState, SumState
    from detektor_pipelines.compile.sql import Form, Span
    from detektor_pipelines.engine.arrays.cells import Cells
    from detektor_pipelines.engine.arrays.event_vectors import Ints
    from detektor_pipelines.language.windows import Window

_BY_PLACE: Final = 2**23
"""Up to so many instants of all agent_ids together the rows are found by a table of them."""


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
        self._ranks: Ints | None = None
        if size <= _BY_PLACE:
            there = np.zeros(size, dtype=bool)
            for each in places:
                there[each] = True
            # The last place of each key stands for what lies behind the span
            there.reshape(keys, self._steps + 1)[:, self._steps] = False
            self._ranks = np.cumsum(there) - there
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
        return np.searchsorted(self._found, places) if self._ranks is None else self._ranks[places]

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
        self._enter = cells.known if served and cells.late else shared.occurred
        self._gone = {window: np.minimum(leave, cells.until) if served else leave for window, leave in shared.leaves.items()}
        self._first = self._rows.first(cells.keys, self._enter)
        self._behind = {window: self._rows.first(cells.keys, gone) for window, gone in self._gone.items()}
        self._sums: dict[str, Ints] = {}

    def states(self) -> Iterator[tuple[str, Vector]]:
        """Yield name, values and validity."""
        import numpy as np

        always = np.ones(len(self._rows), dtype=bool)
        for each in self._plan.sums:
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
        import numpy as np

        if state.name not in self._sums:
            added = exact(self._held.sums[state.prepared.name], wide=state.wide)
            there = self._enter < self._gone[state.window]
            steps = np.zeros(len(self._rows) + 1, dtype=added.dtype)
            np.add.at(steps, self._first[there], added[there])
            np.subtract.at(steps, self._behind[state.window][there], added[there])
            self._sums[state.name] = np.cumsum(steps[:-1])
        return self._sums[state.name]

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
        found = self._greatest(self._first, self._behind[pick.window], picked.best)
        some = found != NOTHING
        values = np.zeros(len(found), dtype=np.int64)
        order = np.argsort(picked.best)
        values[some] = picked.values[order[np.searchsorted(picked.best, found[some], sorter=order)]]
        return values, some

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

        members = self._held.members[distinct_key(state)]
        cells, values = members.cells, members.values
        if members.texts is None:  # as codes of their own: of any size, and below 0
            values = np.unique(values, return_inverse=True)[1]
        there = (self._enter < self._gone[state.window])[cells]
        cells, values = cells[there], values[there]
        first, behind = self._first[cells], self._behind[state.window][cells]
        keys = self._cells.keys[cells]
        order = np.lexsort((first, values, keys))
        keys, values, first, behind = (each[order] for each in (keys, values, first, behind))
        changes = np.ones(len(keys), dtype=bool)
        changes[1:] = (keys[1:] != keys[:-1]) | (values[1:] != values[:-1])
        # How far the stretches of the same value reach that begin earlier: an offset for each value keeps them apart
        offset = np.cumsum(changes) * (len(self._rows) + 1)
        reach = np.maximum.accumulate(behind + offset) - offset
        begins = changes.copy()
        begins[1:] |= first[1:] >= reach[:-1]
        ends = np.ones(len(keys), dtype=bool)
        ends[:-1] = begins[1:]
        steps = np.zeros(len(self._rows) + 1, dtype=np.int64)
        np.add.at(steps, first[begins], 1)
        np.subtract.at(steps, reach[ends], 1)
        return np.cumsum(steps[:-1])


def leaves_at(buckets: Ints, window: Window, grain: int) -> Ints:
    """Return the instants of the grain from which events of buckets are no longer in a window."""
    return ceil(ceil(buckets, window.hop) + window.size, grain)
