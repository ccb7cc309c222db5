"""The eight views hold what was agreed on: names, counts, order, and a text for whatever a person reads."""

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language import Aggregation, FeatureView, data_hash, hours
from detektor_pipelines.language.derived import Derived
from detektor_pipelines.language.events import AGENT_TYPES, OPERATIONS, views_operation

AGREED = {
    "code_review_features": (range(12, 13), {"avg_issues_per_review", "recent_reviews_count"}),
    "deployment_features": (range(8, 9), {"deployment_success_rate"}),
    "coding_features": (range(15, 16), {"avg_completion_time"}),
    "documentation_features": (range(6, 11), {"sync_accuracy"}),
    "architecture_features": (range(6, 11), set()),
    "debugging_features": (range(6, 11), set()),
    "pipeline_debugging_features": (range(6, 11), set()),
    "content_features": (range(6, 11), set()),
}
MOST_EDGES = 16

views = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)


def test_there_are_the_eight_views_in_the_order_of_the_agents() -> None:
    assert [view.agent for view in VIEWS] == list(AGENT_TYPES)
    assert [view.name for view in VIEWS] == list(AGREED)


def test_there_are_76_features_or_more() -> None:
    assert sum(len(view.features) for view in VIEWS) >= 76


@views
def test_counts_and_names_that_were_agreed(view: FeatureView) -> None:
    counts, names = AGREED[view.name]

    assert len(view.features) in counts
    assert names <= {feature.name for feature in view.features}


def test_every_aggregation_and_derived_arithmetic_occur() -> None:
    values = [feature.value for view in VIEWS for feature in view.features]

    assert {value.function for value in values if isinstance(value, Aggregation)} == {
        "count",
        "total",
        "mean",
        "rate",
        "minimum",
        "maximum",
        "std",
        "last",
        "distinct",
        "quantile",
    }
    assert any(isinstance(value, Derived) for value in values)


def test_at_most_one_view_has_a_window_below_twelve_hours() -> None:
    assert sum(view.windows[0] < hours(12) for view in VIEWS) <= 1


@views
def test_bounds_are_declared_but_for_instants(view: FeatureView) -> None:
    for feature in view.features:
        if feature.value_type == "instant":
            assert feature.unit == "timestamp"
        else:
            assert feature.within != (None, None), feature.name


@views
def test_a_feature_reads_what_its_operations_declare(view: FeatureView) -> None:
    operations = (views_operation(view.agent), "tool_call", "feedback", "test_run", "invoke_agent", "chat")
    declared = {name for operation in operations for name in (*OPERATIONS[operation].measures, *OPERATIONS[operation].categories)}
    identities = {"operation", "occurred_at", "task_id", "session_id", "project"}
    for feature in view.features:
        columns: frozenset[str] = frozenset() if feature.where is None else feature.where.columns()
        if isinstance(feature.value, Aggregation) and feature.value.operand is not None:
            columns |= feature.value.operand.columns()
        assert columns <= declared | identities, feature.name


@views
def test_quantiles_keep_to_few_edges(view: FeatureView) -> None:
    for feature in view.features:
        if isinstance(feature.value, Aggregation) and feature.value.function == "quantile":
            assert len(feature.value.edges) <= MOST_EDGES, feature.name


def test_no_two_views_share_a_hash() -> None:
    assert len({data_hash(view) for view in VIEWS}) == len(VIEWS)


def test_a_view_is_found_by_its_name_and_by_its_agent() -> None:
    assert view_named("content_features") is view_named("pisarz")
    with pytest.raises(KeyError, match="there is no feature view 'nobody'"):
        view_named("nobody")


def test_a_share_of_the_week_stays_within_its_bound_when_all_falls_on_one_day() -> None:
    """Count * 7 is exact, so the quotient is at most 7; count / (week / 7) exceeds it by rounding, first at 17."""
    assert all(count * 7.0 / count <= 7 for count in range(1, 10_000))
    assert 17 / (17 / 7) > 7
