"""Definitions in words."""

import pytest

from detektor_pipelines.compile import words
from detektor_pipelines.language import Feature, count, days, event, feature, last, mean, quantile, rate, total
from detektor_pipelines.language.derived import Derived
from detektor_pipelines.language.expressions import Predicate


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (event.verdict == "rejected", "verdict is rejected"),
        ((event.operation == "review") & (event.review_round > 1), "operation is review and review_round > 1"),
        (event.action.is_in(("deploy", "rollback")), "action is one of deploy, rollback"),
        (
            (event.operation == "deploy") & event.action.is_in(("deploy", "rollback")),
            "operation is deploy and action is one of deploy, rollback",
        ),
        ((event.attempt == 1) | (event.attempt > 3), "attempt is 1 or attempt > 3"),
        (
            (event.attempt < 1) | (event.attempt > 3) & (event.outcome != "success"),
            "attempt < 1 or (attempt > 3 and outcome is not success)",
        ),
        (event.verdict.is_known(), "verdict is known"),
        (event.verdict.is_null(), "verdict is unknown"),
        (~(event.attempt == 1), "not (attempt is 1)"),
        (event.lines_added + event.lines_removed >= 1_000, "(lines_added + lines_removed) ≥ 1,000"),
    ],
)
def test_conditions(condition: Predicate, text: str) -> None:
    assert words.condition(condition) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (count(), "number of events"),
        (total(event.docs_checked), "sum of docs_checked"),
        (mean(event.duration_ms), "sum of duration_ms, divided by the number of events that know it"),
        (rate(event.verdict == "rejected"), "share of events with verdict is rejected, among those where that is known"),
        (last(event.occurred_at), "timestamp of the latest event"),
        (last(event.score_milli), "score_milli of the latest event that knows it"),
        (
            quantile(event.duration_ms, "0.9", edges=(10, 20)),
            "0.9 quantile of duration_ms: upper edge of the bucket that holds rank ceil(0.9 · n), or the greatest if less",
        ),
    ],
)
def test_aggregations(value: object, text: str) -> None:
    assert words.aggregation(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (feature("a") * 7 / feature("b"), "a * 7 / b"),
        (feature("a") / (feature("b") / 7), "a / (b / 7)"),
        (feature("a") - (feature("b") + 0.5), "a - (b + 0.5)"),
        ((feature("a") + feature("b")) * 2, "(a + b) * 2"),
    ],
)
def test_derived_arithmetic_keeps_the_parentheses_that_it_needs(value: Derived, text: str) -> None:
    assert words.derived(value) == text


def test_the_error_of_a_quantile_is_its_buckets_width() -> None:
    text = words.quantile_error(quantile(event.duration_ms, "0.5", edges=(10, 40, 50)))

    assert "10 to 30 up to 50" in text
    assert text.endswith("Beyond that it is the greatest value in the window.")


@pytest.mark.parametrize(("within", "text"), [((0, None), "≥ 0"), ((None, 9), "≤ 9"), ((0, 10_000), "0 … 10,000"), ((None, None), "none")])
def test_bounds(within: tuple[int | None, int | None], text: str) -> None:
    assert words.bounds(Feature("events_count", count(), over=days(1), description="d", unit="events", within=within)) == text
