"""Features and feature views: what a catalogue file declares, and the limits within which every part of the platform can do it."""

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from detektor_pipelines.language.aggregations import Aggregation, ValueType
from detektor_pipelines.language.derived import Combination, Derived, Reference
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.language.expressions import INT64_MAXIMUM, MAXIMUM_DEPTH, DefinitionError, Expression, Operand, Predicate, depth
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, Window, days, hours

Number = int | float
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,59}\Z")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+\Z")

MINIMUM_GRAIN: Final = MINUTE
"""A row an event, which is what a finer grain comes to, is the log itself; values at any instant are computed from that."""
MAXIMUM_INSTANTS: Final = 10_000
"""Grain instants in the longest window: an event that becomes known late is counted at each of them."""
MAXIMUM_VIEW_NAME: Final = 49
"""PostgreSQL's names end at 63 characters, and that of a row table carries two underscores and twelve of the hash."""
MAXIMUM_FEATURES: Final = 500
"""A row is one row of a PostgreSQL table, which fits into a page of 8 kB."""
MAXIMUM_NODES: Final = 10_000
"""Parts of a derived feature, with those of the features that it is made of: each value walks all of them."""

ANSWER_NAMES: Final = frozenset(
    [
        "agent_id",
        "status",
        "statuses",
        "age",
        "event_timestamp",
        "source",
        "is_fallback",
        "as_dict",
        "from_answer",
        "get",
        "items",
        "keys",
        "values",
    ]
)
"""Names that the client's answers have already, which a feature therefore cannot have."""
_ROW_NAMES: Final = frozenset({"agent_id", "event_timestamp", "created_at", "written_at"})
_VIEW_NAMES: Final = frozenset({"agent_features_historical"})
"""Relations of the schema `feast` that are not views' own."""


@dataclass(frozen=True)
class Feature:
    """One feature: an aggregation over a window, or arithmetic over other features of the view.

    Args:
        name: lower_snake_case; the unit stands in it (`_seconds`, `_lines`) or in `unit`.
        value: an `Aggregation`, or `Derived` arithmetic over features declared earlier in the view.
        over: the window of an aggregation; none for a derived feature.
        where: only events for which this is TRUE take part.
        description: one sentence a person understands.
        unit: unit of the value (`reviews`, `seconds`, `share`).
        null_means: what null says; empty for a feature that is never null.
        within: inclusive bounds that a sane value keeps, `None` for an open end; the validation gate holds them.

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
        if keyword.iskeyword(self.name) or self.name in ANSWER_NAMES:
            message = f"feature name {self.name!r}: Python, or the client's answers, have that name already"
            raise DefinitionError(message)
        if not isinstance(self.value, Aggregation | Derived):
            message = f"feature {self.name}: a value is an aggregation (count()) or arithmetic over features (feature('name') / 2)"
            raise DefinitionError(message)
        self._check_bounds()
        if isinstance(self.value, Aggregation):
            self._check_aggregation(self.value)
        elif self.over is not None or self.where is not None:
            message = f"feature {self.name}: a derived feature has no window and no filter of its own"
            raise DefinitionError(message)
        if self.nullable and not self.null_means:
            message = f"feature {self.name} can be null: say what null means (null_means=…)"
            raise DefinitionError(message)

    def _check_aggregation(self, aggregation: Aggregation) -> None:
        if not isinstance(self.over, Window):
            message = f"feature {self.name}: an aggregation needs a window (over=days(7))"
            raise DefinitionError(message)
        if self.where is not None and not isinstance(self.where, Predicate):
            message = f"feature {self.name}: where takes a condition, such as event.operation == 'review'"
            raise DefinitionError(message)
        for each in (aggregation.operand, self.where):
            if isinstance(each, Expression) and (nested := depth(each)) > MAXIMUM_DEPTH:
                limit = f"at most {MAXIMUM_DEPTH} can be; is_in(…) nests its values"
                message = f"feature {self.name}: an expression is nested {nested} deep, {limit}"
                raise DefinitionError(message)
        if isinstance(aggregation.operand, Operand) and aggregation.operand.kind == "integer":
            _prove_int64(self.name, aggregation)

    def _check_bounds(self) -> None:
        low, high = self.within
        for each in (low, high):
            if each is not None and not _is_bound(each):
                message = f"feature {self.name}: {each!r} is not a bound of a value; give a number, or None for an open end"
                raise DefinitionError(message)
        if low is not None and high is not None and low > high:
            message = f"feature {self.name}: no value is within {low:,} … {high:,}"
            raise DefinitionError(message)
        if self.value_type in ("instant", "text") and (low is not None or high is not None):
            what = "a timestamp" if self.value_type == "instant" else "a text or a list"
            message = f"feature {self.name}: {what} has no bounds; leave within out"
            raise DefinitionError(message)

    @property
    def value_type(self) -> ValueType:
        """`int64`, `float64`, `instant` (µs UTC) or `text`."""
        return self.value.value_type if isinstance(self.value, Aggregation) else "float64"

    @property
    def nullable(self) -> bool:
        """Whether the value can be null."""
        return not isinstance(self.value, Aggregation) or self.value.empty is None


@dataclass(frozen=True)
class FeatureView:
    """The features of one agent: computed together, stored together, versioned together.

    `grain` is the step of the stored rows in µs: a minute or more, it divides a day, divides or is divided by each window's hop,
    and is part of the data hash. `max_age` is how far the online values' `valid_through` may lie behind now before a read says
    OUTSIDE_MAX_AGE.

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
            message = f"view {self.name}: {self.agent!r} is not one of the agents {', '.join(AGENT_TYPES)}"
            raise DefinitionError(message)
        if not _NAME.match(self.name) or not _VERSION.match(self.version):
            message = f"view {self.name!r} {self.version!r}: lower_snake_case and a version such as 1.2.0 are needed"
            raise DefinitionError(message)
        if len(self.name) > MAXIMUM_VIEW_NAME or self.name in _VIEW_NAMES:
            message = f"view {self.name}: another name is needed, of at most {MAXIMUM_VIEW_NAME} characters: its table's carries a hash too"
            raise DefinitionError(message)
        if len(self.features) > MAXIMUM_FEATURES:
            message = f"view {self.name} has {len(self.features)} features; a row of a table holds {MAXIMUM_FEATURES}: split the view"
            raise DefinitionError(message)
        if not isinstance(self.max_age, Window):
            message = f"view {self.name}: max_age is a length of time, such as hours(26)"
            raise DefinitionError(message)
        if not any(isinstance(feature.value, Aggregation) for feature in self.features):
            message = f"view {self.name} has no aggregation"
            raise DefinitionError(message)
        self._check_grain()
        self._check_names()

    def _check_grain(self) -> None:
        if type(self.grain) is not int or self.grain <= 0 or DAY % self.grain:
            message = f"view {self.name}: a grain of {self.grain} µs does not divide a day"
            raise DefinitionError(message)
        if self.grain < MINIMUM_GRAIN:
            least = f"the least is a minute ({MINIMUM_GRAIN} µs)"
            message = f"view {self.name}: a grain of {self.grain} µs makes a row of nearly every event; {least}"
            raise DefinitionError(message)
        for window in self.windows:
            if self.grain % window.hop and window.hop % self.grain:
                hop = f"the hop of a window of {window.label} ({window.hop} µs)"
                message = f"view {self.name}: of a grain of {self.grain} µs and {hop}, neither divides the other"
                raise DefinitionError(message)
        instants = (self.longest.size + self.longest.hop) // self.grain
        if instants > MAXIMUM_INSTANTS:
            counted = f"is counted at {instants:,} timestamps when it becomes known late, {MAXIMUM_INSTANTS:,} are the most"
            message = f"view {self.name}: an event in a window of {self.longest.label} {counted}; take a coarser grain than {self.grain} µs"
            raise DefinitionError(message)

    def _check_names(self) -> None:
        nodes: dict[str, int] = {}
        texts = {each.name for each in self.features if each.value_type == "text"}
        for each in self.features:
            if each.name in _ROW_NAMES or each.name in nodes:
                message = f"view {self.name}: the name {each.name} is taken"
                raise DefinitionError(message)
            if isinstance(each.value, Derived) and (unknown := each.value.features() - nodes.keys()):
                message = f"view {self.name}: {each.name} is derived from {', '.join(sorted(unknown))}, not declared before it"
                raise DefinitionError(message)
            if isinstance(each.value, Derived) and (wrong := each.value.features() & texts):
                message = (
                    f"view {self.name}: {each.name} is derived from {', '.join(sorted(wrong))}, a text or a list: those have no arithmetic"
                )
                raise DefinitionError(message)
            nodes[each.name] = _nodes(each.value, nodes) if isinstance(each.value, Derived) else 1
            if nodes[each.name] > MAXIMUM_NODES:
                message = f"view {self.name}: {each.name} is made of {nodes[each.name]:,} parts, at most {MAXIMUM_NODES:,} can be"
                raise DefinitionError(message)

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
        """The feature called `name`.

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


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= INT64_MAXIMUM


def _nodes(value: Derived, known: Mapping[str, int]) -> int:
    """How many parts a derived value has when each feature that it names is written out."""
    total, waiting = 0, [value]
    while waiting:
        match waiting.pop():
            case Reference(name):
                total += known[name]
            case Combination(left=left, right=right):
                total += 1
                waiting += [left, right]
            case _:
                total += 1
    return total


def _prove_int64(name: str, aggregation: Aggregation) -> None:
    operand = aggregation.operand
    if operand is None:
        return
    magnitude = max(map(abs, operand.bounds))
    if aggregation.function in ("total", "mean", "variance", "std", "skewness") and magnitude * MAXIMUM_EVENTS >= 2**63:
        message = f"feature {name}: values up to {magnitude} overflow int64 when {MAXIMUM_EVENTS} events are summed"
        raise DefinitionError(message)
    if aggregation.function in ("variance", "std", "skewness") and (magnitude * MAXIMUM_EVENTS) ** 2 >= 2**124:
        message = f"feature {name}: squares of values up to {magnitude} overflow 124 bits"
        raise DefinitionError(message)
    if aggregation.function == "skewness" and magnitude**3 * MAXIMUM_EVENTS >= 2**124:
        message = f"feature {name}: cubes of values up to {magnitude} overflow 124 bits when {MAXIMUM_EVENTS} events are summed"
        raise DefinitionError(message)
    if magnitude >= 2**63:
        message = f"feature {name}: values up to {magnitude} do not fit int64"
        raise DefinitionError(message)


__all__ = ["MAXIMUM_EVENTS", "Feature", "FeatureView", "days", "hours"]
