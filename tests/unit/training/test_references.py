"""How features are named, those of other agents too."""

from __future__ import annotations

import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.training.references import all_of, column_names, parse

REVIEWER = "code_review_features"


def test_a_view_alone_is_all_of_its_features() -> None:
    view = view_named(REVIEWER)
    assert parse([REVIEWER]) == all_of(view)
    assert [str(each) for each in parse([f"{REVIEWER}@all"])] == [f"{REVIEWER}@all:{each.name}" for each in view.features]


@pytest.mark.parametrize("text", ["code_review_features:rejection_rate", "coding_features@all:rework_rate"])
def test_a_reference_reads_as_it_is_written(text: str) -> None:
    (found,) = parse([text])
    assert str(found) == text


def test_a_feature_named_twice_is_one() -> None:
    assert len(parse([f"{REVIEWER}:rejection_rate", REVIEWER])) == len(view_named(REVIEWER).features)


@pytest.mark.parametrize(
    ("text", "asked", "row"),
    [
        ("coding_features:rework_rate", "code-reviewer@shop", "detektor-coder@shop"),
        ("coding_features@all:rework_rate", "code-reviewer@shop", "detektor-coder"),
        ("coding_features:rework_rate", "code-reviewer", "detektor-coder"),
        ("code_review_features:rejection_rate", "code-reviewer@shop", "code-reviewer@shop"),
        ("code_review_features@all:rejection_rate", "code-reviewer@shop", "code-reviewer"),
    ],
)
def test_another_agents_row_is_that_of_the_same_project(text: str, asked: str, row: str) -> None:
    assert parse([text])[0].agent_id(asked) == row


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("detektor-coder/rework_rate", "Write coding_features:rework_rate."),
        ("coding_features/rework_rate", "Write coding_features:rework_rate."),
        ("nobody/rework_rate", "Write VIEW:FEATURE"),
        ("detektor-coder:rework_rate", "Write coding_features:rework_rate."),
        ("coder_features:rework_rate", "coding_features"),
        ("coding_features:rewrok_rate", "detektor features list coding_features"),
        ("coding_features@shop:rework_rate", "coding_features@all"),
        ("coding_features@shop", "coding_features@all"),
    ],
)
def test_what_names_nothing_is_refused_with_the_right_form(text: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        parse([text])
    assert fix in (caught.value.fix or "")


def test_a_column_is_named_by_its_feature_and_by_its_view_only_where_that_is_too_little() -> None:
    both = parse([f"{REVIEWER}:rejection_rate", f"{REVIEWER}@all:rejection_rate", "coding_features:rework_rate"])
    assert column_names(both) == ("code_review_features__rejection_rate", "code_review_features_all__rejection_rate", "rework_rate")
