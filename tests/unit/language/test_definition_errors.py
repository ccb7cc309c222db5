"""What cannot be is refused where it is written, with the part that is wrong and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.language import (
    Aggregation,
    DefinitionError,
    Feature,
    FeatureView,
    count,
    days,
    distinct,
    event,
    feature,
    hours,
    last,
    maximum,
    mean,
    minimum,
    quantile,
    rate,
    std,
    total,
)
from detektor_pipelines.language.expressions import INT64_MAXIMUM
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.language import Derived, Window

EVENTS = event.issues_found


def made(value: Aggregation | Derived, *, name: str = "some_count", over: Window | None = None, **more: Any) -> Feature:
    texts = {"description": "Text.", "unit": "things", "null_means": "Nothing."}
    return Feature(name, value, over=over, **{**texts, **more})


def view(*features: Feature, **more: Any) -> FeatureView:
    texts: dict[str, Any] = {"name": "some_features", "agent": "code-reviewer", "version": "1.0.0", "owner": "x", "description": "Text."}
    return FeatureView(**{**texts, "features": features or (made(count(), over=days(1)),), **more})


EXPRESSIONS: dict[str, tuple[Callable[[], object], str]] = {
    "unknown column": (
        lambda: event.issues,
        r"an event has no column 'issues'; there are: occurred_at, operation, project, .*issues_found",
    ),
    "text and integer": (lambda: event.verdict == 3, r"\['column', 'verdict'\] = \['constant', 3\]: text and integers do not compare"),
    "integer and text": (lambda: EVENTS > "3", r"\['column', 'issues_found'\] > .*: text and integers do not compare"),
    "order of texts": (lambda: event.verdict < "rejected", r"\['column', 'verdict'\] < .*: text compares with == and != only"),
    "no such value": (lambda: event.verdict == "maybe", r"event\.verdict is never 'maybe'; it is one of approved, rejected"),
    "no such operation": (lambda: event.operation == "reviewing", r"event\.operation is never 'reviewing'; it is one of review, deploy"),
    "no such value among others": (lambda: event.stage.is_in(("rtsp", "kafka")), r"event\.stage is never 'kafka'; it is one of rtsp"),
    "none of nothing": (lambda: EVENTS.is_in(()), r"\['column', 'issues_found'\]\.is_in\(…\) needs at least one value"),
    "a float": (lambda: EVENTS > 0.5, r"0\.5 cannot stand in an expression: use a column, an integer or a text"),
    "a truth value": (lambda: EVENTS == True, r"True cannot stand in an expression"),  # noqa: E712
    "nothing": (lambda: EVENTS == None, r"None cannot stand in an expression"),  # noqa: E711
    "arithmetic of text": (lambda: event.verdict + 1, r"\['column', 'verdict'\] \+ \['constant', 1\]: text has no arithmetic"),
    "and": (lambda: (EVENTS > 1) and (EVENTS < 5), r"combine predicates with &, \| and ~, not with and/or/not"),
    "not": (lambda: not (EVENTS > 1), r"combine predicates with &, \| and ~"),
    "a chain": (lambda: 1 < EVENTS < 5, r"combine predicates with &, \| and ~"),
    "a column as predicate": (lambda: (EVENTS > 1) & event.verdict, r"is no predicate: put each comparison beside & and \| in parentheses"),  # type: ignore[operator]
    "beyond int64": (lambda: event.input_tokens * event.input_tokens * event.input_tokens, r"reaches 0 … 10{27}: more than int64 holds"),
    "a literal beyond int64": (lambda: EVENTS < INT64_MAXIMUM + 1, r"9223372036854775808 is more than int64 holds"),
    "range of a text": (lambda: event.verdict.bounds, r"\['column', 'verdict'\] is no integer and has no range"),
}

AGGREGATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "total of text": (lambda: total(event.verdict), r"total\(…\) takes an integer value, such as event\.duration_ms"),
    "mean of an instant": (lambda: mean(event.occurred_at), r"mean\(…\) takes an integer value"),
    "std of a condition": (lambda: std(EVENTS > 1), r"std\(…\) takes an integer value"),  # type: ignore[arg-type]
    "minimum of text": (lambda: minimum(event.verdict), r"minimum\(…\) takes an integer value"),
    "maximum of a number": (lambda: maximum(5), r"maximum\(…\) takes an integer value"),  # type: ignore[arg-type]
    "last of text": (lambda: last(event.verdict), r"last\(…\) takes an integer value"),
    "rate of a value": (lambda: rate(EVENTS), r"rate\(…\) takes a condition, such as event\.verdict == 'rejected'"),  # type: ignore[arg-type]
    "distinct of arithmetic": (lambda: distinct(EVENTS + 1), r"distinct\(…\) takes a column, such as event\.task_id"),  # type: ignore[arg-type]
    "q of 0": (lambda: quantile(EVENTS, "0", edges=(1,)), r"quantile\(…, '0'\): q is a decimal in \(0, 1\] of at most six places"),
    "q above 1": (lambda: quantile(EVENTS, "1.1", edges=(1,)), r"quantile\(…, '1\.1'\): q is a decimal in \(0, 1\]"),
    "q as a float": (lambda: quantile(EVENTS, 0.9, edges=(1,)), r"quantile\(…, 0\.9\): .* as text: '0\.9'"),  # type: ignore[arg-type]
    "q of many places": (lambda: quantile(EVENTS, "0.1234567", edges=(1,)), r"of at most six places"),
    "q as a word": (lambda: quantile(EVENTS, "half", edges=(1,)), r"quantile\(…, 'half'\)"),
    "no edges": (lambda: quantile(EVENTS, "0.5", edges=()), r"edges are 1 to 64 rising integers, here \(\)"),
    "65 edges": (lambda: quantile(EVENTS, "0.5", edges=tuple(range(65))), r"edges are 1 to 64 rising integers"),
    "falling edges": (lambda: quantile(EVENTS, "0.5", edges=(5, 3)), r"edges are 1 to 64 rising integers, here \(5, 3\)"),
    "an edge twice": (lambda: quantile(EVENTS, "0.5", edges=(5, 5)), r"edges are 1 to 64 rising integers"),
    "broken edges": (lambda: quantile(EVENTS, "0.5", edges=(0.5, 1)), r"edges are 1 to 64 rising integers"),  # type: ignore[arg-type]
    "edges outside": (lambda: quantile(EVENTS, "0.5", edges=(-1, 10_001)), r"edges -1 … 10001 leave the value's range 0 … 10000"),
    "quantile of text": (lambda: quantile(event.verdict, "0.5", edges=(1,)), r"quantile\(…\) takes an integer value"),
}

FEATURES: dict[str, tuple[Callable[[], object], str]] = {
    "a name in capitals": (lambda: made(count(), name="Count", over=days(1)), r"feature name 'Count': use lower_snake_case of 2 to 60"),
    "a name of 61": (lambda: made(count(), name="a" * 61, over=days(1)), r"use lower_snake_case of 2 to 60 characters"),
    "a name with a newline": (lambda: made(count(), name="name\n", over=days(1)), r"use lower_snake_case"),
    "no description": (lambda: made(count(), over=days(1), description=""), r"feature some_count: a description and a unit are needed"),
    "no unit": (lambda: made(count(), over=days(1), unit=""), r"feature some_count: a description and a unit are needed"),
    "no meaning of null": (
        lambda: made(mean(EVENTS), over=days(1), null_means=""),
        r"feature some_count can be null: say what null means \(null_means=…\)",
    ),
    "no window": (lambda: made(count()), r"feature some_count: an aggregation needs a window \(over=days\(7\)\)"),
    "a derived one with a window": (
        lambda: made(feature("a") + 1, over=days(1)),
        r"feature some_count: a derived feature has no window and no filter of its own",
    ),
    "a derived one with a filter": (lambda: made(feature("a") + 1, where=EVENTS > 1), r"a derived feature has no window and no filter"),
    "a filter that is none": (
        lambda: made(count(), over=days(1), where=EVENTS),
        r"feature some_count: where takes a condition, such as event\.operation == 'review'",
    ),
    "a sum beyond int64": (
        lambda: made(total(event.input_tokens * 100), over=days(1)),
        r"feature some_count: values up to 100000000000 overflow int64 when 268435456 events are summed",
    ),
    "a mean beyond int64": (lambda: made(mean(event.duration_ms * event.attempt), over=days(1)), r"overflow int64 when 268435456 events"),
    "squares beyond 128 bits": (
        lambda: made(std(event.lead_time_ms * 4), over=days(1)),
        r"feature some_count: squares of values up to 31104000000 overflow 124 bits",
    ),
    "text in a derived one": (
        lambda: feature("a") + "b",  # type: ignore[operator]
        r"'b' cannot stand in a derived feature: use feature\('name'\) or a number",
    ),
    "a truth value in a derived one": (lambda: feature("a") * True, r"True cannot stand in a derived feature"),
}

VIEWS: dict[str, tuple[Callable[[], object], str]] = {
    "no such agent": (lambda: view(agent="reviewer"), r"view some_features: 'reviewer' is none of the agents code-reviewer, "),
    "a name with a dash": (lambda: view(name="some-features"), r"view 'some-features' '1\.0\.0': lower_snake_case and a version such as"),
    "a version of two numbers": (lambda: view(version="1.0"), r"view 'some_features' '1\.0': .* a version such as 1\.2\.0 are needed"),
    "a grain of 7 h": (lambda: view(grain=7 * HOUR), r"view some_features: a grain of 25200000000 µs does not divide a day"),
    "a grain of 2 d": (lambda: view(grain=2 * DAY), r"does not divide a day"),
    "no grain": (lambda: view(grain=0), r"a grain of 0 µs does not divide a day"),
    "a grain beside the hop": (
        lambda: view(made(count(), over=hours(1)), grain=8 * MINUTE),
        r"of a grain of 480000000 µs and the hop of a window of 1h \(300000000 µs\), neither divides the other",
    ),
    "no aggregation": (lambda: view(made(feature("a") + 1)), r"view some_features has no aggregation"),
    "a name twice": (
        lambda: view(made(count(), over=days(1)), made(count(), over=days(2))),
        r"some_features: the name some_count is taken",
    ),
    "a name of the rows": (lambda: view(made(count(), name="created_at", over=days(1))), r"the name created_at is taken"),
    "derived from nothing": (
        lambda: view(made(count(), over=days(1)), made(feature("other") + feature("some_count"), name="derived")),
        r"view some_features: derived is derived from other, not declared before it",
    ),
    "derived from what comes later": (
        lambda: view(made(feature("some_count") + 1, name="derived"), made(count(), over=days(1))),
        r"derived is derived from some_count, not declared before it",
    ),
    "derived from the key": (
        lambda: view(made(count(), over=days(1)), made(feature("agent_id") + 1, name="derived")),
        r"derived is derived from agent_id, not declared before it",
    ),
}

ALL = {**EXPRESSIONS, **AGGREGATIONS, **FEATURES, **VIEWS}


@pytest.mark.parametrize("what", ALL)
def test_what_cannot_be_is_refused_with_what_is_allowed(what: str) -> None:
    make, message = ALL[what]

    with pytest.raises(DefinitionError, match=message):
        make()


def test_each_refusal_was_written_once() -> None:
    assert len(ALL) == sum(map(len, (EXPRESSIONS, AGGREGATIONS, FEATURES, VIEWS)))


def test_an_unknown_feature_is_answered_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="view some_features has no feature 'other'; it has some_count"):
        view().feature("other")


def test_the_greatest_measures_are_within_the_proof() -> None:
    view(
        made(total(event.lead_time_ms), name="lead", over=days(30)),
        made(std(event.lead_time_ms), name="lead_std", over=days(30)),
        made(maximum(event.duration_ms * event.attempt), name="longest", over=days(30)),
    )


def test_python_still_finds_what_is_no_column() -> None:
    """Copying and pickling ask for names such as __deepcopy__: that is no mistake in a definition."""
    assert not hasattr(event, "__deepcopy__")
