"""Rule 11: what an empty window gives, what a filter passes, what null does in each aggregation and in derived features."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.rule_views import happened, read, rows_of, view_of

from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.language import (
    Aggregation,
    DefinitionError,
    count,
    days,
    distinct,
    event,
    feature,
    last,
    maximum,
    mean,
    minimum,
    quantile,
    rate,
    std,
    total,
)
from detektor_pipelines.language.aggregations import MAXIMUM_EDGES

ISSUES = event.issues_found
REJECTED = event.verdict == "rejected"
FUNCTIONS: dict[str, Aggregation] = {
    "number": count(),
    "sum": total(ISSUES),
    "tasks": distinct(event.task_id),
    "avg": mean(ISSUES),
    "share": rate(REJECTED),
    "least": minimum(ISSUES),
    "most": maximum(ISSUES),
    "spread": std(ISSUES),
    "latest": last(ISSUES),
    "latest_at": last(event.occurred_at),
    "median": quantile(ISSUES, "0.5", edges=(1, 5, 20)),
}
VIEW = view_of({name: (value, days(1)) for name, value in FUNCTIONS.items()})


def at_ten(*events: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    """The row of 10:00 over events at 09:01, 09:02 and so on."""
    made = [happened(f"2026-03-05 09:{number:02d}", event_id=str(number), **values) for number, values in enumerate(events, 1)]
    view = view_of(definitions) if definitions else VIEW
    return next(row for row in rows_of(view, made) if row["at"] == "03-05 10:00")


def test_11_an_empty_window_counts_0_and_knows_nothing_else() -> None:
    rows = rows_of(VIEW, [happened("2026-03-05 10:00", verdict="rejected", task_id="t", issues_found=3)])
    terminal = rows[-1]

    assert terminal["at"] == "03-06 10:00"
    assert {name: terminal[name] for name in FUNCTIONS} == {**dict.fromkeys(FUNCTIONS, None), "number": 0, "sum": 0, "tasks": 0}


def test_11_the_definition_says_the_same_of_empty_windows() -> None:
    assert {name: value.empty for name, value in FUNCTIONS.items()} == {**dict.fromkeys(FUNCTIONS, None), "number": 0, "sum": 0, "tasks": 0}


def test_11_where_passes_true_only() -> None:
    events = ({"verdict": "rejected"}, {"verdict": "approved"}, {"verdict": None})

    assert at_ten(*events, number=(count(), days(1), REJECTED))["number"] == 1
    assert at_ten(*events, number=(count(), days(1), ~REJECTED))["number"] == 1
    assert at_ten(*events, number=(count(), days(1), REJECTED | ~REJECTED))["number"] == 2
    assert at_ten(*events, number=(count(), days(1), event.verdict.is_null()))["number"] == 1


def test_11_rate_is_true_over_true_and_false_with_unknown_in_neither() -> None:
    assert at_ten({"verdict": "rejected"}, {"verdict": "approved"}, {"verdict": "approved"}, {"verdict": None})["share"] == 1 / 3
    assert at_ten({"verdict": None})["share"] is None
    assert at_ten({"verdict": "approved"})["share"] == 0.0


def test_11_measures_ignore_null() -> None:
    row = at_ten({"issues_found": 2}, {"issues_found": None}, {"issues_found": 6})

    assert (row["number"], row["sum"], row["avg"], row["least"], row["most"], row["latest"]) == (3, 8, 4.0, 2, 6, 6)
    assert row["median"] == 5


def test_11_a_sum_of_nothing_but_nulls_is_0_and_the_rest_is_null() -> None:
    row = at_ten({"issues_found": None})

    assert [row[name] for name in ("number", "sum", "avg", "least", "most", "spread", "latest", "median")] == [
        1,
        0,
        None,
        None,
        None,
        None,
        None,
        None,
    ]


def test_11_std_is_the_samples_and_null_below_two_values() -> None:
    assert at_ten({"issues_found": 2}, {"issues_found": 4})["spread"] == math.sqrt(2)
    assert at_ten({"issues_found": 2}, {"issues_found": None})["spread"] is None
    assert at_ten({"issues_found": 3}, {"issues_found": 3})["spread"] == 0.0


def test_11_last_is_the_latest_event_with_a_value() -> None:
    row = at_ten({"issues_found": 7}, {"issues_found": 9}, {"issues_found": None})

    assert row["latest"] == 9
    assert to_us(row["latest_at"]) == parse_instant("2026-03-05 09:03")


def test_11_last_of_a_window_falls_back_to_nothing_when_the_latest_leaves() -> None:
    """Leaves rise with occurred_at: when the latest event has left, so have all."""
    events = [happened("2026-03-05 09:00", event_id="1", issues_found=1), happened("2026-03-05 11:00", event_id="2", issues_found=2)]
    rows = rows_of(view_of(latest=(last(ISSUES), days(1))), events)

    assert [(row["at"], row["latest"]) for row in rows] == [
        ("03-05 09:00", 1),
        ("03-05 11:00", 2),
        ("03-06 09:00", 2),
        ("03-06 11:00", None),
    ]


def test_11_instants_of_latest_events_are_features() -> None:
    events = [happened("2026-03-05 09:17:03.000005", event_id="1", verdict="rejected"), happened("2026-03-05 09:40", event_id="2")]
    found = read(rows_of(view_of(last_at=(last(event.occurred_at), days(1), REJECTED)), events), "03-05 10:00", "last_at")

    assert to_us(found) == parse_instant("2026-03-05 09:17:03.000005")


def test_11_derived_features_are_float64_null_with_null_and_null_over_zero() -> None:
    names: dict[str, Any] = {"number": (count(), days(1)), "sum": (total(ISSUES), days(1)), "avg": (mean(ISSUES), days(1))}
    derived = {"per_issue": feature("number") / feature("sum"), "more": feature("avg") + 1, "doubled": feature("number") * 2}

    known = at_ten({"issues_found": 4}, **names, **derived)
    assert (known["per_issue"], known["more"], known["doubled"]) == (0.25, 5.0, 2.0)
    assert isinstance(known["doubled"], float)
    unknown = at_ten({"issues_found": None}, **names, **derived)
    assert (unknown["per_issue"], unknown["more"], unknown["doubled"]) == (None, None, 2.0)


@pytest.mark.parametrize(
    ("q", "values", "expected"),
    [
        ("0.5", (0, 9), 1),  # the first bucket has no lower end
        ("0.5", (1, 9), 1),  # an edge is the last value of its bucket
        ("0.5", (2, 9), 5),
        ("0.5", (1, 2), 1),  # rank ceil(0.5 * 2) = 1
        ("0.5", (1, 2, 6), 5),  # rank ceil(1.5) = 2
        ("0.51", (1, 2, 9), 5),  # rank ceil(1.53) = 2
        ("1", (1, 2, 20), 20),
    ],
)
def test_11_quantile_is_the_upper_edge_of_the_bucket_with_rank_ceil_qn(q: str, values: tuple[int, ...], expected: int) -> None:
    definition = (quantile(ISSUES, q, edges=(1, 5, 20)), days(1))

    assert at_ten(*({"issues_found": value} for value in values), value=definition)["value"] == expected


@pytest.mark.parametrize(
    ("q", "values", "expected"),
    [
        ("0.5", (0,), 0),
        ("0.5", (2, 3), 3),  # both in the bucket up to 5
        ("0.51", (1, 2), 2),
        ("1", (21,), 21),  # above the last edge, which has no upper one
        ("0.5", (1, 30, 40), 40),  # of several there the greatest, though the median is 30
        ("0.5", (1, 2, 40), 5),  # only where the rank falls into the bucket of the greatest value
        ("1", (10_000,), 10_000),  # the greatest that is declared
    ],
)
def test_11_a_quantile_is_never_more_than_the_greatest_value_in_the_window(q: str, values: tuple[int, ...], expected: int) -> None:
    definition = (quantile(ISSUES, q, edges=(1, 5, 20)), days(1))

    assert at_ten(*({"issues_found": value} for value in values), value=definition)["value"] == expected


def test_11_the_p90_of_reviews_of_69_minutes_is_69_minutes_and_not_the_measures_maximum() -> None:
    minutes_69 = 69 * 60_000
    row = at_ten(
        *({"duration_ms": minutes_69 - number} for number in range(9)),
        p90=(quantile(event.duration_ms, "0.9", edges=(60_000, 3_600_000)), days(1)),
    )

    assert row["p90"] == minutes_69


def test_11_the_greatest_value_is_that_of_the_window_and_of_what_the_filter_passes() -> None:
    """When the greatest value leaves the window, or the filter keeps it out, the quantile falls with it."""
    events = [
        happened("2026-03-05 09:00", event_id="1", issues_found=90),
        happened("2026-03-05 11:00", event_id="2", issues_found=30, verdict="rejected"),
    ]
    edges = quantile(ISSUES, "0.5", edges=(1, 5, 20))
    rows = rows_of(view_of(all_of_them=(edges, days(1)), rejected=(edges, days(1), REJECTED)), events)

    assert [(row["at"], row["all_of_them"], row["rejected"]) for row in rows] == [
        ("03-05 09:00", 90, None),
        ("03-05 11:00", 90, 30),
        ("03-06 09:00", 30, 30),
        ("03-06 11:00", None, None),
    ]


def test_11_a_quantile_has_64_edges_at_most() -> None:
    assert MAXIMUM_EDGES == 64
    quantile(ISSUES, "0.5", edges=tuple(range(64)))
    with pytest.raises(DefinitionError, match="edges are 1 to 64"):
        quantile(ISSUES, "0.5", edges=tuple(range(65)))


def test_11_a_superseded_event_contributes_nothing() -> None:
    rows = rows_of(VIEW, [happened("2026-03-05 10:00", live=False, issues_found=3, task_id="t", verdict="rejected")])

    assert {name: rows[0][name] for name in FUNCTIONS} == {**dict.fromkeys(FUNCTIONS, None), "number": 0, "sum": 0, "tasks": 0}
