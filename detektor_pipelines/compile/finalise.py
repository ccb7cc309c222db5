"""The one place where integer states become feature values: a tree with a scalar and a vectorised reading.

Both readings convert each integer to float64 once and divide once (`float(a) / float(b)`), so batch and stream agree to
the bit: integer to double, `+ - * /` and `sqrt` are all correctly rounded in IEEE 754.
"""

import json
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
    """Values, int64, float64, or objects (texts, lists), and which of them are not null."""

States: TypeAlias = Mapping[str, Any]
"""Integers or null; of an aggregation that picks events also a text, or a list of integers or texts."""
Result: TypeAlias = int | float | str | None
LIMB = 2**62
"""A 128-bit numerator leaves SQL as two int64 columns, `<name>_hi * LIMB + <name>_lo`."""


class Node(ABC):
    """A value made of states. `vector` returns (values, valid), each of shape (rows,); values under invalid are 0."""

    @abstractmethod
    def scalar(self, states: States) -> Result:
        """The value for one row."""

    @abstractmethod
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        """The values for all rows."""


@dataclass(frozen=True)
class State(Node):
    """An integer state as it is."""

    name: str

    @override
    def scalar(self, states: States) -> Result:
        found: Result = states[self.name]
        return found

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        return states[self.name]


@dataclass(frozen=True)
class Value(Node):
    """A literal."""

    number: float

    @override
    def scalar(self, states: States) -> Result:
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
    def scalar(self, states: States) -> Result:
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
    """Sample standard deviation: sqrt(float(n·Σx² − (Σx)²) / float(n·(n − 1))); null below n = 2.

    Where it is `squared`, the variance: without the root.
    """

    numerator: str
    count: State
    squared: bool = False

    @override
    def scalar(self, states: States) -> Result:
        n, numerator = states[self.count.name], states[self.numerator]
        if n is None or n < 2 or numerator is None:  # noqa: PLR2004  one value has no spread
            return None
        variance = float(numerator) / float(n * (n - 1))
        return variance if self.squared else math.sqrt(variance)

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
        return ratio if self.squared else np.sqrt(ratio), valid


@dataclass(frozen=True)
class Skew(Node):
    """Adjusted sample skewness, of exact sums; null below n = 3 and where all values are one.

    The integers behind it reach 250 bits: no engine has them, so they are made here, a row at a time.
    """

    count: State
    total: State
    squares: str
    cubes: str

    @override
    def scalar(self, states: States) -> Result:
        n, total = states[self.count.name], states[self.total.name]
        return _skewness(n, total, states[self.squares], states[self.cubes])

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        n, total = states[self.count.name][0], states[self.total.name][0]
        squares, cubes = (_joined(states, name) for name in (self.squares, self.cubes))
        found = [_skewness(*sums) for sums in zip(n.tolist(), total.tolist(), squares, cubes, strict=True)]
        valid = np.array([each is not None for each in found], dtype=bool)
        return np.array([each or 0.0 for each in found]), valid


def _joined(states: "Mapping[str, Vector]", name: str) -> list[int]:
    """128-bit integers of their two columns."""
    high, low = states[f"{name}_hi"][0].tolist(), states[f"{name}_lo"][0].tolist()
    return [int(above) * LIMB + int(below) for above, below in zip(high, low, strict=True)]


def _skewness(n: int, total: int, squares: int, cubes: int) -> float | None:
    if n < 3:  # noqa: PLR2004  two values lean to no side
        return None
    spread = n * squares - total * total
    if not spread:
        return None
    lean = n * n * cubes - 3 * n * total * squares + 2 * total**3
    wide = float(spread)
    return float(lean) / (wide * math.sqrt(wide)) * (math.sqrt(float(n * (n - 1))) / float(n - 2))


@dataclass(frozen=True)
class Listed(Node):
    """A list as a text: compact JSON, the same whoever writes it; null for no values."""

    name: str

    @override
    def scalar(self, states: States) -> Result:
        found = states[self.name]
        return None if found is None else _json(found)

    @override
    def vector(self, states: "Mapping[str, Vector]") -> "Vector":
        import numpy as np

        lists, valid = states[self.name]
        texts = np.empty(len(lists), dtype=object)
        texts[:] = ["" if not some else _json(each) for each, some in zip(lists, valid.tolist(), strict=True)]
        return texts, valid


def _json(values: Any) -> str:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


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
    def scalar(self, states: States) -> Result:
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
                return min(top, int(greatest))
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
    def scalar(self, states: States) -> Result:
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
