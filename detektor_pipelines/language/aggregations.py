"""The aggregations: each a pure function of the set of events present in a window, ordered by (occurred_at, event_id).

A measure that is null is ignored. An empty window gives 0 for `count`, `total` and `distinct`, null for the rest.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from detektor_pipelines.language.expressions import Canonical, Column, DefinitionError, Expression, Operand, Predicate

Function: TypeAlias = Literal[
    "count",
    "total",
    "mean",
    "rate",
    "minimum",
    "maximum",
    "variance",
    "std",
    "skewness",
    "first",
    "last",
    "last_k",
    "top_k",
    "distinct",
    "quantile",
]
ValueType: TypeAlias = Literal["int64", "float64", "instant", "text"]
"""How a value is stored and served. A list is a text too: compact JSON, such as `[3,1]` or `["Edit","Bash"]`."""

MAXIMUM_EDGES: Final = 64
MAXIMUM_K: Final = 32
"""Values of a list: a text of an event has 256 characters at most, so a list stays below what a row's page and a reader bear."""
QUANTILE_RULE: Final = 2
"""Which rule a quantile's value follows; in the data hash of the views that have one. 1: the bucket's upper edge, and the measure's
declared maximum above the last edge. 2: the same, but never more than the greatest value in the window."""
_SHARE: Final = re.compile(r"[01](\.\d{1,6})?\Z")


@dataclass(frozen=True)
class Aggregation:
    """`function` over `operand` (nothing for `count`); `q` and `edges` belong to `quantile` alone, `k` to the lists."""

    function: Function
    operand: Expression | None = None
    q: Fraction | None = None
    edges: tuple[int, ...] = ()
    k: int | None = None

    @property
    def value_type(self) -> ValueType:
        """Type of the feature's value."""
        if self.function in ("mean", "rate", "variance", "std", "skewness"):
            return "float64"
        if self.k is not None:
            return "text"
        if self.function in ("minimum", "maximum", "first", "last") and self.operand is not None:
            return "instant" if self.operand.kind == "instant" else "text" if self.operand.kind == "text" else "int64"
        return "int64"

    @property
    def empty(self) -> int | None:
        """The value over an empty window."""
        return 0 if self.function in ("count", "total", "distinct") else None

    def canonical(self) -> Canonical:
        """What the data hash covers."""
        operand = None if self.operand is None else self.operand.canonical()
        if self.k is not None:
            return [self.function, operand, self.k]
        if self.q is None:
            return [self.function, operand]
        return [self.function, operand, self.q.numerator, self.q.denominator, list(self.edges), QUANTILE_RULE]


def count() -> Aggregation:
    """Number of events."""
    return Aggregation("count")


def total(value: Operand) -> Aggregation:
    """Sum of an integer value, in the value's unit."""
    return Aggregation("total", _integer("total", value))


def mean(value: Operand) -> Aggregation:
    """Arithmetic mean: float(sum) / float(n)."""
    return Aggregation("mean", _integer("mean", value))


def rate(condition: Predicate) -> Aggregation:
    """Share of events for which the condition is true: TRUE / (TRUE + FALSE); an unknown counts in neither."""
    if not isinstance(condition, Predicate):
        message = "rate(…) takes a condition, such as event.verdict == 'rejected'"
        raise DefinitionError(message)
    return Aggregation("rate", condition)


def minimum(value: Operand) -> Aggregation:
    """Smallest value."""
    return Aggregation("minimum", _integer("minimum", value, instants=True))


def maximum(value: Operand) -> Aggregation:
    """Greatest value."""
    return Aggregation("maximum", _integer("maximum", value, instants=True))


def variance(value: Operand) -> Aggregation:
    """Sample variance, (n·Σx² − (Σx)²) / (n·(n − 1)), in the square of the value's unit; null below n = 2."""
    return Aggregation("variance", _integer("variance", value))


def std(value: Operand) -> Aggregation:
    """Sample standard deviation, sqrt((n·Σx² − (Σx)²) / (n·(n − 1))); null below n = 2."""
    return Aggregation("std", _integer("std", value))


def skewness(value: Operand) -> Aggregation:
    """Sample skewness, the adjusted one, as of pandas and SQL: above 0 where a few values lie far above the others.

    With a = n·Σx² − (Σx)² and b = n²·Σx³ − 3·n·Σx·Σx² + 2·(Σx)³ it is b / (a·sqrt(a)) · (sqrt(n·(n − 1)) / (n − 2)). Null below n = 3, and
    where all values are one: what has no spread leans to no side.
    """
    return Aggregation("skewness", _integer("skewness", value))


def first(value: Operand) -> Aggregation:
    """Value of the earliest event in the window, by (occurred_at, event_id), whose value is not null: a number, an instant or a text."""
    return Aggregation("first", _one("first", value))


def last(value: Operand) -> Aggregation:
    """Value of the latest event, by (occurred_at, event_id), whose value is not null: a number, an instant or a text."""
    return Aggregation("last", _one("last", value))


def last_k(value: Operand, k: int) -> Aggregation:
    """List of the values of the latest k events that have one, the latest first; fewer where there are fewer, null where there is none."""
    return Aggregation("last_k", _listed("last_k", value), k=_length("last_k", k))


def top_k(value: Operand, k: int) -> Aggregation:
    """List of the k greatest values of an integer, the greatest first, one for each event that has it; null where there is none."""
    return Aggregation("top_k", _integer("top_k", value), k=_length("top_k", k))


def distinct(value: Column) -> Aggregation:
    """Number of distinct values of a text or an integer column, nulls dropped.

    Not of instants: they have µs, so their number says no more than `count()` does, but each of them would have to be remembered.
    """
    if not isinstance(value, Column):
        message = "distinct(…) takes a column, such as event.task_id"
        raise DefinitionError(message)
    if value.kind == "instant":
        message = f"distinct(event.{value.name}): hardly any two events share a timestamp, use count() for their number"
        raise DefinitionError(message)
    return Aggregation("distinct", value)


def quantile(value: Operand, q: str, *, edges: tuple[int, ...]) -> Aggregation:
    """Upper edge of the bucket that holds rank ceil(q·n), but never more than the greatest value in the window.

    `edges` are rising upper edges; bucket i is (edge i-1, edge i], the first has no lower end and the one above the last edge no
    upper one: a rank that falls there gives the greatest value. So the result lies between the true quantile and the greatest value,
    and is above the former by less than the bucket's width, up to the last edge.

    Args:
        value: what to take the quantile of.
        q: a decimal in (0, 1], as text, so that it is exact: `"0.9"`.
        edges: 1 to 64 upper edges in the value's unit, within its range.

    """
    _integer("quantile", value)
    share = _share(q)
    integers = isinstance(edges, tuple | list) and all(type(edge) is int for edge in edges)
    if not integers or not 1 <= len(edges) <= MAXIMUM_EDGES or list(edges) != sorted(set(edges)):
        message = f"quantile(…): edges are 1 to {MAXIMUM_EDGES} rising integers, here {edges}"
        raise DefinitionError(message)
    low, high = value.bounds
    if edges[0] < low or edges[-1] > high:
        message = f"quantile(…): edges {edges[0]} … {edges[-1]} leave the value's range {low} … {high}"
        raise DefinitionError(message)
    return Aggregation("quantile", value, share, tuple(edges))


def _share(q: str) -> Fraction:
    """Few decimals, so that the rank, q's numerator times the number of values, stays within int64."""
    if not isinstance(q, str) or not _SHARE.match(q) or not 0 < (share := Fraction(q)) <= 1:
        message = f"quantile(…, {q!r}): q is a decimal in (0, 1] of at most six places, as text: '0.9'"
        raise DefinitionError(message)
    return share


def _one(function: str, value: Operand) -> Operand:
    """Take a value that a feature can be: a number, an instant, or a text column."""
    return value if isinstance(value, Column) and value.kind == "text" else _integer(function, value, instants=True)


def _listed(function: str, value: Operand) -> Operand:
    if isinstance(value, Operand) and value.kind == "instant":
        message = f"{function}({_name(value)}, …): a list holds integers or texts; last(…) and first(…) take a timestamp"
        raise DefinitionError(message)
    return _one(function, value)


def _name(value: Operand) -> str:
    return f"event.{value.name}" if isinstance(value, Column) else str(value.canonical())


def _length(function: str, k: int) -> int:
    if type(k) is not int or not 1 <= k <= MAXIMUM_K:
        message = f"{function}(…, {k!r}): a list has 1 to {MAXIMUM_K} values"
        raise DefinitionError(message)
    return k


def _integer(function: str, value: Operand, *, instants: bool = False) -> Operand:
    allowed = ("integer", "instant") if instants else ("integer",)
    if not isinstance(value, Operand) or value.kind not in allowed:
        message = f"{function}(…) takes an integer value, such as event.duration_ms"
        raise DefinitionError(message)
    return value
