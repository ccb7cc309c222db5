"""The one place where integer states become feature values: a tree with a scalar and a vectorised reading.

Both readings convert each integer to float64 once and divide once (`float(a) / float(b)`), so batch and stream agree to
the bit: integer to double, `+ - * /` and `sqrt` are all correctly rounded in IEEE 754.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import override

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = tuple[NDArray[Any], NDArray[np.bool_]]
    """Values, int64 or float64, and which of them are not null."""

States: TypeAlias = Mapping[str, int | None]
LIMB = 2**62
"""A 128-bit numerator leaves SQL as two int64 columns, `<name>_hi * LIMB + <name>_lo`."""


class Node(ABC):
    """A value made of states. `vector` returns (values, valid), each of shape (rows,); values under invalid are 0."""

    @abstractmethod
    def scalar(self, states: States) -> int | float | None:
        """The value for one row."""

    @abstractmethod
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        """The values for all rows."""


@dataclass(frozen=True)
class State(Node):
    """An integer state as it is."""

    name: str

    @override
    def scalar(self, states: States) -> int | float | None:
        return states[self.name]

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        return states[self.name]


@dataclass(frozen=True)
class Value(Node):
    """A literal."""

    number: float

    @override
    def scalar(self, states: States) -> int | float | None:
        return self.number

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        shape = next(iter(states.values()))[0].shape
        return np.full(shape, self.number), np.ones(shape, dtype=bool)


@dataclass(frozen=True)
class Ratio(Node):
    """float(numerator) / float(denominator); null for a denominator of 0."""

    numerator: State
    denominator: State

    @override
    def scalar(self, states: States) -> int | float | None:
        top, bottom = states[self.numerator.name], states[self.denominator.name]
        if top is None or not bottom:
            return None
        return float(top) / float(bottom)

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        top, bottom = states[self.numerator.name][0], states[self.denominator.name][0]
        valid = bottom != 0
        values = np.zeros(top.shape)
        np.divide(top.astype(np.float64), bottom.astype(np.float64), out=values, where=valid)
        return values, valid


@dataclass(frozen=True)
class Spread(Node):
    """Sample standard deviation: sqrt(float(n·Σx² − (Σx)²) / float(n·(n − 1))); null below n = 2."""

    numerator: str
    count: State

    @override
    def scalar(self, states: States) -> int | float | None:
        n, numerator = states[self.count.name], states[self.numerator]
        if n is None or n < 2 or numerator is None:  # noqa: PLR2004  one value has no spread
            return None
        return math.sqrt(float(numerator) / float(n * (n - 1)))

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        n = states[self.count.name][0]
        high, low = states[f"{self.numerator}_hi"][0], states[f"{self.numerator}_lo"][0]
        top = low.astype(np.float64)
        for row in np.flatnonzero(high):
            # Beyond 62 bits numpy has no exact integer: Python's conversion rounds correctly.
            top[row] = float(int(high[row]) * LIMB + int(low[row]))
        valid = n >= 2  # noqa: PLR2004
        ratio = np.zeros(n.shape)
        np.divide(top, (n * (n - 1)).astype(np.float64), out=ratio, where=valid)
        return np.sqrt(ratio), valid


@dataclass(frozen=True)
class Edge(Node):
    """Upper edge of the bucket that holds rank ceil(q·n), or `greatest` where that is less; null without values.

    q is `share` / `whole`. `greatest` is the greatest value in the window. It is less than the edge only where the rank falls into
    the highest bucket that holds anything, so it is an upper bound of the quantile too, and a closer one.
    """

    counts: tuple[State, ...]
    tops: tuple[int, ...]
    share: int
    whole: int
    greatest: State

    @override
    def scalar(self, states: States) -> int | float | None:
        counts = [states[each.name] or 0 for each in self.counts]
        greatest = states[self.greatest.name]
        if greatest is None:
            return None
        rank = -(-self.share * sum(counts) // self.whole)
        for found, top in zip(counts, self.tops, strict=True):
            if rank <= 0:
                return None
            rank -= found
            if rank <= 0:
                return min(top, greatest)
        return None

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        running = np.cumsum(np.stack([states[each.name][0] for each in self.counts]), axis=0)
        n = running[-1]
        rank = -(-self.share * n // self.whole)
        bucket = np.minimum((running < rank).sum(axis=0), len(self.tops) - 1)
        greatest, some = states[self.greatest.name]
        valid = (n > 0) & some
        return np.where(valid, np.minimum(np.array(self.tops, dtype=np.int64)[bucket], greatest), 0), valid


@dataclass(frozen=True)
class Arithmetic(Node):
    """Float arithmetic of derived features: null in, null out; a zero divisor or a result that is not finite is null."""

    operator: Literal["+", "-", "*", "/"]
    left: Node
    right: Node

    @override
    def scalar(self, states: States) -> int | float | None:
        left, right = self.left.scalar(states), self.right.scalar(states)
        if left is None or right is None or (self.operator == "/" and right == 0):
            return None
        a, b = float(left), float(right)
        match self.operator:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "/":
                result = a / b
        return result if math.isfinite(result) else None

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        (left, left_valid), (right, right_valid) = self.left.vector(states), self.right.vector(states)
        a, b = left.astype(np.float64), right.astype(np.float64)
        valid = left_valid & right_valid
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            match self.operator:
                case "+":
                    values = a + b
                case "-":
                    values = a - b
                case "*":
                    values = a * b
                case "/":
                    values = a / b
        valid = valid & np.isfinite(values)
        return np.where(valid, values, 0.0), valid
