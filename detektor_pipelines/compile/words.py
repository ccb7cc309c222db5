"""Definitions in words: expressions, formulas, windows and bounds as a person reads them in the generated docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.derived import Combination, Derived, Number, Reference
from detektor_pipelines.language.expressions import (
    Arithmetic,
    Column,
    Compare,
    Constant,
    ExtraColumn,
    IsNull,
    Logic,
    Not,
    Operand,
    Predicate,
)
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from detektor_pipelines.language.aggregations import Aggregation
    from detektor_pipelines.language.expressions import Expression
    from detektor_pipelines.language.views import Feature

_PRECEDENCE: Final = {"+": 1, "-": 1, "*": 2, "/": 2}
_SIGNS: Final = {"=": "is", "<>": "is not", "<": "<", "<=": "≤", ">": ">", ">=": "≥"}


def operand(value: Operand) -> str:
    """A column, a literal or arithmetic over one event."""
    match value:
        case ExtraColumn():
            return f"extra.{value.declared}"
        case Column(name=name):
            return name
        case Constant(value=constant):
            return constant if isinstance(constant, str) else f"{constant:,}"
        case Arithmetic(operator=operator, left=left, right=right):
            return f"({operand(left)} {operator} {operand(right)})"
    raise AssertionError(value)


def condition(value: Predicate) -> str:
    """A condition on one event: `verdict is rejected and review_round is 1`."""
    match value:
        case Compare(operator=operator, left=left, right=right):
            return f"{operand(left)} {_SIGNS[operator]} {operand(right)}"
        case Logic(operator=operator, left=left, right=right):
            if choices := _choices(value):
                return f"{choices[0]} is one of {', '.join(choices[1:])}"
            return f"{_side(left, operator)} {operator} {_side(right, operator)}"
        case Not(operand=IsNull(operand=tested)):
            return f"{operand(tested)} is known"
        case Not(operand=negated):
            return f"not ({condition(negated)})"
        case IsNull(operand=tested):
            return f"{operand(tested)} is unknown"
    raise AssertionError(value)


def formula(feature: Feature) -> str:
    """How the value comes about, without window and filter: `sum of issues_found / number of events with one`."""
    if isinstance(feature.value, Derived):
        return derived(feature.value)
    return aggregation(feature.value)


def aggregation(value: Aggregation) -> str:
    """An aggregation over the events of a window."""
    if isinstance(value.operand, Predicate):
        return f"share of events with {condition(value.operand)}, among those where that is known"
    if not isinstance(value.operand, Operand):
        return "number of events"
    over = operand(value.operand)
    if value.function in ("first", "last") and over == "occurred_at":
        return f"timestamp of the {'latest' if value.function == 'last' else 'earliest'} event"
    share = "" if value.q is None else f"{float(value.q):g}"
    return {
        "total": f"sum of {over}",
        "mean": f"sum of {over}, divided by the number of events that know it",
        "minimum": f"least {over}",
        "maximum": f"greatest {over}",
        "variance": f"sample variance of {over}",
        "std": f"sample standard deviation of {over}",
        "skewness": f"sample skewness of {over}",
        "first": f"{over} of the earliest event that knows it",
        "last": f"{over} of the latest event that knows it",
        "last_k": f"list of {over} of the latest {value.k} events that know it, the latest first",
        "top_k": f"list of the {value.k} greatest {over}, the greatest first",
        "distinct": f"number of different {over}",
        "quantile": f"{share} quantile of {over}: upper edge of the bucket that holds rank ceil({share} · n), or the greatest if less",
    }[value.function]


def derived(value: Derived, above: int = 0) -> str:
    """Arithmetic over other features, with the parentheses that it needs."""
    match value:
        case Reference(name=name):
            return name
        case Number(value=number):
            return f"{number:g}"
        case Combination(operator=operator, left=left, right=right):
            own = _PRECEDENCE[operator]
            text = f"{derived(left, own)} {operator} {derived(right, own + 1)}"
            return f"({text})" if own < above else text
    raise AssertionError(value)


def bounds(feature: Feature) -> str:
    """The inclusive bounds of a sane value."""
    low, high = feature.within
    if low is None and high is None:
        return "none"
    if high is None:
        return f"≥ {low:,}"
    return f"≤ {high:,}" if low is None else f"{low:,} … {high:,}"


def quantile_error(value: Aggregation) -> str:
    """What a quantile over buckets can be wrong by."""
    if not isinstance(value.operand, Operand):
        raise TypeError(value)
    low = value.operand.bounds[0]
    widths = [upper - lower for lower, upper in zip((low, *value.edges), value.edges, strict=False)]
    return (
        "Never below the true quantile nor above the greatest value in the window, and above the former by less than the width of its "
        f"bucket: {min(widths):,} to {max(widths):,} up to {value.edges[-1]:,}. Beyond that it is the greatest value in the window."
    )


def duration(size: int) -> str:
    """A length of time: `7 days`, `6 hours`, `5 minutes`."""
    for unit, length in (("day", DAY), ("hour", HOUR)):
        if size % length == 0:
            return _plural(size // length, unit)
    return _plural(size // MINUTE, "minute")


def _plural(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _choices(value: Expression) -> list[str]:
    """Column and values of an `is_in`: the same column compared for equality, joined by or."""
    match value:
        case Compare(operator="=", left=Column() as column, right=Constant(value=constant)):
            return [operand(column), str(constant)]
        case Logic(operator="or", left=left, right=right):
            before, after = _choices(left), _choices(right)
            return [*before, *after[1:]] if before and after and before[0] == after[0] else []
    return []


def _side(value: Predicate, around: str) -> str:
    text = condition(value)
    return f"({text})" if isinstance(value, Logic) and value.operator != around and not _choices(value) else text
