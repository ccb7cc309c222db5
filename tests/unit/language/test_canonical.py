"""A definition as data, and back: nothing that either hash covers is lost, and what cannot come back says why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.language import (
    Aggregation,
    DefinitionError,
    Feature,
    FeatureView,
    Window,
    count,
    data_hash,
    days,
    distinct,
    event,
    feature,
    first,
    hours,
    last,
    last_k,
    maximum,
    mean,
    metadata_hash,
    minimum,
    minutes,
    quantile,
    rate,
    skewness,
    std,
    top_k,
    total,
    variance,
)
from detektor_pipelines.language.canonical import from_canonical, hash_of, to_canonical
from detektor_pipelines.language.events import AGENT_TYPES, MEASURES
from detektor_pipelines.language.expressions import Operand
from detektor_pipelines.language.views import MAXIMUM_EVENTS
from detektor_pipelines.language.windows import HOUR, MINUTE

if TYPE_CHECKING:
    from detektor_pipelines.language.derived import Derived
    from detektor_pipelines.language.expressions import Predicate

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
SMALL = [event.issues_found, event.duration_ms, event.attempt, event.score_milli]
BOUNDS = st.one_of(st.none(), st.integers(-5, 0), st.floats(-5, 0))


def operands(depth: int = 2) -> st.SearchStrategy[Operand]:
    """Arithmetic over columns and numbers, on either side."""
    columns = st.sampled_from(SMALL)
    if not depth:
        return columns
    sides = st.one_of(operands(depth - 1), st.integers(-9, 9))
    calculated = st.tuples(operands(depth - 1), st.sampled_from("+-*"), sides).map(calculate)
    return st.one_of(columns, calculated)


def calculate(parts: tuple[Any, str, Any]) -> Operand:
    left, sign, right = parts
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def predicates(depth: int = 2) -> st.SearchStrategy[Predicate]:
    texts = st.sampled_from(
        [
            event.operation == "review",
            event.verdict != "rejected",
            event.outcome.is_in(("success", "failure")),
            event.tool_name.is_null(),
            event.task_id.is_known(),
            event.occurred_at > 1_700_000_000_000_000,
        ]
    )
    numbers = st.tuples(operands(1), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), operands(1)).map(compared)
    if not depth:
        return st.one_of(texts, numbers)
    below = predicates(depth - 1)
    return st.one_of(texts, numbers, st.tuples(below, below).map(lambda two: two[0] & two[1]), below.map(lambda one: ~one | one))


def compared(parts: tuple[Any, str, Any]) -> Predicate:
    left, sign, right = parts
    made: dict[str, Any] = {
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }
    found: Predicate = made[sign]()
    return found


def aggregations() -> st.SearchStrategy[Aggregation]:
    whole = st.sampled_from([total, mean, minimum, maximum, first, last])
    share = st.integers(1, 1_000_000).map(lambda number: f"{number / 1_000_000:.6f}")
    return st.one_of(
        st.just(count()),
        st.tuples(whole, operands(1)).map(lambda pair: pair[0](pair[1])),
        st.sampled_from([std(event.duration_ms), distinct(event.task_id), distinct(event.attempt), last(event.occurred_at)]),
        st.sampled_from([variance(event.issues_found), skewness(event.issues_found), first(event.verdict), last(event.tool_name)]),
        st.integers(1, 32).map(lambda k: last_k(event.tool_name, k)),
        st.integers(1, 32).map(lambda k: top_k(event.issues_found - event.issues_minor, k)),
        predicates(1).map(rate),
        st.tuples(share, st.sets(st.integers(0, MEASURES["issues_found"].maximum), min_size=1, max_size=5)).map(
            lambda pair: quantile(event.issues_found, pair[0], edges=tuple(sorted(pair[1])))
        ),
    )


def fits(value: Aggregation) -> bool:
    """Whether sums of it are proved to fit into 64 bits: only such a feature can be declared."""
    if not isinstance(value.operand, Operand) or value.operand.kind != "integer":
        return True
    return max(map(abs, value.operand.bounds)) * MAXIMUM_EVENTS < 2**63


@st.composite
def views(draw: st.DrawFn) -> FeatureView:
    features: list[Feature] = []
    for number in range(draw(st.integers(1, 4))):
        value = draw(aggregations().filter(fits))
        bounds = (None, None) if value.value_type in ("instant", "text") else (draw(BOUNDS), None)
        features.append(
            Feature(
                f"f{number}",
                value,
                over=draw(st.sampled_from([days(1), days(7), days(30), hours(2), minutes(45)])),
                where=draw(st.one_of(st.none(), predicates())),
                description=draw(TEXTS),
                unit=draw(TEXTS),
                null_means=draw(TEXTS),
                within=bounds,
            )
        )
    if draw(st.booleans()) and all(each.value_type != "text" for each in features):
        features.append(Feature("ratio", draw(derived()), description="x", unit="x", null_means="x"))
    return FeatureView(
        "some_features",
        draw(st.sampled_from(AGENT_TYPES)),
        draw(st.sampled_from(["0.1.0", "1.0.0", "12.3.4"])),
        draw(TEXTS),
        draw(TEXTS),
        tuple(features),
        grain=draw(st.sampled_from([HOUR, 5 * MINUTE * 3])),
        max_age=draw(st.sampled_from([hours(26), days(3)])),
        tags=draw(st.sampled_from([(), (("team", "a"), ("team", "b"))])),
    )


@st.composite
def derived(draw: st.DrawFn) -> Derived:
    found: Derived = feature("f0")
    for number in draw(st.lists(st.one_of(st.floats(-1e300, 1e300), st.integers(1, 9)), min_size=1, max_size=4)):
        found = draw(st.sampled_from([found + number, found - number, found * number, found / number, found / feature("f0")]))
    return found


@given(views())
def test_what_comes_back_has_both_hashes(view: FeatureView) -> None:
    data = json.loads(json.dumps(to_canonical(view), ensure_ascii=False))
    back = from_canonical(data)

    assert (data_hash(back), metadata_hash(back)) == (data_hash(view), metadata_hash(view))
    assert hash_of(data) == data_hash(view)
    assert to_canonical(back) == to_canonical(view)


@pytest.mark.parametrize("view", DECLARED, ids=lambda view: view.name)
def test_the_catalogue_comes_back(view: FeatureView) -> None:
    assert data_hash(from_canonical(to_canonical(view))) == data_hash(view)


def some() -> dict[str, Any]:
    made = Feature("first", quantile(event.issues_found, "0.5", edges=(1, 2)), Window(HOUR), None, "x", "x", "x")
    view = FeatureView("some_features", "debugger", "1.0.0", "x", "x", (made, replace(made, name="second", value=mean(event.attempt))))
    found: dict[str, Any] = json.loads(json.dumps(to_canonical(view)))
    return found


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda data: data.update(semantics=0), "the rules 0, this release computes by the rules 1"),
        (lambda data: data["features"][0]["value"].__setitem__(5, 1), "a quantile by rule 1, this release computes by rule 2"),
        (lambda data: data["features"][1]["value"][1].__setitem__(1, "gone_ms"), "no column 'gone_ms'"),
        (lambda data: data["features"][1]["value"].__setitem__(0, "median"), "is no aggregation"),
        (lambda data: data["features"][1]["value"].__setitem__(1, ["=", ["column", "attempt"], ["constant", 1]]), "is no value"),
        (lambda data: data["features"][1].update(where=["column", "attempt"]), "is no condition"),
        (lambda data: data["features"][1].update(where=["xor", ["column", "a"], ["column", "b"]]), "is no expression"),
        (lambda data: data["features"][1].update(over=None), "is no arithmetic over features"),
        (lambda data: data["features"][1].pop("unit"), "not as it was written"),
        (lambda data: data.update(agent="nobody"), "not one of the agents"),
        (lambda data: data.update(max_age="a day"), "not as it was written"),
    ],
)
def test_what_cannot_come_back_says_why(break_it: Any, says: str) -> None:
    data = some()
    assert from_canonical(data)
    break_it(data)

    with pytest.raises(DefinitionError, match=says):
        from_canonical(data)
