"""What cannot be is refused where it is written, with the part that is wrong and what is allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.language import (
    Aggregation,
    DefinitionError,
    Feature,
    FeatureView,
    count,
    counts_by,
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
from detektor_pipelines.language.expressions import INT64_MAXIMUM, Constant
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


def by_category(column: Any, values: Any = ()) -> tuple[Feature, ...]:
    return counts_by("calls", column, values=values, over=days(1), description="Calls", unit="calls")


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
    "a column as predicate": (
        lambda: (EVENTS > 1) & event.verdict,
        r"is not a predicate: put each comparison beside & and \| in parentheses",
    ),  # type: ignore[operator]
    "beyond int64": (lambda: event.input_tokens * event.input_tokens * event.input_tokens, r"reaches 0 … 10{27}: more than int64 holds"),
    "a literal beyond int64": (lambda: EVENTS < INT64_MAXIMUM + 1, r"9223372036854775808 is more than int64 holds"),
    "a text with a NUL": (lambda: event.topic == "a\0b", r"'a\\x00b' is a text that no event can hold: it has a NUL or half a character"),
    "half a character": (lambda: event.topic == "\ud800", r"is a text that no event can hold"),
    "range of a text": (lambda: event.verdict.bounds, r"\['column', 'verdict'\] is not an integer and has no range"),
}

AGGREGATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "total of text": (lambda: total(event.verdict), r"total\(…\) takes an integer value, such as event\.duration_ms"),
    "mean of an instant": (lambda: mean(event.occurred_at), r"mean\(…\) takes an integer value"),
    "std of a condition": (lambda: std(EVENTS > 1), r"std\(…\) takes an integer value"),  # type: ignore[arg-type]
    "minimum of text": (lambda: minimum(event.verdict), r"minimum\(…\) takes an integer value"),
    "maximum of a number": (lambda: maximum(5), r"maximum\(…\) takes an integer value"),  # type: ignore[arg-type]
    "last of a text that is none of the event's": (lambda: last(Constant("a")), r"last\(…\) takes an integer value"),
    "first of a condition": (lambda: first(event.verdict == "approved"), r"first\(…\) takes an integer value"),  # type: ignore[arg-type]
    "a list of instants": (
        lambda: last_k(event.occurred_at, 2),
        r"last_k\(event\.occurred_at, …\): a list holds integers or texts; last\(…\) and first\(…\) take a timestamp",
    ),
    "the greatest texts": (lambda: top_k(event.verdict, 2), r"top_k\(…\) takes an integer value"),
    "a list of nothing": (lambda: last_k(EVENTS, 0), r"last_k\(…, 0\): a list has 1 to 32 values"),
    "a list of 33": (lambda: top_k(EVENTS, 33), r"top_k\(…, 33\): a list has 1 to 32 values"),
    "a list of True": (lambda: top_k(EVENTS, k=True), r"top_k\(…, True\): a list has 1 to 32 values"),
    "variance of text": (lambda: variance(event.verdict), r"variance\(…\) takes an integer value"),
    "counts by a number": (lambda: by_category(EVENTS), r"counts_by\('calls', …\): takes a text column"),
    "counts by an open vocabulary": (lambda: by_category(event.tool_name), r"name the values \(values=\('Edit', 'Bash'\)\)"),
    "counts by one text for several": (lambda: by_category(event.tool_name, "Bash"), r"name the values"),
    "counts by what never is": (lambda: by_category(event.verdict, ("maybe",)), r"maybe is none of approved, rejected"),
    "counts of one name": (lambda: by_category(event.tool_name, ("a b", "A-B")), r"two values have one name, or one is 'other': A-B, a b"),
    "counts of the other": (lambda: by_category(event.tool_name, ("Other",)), r"two values have one name, or one is 'other': Other"),
    "counts of 101": (lambda: by_category(event.tool_name, [f"t{n}" for n in range(101)]), r"101 values, at most 100 can be told apart"),
    "rate of a value": (lambda: rate(EVENTS), r"rate\(…\) takes a condition, such as event\.verdict == 'rejected'"),  # type: ignore[arg-type]
    "distinct of arithmetic": (lambda: distinct(EVENTS + 1), r"distinct\(…\) takes a column, such as event\.task_id"),  # type: ignore[arg-type]
    "distinct instants": (
        lambda: distinct(event.occurred_at),
        r"distinct\(event\.occurred_at\): hardly any two events share a timestamp, use count\(\) for their number",
    ),
    "one edge": (lambda: quantile(EVENTS, "0.5", edges=5), r"edges are 1 to 64 rising integers, here 5"),  # type: ignore[arg-type]
    "edges of truth": (lambda: quantile(EVENTS, "0.5", edges=(False, True)), r"edges are 1 to 64 rising integers"),
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
    "a name of Python": (lambda: made(count(), name="import", over=days(1)), r"feature name 'import': Python, or the client's answers"),
    "a name of an answer": (lambda: made(count(), name="statuses", over=days(1)), r"feature name 'statuses': Python, or the client's"),
    "a number as value": (
        lambda: made(5, over=days(1)),  # type: ignore[arg-type]
        r"feature some_count: a value is an aggregation \(count\(\)\) or arithmetic over features",
    ),
    "a number as window": (lambda: made(count(), over=7), r"feature some_count: an aggregation needs a window"),  # type: ignore[arg-type]
    "bounds the wrong way": (lambda: made(count(), over=days(1), within=(5, 1)), r"feature some_count: no value is within 5 … 1"),
    "a bound that is not a number": (
        lambda: made(count(), over=days(1), within=(math.nan, None)),
        r"some_count: nan is not a bound of a value",
    ),
    "an endless bound": (
        lambda: made(count(), over=days(1), within=(0, math.inf)),
        r"inf is not a bound of a value; .* None for an open end",
    ),
    "a bound of 400 digits": (lambda: made(count(), over=days(1), within=(0, 10**400)), r"is not a bound of a value"),
    "bounds of a text": (
        lambda: made(last(event.verdict), over=days(1), within=(0, None)),
        r"feature some_count: a text or a list has no bounds; leave within out",
    ),
    "cubes beyond 124 bits": (
        lambda: made(skewness(event.input_tokens * 8), over=days(1)),
        r"feature some_count: cubes of values up to 8000000000 overflow 124 bits when 268435456 events are summed",
    ),
    "squares beyond 124 bits": (
        lambda: made(variance(event.input_tokens * 30), over=days(1)),
        r"feature some_count: squares of values up to 30000000000 overflow 124 bits",
    ),
    "bounds of an instant": (
        lambda: made(last(event.occurred_at), over=days(1), within=(0, None)),
        r"feature some_count: a timestamp has no bounds; leave within out",
    ),
    "a filter of 201 values": (
        lambda: made(count(), over=days(1), where=EVENTS.is_in(range(201))),
        r"feature some_count: an expression is nested 202 deep, at most 200 can be; is_in\(…\) nests its values",
    ),
    "a value of 300 summands": (
        lambda: made(total(sum((EVENTS for _ in range(300)), EVENTS)), over=days(1)),
        r"an expression is nested 301 deep",
    ),
    "an endless number in a derived one": (
        lambda: feature("a") * math.inf,
        r"inf in a derived feature: a number of at most 1e\+300 is needed, all else gives null",
    ),
    "no number in a derived one": (lambda: feature("a") + math.nan, r"nan in a derived feature"),
    "400 digits in a derived one": (lambda: feature("a") + 10**400, r"in a derived feature: a number of at most"),
    "text in a derived one": (
        lambda: feature("a") + "b",  # type: ignore[operator]
        r"'b' cannot stand in a derived feature: use feature\('name'\) or a number",
    ),
    "a truth value in a derived one": (lambda: feature("a") * True, r"True cannot stand in a derived feature"),
}

VIEWS: dict[str, tuple[Callable[[], object], str]] = {
    "no such agent": (lambda: view(agent="reviewer"), r"view some_features: 'reviewer' is not one of the agents code-reviewer, "),
    "a name with a dash": (lambda: view(name="some-features"), r"view 'some-features' '1\.0\.0': lower_snake_case and a version such as"),
    "a version of two numbers": (lambda: view(version="1.0"), r"view 'some_features' '1\.0': .* a version such as 1\.2\.0 are needed"),
    "a grain of 7 h": (lambda: view(grain=7 * HOUR), r"view some_features: a grain of 25200000000 µs does not divide a day"),
    "a grain of 2 d": (lambda: view(grain=2 * DAY), r"does not divide a day"),
    "no grain": (lambda: view(grain=0), r"a grain of 0 µs does not divide a day"),
    "a grain of 1 µs": (
        lambda: view(grain=1),
        r"view some_features: a grain of 1 µs makes a row of nearly every event; the least is a minute \(60000000 µs\)",
    ),
    "a grain of 30 s": (lambda: view(grain=MINUTE // 2), r"a grain of 30000000 µs makes a row of nearly every event"),
    "a negative grain": (lambda: view(grain=-HOUR), r"a grain of -3600000000 µs does not divide a day"),
    "a grain that is not an integer": (lambda: view(grain=float(HOUR)), r"a grain of 3600000000\.0 µs does not divide a day"),
    "a grain too fine for its window": (
        lambda: view(made(count(), over=days(30)), grain=MINUTE),
        r"an event in a window of 30d is counted at 44,640 timestamps when it becomes known late, 10,000 are the most; take a coarser",
    ),
    "an age that is not a window": (lambda: view(max_age=26), r"view some_features: max_age is a length of time, such as hours\(26\)"),
    "a name of 50": (lambda: view(name="a" * 50), r"another name is needed, of at most 49 characters: its table's carries a hash too"),
    "the name of all views": (lambda: view(name="agent_features_historical"), r"view agent_features_historical: another name is needed"),
    "501 features": (
        lambda: view(*(made(count(), name=f"f{number}", over=days(1)) for number in range(501))),
        r"view some_features has 501 features; a row of a table holds 500: split the view",
    ),
    "derived features that double": (
        lambda: view(
            made(count(), over=days(1), name="f0"),
            *(made(feature(f"f{number}") + feature(f"f{number}"), name=f"f{number + 1}") for number in range(20)),
        ),
        r"view some_features: f13 is made of 16,383 parts, at most 10,000 can be",
    ),
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
    "derived from a list": (
        lambda: view(made(last_k(EVENTS, 3), over=days(1)), made(feature("some_count") + 1, name="derived")),
        r"view some_features: derived is derived from some_count, a text or a list: those have no arithmetic",
    ),
    "derived from the key": (
        lambda: view(made(count(), over=days(1)), made(feature("agent_id") + 1, name="derived")),
        r"derived is derived from agent_id, not declared before it",
    ),
}

WINDOWS: dict[str, tuple[Callable[[], object], str]] = {
    "no time": (lambda: days(0), r"a window of 0 µs is not a positive multiple of its hop"),
    "less than no time": (lambda: hours(-1), r"a window of -3600000000 µs is not a positive multiple of its hop"),
    "half a day": (lambda: days(0.5), r"days\(0\.5\): a window is a whole number of days"),  # type: ignore[arg-type]
    "a day as text": (lambda: days("1"), r"days\('1'\): a window is a whole number of days"),  # type: ignore[arg-type]
    "a truth as a day": (lambda: days(n=True), r"days\(True\): a window is a whole number of days"),
    "beside its hop": (lambda: minutes(7), r"a window of 420000000 µs is not a positive multiple of its hop \(300000000 µs\)"),
    "eleven years": (lambda: days(4_015), r"a window of 4,015 days: the longest is 3,650, as every run reads so much of the log"),
    "beyond all times": (lambda: days(10**12), r"a window of 1,000,000,000,000 days: the longest is 3,650"),
}

ALL = {**EXPRESSIONS, **AGGREGATIONS, **FEATURES, **VIEWS, **WINDOWS}


@pytest.mark.parametrize("what", ALL)
def test_what_cannot_be_is_refused_with_what_is_allowed(what: str) -> None:
    make, message = ALL[what]

    with pytest.raises(DefinitionError, match=message):
        make()


def test_each_refusal_was_written_once() -> None:
    assert len(ALL) == sum(map(len, (EXPRESSIONS, AGGREGATIONS, FEATURES, VIEWS, WINDOWS)))


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
    """Copying and pickling ask for names such as __deepcopy__: that is not a mistake in a definition."""
    assert not hasattr(event, "__deepcopy__")
