"""A whole definition as data for JSON, and the definition back: what is kept of a version after its file has changed.

    to_canonical(view)       everything that both hashes cover, and the rules of the numbers that the data hash was made under
    from_canonical(data)     the view again: through the words of the language, so that what cannot be computed any more says why
    label_to_canonical, label_from_canonical    the same of a label

Both hashes of what comes back are those of what went in, which is what a reader of such data has to check (`data_hash`).
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from detektor_pipelines.language import aggregations
from detektor_pipelines.language.aggregations import QUANTILE_RULE, Aggregation
from detektor_pipelines.language.derived import Combination, Derived, Number, Reference
from detektor_pipelines.language.expressions import (
    Constant,
    DefinitionError,
    Expression,
    ExtraColumn,
    Operand,
    Predicate,
    event,
    extra_category,
    extra_measure,
)
from detektor_pipelines.language.hashes import LABEL_SEMANTICS_VERSION, SEMANTICS_VERSION, digest
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import Feature, FeatureView
from detektor_pipelines.language.windows import Window

OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
}
_LOGIC: Final = frozenset(("and", "or"))


def to_canonical(view: FeatureView) -> dict[str, Any]:
    """Return a definition as data: texts, numbers, lists and objects only."""
    return {
        "name": view.name,
        "version": view.version,
        "agent": view.agent,
        "owner": view.owner,
        "description": view.description,
        "semantics": SEMANTICS_VERSION,
        "grain": view.grain,
        "max_age": view.max_age.size,
        "tags": [list(pair) for pair in view.tags],
        "features": [_feature(each) for each in view.features],
    }


def from_canonical(data: Mapping[str, Any]) -> FeatureView:
    """Return the definition that `to_canonical` gave the data of.

    Raises:
        DefinitionError: It is no definition, or one of an earlier rule of the numbers, of a column or an agent that is gone.

    """
    try:
        if data["semantics"] != SEMANTICS_VERSION:
            message = f"its numbers follow the rules {data['semantics']}, this release computes by the rules {SEMANTICS_VERSION}"
            raise DefinitionError(message)
        return FeatureView(
            name=data["name"],
            agent=data["agent"],
            version=data["version"],
            owner=data["owner"],
            description=data["description"],
            features=tuple(_feature_of(each) for each in data["features"]),
            grain=data["grain"],
            max_age=Window(data["max_age"]),
            tags=tuple((name, text) for name, text in data["tags"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DefinitionError):
            raise
        message = f"the data of a definition is not as it was written: {error!r}"
        raise DefinitionError(message) from error


def label_to_canonical(label: Label) -> dict[str, Any]:
    """Return a label's definition as data."""
    return {
        "name": label.name,
        "agent": label.agent,
        "semantics": LABEL_SEMANTICS_VERSION,
        "condition": isinstance(label.value, Predicate),
        "value": label.value.canonical(),
        "where": label.where.canonical(),
        "decided_at": label.decided_at.canonical(),
        "later": None if label.later is None else label.later.canonical(),
        "within_next": None if label.within_next is None else label.within_next.size,
        "otherwise": label.otherwise,
        "description": label.description,
        "unit": label.unit,
        "null_means": label.null_means,
    }


def label_from_canonical(data: Mapping[str, Any]) -> Label:
    """Return the label that `label_to_canonical` gave the data of.

    Raises:
        DefinitionError: It is none, or one of an earlier rule of labels, of a column or an agent that is gone.

    """
    try:
        if data["semantics"] != LABEL_SEMANTICS_VERSION:
            message = f"its values follow the rules {data['semantics']}, this release reads labels by the rules {LABEL_SEMANTICS_VERSION}"
            raise DefinitionError(message)
        return Label(
            data["name"],
            _predicate(data["value"]) if data["condition"] else _operand(data["value"]),
            agent=data["agent"],
            where=_predicate(data["where"]),
            decided_at=_operand(data["decided_at"]),
            later=None if data["later"] is None else _predicate(data["later"]),
            within_next=None if data["within_next"] is None else Window(data["within_next"]),
            otherwise=data["otherwise"],
            description=data["description"],
            unit=data["unit"],
            null_means=data["null_means"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DefinitionError):
            raise
        message = f"the data of a label is not as it was written: {error!r}"
        raise DefinitionError(message) from error


def hash_of(data: Mapping[str, Any]) -> str:
    """Return the data hash of the definition that the data is of, also where it cannot be computed any more."""
    features = [[each["name"], each["value"], each["over"], each["where"]] for each in data["features"]]
    return digest({"semantics": data["semantics"], "agent": data["agent"], "grain": data["grain"], "features": features})


def _feature(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "value": feature.value.canonical(),
        "over": None if feature.over is None else feature.over.size,
        "where": None if feature.where is None else feature.where.canonical(),
        "description": feature.description,
        "unit": feature.unit,
        "null_means": feature.null_means,
        "within": list(feature.within),
    }


def _feature_of(data: Mapping[str, Any]) -> Feature:
    low, high = data["within"]
    return Feature(
        data["name"],
        _aggregation(data["value"]) if data["over"] is not None else _derived(data["value"]),
        over=None if data["over"] is None else Window(data["over"]),
        where=None if data["where"] is None else _predicate(data["where"]),
        description=data["description"],
        unit=data["unit"],
        null_means=data["null_means"],
        within=(low, high),
    )


def _aggregation(canonical: Any) -> Aggregation:
    match canonical:
        case ["count", None]:
            return aggregations.count()
        case ["quantile", operand, int(numerator), int(denominator), edges, rule]:
            if rule != QUANTILE_RULE:
                message = f"a quantile by rule {rule}, this release computes by rule {QUANTILE_RULE}"
                raise DefinitionError(message)
            share = format(Decimal(numerator) / Decimal(denominator), "f")
            return aggregations.quantile(_operand(operand), share, edges=tuple(edges))
        case [("last_k" | "top_k") as function, operand, int(k)]:
            listed: Aggregation = getattr(aggregations, function)(_operand(operand), k)
            return listed
        case ["rate", condition]:
            return aggregations.rate(_predicate(condition))
        case ["distinct", [("column" | "extra") as kind, name, *_] as column]:
            return aggregations.distinct(_extra(column) if kind == "extra" else getattr(event, name))
        case [("total" | "mean" | "minimum" | "maximum" | "variance" | "std" | "skewness" | "first" | "last") as function, operand]:
            made: Aggregation = getattr(aggregations, function)(_operand(operand))
            return made
    message = f"{canonical!r} is no aggregation"
    raise DefinitionError(message)


def _derived(canonical: Any) -> Derived:
    match canonical:
        case ["feature", str(name)]:
            return Reference(name)
        case ["number", str(digits)]:
            return Number(float.fromhex(digits))
        case [("+" | "-" | "*" | "/") as sign, left, right]:
            return Combination(sign, _derived(left), _derived(right))
    message = f"{canonical!r} is no arithmetic over features"
    raise DefinitionError(message)


def _expression(canonical: Any) -> Expression:
    match canonical:
        case ["column", str(name)]:
            column: Expression = getattr(event, name)
            return column
        case ["extra", *_]:
            return _extra(canonical)
        case ["constant", int(value) | str(value)]:
            return Constant(value)
        case ["not", operand]:
            return ~_predicate(operand)
        case ["is_null", operand]:
            return _operand(operand).is_null()
        case [str(sign), left, right] if sign in OPERATORS:
            part = _predicate if sign in _LOGIC else _operand
            made: Expression = OPERATORS[sign](part(left), part(right))
            return made
    message = f"{canonical!r} is no expression"
    raise DefinitionError(message)


def _extra(canonical: Any) -> ExtraColumn:
    match canonical:
        case ["extra", str(name)]:
            return extra_category(name)
        case ["extra", str(name), int(low), int(high)]:
            return extra_measure(name, low, high)
    message = f"{canonical!r} is no measure or category"
    raise DefinitionError(message)


def _predicate(canonical: Any) -> Predicate:
    found = _expression(canonical)
    if isinstance(found, Predicate):
        return found
    message = f"{canonical!r} is no condition"
    raise DefinitionError(message)


def _operand(canonical: Any) -> Operand:
    found = _expression(canonical)
    if isinstance(found, Operand):
        return found
    message = f"{canonical!r} is no value"
    raise DefinitionError(message)
