"""The integer states that `compile.sql` describes, computed over arrays: the same numbers without a query to plan.

Planning a view's SQL takes DuckDB longer than running it over a hundred thousand events, so the batch calculates here what is made of sums,
latest events, extremes and distinct values. What is not, and what lies outside its declared range, runs as SQL (`engine.compute`).

A cell is events of one project, or of all, that come and go together. A row is an (agent_id, instant) at which something may change. Rows
stand in order, so a cell is in a window at the rows [first, behind): a sum adds it at the one and takes it back at the other, an extreme is
the greatest over the stretches that hold a row, and a value counts once in the union of its stretches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from detektor_pipelines.compile.finalise import LIMB
from detektor_pipelines.engine.arrays.event_vectors import EventVectors, TooWideError
from detektor_pipelines.language.expressions import Column, Operand

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.compile.finalise import Vector
    from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, Prepared, SpreadState, SumState
    from detektor_pipelines.compile.sql import Form, Span
    from detektor_pipelines.engine.arrays.event_vectors import Ints, Truths
    from detektor_pipelines.language.expressions import Expression, Predicate

    Stretch: TypeAlias = tuple[Ints, Ints]
    """Of each cell the first row at which it counts and the one behind the last."""

_NEVER: Final = 2**62
"""Later than any instant (µs)."""

_NOTHING: Final = -(2**63)
"""Less than any value: where there is none."""

_EXACT: Final = 2.0**61
"""Where the absolute values add up to no more, 64 bits hold any sum of the values; with room for the error of the float that says so."""

_BY_PLACE: Final = 2**23
"""Up to so many instants of all agent_ids together the rows are found by a table of them."""


def suits(plan: Plan, events: pa.Table) -> bool:
    """Whether the states of these events can be computed here, if every value keeps its range (`TooWideError`)."""
    return not plan.ranked and not any(events[name].null_count for name in ("ts", "known", "live"))


class Intervals:
    """The states of one table of events over one span, in both forms.

    Args:
        plan: Of the view; `suits` says whether it can be had here.
        events: Columns as `engine.compute.event_schema`.
        span: The instants wanted, (start, end].

    Raises:
        TooWideError: Also by `states`: an event holds a value that the definition's proofs do not cover.

    """

    def __init__(self, plan: Plan, events: pa.Table, span: Span) -> None:
        import numpy as np

        self.plan, self.events = plan, EventVectors(events)
        grain = plan.view.grain
        self.ts, _ = self.events.column("ts")
        self.known, _ = self.events.column("known")
        live, _ = self.events.column("live")
        self.live = live.astype(bool)
        until, bettered = self.events.column("until")
        if events.num_rows and self.ts.min() < 0:
            raise TooWideError
        occurred = _ceil(self.ts, grain)
        late = (self.known > self.ts) & (_ceil(self.known, grain) > occurred)
        revised = bettered & (until > self.ts) & (_ceil(until, grain) > occurred)
        self.late = bool(late.any() or revised.any())
        """Whether an event became known, or was bettered, at a later instant of the grain than it occurred: then the forms may differ."""
        self.superseded = revised & ~self.live
        self.learnt = np.where(self.superseded, until, self.known)
        self.order = self._by_instant(events) if plan.ordered else np.argsort(self.ts, kind="stable")
        self.places = np.empty(events.num_rows, dtype=np.int64)
        self.places[self.order] = np.arange(events.num_rows)
        resolution = min(grain, *(window.hop for window in plan.view.windows))
        self.cells = cells = _Cells(
            self.events,
            self.order,
            buckets=_ceil(self.ts, resolution),
            known=_ceil(np.maximum(self.ts, self.known), grain),
            until=np.where(self.superseded, _ceil(until, grain), _NEVER),
            contiguous=not self.late,
        )
        self.leaves = {window: _ceil(_ceil(cells.buckets, window.hop) + window.size, grain) for window in plan.view.windows}
        self.longest = self.leaves[plan.view.windows[-1]]
        self.occurred = _ceil(cells.buckets, grain)
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

    def _by_instant(self, events: pa.Table) -> Ints:
        """Return the events' positions in the order of (ts, event_id)."""
        import numpy as np
        import pyarrow as pa

        order = np.argsort(self.ts, kind="stable")
        tied = np.flatnonzero(np.diff(self.ts[order]) == 0)
        if not tied.size:
            return order
        places = np.unique(np.concatenate([tied, tied + 1]))
        some = order[places]
        asked = pa.table({"ts": self.ts[some], "event_id": events["event_id"].take(pa.array(some)), "at": some})
        order[places] = asked.sort_by([("ts", "ascending"), ("event_id", "ascending")])["at"].to_numpy()
        return order

    def _instants(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield (key, instant) of the rows, each perhaps several times: where cells enter, leave, and are known about."""
        cells = self.cells
        yield cells.keys, self.occurred
        for leave in self.leaves.values():
            yield cells.keys, leave
        if self.late:
            some = cells.known < self.longest
            yield cells.keys[some], cells.known[some]
            some = (cells.known < cells.until) & (cells.until < self.longest)
            yield cells.keys[some], cells.until[some]


class _Cells:
    """Events that come and go together: first those of all projects (key 0), then of each, by the project's name.

    Args:
        events: The events.
        order: Their positions by instant.
        buckets: Of each event, the end of the finest hop that it occurred in.
        known: The grain instant from which it is known.
        until: The grain instant from which it is no longer served.
        contiguous: Whether events of a bucket follow each other in `order` whatever they are known from and until.

    Attributes:
        names: Project by key; the first stands for all.
        keys, buckets, known, until: Of each cell.

    """

    def __init__(self, events: EventVectors, order: Ints, *, buckets: Ints, known: Ints, until: Ints, contiguous: bool) -> None:
        import numpy as np

        codes, named = events.column("project")
        texts = events.texts("project")
        self.names = ["", *sorted(texts, key=str.encode)]
        ranks = np.empty(len(texts) or 1, dtype=np.int64)
        ranks[[texts[name] for name in self.names[1:]]] = np.arange(1, len(texts) + 1)
        keys = np.where(named, ranks[codes], 0)
        order = order[np.argsort(keys[order], kind="stable")] if contiguous else np.lexsort((until, known, buckets, keys))
        self._single = _Grouping.of(order, keys, buckets, known, until)
        firsts = self._single.firsts
        keys, buckets, known, until = (each[firsts] for each in (keys, buckets, known, until))
        self._named = keys > 0
        self._whole = _Grouping.of(np.lexsort((until, known, buckets)), buckets, known, until)
        self.keys = np.concatenate([np.zeros(len(self._whole.starts), dtype=np.int64), keys[self._named]])
        self.buckets, self.known, self.until = (
            np.concatenate([each[self._whole.firsts], each[self._named]]) for each in (buckets, known, until)
        )

    def merged(self, values: NDArray[np.generic], merge: np.ufunc) -> Ints:
        """Merge what each event has, by a function that does not mind the order."""
        import numpy as np

        single = self._single.reduce(values, merge)
        return np.concatenate([self._whole.reduce(single, merge), single[self._named]])

    def holding(self, values: Ints, mask: Truths) -> tuple[Ints, Ints]:
        """Return (cell, value) of the values of the events under a mask, codes from 0 on, each once a cell."""
        import numpy as np

        size = int(values.max(initial=0)) + 1
        found = np.unique((self._single.numbers() * size + values)[mask])
        cells, values = np.divmod(found, size)
        whole = np.unique(self._whole.numbers()[cells] * size + values)
        place = len(self._whole.starts) + np.cumsum(self._named) - 1
        single = self._named[cells]
        return (
            np.concatenate([whole // size, place[cells[single]]]),
            np.concatenate([whole % size, values[single]]),
        )


@dataclass(frozen=True)
class _Grouping:
    """Things in an order in which those of a group follow each other, and where the groups start."""

    order: Ints
    starts: Ints

    @classmethod
    def of(cls, order: Ints, *marks: Ints) -> _Grouping:
        """Group what has the same marks."""
        import numpy as np

        starts = np.zeros(len(order), dtype=bool)
        starts[:1] = True
        for each in marks:
            ordered = each[order]
            starts[1:] |= ordered[1:] != ordered[:-1]
        return cls(order, np.flatnonzero(starts))

    @property
    def firsts(self) -> Ints:
        """One of each group."""
        return self.order[self.starts]

    def reduce(self, values: NDArray[np.generic], merge: np.ufunc) -> Ints:
        """Merge the values of each group."""
        import numpy as np

        if not len(self.starts):
            return np.zeros(0, dtype=np.int64)
        kind = object if values.dtype == object else np.int64
        found: Ints = merge.reduceat(values[self.order], self.starts, dtype=kind)
        return found

    def numbers(self) -> Ints:
        """Return the number of each thing's group."""
        import numpy as np

        found = np.empty(len(self.order), dtype=np.int64)
        found[self.order] = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.order)))
        return found


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
        self._events, self._cells, self._rows = shared.events, shared.cells, shared.rows
        served = form == "served"
        self._live = shared.live | shared.superseded if served else shared.live
        cells = self._cells
        self._enter = cells.known if served and shared.late else shared.occurred
        self._gone = {window: np.minimum(leave, cells.until) if served else leave for window, leave in shared.leaves.items()}
        self._first = self._rows.first(cells.keys, self._enter)
        self._behind = {window: self._rows.first(cells.keys, gone) for window, gone in self._gone.items()}
        self._added: dict[str, Ints] = {}
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
        if self._shared.late:
            yield "late_known", self._late_known()

    def _sum(self, state: SumState) -> Ints:
        """Return the sum over the window at each row; the rows of all keys in one, for behind its last event a key's sums are 0 again."""
        import numpy as np

        if state.name not in self._sums:
            added = self._contribution(state.prepared)
            there = self._enter < self._gone[state.window]
            steps = np.zeros(len(self._rows) + 1, dtype=added.dtype)
            np.add.at(steps, self._first[there], added[there])
            np.subtract.at(steps, self._behind[state.window][there], added[there])
            self._sums[state.name] = np.cumsum(steps[:-1])
        return self._sums[state.name]

    def _contribution(self, prepared: Prepared) -> Ints:
        """Return what each cell adds."""
        import numpy as np

        if prepared.name not in self._added:
            self._added[prepared.name] = self._cells.merged(self._of_events(prepared), np.add)
        return self._added[prepared.name]

    def _of_events(self, prepared: Prepared) -> NDArray[np.generic]:  # noqa: PLR0911  one line a role
        """Return what each event adds, as `compile.sql.contribution` says it."""
        import numpy as np

        passing = self._passing(prepared.where)
        operand = prepared.operand
        if prepared.role == "one" or operand is None:
            return passing
        if prepared.role in ("true", "known"):
            true, known = self._events.condition(operand)
            return passing & (true if prepared.role == "true" else known)
        values, valid = self._operand(operand)
        passing = passing & valid
        match prepared.role:
            case "present":
                return passing
            case "value":
                return _power(np.where(passing, values, 0), 1)
            case "square":
                return _power(np.where(passing, values, 0), 2)
            case "cube":
                return _power(np.where(passing, values, 0), 3)
            case "bucket":
                if prepared.low is not None:
                    passing = passing & (values > prepared.low)
                return passing if prepared.high is None else passing & (values <= prepared.high)
        raise AssertionError(prepared)

    def _spread(self, spread: SpreadState) -> tuple[Ints, Ints]:
        """Return n·Σx² - (Σx)², never negative, in two limbs."""
        import numpy as np

        n, total, squares = (self._sum(each) for each in (spread.count, spread.total, spread.squares))
        high, low = np.zeros(len(n), dtype=np.int64), np.zeros(len(n), dtype=np.int64)
        wide = n.astype(np.float64) * squares.astype(np.float64) > _EXACT
        for mask, kind in ((wide, object), (~wide, np.int64)):
            count, sums, powers = (each[mask].astype(kind) for each in (n, total, squares))
            numerators = count * powers - sums * sums
            high[mask], low[mask] = numerators // LIMB, numerators % LIMB
        return high, low

    def _pick(self, pick: PickState) -> Vector:
        """Return the latest event's value, or the extreme one, at each row."""
        import numpy as np

        values, valid = self._operand(pick.operand)
        mask = self._passing(pick.where) & valid
        by_event = pick.function == "last" and not (isinstance(pick.operand, Column) and pick.operand.name == "occurred_at")
        sign = -1 if pick.function == "minimum" else 1
        candidates = self._shared.places if by_event else sign * values
        best = self._cells.merged(np.where(mask, candidates, _NOTHING), np.maximum)
        found = self._greatest(self._first, self._behind[pick.window], best)
        some = found != _NOTHING
        found[~some] = 0
        return np.where(some, values[self._shared.order[found]], 0) if by_event and len(values) else sign * found, some

    def _late_known(self) -> Vector:
        """Return when the platform learnt of what makes the forms differ at each row."""
        import numpy as np

        cells, shared = self._cells, self._shared
        filters = self._plan.filters
        taking = np.zeros(len(self._live), dtype=bool)
        for where in filters:
            taking |= self._passing(where)
        knowledge = cells.merged(np.where(taking, shared.learnt, _NOTHING), np.maximum)
        changed = np.where(cells.until == _NEVER, cells.known, cells.until)
        first = self._rows.first(cells.keys, shared.occurred)
        behind = self._rows.first(cells.keys, np.minimum(changed, shared.longest))
        found = self._greatest(first, np.where(changed > shared.occurred, behind, first), knowledge)
        some = found != _NOTHING
        return np.where(some, found, 0), some

    def _greatest(self, first: Ints, behind: Ints, values: Ints) -> Ints:
        """Return at each row the greatest of the values whose stretch [first, behind) holds it.

        A stretch is the union of two of a power of two's length. `found[i]` begins as what holds for the longest such stretch from i on,
        and is handed down to its halves until it stands for row i alone.
        """
        import numpy as np

        some = (first < behind) & (values != _NOTHING)
        first, behind, values = first[some], behind[some], values[some]
        found = np.full(len(self._rows), _NOTHING, dtype=np.int64)
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

        values, valid = self._operand(state.column)
        if state.column.kind != "text":  # as codes of their own: of any size, and below 0
            values = np.unique(values, return_inverse=True)[1]
        cells, values = self._cells.holding(values, self._passing(state.where) & valid)
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

    def _operand(self, expression: Expression) -> tuple[Ints, Truths]:
        if not isinstance(expression, Operand):
            raise TypeError(expression)
        return self._events.operand(expression)

    def _passing(self, where: Predicate | None) -> Truths:
        return self._live if where is None else self._live & self._events.condition(where)[0]


def _ceil(instants: Ints, step: int) -> Ints:
    """Return the least multiple of a step that is not before each instant."""
    return -(-instants // step) * step


def _power(values: Ints, exponent: int) -> Ints:
    """Return a power of each value; where its sums may need more than 64 bits, as Python's integers, which numpy adds up as well."""
    import numpy as np

    if np.sum(np.abs(values.astype(np.float64)) ** exponent) > _EXACT:
        if exponent == 1:
            raise TooWideError
        values = values.astype(object)
    powers: Ints = values**exponent
    return powers
