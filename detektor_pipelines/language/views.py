"""Features and feature views: what a catalogue file declares."""

import re
from dataclasses import dataclass, field
from typing import Final

from detektor_pipelines.language.aggregations import Aggregation, ValueType
from detektor_pipelines.language.derived import Derived
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.language.expressions import DefinitionError, Operand, Predicate
from detektor_pipelines.language.windows import DAY, HOUR, Window, days, hours

Number = int | float
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,59}\Z")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+\Z")


@dataclass(frozen=True)
class Feature:
    """One feature: an aggregation over a window, or arithmetic over other features of the view.

    Args:
        name: lower_snake_case; the unit stands in it (``_seconds``, ``_lines``) or in ``unit``.
        value: an ``Aggregation``, or ``Derived`` arithmetic over features declared earlier in the view.
        over: the window of an aggregation; none for a derived feature.
        where: only events for which this is TRUE take part.
        description: one sentence a person understands.
        unit: unit of the value (``reviews``, ``seconds``, ``share``).
        null_means: what null says; empty for a feature that is never null.
        within: inclusive bounds that a sane value keeps, ``None`` for an open end; the validation gate holds them.
    """

    name: str
    value: Aggregation | Derived
    over: Window | None = None
    where: Predicate | None = None
    description: str = ""
    unit: str = ""
    null_means: str = ""
    within: tuple[Number | None, Number | None] = (None, None)

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            message = f"feature name {self.name!r}: use lower_snake_case of 2 to 60 characters"
            raise DefinitionError(message)
        if not self.description or not self.unit:
            message = f"feature {self.name}: a description and a unit are needed"
            raise DefinitionError(message)
        if isinstance(self.value, Aggregation):
            self._check_aggregation(self.value)
        elif self.over is not None or self.where is not None:
            message = f"feature {self.name}: a derived feature has no window and no filter of its own"
            raise DefinitionError(message)
        if self.nullable and not self.null_means:
            message = f"feature {self.name} can be null: say what null means (null_means=…)"
            raise DefinitionError(message)

    def _check_aggregation(self, aggregation: Aggregation) -> None:
        if self.over is None:
            message = f"feature {self.name}: an aggregation needs a window (over=days(7))"
            raise DefinitionError(message)
        if self.where is not None and not isinstance(self.where, Predicate):
            message = f"feature {self.name}: where takes a condition, such as event.operation == 'review'"
            raise DefinitionError(message)
        if isinstance(aggregation.operand, Operand) and aggregation.operand.kind == "integer":
            _prove_int64(self.name, aggregation)

    @property
    def value_type(self) -> ValueType:
        """``int64``, ``float64`` or ``instant`` (µs UTC)."""
        return self.value.value_type if isinstance(self.value, Aggregation) else "float64"

    @property
    def nullable(self) -> bool:
        """Whether the value can be null."""
        return not isinstance(self.value, Aggregation) or self.value.empty is None


@dataclass(frozen=True)
class FeatureView:
    """The features of one agent: computed together, stored together, versioned together.

    ``grain`` is the step of the stored rows in µs; it divides a day, divides or is divided by each window's hop, and is part of
    the data hash. ``max_age`` is how far
    the online values' ``valid_through`` may lie behind now before a read says OUTSIDE_MAX_AGE.

    Raises:
        DefinitionError: for a name used twice, a derived feature of an unknown one, a grain that does not fit.
    """

    name: str
    agent: str
    version: str
    owner: str
    description: str
    features: tuple[Feature, ...]
    grain: int = HOUR
    max_age: Window = field(default_factory=lambda: hours(26))
    tags: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.agent not in AGENT_TYPES:
            message = f"view {self.name}: {self.agent!r} is none of the agents {', '.join(AGENT_TYPES)}"
            raise DefinitionError(message)
        if not _NAME.match(self.name) or not _VERSION.match(self.version):
            message = f"view {self.name!r} {self.version!r}: lower_snake_case and a version such as 1.2.0 are needed"
            raise DefinitionError(message)
        if self.grain <= 0 or DAY % self.grain:
            message = f"view {self.name}: a grain of {self.grain} µs does not divide a day"
            raise DefinitionError(message)
        if not any(isinstance(feature.value, Aggregation) for feature in self.features):
            message = f"view {self.name} has no aggregation"
            raise DefinitionError(message)
        for window in self.windows:
            if self.grain % window.hop and window.hop % self.grain:
                hop = f"the hop of a window of {window.label} ({window.hop} µs)"
                message = f"view {self.name}: of a grain of {self.grain} µs and {hop}, neither divides the other"
                raise DefinitionError(message)
        self._check_names()

    def _check_names(self) -> None:
        taken = {"agent_id", "event_timestamp", "created_at", "written_at"}
        seen: set[str] = set()
        for each in self.features:
            if each.name in taken | seen:
                message = f"view {self.name}: the name {each.name} is taken"
                raise DefinitionError(message)
            if isinstance(each.value, Derived) and (unknown := each.value.features() - seen):
                message = f"view {self.name}: {each.name} is derived from {', '.join(sorted(unknown))}, not declared before it"
                raise DefinitionError(message)
            seen.add(each.name)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The distinct windows, shortest first."""
        return tuple(sorted({each.over for each in self.features if each.over is not None}))

    @property
    def longest(self) -> Window:
        """The longest window: how far back a row's events reach, less one hop."""
        return self.windows[-1]

    @property
    def group(self) -> str:
        """The agent's name as an identifier."""
        return self.agent.replace("-", "_")

    def feature(self, name: str) -> Feature:
        """The feature called ``name``.

        Raises:
            KeyError: with the names that exist.
        """
        for each in self.features:
            if each.name == name:
                return each
        message = f"view {self.name} has no feature {name!r}; it has {', '.join(each.name for each in self.features)}"
        raise KeyError(message)


MAXIMUM_EVENTS: Final = 2**28
"""Events of one agent in one window that the arithmetic is proved for."""


def _prove_int64(name: str, aggregation: Aggregation) -> None:
    operand = aggregation.operand
    if operand is None:
        return
    magnitude = max(map(abs, operand.bounds))
    if aggregation.function in ("total", "mean", "std") and magnitude * MAXIMUM_EVENTS >= 2**63:
        message = f"feature {name}: values up to {magnitude} overflow int64 when {MAXIMUM_EVENTS} events are summed"
        raise DefinitionError(message)
    if aggregation.function == "std" and (magnitude * MAXIMUM_EVENTS) ** 2 >= 2**124:
        message = f"feature {name}: squares of values up to {magnitude} overflow 124 bits"
        raise DefinitionError(message)
    if magnitude >= 2**63:
        message = f"feature {name}: values up to {magnitude} do not fit int64"
        raise DefinitionError(message)


__all__ = ["MAXIMUM_EVENTS", "Feature", "FeatureView", "days", "hours"]
