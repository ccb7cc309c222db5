"""Column lineage: what the plan reads, feature by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile.lineage import KEY_COLUMNS, WINDOW, columns_read, made_of
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language import Feature, FeatureView, count, days, event, feature, mean, quantile, std

if TYPE_CHECKING:
    from detektor_pipelines.language.aggregations import Aggregation


def test_a_feature_has_the_columns_of_its_value_its_filter_and_the_window() -> None:
    read = columns_read(view_named("code-reviewer"))
    assert read["first_round_approval_rate"] == ("occurred_at", "operation", "review_round", "verdict")
    assert read["recent_reviews_count"] == ("occurred_at", "operation")
    assert read["reviewed_tasks_count"] == ("occurred_at", "operation", "task_id")


@pytest.mark.parametrize("value", [mean(event.tests_passed), std(event.tests_passed), quantile(event.tests_passed, "0.5", edges=(1, 2))])
def test_each_kind_of_state_is_followed_to_its_columns(value: Aggregation) -> None:
    part = Feature("part", value, over=days(1), where=event.attempt > 1, description="d", unit="u", null_means="n")
    assert columns_read(view(part))["part"] == ("attempt", "occurred_at", "tests_passed")


def test_a_derived_feature_has_those_of_all_it_is_made_of_however_deep() -> None:
    first = Feature("first", mean(event.tests_passed), over=days(1), description="d", unit="u", null_means="n")
    second = Feature("second", count(), over=days(1), where=event.verdict == "approved", description="d", unit="u")
    ratio = Feature("ratio", feature("first") / feature("second"), description="d", unit="u", null_means="n")
    double = Feature("double", feature("ratio") * 2, description="d", unit="u", null_means="n")
    read = columns_read(view(first, second, ratio, double))
    assert read["double"] == read["ratio"] == ("occurred_at", "tests_passed", "verdict")
    assert made_of(double) == ("ratio",)
    assert made_of(ratio) == ("first", "second")
    assert made_of(first) == ()


@pytest.mark.parametrize("each", VIEWS, ids=lambda view: view.name)
def test_all_columns_that_the_engine_reads_are_behind_a_feature_and_no_others(each: FeatureView) -> None:
    read = columns_read(each)
    assert list(read) == [*KEY_COLUMNS, *(one.name for one in each.features)]
    features = {column for name, columns in read.items() if name not in KEY_COLUMNS for column in columns}
    assert features - {WINDOW} == set(plan(each).columns)


def view(*features: Feature) -> FeatureView:
    return FeatureView("some_features", "code-reviewer", "1.0.0", "ml-platform", "d", features)
