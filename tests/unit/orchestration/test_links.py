"""Links of a view's assets, and its column lineage as Dagster has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from detektor_pipelines.catalog import VIEWS, view_named

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is currently in beta")]

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_each_view_leads_to_its_page_and_to_the_line_that_declares_it(view) -> None:
    from detektor_pipelines.orchestration.assets.links import of_view

    found = of_view(view, None)
    assert Path(found["docs"].value).is_file()
    (reference,) = found["dagster/code_references"].code_references
    line = Path(reference.file_path).read_text(encoding="utf-8").splitlines()[reference.line_number - 1]
    assert line == "VIEW = FeatureView("


def test_with_a_public_repository_both_are_addresses() -> None:
    from detektor_pipelines.orchestration.assets.links import of_view

    found = of_view(view_named("code-reviewer"), "https://git.example/team/features/blob/main/")
    assert found["docs"].value == "https://git.example/team/features/blob/main/docs/self-learning-agents/code_review_features.md"
    (reference,) = found["dagster/code_references"].code_references
    assert reference.url.startswith("https://git.example/team/features/blob/main/detektor_pipelines/catalog/code_reviewer.py#L")


def test_online_columns_come_from_those_of_the_same_name() -> None:
    from detektor_pipelines.orchestration.assets.links import from_features, from_log
    from detektor_pipelines.orchestration.keys import features_key

    view = view_named("code-reviewer")
    lineage = from_features(view, features_key(view)).deps_by_column
    assert list(lineage) == list(from_log(view).deps_by_column)
    for name, deps in lineage.items():
        assert [(dep.asset_key, dep.column_name) for dep in deps] == [(features_key(view), name)]
