"""Expressions over all events of a table at once: what `Expression.evaluate` means, and `compile.expressions` says in SQL, as numpy arrays.

A text column becomes codes, so that a comparison of texts is one of integers. Each expression is evaluated once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from detektor_pipelines.language.canonical import OPERATORS
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
    Operand,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.language.expressions import Predicate

    Ints: TypeAlias = NDArray[np.int64]
    Truths: TypeAlias = NDArray[np.bool_]
    Integers: TypeAlias = tuple[Ints, Truths]
    """Values and which of them are not null; under a null stands anything."""

    Verdicts: TypeAlias = tuple[Truths, Truths]
    """Where a condition is true, and where it is not unknown."""

_Made = TypeVar("_Made")
_ABSENT: Final = -1
"""The code of a text that no event has."""


class TooWideError(Exception):
    """A value lies outside its declared range, so that nobody has proved what is calculated with it to fit into 64 bits."""


@dataclass
class EventVectors:
    """The columns of one table of events, and the expressions over them as they are asked for; in an `order`, None for the table's."""

    events: pa.Table
    order: Ints | None = None
    _columns: dict[str, Integers] = field(default_factory=dict)
    _codes: dict[str, dict[str, int]] = field(default_factory=dict)
    _operands: dict[str, Integers] = field(default_factory=dict)
    _conditions: dict[str, Verdicts] = field(default_factory=dict)

    def operand(self, expression: Operand) -> Integers:
        """Return the values of an operand, texts as codes.

        Raises:
            TooWideError: A column that it calculates with holds a value outside its declared range.

        """
        return _once(self._operands, expression, self._operand)

    def condition(self, expression: Predicate | Expression) -> Verdicts:
        """Return where a predicate is true, and where it is not unknown."""
        return _once(self._conditions, expression, self._condition)

    def texts(self, name: str) -> dict[str, int]:
        """Return the code of each text of a column."""
        self.column(name)
        return self._codes[name]

    def column(self, name: str) -> Integers:
        """Return a column as it stands, a text's as codes."""
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def _read(self, name: str) -> Integers:
        import numpy as np
        import pyarrow as pa

        column = self.events[name]
        valid = column.is_valid().to_numpy() if column.null_count else np.ones(len(column), dtype=bool)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            encoded = column.combine_chunks().dictionary_encode()
            if isinstance(encoded, pa.ChunkedArray):  # more text than one array holds
                encoded = encoded.unify_dictionaries().combine_chunks()
            self._codes[name] = {text: code for code, text in enumerate(encoded.dictionary.to_pylist())}
            column = encoded.indices
        if column.null_count:
            column = column.fill_null(0)
        values = column.to_numpy().astype(np.int64, copy=False)
        return (values, valid) if self.order is None else (values[self.order], valid[self.order])

    def _operand(self, expression: Operand) -> Integers:
        import numpy as np

        match expression:
            case ExtraColumn(name=name, kind="integer", low=low, high=high):
                values, valid = self.column(name)
                return values, valid & (values >= low) & (values <= high)
            case Column(name=name):
                return self.column("ts" if name == "occurred_at" else name)
            case Constant(value=int(value)):
                size = self.events.num_rows
                return np.full(size, value, dtype=np.int64), np.ones(size, dtype=bool)
            case Arithmetic(operator=sign, left=left, right=right):
                (a, a_valid), (b, b_valid) = self._declared(left), self._declared(right)
                valid = a_valid & b_valid
                return OPERATORS[sign](np.where(valid, a, 0), np.where(valid, b, 0)), valid
        raise AssertionError(expression)

    def _declared(self, expression: Operand) -> Integers:
        """Return an operand whose values keep its bounds: those of a calculation were proved to fit for such."""
        values, valid = self.operand(expression)
        low, high = expression.bounds
        if not (values[valid] >= low).all() or not (values[valid] <= high).all():
            raise TooWideError
        return values, valid

    def _condition(self, expression: Expression) -> Verdicts:
        import numpy as np

        match expression:
            case Compare():
                return self._comparison(expression)
            case Logic(operator=word, left=left, right=right):
                (a, a_known), (b, b_known) = self.condition(left), self.condition(right)
                if word == "or":
                    true = a | b
                    return true, true | (a_known & b_known)
                false = (a_known & ~a) | (b_known & ~b)
                true = a & b
                return true, true | false
            case Not(operand=negated):
                true, known = self.condition(negated)
                return known & ~true, known
            case IsNull(operand=tested):
                _, valid = self.operand(tested)
                return ~valid, np.ones(len(valid), dtype=bool)
        raise AssertionError(expression)

    def _comparison(self, compared: Compare) -> Verdicts:
        import numpy as np

        left, right = compared.left, compared.right
        if left.kind == "text" and isinstance(left, Column) and isinstance(right, Column):
            return self._same_texts(compared.operator, left.name, right.name)
        (a, a_valid), (b, b_valid) = self._side(left, right), self._side(right, left)
        known = a_valid & b_valid
        size = self.events.num_rows
        return np.broadcast_to(OPERATORS[compared.operator](a, b) & known, size), np.broadcast_to(known, size)

    def _side(self, expression: Operand, other: Operand) -> Integers:
        """Return one side of a comparison; a constant as one number, the code that the other side has for it if it is a text."""
        import numpy as np

        if not isinstance(expression, Constant):
            return self.operand(expression)
        codes = self.texts(other.name) if isinstance(other, Column) and other.kind == "text" else {}
        value = codes.get(expression.value, _ABSENT) if isinstance(expression.value, str) else expression.value
        return np.array([value], dtype=np.int64), np.ones(1, dtype=bool)

    def _same_texts(self, operator: str, left: str, right: str) -> Verdicts:
        import numpy as np

        (a, a_valid), (b, b_valid) = self.column(left), self.column(right)
        theirs = self.texts(right)
        translated = np.array([theirs.get(text, _ABSENT) for text in self.texts(left)] or [_ABSENT], dtype=np.int64)
        known = a_valid & b_valid
        return (translated[a] == b) & known if operator == "=" else (translated[a] != b) & known, known


def _once(known: dict[str, _Made], expression: Expression, make: Callable[..., _Made]) -> _Made:
    key = repr(expression.canonical())
    if key not in known:
        known[key] = make(expression)
    return known[key]
