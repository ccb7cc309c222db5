"""Expressions over one event: columns, literals, arithmetic, comparisons, three-valued logic.

Integers only (instants are integers too), so that every engine gives the same answer. `evaluate` is the scalar
meaning; `compile.sql` writes the same meaning as SQL. Null follows SQL: a comparison with null is unknown, AND/OR are
three-valued, arithmetic with null is null.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from typing_extensions import override

from detektor_pipelines.language.events import (
    AGENT_TYPES,
    CATEGORIES,
    EXTRA_CATEGORIES,
    EXTRA_MEASURES,
    IDENTITIES,
    MEASURES,
    OPERATIONS,
    extra_category_column,
    extra_measure_column,
    extra_name,
)

Scalar: TypeAlias = int | str | bool | None
Row: TypeAlias = Mapping[str, Scalar]
Canonical: TypeAlias = "list[Canonical] | str | int | bool | None"
Kind: TypeAlias = Literal["integer", "instant", "text", "truth"]

INT64_MAXIMUM: Final = 2**63 - 1
MAXIMUM_DEPTH: Final = 200
"""How deep an expression may be nested: engines and Python follow it down, and theirs ends at about a thousand."""

INSTANT_MAXIMUM: Final = 2**53
"""Instants stay below 2**53 µs (the year 2255), so that a float64 copy of one is exact."""


class DefinitionError(ValueError):
    """A catalogue file says something that cannot be: the message names the part and what is allowed."""


class Expression(ABC):
    """A value of one event: `kind` is its type, `bounds` the range of an integer, proved from the declarations."""

    kind: Kind

    @abstractmethod
    def evaluate(self, row: Row) -> Scalar:
        """The value for one event; `row` maps column names to values, a missing one is null."""

    @abstractmethod
    def canonical(self) -> Canonical:
        """A JSON form that two equal expressions share: what the data hash covers."""

    @abstractmethod
    def columns(self) -> frozenset[str]:
        """Names of the event columns that the value depends on."""

    @property
    def bounds(self) -> tuple[int, int]:
        """Inclusive range of a non-null integer value."""
        message = f"{self.canonical()} is not an integer and has no range"
        raise DefinitionError(message)


class Predicate(Expression):
    """A truth value: true, false or unknown. Combine with `&`, `|` and `~`."""

    kind: Kind = "truth"

    def __and__(self, other: "Predicate") -> "Predicate":
        return Logic("and", self, _predicate(other))

    def __or__(self, other: "Predicate") -> "Predicate":
        return Logic("or", self, _predicate(other))

    def __invert__(self) -> "Predicate":
        return Not(self)

    def __bool__(self) -> bool:
        message = "a predicate has no truth of its own: combine predicates with &, | and ~, not with and/or/not"
        raise DefinitionError(message)


class Operand(Expression):
    """A column, a literal or integer arithmetic: what can be compared."""

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]
        return _compare("=", self, other)

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]
        return _compare("<>", self, other)

    def __lt__(self, other: object) -> Predicate:
        return _compare("<", self, other)

    def __le__(self, other: object) -> Predicate:
        return _compare("<=", self, other)

    def __gt__(self, other: object) -> Predicate:
        return _compare(">", self, other)

    def __ge__(self, other: object) -> Predicate:
        return _compare(">=", self, other)

    __hash__ = object.__hash__

    def __add__(self, other: "Operand | int") -> "Arithmetic":
        return Arithmetic("+", self, _operand(other))

    def __sub__(self, other: "Operand | int") -> "Arithmetic":
        return Arithmetic("-", self, _operand(other))

    def __mul__(self, other: "Operand | int") -> "Arithmetic":
        return Arithmetic("*", self, _operand(other))

    def is_in(self, values: Iterable[str | int]) -> Predicate:
        """True when the value is one of `values`; unknown for null."""
        choices = tuple(values)
        if not choices:
            message = f"{self.canonical()}.is_in(…) needs at least one value"
            raise DefinitionError(message)
        found: Predicate = _compare("=", self, choices[0])
        for value in choices[1:]:
            found = found | _compare("=", self, value)
        return found

    def is_null(self) -> Predicate:
        """True when there is no value; never unknown."""
        return IsNull(self)

    def is_known(self) -> Predicate:
        """True when there is a value; never unknown."""
        return ~IsNull(self)


@dataclass(frozen=True, eq=False)
class Column(Operand):
    """A column of the event. `values` is the closed vocabulary of a text column, empty where it is open."""

    name: str
    kind: Kind
    low: int = 0
    high: int = 0
    values: tuple[str, ...] = ()

    @override
    def evaluate(self, row: Row) -> Scalar:
        return row.get(self.name)

    @override
    def canonical(self) -> Canonical:
        return ["column", self.name]

    @override
    def columns(self) -> frozenset[str]:
        return frozenset((self.name,))

    @property
    @override
    def bounds(self) -> tuple[int, int]:
        if self.kind == "text":
            return super().bounds
        return self.low, self.high


@dataclass(frozen=True, eq=False)
class ExtraColumn(Column):
    """A measure or category that a catalogue of one's own declares, as a view uses it.

    The range of a measure belongs to the definition, not to the log: a stored value that lies outside it (it was declared wider then)
    reads as null, so that what is proved from the range holds whatever the log holds, and another range is another version.
    """

    @property
    def declared(self) -> str:
        """The name that it was declared under."""
        return extra_name(self.name) or self.name

    @override
    def evaluate(self, row: Row) -> Scalar:
        value = row.get(self.name)
        if value is None or self.kind == "text":
            return value
        return value if self.low <= int(value) <= self.high else None

    @override
    def canonical(self) -> Canonical:
        return ["extra", self.declared] if self.kind == "text" else ["extra", self.declared, self.low, self.high]


def extra_measure(name: str, low: int, high: int) -> ExtraColumn:
    """A measure of one's own, with its range."""
    return ExtraColumn(extra_measure_column(name), "integer", low, high)


def extra_category(name: str, values: tuple[str, ...] = ()) -> ExtraColumn:
    """A category of one's own, with its closed vocabulary."""
    return ExtraColumn(extra_category_column(name), "text", values=values)


@dataclass(frozen=True, eq=False)
class Constant(Operand):
    """A literal integer or text."""

    value: int | str

    @property
    @override
    def kind(self) -> Kind:  # type: ignore[override]
        return "text" if isinstance(self.value, str) else "integer"

    @override
    def evaluate(self, row: Row) -> Scalar:
        return self.value

    @override
    def canonical(self) -> Canonical:
        return ["constant", self.value]

    @override
    def columns(self) -> frozenset[str]:
        return frozenset()

    @property
    @override
    def bounds(self) -> tuple[int, int]:
        if isinstance(self.value, str):
            return super().bounds
        return self.value, self.value


@dataclass(frozen=True, eq=False)
class Arithmetic(Operand):
    """Integer `+`, `-` or `*`; null when either side is."""

    operator: Literal["+", "-", "*"]
    left: Operand
    right: Operand
    kind: Kind = "integer"

    def __post_init__(self) -> None:
        if "text" in (self.left.kind, self.right.kind):
            message = f"{self.left.canonical()} {self.operator} {self.right.canonical()}: text has no arithmetic"
            raise DefinitionError(message)
        low, high = self.bounds
        if low < -INT64_MAXIMUM or high > INT64_MAXIMUM:
            message = f"{self.left.canonical()} {self.operator} {self.right.canonical()} reaches {low} … {high}: more than int64 holds"
            raise DefinitionError(message)

    @override
    def evaluate(self, row: Row) -> Scalar:
        left, right = self.left.evaluate(row), self.right.evaluate(row)
        if left is None or right is None:
            return None
        return _calculate(self.operator, int(left), int(right))

    @override
    def canonical(self) -> Canonical:
        return [self.operator, self.left.canonical(), self.right.canonical()]

    @override
    def columns(self) -> frozenset[str]:
        return self.left.columns() | self.right.columns()

    @property
    @override
    def bounds(self) -> tuple[int, int]:
        left, right = self.left.bounds, self.right.bounds
        corners = [_calculate(self.operator, a, b) for a in left for b in right]
        return min(corners), max(corners)


@dataclass(frozen=True, eq=False)
class Compare(Predicate):
    """`left operator right`; unknown when either side is null."""

    operator: Literal["=", "<>", "<", "<=", ">", ">="]
    left: Operand
    right: Operand

    @override
    def evaluate(self, row: Row) -> bool | None:  # noqa: PLR0911  one line an operator
        left, right = self.left.evaluate(row), self.right.evaluate(row)
        if left is None or right is None:
            return None
        if isinstance(left, str):
            # Only = and <> reach text (see _compare), so byte order against code point order is no question.
            return (left == right) is (self.operator == "=")
        a, b = int(left), int(right)
        match self.operator:
            case "=":
                return a == b
            case "<>":
                return a != b
            case "<":
                return a < b
            case "<=":
                return a <= b
            case ">":
                return a > b
            case ">=":
                return a >= b

    @override
    def canonical(self) -> Canonical:
        return [self.operator, self.left.canonical(), self.right.canonical()]

    @override
    def columns(self) -> frozenset[str]:
        return self.left.columns() | self.right.columns()


@dataclass(frozen=True, eq=False)
class Logic(Predicate):
    """Three-valued AND or OR."""

    operator: Literal["and", "or"]
    left: Predicate
    right: Predicate

    @override
    def evaluate(self, row: Row) -> bool | None:
        deciding = self.operator == "or"
        sides = (self.left.evaluate(row), self.right.evaluate(row))
        if deciding in sides:
            return deciding
        return None if None in sides else not deciding

    @override
    def canonical(self) -> Canonical:
        return [self.operator, self.left.canonical(), self.right.canonical()]

    @override
    def columns(self) -> frozenset[str]:
        return self.left.columns() | self.right.columns()


@dataclass(frozen=True, eq=False)
class Not(Predicate):
    """Three-valued NOT."""

    operand: Predicate

    @override
    def evaluate(self, row: Row) -> bool | None:
        value = self.operand.evaluate(row)
        return None if value is None else not value

    @override
    def canonical(self) -> Canonical:
        return ["not", self.operand.canonical()]

    @override
    def columns(self) -> frozenset[str]:
        return self.operand.columns()


@dataclass(frozen=True, eq=False)
class IsNull(Predicate):
    """True when the operand has no value."""

    operand: Operand

    @override
    def evaluate(self, row: Row) -> bool:
        return self.operand.evaluate(row) is None

    @override
    def canonical(self) -> Canonical:
        return ["is_null", self.operand.canonical()]

    @override
    def columns(self) -> frozenset[str]:
        return self.operand.columns()


class ExtraColumns:
    """What a catalogue of one's own declares, as attributes: `event.extra.tickets_closed`."""

    def __getattr__(self, name: str) -> ExtraColumn:
        """The measure or category called `name`.

        Raises:
            DefinitionError: when none is declared under that name.

        """
        if (measure := EXTRA_MEASURES.get(name)) is not None:
            return extra_measure(name, measure.minimum, measure.maximum)
        if (category := EXTRA_CATEGORIES.get(name)) is not None:
            return extra_category(name, category.values)
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join((*EXTRA_MEASURES, *EXTRA_CATEGORIES)) or "none"
        message = f"no measure or category {name!r} is declared in detektor.toml; declared: {known}"
        raise DefinitionError(message)


class EventColumns:
    """The columns of an event as attributes: `event.issues_found`, `event.verdict`, `event.occurred_at`."""

    extra: Final = ExtraColumns()

    def __getattr__(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            DefinitionError: when no operation declares such a column.

        """
        if (measure := MEASURES.get(name)) is not None:
            return Column(name, "integer", measure.minimum, measure.maximum)
        if (category := CATEGORIES.get(name)) is not None:
            return Column(name, "text", values=category.values)
        if name in IDENTITIES:
            return Column(name, "text")
        if name == "operation":
            return Column(name, "text", values=tuple(OPERATIONS))
        if name == "agent_type":
            return Column(name, "text", values=AGENT_TYPES)
        if name == "occurred_at":
            return Column(name, "instant", 0, INSTANT_MAXIMUM)
        if name.startswith("__"):
            raise AttributeError(name)
        known = ", ".join(("occurred_at", "operation", *IDENTITIES, *CATEGORIES, *MEASURES))
        message = f"an event has no column '{name}'; there are: {known}"
        raise DefinitionError(message)


event: Final = EventColumns()


def depth(expression: Expression) -> int:
    """How many expressions stand within each other, at most: 1 for a column."""
    deepest, waiting = 0, [(expression, 1)]
    while waiting:
        each, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += [(part, level + 1) for part in vars(each).values() if isinstance(part, Expression)]
    return deepest


def _calculate(operator: str, left: int, right: int) -> int:
    if operator == "+":
        return left + right
    return left - right if operator == "-" else left * right


def _predicate(value: object) -> Predicate:
    if isinstance(value, Predicate):
        return value
    message = f"{value!r} is not a predicate: put each comparison beside & and | in parentheses"
    raise DefinitionError(message)


def _operand(value: object) -> Operand:
    if isinstance(value, Operand):
        return value
    if isinstance(value, int) and abs(value) > INT64_MAXIMUM:
        message = f"{value} is more than int64 holds"
        raise DefinitionError(message)
    if isinstance(value, str) and ("\0" in value or not _encodes(value)):
        message = f"{value!r} is a text that no event can hold: it has a NUL or half a character"
        raise DefinitionError(message)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return Constant(value)
    message = f"{value!r} cannot stand in an expression: use a column, an integer or a text"
    raise DefinitionError(message)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compare(operator: Literal["=", "<>", "<", "<=", ">", ">="], left: Operand, other: object) -> Compare:
    right = _operand(other)
    if (left.kind == "text") is not (right.kind == "text"):
        message = f"{left.canonical()} {operator} {right.canonical()}: text and integers do not compare"
        raise DefinitionError(message)
    if left.kind == "text" and operator not in ("=", "<>"):
        message = f"{left.canonical()} {operator} {right.canonical()}: text compares with == and != only"
        raise DefinitionError(message)
    for column, constant in ((left, right), (right, left)):
        if not (isinstance(column, Column) and column.values and isinstance(constant, Constant)):
            continue
        if constant.value not in column.values:
            message = f"event.{column.name} is never {constant.value!r}; it is one of {', '.join(column.values)}"
            raise DefinitionError(message)
    return Compare(operator, left, right)
