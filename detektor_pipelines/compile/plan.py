"""What a view needs of its events, worked out once: integer states per window, and the tree that finalises them.

Batch SQL, the finaliser and the stream's fold are all made from this plan. States that several features share (a count
under two means) appear once. Five kinds: sums (subtractable, so a window is two deltas), the latest event, the extreme
value, the number of distinct values, and the first few of the events in some order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, TypeAlias, TypeVar

from detektor_pipelines.compile.finalise import Arithmetic, Edge, Listed, Node, Ratio, Skew, Spread, State, Value
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.derived import Combination, Derived, Number, Reference
from detektor_pipelines.language.expressions import Column, Expression, Operand, Predicate
from detektor_pipelines.language.views import Feature, FeatureView
from detektor_pipelines.language.windows import Window

Role: TypeAlias = Literal["one", "value", "present", "square", "cube", "true", "known", "bucket"]
Order: TypeAlias = Literal["first", "last", "greatest"]
"""Of ranked events: the earliest or the latest by (occurred_at, event_id) first, or the greatest value."""


@dataclass(frozen=True)
class Prepared:
    """An integer that one event contributes to sums: 0 where the filter does not hold.

    `one`: 1. `value`/`square`/`cube`: x, x² or x³, 0 for null. `present`: 1 where x is not null. `true`/`known`: 1 where the
    condition is true / is not unknown. `bucket`: 1 where `low < x <= high` (an open end is None).
    """

    name: str
    role: Role
    where: Predicate | None
    operand: Expression | None = None
    low: int | None = None
    high: int | None = None

    @property
    def wide(self) -> bool:
        """Whether its sums need 128 bits."""
        return self.role in ("square", "cube")


@dataclass(frozen=True)
class SumState:
    """Sum of `prepared` over the events in the window. `wide` sums are 128-bit."""

    name: str
    window: Window
    prepared: Prepared

    @property
    def wide(self) -> bool:
        """Whether it is a 128-bit sum."""
        return self.prepared.wide


@dataclass(frozen=True)
class SpreadState:
    """n·Σx² − (Σx)² in 128 bits, from three sums of one window."""

    name: str
    count: SumState
    total: SumState
    squares: SumState


@dataclass(frozen=True)
class PickState:
    """The operand of the latest event (`last`) or its extreme value, among events that pass and are not null."""

    name: str
    function: Literal["last", "minimum", "maximum"]
    window: Window
    where: Predicate | None
    operand: Operand

    @property
    def by_event(self) -> bool:
        """Whether the events' order decides, and not a value alone: the latest instant is the greatest."""
        return self.function == "last" and not (isinstance(self.operand, Column) and self.operand.name == "occurred_at")


@dataclass(frozen=True)
class DistinctState:
    """Number of distinct non-null values of a column among the events that pass."""

    name: str
    window: Window
    where: Predicate | None
    column: Column


@dataclass(frozen=True)
class RankedState:
    """The operands of the first few of the events that pass and are not null, in an order.

    At most `length` of them: a list, or where `listed` is false the one.
    """

    name: str
    order: Order
    length: int
    listed: bool
    window: Window
    where: Predicate | None
    operand: Operand

    @property
    def content(self) -> object:
        """What two that differ in their window alone have in common."""
        return self.order, self.length, _canonical(self.where), self.operand.canonical()


@dataclass(frozen=True)
class Plan:
    """States of a view in a fixed order, and each feature's finalising tree. `limbs`: 128-bit sums that a tree reads itself."""

    view: FeatureView
    prepared: tuple[Prepared, ...]
    sums: tuple[SumState, ...]
    spreads: tuple[SpreadState, ...]
    picks: tuple[PickState, ...]
    distincts: tuple[DistinctState, ...]
    ranked: tuple[RankedState, ...]
    limbs: tuple[SumState, ...]
    features: tuple[tuple[str, Node], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Event columns that the plan reads, beside the identity and the instants, in alphabetical order."""
        used: set[str] = set()
        for prepared in self.prepared:
            used |= _columns(prepared.where) | _columns(prepared.operand)
        for pick in self.picks:
            used |= _columns(pick.where) | pick.operand.columns()
        for distinct in self.distincts:
            used |= _columns(distinct.where) | distinct.column.columns()
        for ranked in self.ranked:
            used |= _columns(ranked.where) | ranked.operand.columns()
        return tuple(sorted(used - {"occurred_at", "project"}))

    @property
    def ordered(self) -> bool:
        """Whether a state asks for the events' order, (occurred_at, event_id)."""
        return any(pick.function == "last" for pick in self.picks) or any(each.order != "greatest" for each in self.ranked)

    @property
    def placed(self) -> list[frozenset[str]]:
        """The columns of each pick for which the events' order decides: an event that lacks one of them is not picked."""
        return [pick.operand.columns() - {"occurred_at"} for pick in self.picks if pick.by_event]

    @property
    def filters(self) -> tuple[Predicate | None, ...]:
        """The filter of each state."""
        states: list[Prepared | PickState | DistinctState | RankedState] = [*self.prepared, *self.picks, *self.distincts, *self.ranked]
        return tuple(each.where for each in states)


_VIEWS: Final = 256
"""How many views' plans are remembered."""


@lru_cache(maxsize=_VIEWS)
def plan(view: FeatureView) -> Plan:
    """The view's plan: the same for the same view, whatever runs it."""
    return _Builder(view).build()


_T = TypeVar("_T")
_POWERS: Final[tuple[Role, Role]] = ("square", "cube")
_ORDERS: Final[dict[str, Order]] = {"first": "first", "last": "last", "last_k": "last", "top_k": "greatest"}


@dataclass
class _Builder:
    view: FeatureView
    prepared: dict[str, Prepared] = field(default_factory=dict)
    sums: dict[str, SumState] = field(default_factory=dict)
    spreads: dict[str, SpreadState] = field(default_factory=dict)
    picks: dict[str, PickState] = field(default_factory=dict)
    distincts: dict[str, DistinctState] = field(default_factory=dict)
    ranked: dict[str, RankedState] = field(default_factory=dict)
    limbs: dict[str, SumState] = field(default_factory=dict)

    def build(self) -> Plan:
        trees: dict[str, Node] = {}
        for each in self.view.features:
            trees[each.name] = self._tree(each, trees)
        return Plan(
            self.view,
            tuple(self.prepared.values()),
            tuple(self.sums.values()),
            tuple(self.spreads.values()),
            tuple(self.picks.values()),
            tuple(self.distincts.values()),
            tuple(self.ranked.values()),
            tuple(self.limbs.values()),
            tuple(trees.items()),
        )

    def _tree(self, feature: Feature, trees: dict[str, Node]) -> Node:
        if isinstance(feature.value, Derived):
            return _derive(feature.value, trees)
        if feature.over is None:  # refused by Feature itself
            raise AssertionError(feature.name)
        return self._aggregate(feature.value, feature.over, feature.where)

    def _aggregate(self, aggregation: Aggregation, window: Window, where: Predicate | None) -> Node:  # noqa: C901, PLR0911  one line a function
        operand = aggregation.operand
        match aggregation.function:
            case "count":
                return State(self._sum("one", window, where).name)
            case "total":
                return State(self._sum("value", window, where, operand).name)
            case "mean":
                return Ratio(
                    State(self._sum("value", window, where, operand).name),
                    State(self._sum("present", window, where, operand).name),
                )
            case "rate":
                return Ratio(
                    State(self._sum("true", window, where, operand).name),
                    State(self._sum("known", window, where, operand).name),
                )
            case "std" | "variance":
                return self._spread(window, where, operand, squared=aggregation.function == "variance")
            case "skewness":
                return self._skew(window, where, operand)
            case "quantile":
                return self._quantile(aggregation, window, where)
            case "distinct":
                return State(self._distinct(window, where, operand).name)
            case "first" | "last_k" | "top_k":
                return self._rank(aggregation, window, where)
            case "last" if operand is not None and operand.kind == "text":
                return self._rank(aggregation, window, where)
            case "last" | "minimum" | "maximum":
                return State(self._pick(aggregation.function, window, where, operand).name)

    def _sum(
        self,
        role: Role,
        window: Window,
        where: Predicate | None,
        operand: Expression | None = None,
        between: tuple[int | None, int | None] = (None, None),
    ) -> SumState:
        low, high = between
        key = repr((role, _canonical(where), _canonical(operand), low, high))
        prepared = _once(self.prepared, key, lambda: Prepared(f"p{len(self.prepared)}", role, where, operand, low, high))
        return _once(
            self.sums,
            f"{prepared.name} {window.size}",
            lambda: SumState(f"s{len(self.sums)}", window, prepared),
        )

    def _spread(self, window: Window, where: Predicate | None, operand: Expression | None, *, squared: bool) -> Node:
        count = self._sum("present", window, where, operand)
        total = self._sum("value", window, where, operand)
        squares = self._sum("square", window, where, operand)
        state = _once(
            self.spreads,
            squares.name,
            lambda: SpreadState(f"v{len(self.spreads)}", count, total, squares),
        )
        return Spread(state.name, State(count.name), squared)

    def _skew(self, window: Window, where: Predicate | None, operand: Expression | None) -> Node:
        count = self._sum("present", window, where, operand)
        total = self._sum("value", window, where, operand)
        wide = [self._sum(role, window, where, operand) for role in _POWERS]
        for each in wide:
            self.limbs.setdefault(each.name, each)
        return Skew(State(count.name), State(total.name), *(each.name for each in wide))

    def _quantile(self, aggregation: Aggregation, window: Window, where: Predicate | None) -> Node:
        operand, share = aggregation.operand, aggregation.q
        if operand is None or share is None:
            raise AssertionError(aggregation)
        edges = aggregation.edges
        highest = operand.bounds[1]
        tops = edges if edges[-1] == highest else (*edges, highest)
        bottoms = (None, *tops[:-1])
        counts = tuple(
            State(self._sum("bucket", window, where, operand, (low, None if high == highest else high)).name)
            for low, high in zip(bottoms, tops, strict=True)
        )
        greatest = State(self._pick("maximum", window, where, operand).name)
        return Edge(counts, tops, share.numerator, share.denominator, greatest)

    def _distinct(self, window: Window, where: Predicate | None, operand: Expression | None) -> DistinctState:
        if not isinstance(operand, Column):
            raise TypeError(operand)
        key = repr((window.size, _canonical(where), operand.name))
        return _once(self.distincts, key, lambda: DistinctState(f"d{len(self.distincts)}", window, where, operand))

    def _rank(self, aggregation: Aggregation, window: Window, where: Predicate | None) -> Node:
        operand, listed = aggregation.operand, aggregation.k is not None
        if not isinstance(operand, Operand):
            raise TypeError(operand)
        order, length = _ORDERS[aggregation.function], aggregation.k or 1
        key = repr((order, length, listed, window.size, _canonical(where), operand.canonical()))
        state = _once(self.ranked, key, lambda: RankedState(f"r{len(self.ranked)}", order, length, listed, window, where, operand))
        return Listed(state.name) if listed else State(state.name)

    def _pick(
        self,
        function: Literal["last", "minimum", "maximum"],
        window: Window,
        where: Predicate | None,
        operand: Expression | None,
    ) -> PickState:
        if not isinstance(operand, Operand):
            raise TypeError(operand)
        key = repr((function, window.size, _canonical(where), operand.canonical()))
        return _once(self.picks, key, lambda: PickState(f"k{len(self.picks)}", function, window, where, operand))


def _derive(value: Derived, trees: dict[str, Node]) -> Node:
    match value:
        case Reference(name):
            return trees[name]
        case Number(number):
            return Value(number)
        case Combination(operator, left, right):
            return Arithmetic(operator, _derive(left, trees), _derive(right, trees))
    raise AssertionError(value)


def _once(known: dict[str, _T], key: str, make: Callable[[], _T]) -> _T:
    if key not in known:
        known[key] = make()
    return known[key]


def _canonical(expression: Expression | None) -> object:
    return None if expression is None else expression.canonical()


def _columns(expression: Expression | None) -> frozenset[str]:
    return frozenset() if expression is None else expression.columns()
