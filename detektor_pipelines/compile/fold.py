"""A view's plan as a fold over single events: what the stream applies where batch runs SQL.

`contribution` turns one event into what it adds: the same prepared integers, operands and distinct values that the SQL sums, as straight
Python compiled once from the expression trees (a tree walk an event costs five times as much). Null and three-valued logic are those of
`Expression.evaluate`.

A tile is what the events of one key and one hop add up to. Windows of one hop share their tiles: a tile that ends at b is in the window of
size W while b <= … < b + W, so a window's sum loses whole tiles, and decays without an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, Prepared, RankedState
from detektor_pipelines.language.expressions import (
    Arithmetic,
    Column,
    Compare,
    Constant,
    Expression,
    ExtraColumn,
    IsNull,
    Logic,
    Not,
    Predicate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from detektor_pipelines.language.windows import Window

Contribution: TypeAlias = tuple[Any, ...]
"""The prepared integers, then the operands of `Fold.lasts` and `Fold.extremes` the values of `Fold.distincts` and the operands of
`Fold.ranked`, None for nothing."""

_PYTHON: Final = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(frozen=True)
class Fold:
    """What the stream needs of a plan.

    Attributes:
        plan: Of the view.
        columns: The event's columns, in the order in which `contribution` takes them behind instant and project.
        lasts: Picks of the latest event that differ in more than their window.
        extremes: The same for minimum and maximum.
        distincts: Filter and column of the distinct counts that differ in more than their window.
        ranked: The ranked states that differ in more than their window.
        contribution: `(ts, project, *columns) -> Contribution`, or None for an event that no feature lets through.

    """

    plan: Plan
    columns: tuple[str, ...]
    lasts: tuple[PickState, ...]
    extremes: tuple[PickState, ...]
    distincts: tuple[DistinctState, ...]
    ranked: tuple[RankedState, ...]
    contribution: Callable[..., Contribution | None]
    source: str

    def position(self, state: PickState | DistinctState | RankedState) -> int:
        """Index of what a windowed state reads, among `lasts`, `extremes`, `distincts` or `ranked`."""
        kind: Sequence[PickState | DistinctState | RankedState] = self.ranked if isinstance(state, RankedState) else self.distincts
        if isinstance(state, PickState):
            kind = self.lasts if state.function == "last" else self.extremes
        return next(index for index, each in enumerate(kind) if _content(each) == _content(state))

    def hops(self) -> dict[int, tuple[Window, ...]]:
        """Return the windows by their hop, both ascending."""
        windows = self.plan.view.windows
        return {hop: tuple(each for each in windows if each.hop == hop) for hop in sorted({each.hop for each in windows})}

    def sums_over(self, window: Window) -> tuple[tuple[int, int], ...]:
        """Return, for each sum over `window`, its index in the plan's sums and that of its prepared integer."""
        return tuple((index, self.plan.prepared.index(each.prepared)) for index, each in enumerate(self.plan.sums) if each.window == window)


def fold(plan: Plan) -> Fold:
    """Compile a plan; the same plan gives the same fold."""
    lasts = _different(each for each in plan.picks if each.function == "last")
    extremes = _different(each for each in plan.picks if each.function != "last")
    distincts = _different(plan.distincts)
    ranked = _different(plan.ranked)
    writer = _Writer(plan.columns)
    values = [writer.prepared(each) for each in plan.prepared]
    values += [writer.passing(each.where, each.operand) for each in (*lasts, *extremes)]
    values += [writer.passing(each.where, each.column) for each in distincts]
    values += [writer.passing(each.where, each.operand) for each in ranked]
    source = writer.function(values, len(plan.prepared))
    space: dict[str, Any] = {}
    exec(compile(source, f"<fold of {plan.view.name}>", "exec"), space)  # noqa: S102  our own text, made from a checked definition
    return Fold(plan, plan.columns, tuple(lasts), tuple(extremes), tuple(distincts), tuple(ranked), space["contribution"], source)


class _Writer:
    """Writes one assignment for each different node; equal nodes share a name."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._lines: list[str] = []
        self._names: dict[str, str] = {}

    def function(self, values: Sequence[str], prepared: int) -> str:
        """Return the function's text; of its `values` the first `prepared` are integers, the rest may be None."""
        empty = " and ".join([*(f"not {value}" for value in values[:prepared]), *(f"{value} is None" for value in values[prepared:])])
        arguments = ", ".join(("ts", "c_project", *(f"c_{name}" for name in self._columns)))
        body = [*self._lines, f"if {empty}:", "    return None", f"return ({', '.join(values)},)"]
        return "\n".join([f"def contribution({arguments}):", *(f"    {line}" for line in body)])

    def prepared(self, each: Prepared) -> str:  # noqa: PLR0911  one line a role
        """Return the name of a prepared integer."""
        test = self._passes(each.where)
        if each.role == "one" or each.operand is None:
            return self._assign(f"1 if {test} else 0")
        value = self._named(each.operand)
        match each.role:
            case "true":
                return self._assign(f"1 if {test} and {value} is True else 0")
            case "known" | "present":
                return self._assign(f"1 if {test} and {value} is not None else 0")
            case "value":
                return self._assign(f"{value} if {test} and {value} is not None else 0")
            case "square":
                return self._assign(f"{value} * {value} if {test} and {value} is not None else 0")
            case "cube":
                return self._assign(f"{value} * {value} * {value} if {test} and {value} is not None else 0")
            case "bucket":
                bounds = [f"{value} is not None"]
                bounds += [] if each.low is None else [f"{value} > {each.low}"]
                bounds += [] if each.high is None else [f"{value} <= {each.high}"]
                return self._assign(f"1 if {test} and {' and '.join(bounds)} else 0")
        raise AssertionError(each)

    def passing(self, where: Predicate | None, operand: Expression) -> str:
        """Return the name of an operand that is None where the filter does not hold."""
        value = self._value(operand)
        return self._assign(f"{value} if {self._passes(where)} else None")

    def _passes(self, where: Predicate | None) -> str:
        return "True" if where is None else f"{self._value(where)} is True"

    def _value(self, expression: Expression) -> str:  # noqa: PLR0911  one line a node
        match expression:
            case Column(name="occurred_at"):
                return "ts"
            case ExtraColumn(name=name, kind="integer", low=low, high=high):
                return self._assign(f"c_{name} if c_{name} is not None and {low} <= c_{name} <= {high} else None")
            case Column(name=name):
                return f"c_{name}"
            case Constant(value=value):
                return repr(value)
            case Arithmetic(operator=operator, left=left, right=right):
                return self._both(left, right, operator)
            case Compare(operator=operator, left=left, right=right):
                return self._both(left, right, _PYTHON[operator])
            case Logic(operator=operator, left=left, right=right):
                a, b, decides = self._value(left), self._value(right), operator == "or"
                rest = f"None if {a} is None or {b} is None else {not decides}"
                return self._assign(f"{decides} if {a} is {decides} or {b} is {decides} else {rest}")
            case Not(operand=operand):
                value = self._value(operand)
                return self._assign(f"None if {value} is None else not {value}")
            case IsNull(operand=operand):
                return self._assign(f"{self._named(operand)} is None")
        raise AssertionError(expression)

    def _named(self, expression: Expression) -> str:
        """Return what can stand before `is`: Python warns of a literal there."""
        value = self._value(expression)
        return self._assign(value) if isinstance(expression, Constant) else value

    def _both(self, left: Expression, right: Expression, operator: str) -> str:
        a, b = self._value(left), self._value(right)
        nulls = [f"{name} is None" for name, each in ((a, left), (b, right)) if not isinstance(each, Constant)]
        calculation = f"{a} {operator} {b}"
        return self._assign(f"None if {' or '.join(nulls)} else {calculation}" if nulls else calculation)

    def _assign(self, text: str) -> str:
        if text not in self._names:
            self._names[text] = f"v{len(self._names)}"
            self._lines.append(f"{self._names[text]} = {text}")
        return self._names[text]


def _different(states: Iterable[Any]) -> list[Any]:
    found: dict[str, Any] = {}
    for each in states:
        found.setdefault(repr(_content(each)), each)
    return list(found.values())


def _content(state: PickState | DistinctState | RankedState) -> object:
    if isinstance(state, RankedState):
        return state.content
    where = None if state.where is None else state.where.canonical()
    if isinstance(state, DistinctState):
        return where, state.column.canonical()
    return state.function, where, state.operand.canonical()
