"""Events that come and go together, and what they add: all that a window asks of its events, in a tenth of their room.

A cell is events of one project, or of all, with the same bucket (the end of the finest hop that they occurred in), known from the same
instant and served until the same one. It is made of some events at a time and without knowing for which instants: cells of several tables
of events stand side by side (`Cells.joined`), whichever of them share a bucket, so the events themselves need not be held together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from detektor_pipelines.engine.arrays.event_vectors import EventVectors, TooWideError
from detektor_pipelines.language.expressions import Operand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, Prepared
    from detektor_pipelines.compile.sql import Form
    from detektor_pipelines.engine.arrays.event_vectors import Ints, Truths
    from detektor_pipelines.language.expressions import Expression, Predicate

    Sums: TypeAlias = "NDArray[np.generic]"

NEVER: Final = 2**62
"""Later than any instant (µs)."""

NOTHING: Final = -(2**63)
"""Less than any value: where there is none."""

EXACT: Final = 2.0**61
"""Where the absolute values add up to no more, 64 bits hold any sum of the values; with room for the error of the float that says so."""


@dataclass(frozen=True)
class Members:
    """Distinct values by cell: each value of each cell once. `texts` are what values stand for, None where they stand for themselves."""

    cells: Ints
    values: Ints
    texts: tuple[str, ...] | None


@dataclass(frozen=True)
class Picked:
    """Of each cell the greatest candidate (NOTHING for none) and what is picked with it.

    A candidate is an event's place in the order of all events (`by_place`), or a value with its sign.
    """

    best: Ints
    values: Ints
    by_place: bool


@dataclass(frozen=True)
class Held:
    """What the cells hold of one form's events.

    Attributes:
        sums: What each adds, by the name of what is prepared.
        picks: By `pick_key`.
        members: By `distinct_key`.
        knowledge: When the platform learnt the latest of each; NOTHING where that was before anybody asked.

    """

    sums: dict[str, Sums]
    picks: dict[str, Picked]
    members: dict[str, Members]
    knowledge: Ints


@dataclass(frozen=True)
class Cells:
    """Cells of some events.

    Attributes:
        names: Project by key; the first stands for all.
        keys, buckets, known, until: Of each cell; `known` and `until` are instants of the grain.
        late: Whether an event became known, or was bettered, at a later instant of the grain than it occurred: then the forms may differ.
        places: How many events were put in order for the picks.
        held: By form; one object where the forms hold the same.

    """

    names: tuple[str, ...]
    keys: Ints
    buckets: Ints
    known: Ints
    until: Ints
    late: bool
    places: int
    held: dict[Form, Held]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, plan: Plan, events: pa.Table) -> Cells:
        """Make the cells of a table of events, columns as `engine.compute.event_schema`.

        Raises:
            TooWideError: An event holds a value that the definition's proofs do not cover.

        """
        return _Reduction(plan, events).cells()

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """Put the cells of several tables together by their keys; the events of each table come after those of the ones before it.

        Raises:
            TooWideError: Sums of their values may not fit.

        """
        if len(parts) == 1:
            return parts[0]
        import numpy as np

        names = ("", *sorted({name for part in parts for name in part.names[1:]}, key=str.encode))
        numbers = {name: key for key, name in enumerate(names)}
        keys = np.concatenate([np.array([numbers[name] for name in part.names], dtype=np.int64)[part.keys] for part in parts])
        cells = cls(
            names=names,
            keys=keys,
            buckets=np.concatenate([part.buckets for part in parts]),
            known=np.concatenate([part.known for part in parts]),
            until=np.concatenate([part.until for part in parts]),
            late=any(part.late for part in parts),
            places=sum(part.places for part in parts),
            held=_by_form(lambda form: _joined_held(parts, form), same=all(map(_forms_agree, parts))),
        )
        return cells._taken(in_order(keys))

    def chosen(self, those: Truths) -> Cells:
        """Return some of the cells."""
        import numpy as np

        return self if those.all() else self._taken(np.flatnonzero(those))

    def _taken(self, those: Ints) -> Cells:
        """Return the cells at some positions, each position once, in their order."""
        import numpy as np

        numbers = np.full(len(self), -1, dtype=np.int64)
        numbers[those] = np.arange(len(those))

        def taken_of(form: Form) -> Held:
            held = self.held[form]
            return Held(
                {name: each[those] for name, each in held.sums.items()},
                {name: Picked(each.best[those], each.values[those], each.by_place) for name, each in held.picks.items()},
                {name: _taken_members(each, numbers) for name, each in held.members.items()},
                held.knowledge[those],
            )

        return Cells(
            names=self.names,
            keys=self.keys[those],
            buckets=self.buckets[those],
            known=self.known[those],
            until=self.until[those],
            late=self.late,
            places=self.places,
            held=_by_form(taken_of, same=_forms_agree(self)),
        )


def pick_key(pick: PickState) -> str:
    """Return what picks that differ in their window alone have in common."""
    return repr((pick.function, _canonical(pick.where), pick.operand.canonical()))


def distinct_key(state: DistinctState) -> str:
    """Return what distinct counts that differ in their window alone have in common."""
    return repr((_canonical(state.where), state.column.canonical()))


def ceil(instants: Ints, step: int) -> Ints:
    """Return the least multiple of a step that is not before each instant."""
    return -(-instants // step) * step


def exact(sums: Sums, *, wide: bool) -> Sums:
    """Return numbers as Python's integers, which numpy adds up as well, where their sums may need more than 64 bits.

    Raises:
        TooWideError: They may, and are none of which that was expected (`wide`).

    """
    import numpy as np

    if sums.dtype == object or np.sum(np.abs(sums.astype(np.float64))) <= EXACT:
        return sums
    if not wide:
        raise TooWideError
    return sums.astype(object)


def in_order(numbers: Ints) -> Ints:
    """Return the positions that put numbers, none below 0, in order; equal ones stay as they stand.

    By sixteen bits at a time: numpy sorts those in linear time, and 600,000 wider ones in six times as long.
    """
    import numpy as np

    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, int(numbers.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((numbers[order] >> shift).astype(np.uint16), kind="stable")]
    return order


class _Reduction:
    """One table of events on its way into cells; everything of an event stands where its cell has it, in the order of the cells."""

    def __init__(self, plan: Plan, events: pa.Table) -> None:
        import numpy as np

        raw = EventVectors(events)
        (ts, _), (known, _), (until, bettered), (live, _) = map(raw.column, ("ts", "known", "until", "live"))
        if events.num_rows and ts.min() < 0:
            raise TooWideError
        placed = _by_instant(ts, events) if plan.placed else np.argsort(ts, kind="stable")
        ts, known, until = (each[placed] for each in (ts, known, until))
        bettered, alive = bettered[placed], live.astype(bool)[placed]
        grain = plan.view.grain
        self._hop = min(grain, *(window.hop for window in plan.view.windows))
        occurred = ceil(ts, grain)
        buckets = occurred if self._hop == grain else ceil(ts, self._hop)
        learnt = ceil(np.maximum(ts, known), grain) if (known > ts).any() else occurred
        revised = bettered & (until > ts) & (ceil(until, grain) > occurred) if bettered.any() else bettered
        superseded = revised & ~alive
        gone = np.full(len(ts), NEVER)
        gone[superseded] = ceil(until[superseded], grain)
        self._plan, self._late = plan, bool((learnt > occurred).any() or revised.any())
        keys = self._keys_of(raw)[placed]
        # Unless an event is late, those of a bucket follow each other by their instant: what they are known from and until is the same
        self._places = np.lexsort((gone, learnt, buckets, keys)) if self._late else in_order(keys)
        self._events = EventVectors(events, placed[self._places])
        self._live, self._superseded = alive[self._places], superseded[self._places]
        self._learnt = np.where(superseded, until, known)[self._places]
        self._group(*(each[self._places] for each in (keys, buckets, learnt, gone)))

    def _keys_of(self, raw: EventVectors) -> Ints:
        """Return each event's key, 0 without a project, and name the keys: they rise with the project's name."""
        import numpy as np

        codes, named = raw.column("project")
        texts = raw.texts("project")
        self._names = ("", *sorted(texts, key=str.encode))
        ranks = np.empty(len(texts) or 1, dtype=np.int64)
        ranks[[texts[name] for name in self._names[1:]]] = np.arange(1, len(texts) + 1)
        return np.where(named, ranks[codes], 0)

    def _group(self, keys: Ints, buckets: Ints, known: Ints, until: Ints) -> None:
        """Find the cells: first those of all projects (key 0), then of each, by the project's name."""
        import numpy as np

        self._single = _Grouping.of(None, keys, buckets, known, until)
        keys, buckets, known, until = (each[self._single.starts] for each in (keys, buckets, known, until))
        self._named = keys > 0
        order = np.lexsort((until, known, buckets)) if self._late else in_order((buckets - buckets.min(initial=NEVER)) // self._hop)
        self._whole = _Grouping.of(order, buckets, known, until)
        firsts = order[self._whole.starts]
        self._keys = np.concatenate([np.zeros(len(firsts), dtype=np.int64), keys[self._named]])
        self._buckets, self._known, self._until = (np.concatenate([each[firsts], each[self._named]]) for each in (buckets, known, until))

    def cells(self) -> Cells:
        """Merge what the events of each cell have."""
        live: dict[Form, Truths] = {"served": self._live | self._superseded, "known_now": self._live}
        held = _by_form(lambda form: self._held(live[form]), same=not self._superseded.any())
        return Cells(self._names, self._keys, self._buckets, self._known, self._until, self._late, len(self._live), held)

    def _held(self, live: Truths) -> Held:
        import numpy as np

        plan = self._plan
        picks = {pick_key(each): each for each in plan.picks}
        distincts = {distinct_key(each): each for each in plan.distincts}
        knowledge = np.full(len(self._keys), NOTHING, dtype=np.int64)
        if self._late:
            taking = np.zeros(len(live), dtype=bool)
            for where in plan.filters:
                taking |= self._passing(live, where)
            knowledge = self._merged(np.where(taking, self._learnt, NOTHING), np.maximum)
        return Held(
            {each.name: self._merged(self._of_events(live, each), np.add) for each in plan.prepared},
            {key: self._pick(live, each) for key, each in picks.items()},
            {key: self._members(live, each) for key, each in distincts.items()},
            knowledge,
        )

    def _merged(self, values: Sums, merge: np.ufunc) -> Ints:
        """Merge what each event has, by a function that does not mind the order."""
        import numpy as np

        single = self._single.reduce(values, merge)
        return np.concatenate([self._whole.reduce(single, merge), single[self._named]])

    def _pick(self, live: Truths, pick: PickState) -> Picked:
        import numpy as np

        values, valid = self._operand(pick.operand)
        mask = self._passing(live, pick.where) & valid
        by_place = pick.by_event
        sign = -1 if pick.function == "minimum" else 1
        best = self._merged(np.where(mask, self._places if by_place else sign * values, NOTHING), np.maximum)
        found = np.where(best != NOTHING, best, 0)
        if not by_place or not len(values):
            return Picked(best, sign * found, by_place)
        at = np.empty(len(values), dtype=np.int64)
        at[self._places] = values
        return Picked(best, at[found], by_place)

    def _members(self, live: Truths, state: DistinctState) -> Members:
        """Return the values of the events that count, each once a cell."""
        import numpy as np

        values, valid = self._operand(state.column)
        mask = self._passing(live, state.where) & valid
        values, texts = values[mask], None
        if state.column.kind == "text":
            by_code = tuple(self._events.texts(state.column.name))
            kept, codes = _used(values, len(by_code))
            texts = tuple(by_code[code] for code in kept.tolist())
        else:
            kept, codes = np.unique(values, return_inverse=True)
        size = max(len(kept), 1)
        single, codes = np.divmod(np.unique(self._single.numbers()[mask] * size + codes), size)
        whole, their = np.divmod(np.unique(self._whole.numbers()[single] * size + codes), size)
        place = len(self._whole.starts) + np.cumsum(self._named) - 1
        named = self._named[single]
        cells, codes = np.concatenate([whole, place[single[named]]]), np.concatenate([their, codes[named]])
        return Members(cells, kept[codes] if texts is None else codes, texts)

    def _of_events(self, live: Truths, prepared: Prepared) -> Sums:  # noqa: PLR0911  one line a role
        """Return what each event adds, as `compile.sql.contribution` says it."""
        import numpy as np

        passing = self._passing(live, prepared.where)
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

    def _operand(self, expression: Expression) -> tuple[Ints, Truths]:
        if not isinstance(expression, Operand):
            raise TypeError(expression)
        return self._events.operand(expression)

    def _passing(self, live: Truths, where: Predicate | None) -> Truths:
        return live if where is None else live & self._events.condition(where)[0]


def _by_instant(ts: Ints, events: pa.Table) -> Ints:
    """Return the events' positions in the order of (ts, event_id)."""
    import numpy as np
    import pyarrow as pa

    order = np.argsort(ts, kind="stable")
    tied = np.flatnonzero(np.diff(ts[order]) == 0)
    if not tied.size:
        return order
    places = np.unique(np.concatenate([tied, tied + 1]))
    some = order[places]
    asked = pa.table({"ts": ts[some], "event_id": events["event_id"].take(pa.array(some)), "at": some})
    order[places] = asked.sort_by([("ts", "ascending"), ("event_id", "ascending")])["at"].to_numpy()
    return order


@dataclass(frozen=True)
class _Grouping:
    """Things in an order in which those of a group follow each other, and where the groups start."""

    order: Ints | None
    starts: Ints
    size: int

    @classmethod
    def of(cls, order: Ints | None, *marks: Ints) -> _Grouping:
        """Group what has the same marks, in an order, None for as it stands."""
        import numpy as np

        size = len(marks[0])
        starts = np.zeros(size, dtype=bool)
        starts[:1] = True
        for each in marks:
            ordered = each if order is None else each[order]
            starts[1:] |= ordered[1:] != ordered[:-1]
        return cls(order, np.flatnonzero(starts), size)

    def reduce(self, values: NDArray[np.generic], merge: np.ufunc) -> Ints:
        """Merge the values of each group."""
        import numpy as np

        if not len(self.starts):
            return np.zeros(0, dtype=np.int64)
        kind = object if values.dtype == object else np.int64
        found: Ints = merge.reduceat(values if self.order is None else values[self.order], self.starts, dtype=kind)
        return found

    def numbers(self) -> Ints:
        """Return the number of each thing's group."""
        import numpy as np

        ordered = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=self.size))
        if self.order is None:
            return ordered
        found = np.empty(self.size, dtype=np.int64)
        found[self.order] = ordered
        return found


def _by_form(make: Callable[[Form], Held], *, same: bool) -> dict[Form, Held]:
    """Return what is held of each form, one object for both where it is the `same`."""
    served = make("served")
    return {"served": served, "known_now": served if same else make("known_now")}


def _forms_agree(cells: Cells) -> bool:
    return cells.held["served"] is cells.held["known_now"]


def _joined_held(parts: Sequence[Cells], form: Form) -> Held:
    import numpy as np

    held = [part.held[form] for part in parts]
    first = held[0]
    firsts = [0, *np.cumsum([len(part) for part in parts])]
    places = [0, *np.cumsum([part.places for part in parts])]
    return Held(
        {name: np.concatenate([each.sums[name] for each in held]) for name in first.sums},
        {name: _joined_picks([each.picks[name] for each in held], places) for name in first.picks},
        {name: _joined_members([each.members[name] for each in held], firsts) for name in first.members},
        np.concatenate([each.knowledge for each in held]),
    )


def _joined_picks(parts: Sequence[Picked], places: Sequence[int]) -> Picked:
    import numpy as np

    best = [
        np.where(part.best == NOTHING, NOTHING, part.best + before) if part.by_place else part.best
        for part, before in zip(parts, places, strict=False)
    ]
    return Picked(np.concatenate(best), np.concatenate([part.values for part in parts]), parts[0].by_place)


def _joined_members(parts: Sequence[Members], firsts: Sequence[int]) -> Members:
    import numpy as np

    cells = np.concatenate([part.cells + first for part, first in zip(parts, firsts, strict=False)])
    if parts[0].texts is None:
        return Members(cells, np.concatenate([part.values for part in parts]), None)
    codes: dict[str, int] = {}
    values = []
    for part in parts:
        known = np.array([codes.setdefault(text, len(codes)) for text in part.texts or ()] or [0], dtype=np.int64)
        values.append(known[part.values])
    return Members(cells, np.concatenate(values), tuple(codes))


def _taken_members(members: Members, numbers: Ints) -> Members:
    """Return the members of cells that are given new numbers, -1 for those that are left out."""
    cells = numbers[members.cells]
    mine = cells >= 0
    cells, values = cells[mine], members.values[mine]
    order = in_order(cells)
    cells, values = cells[order], values[order]
    if members.texts is None:
        return Members(cells, values, None)
    used, values = _used(values, len(members.texts))
    return Members(cells, values, tuple(members.texts[code] for code in used.tolist()))


def _used(codes: Ints, size: int) -> tuple[Ints, Ints]:
    """Return which of the codes below a size there are, ascending, and the place among them of each that is given."""
    import numpy as np

    there = np.zeros(size, dtype=bool)
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _power(values: Ints, exponent: int) -> Sums:
    """Return a power of each value; where its sums may need more than 64 bits, as Python's integers."""
    import numpy as np

    greatest = max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
    if len(values) * greatest**exponent > EXACT and np.sum(np.abs(values.astype(np.float64)) ** exponent) > EXACT:
        if exponent == 1:
            raise TooWideError
        values = values.astype(object)
    powers: Ints = values**exponent
    return powers


def _canonical(where: Predicate | None) -> object:
    return None if where is None else where.canonical()
