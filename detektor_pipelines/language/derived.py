"""Derived features: float64 arithmetic over a view's other features.

Null in, null out; a division by zero, or a result that is not finite, is null.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Literal

from typing_extensions import override

from detektor_pipelines.language.expressions import Canonical, DefinitionError

MAXIMUM_NUMBER: Final = 1e300
"""Nothing that a feature counts comes near, and a product with what is greater is not finite."""


class Derived(ABC):
    """An arithmetic expression over features of the same view."""

    @abstractmethod
    def canonical(self) -> Canonical:
        """What the data hash covers."""

    @abstractmethod
    def features(self) -> frozenset[str]:
        """Names of the features that the value is made of."""

    def __add__(self, other: "Derived | float") -> "Combination":
        return Combination("+", self, _derived(other))

    def __sub__(self, other: "Derived | float") -> "Combination":
        return Combination("-", self, _derived(other))

    def __mul__(self, other: "Derived | float") -> "Combination":
        return Combination("*", self, _derived(other))

    def __truediv__(self, other: "Derived | float") -> "Combination":
        return Combination("/", self, _derived(other))


@dataclass(frozen=True)
class Reference(Derived):
    """Another feature of the view, by name."""

    name: str

    @override
    def canonical(self) -> Canonical:
        return ["feature", self.name]

    @override
    def features(self) -> frozenset[str]:
        return frozenset((self.name,))


@dataclass(frozen=True)
class Number(Derived):
    """A literal."""

    value: float

    @override
    def canonical(self) -> Canonical:
        return ["number", self.value.hex()]

    @override
    def features(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True)
class Combination(Derived):
    """`left operator right` in IEEE 754 double precision."""

    operator: Literal["+", "-", "*", "/"]
    left: Derived
    right: Derived

    @override
    def canonical(self) -> Canonical:
        return [self.operator, self.left.canonical(), self.right.canonical()]

    @override
    def features(self) -> frozenset[str]:
        return self.left.features() | self.right.features()


def feature(name: str) -> Reference:
    """The feature `name` of the same view, to be used in a derived feature."""
    return Reference(name)


def _derived(value: "Derived | float") -> Derived:
    if isinstance(value, Derived):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not -MAXIMUM_NUMBER <= value <= MAXIMUM_NUMBER:
            message = f"{value!r} in a derived feature: a number of at most {MAXIMUM_NUMBER:g} is needed, all else gives null"
            raise DefinitionError(message)
        return Number(float(value))
    message = f"{value!r} cannot stand in a derived feature: use feature('name') or a number"
    raise DefinitionError(message)
