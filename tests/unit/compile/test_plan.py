"""A plan names each state once, whoever shares it, and the columns that are read."""

from __future__ import annotations

from typing import Any

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language import (
    Aggregation,
    Feature,
    FeatureView,
    Window,
    count,
    days,
    distinct,
    event,
    feature,
    last,
    maximum,
    mean,
    quantile,
    rate,
    std,
    total,
)

TEXTS: dict[str, Any] = {"description": "x", "unit": "x", "null_means": "x"}


def view(*values: tuple[Aggregation, Window]) -> FeatureView:
    features = tuple(Feature(f"f{number}", value, over=window, **TEXTS) for number, (value, window) in enumerate(values))
    return FeatureView("some_features", "code-reviewer", "1.0.0", "x", "x", features)


def test_features_share_their_states() -> None:
    shared = plan(view((mean(event.issues_found), days(7)), (std(event.issues_found), days(7)), (total(event.issues_found), days(7))))

    assert len(shared.sums) == 3  # Σx, n, Σx²
    assert len(shared.prepared) == 3
    assert [each.wide for each in shared.sums] == [False, False, True]


def test_windows_share_what_an_event_contributes() -> None:
    shared = plan(view((count(), days(1)), (count(), days(7)), (count(), days(30))))

    assert len(shared.prepared) == 1
    assert len(shared.sums) == 3


def test_filters_keep_states_apart() -> None:
    one, other = event.verdict == "approved", event.verdict == "rejected"
    features = [Feature(f"f{number}", count(), over=days(1), where=where, **TEXTS) for number, where in enumerate((one, other, None, one))]
    apart = plan(FeatureView("some_features", "code-reviewer", "1.0.0", "x", "x", tuple(features)))

    assert len(apart.sums) == 3


def test_a_quantile_counts_each_bucket_up_to_the_values_maximum() -> None:
    open_end = plan(view((quantile(event.issues_found, "0.5", edges=(1, 5)), days(1))))
    closed = plan(view((quantile(event.issues_found, "0.5", edges=(1, 10_000)), days(1))))

    assert [(each.low, each.high) for each in open_end.prepared] == [(None, 1), (1, 5), (5, None)]
    assert [(each.low, each.high) for each in closed.prepared] == [(None, 1), (1, None)]


def test_a_quantile_shares_its_greatest_value_with_a_maximum() -> None:
    shared = plan(view((quantile(event.issues_found, "0.5", edges=(1, 5)), days(1)), (maximum(event.issues_found), days(1))))

    assert [(each.function, each.window) for each in shared.picks] == [("maximum", days(1))]


def test_columns_are_those_that_are_read() -> None:
    values = (
        (rate(event.verdict == "rejected"), days(1)),
        (last(event.occurred_at), days(1)),
        (maximum(event.issues_found + event.issues_minor), days(1)),
        (distinct(event.project), days(1)),
        (distinct(event.task_id), days(1)),
    )

    assert plan(view(*values)).columns == ("issues_found", "issues_minor", "task_id", "verdict")


def test_a_view_has_one_plan() -> None:
    derived = Feature("ratio", feature("f0") / feature("f1"), **TEXTS)
    base = view((count(), days(1)), (count(), days(7)))
    whole = FeatureView("some_features", "code-reviewer", "1.0.0", "x", "x", (*base.features, derived))

    assert plan(whole) == plan(whole)
    assert [name for name, _ in plan(whole).features] == ["f0", "f1", "ratio"]
