"""The generated docs say what the definitions say."""

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile import docs
from detektor_pipelines.language import data_hash, metadata_hash


def test_there_is_a_guide_and_a_page_for_each_view() -> None:
    assert set(docs.render()) == {docs.GUIDE, *(f"docs/self-learning-agents/{view.name}.md" for view in VIEWS)}


def test_each_feature_appears_in_the_guide_and_on_its_page_with_all_that_is_said_about_it() -> None:
    pages = docs.render()
    for view in VIEWS:
        page = pages[f"{docs.DIRECTORY}/{view.name}.md"]
        for feature in view.features:
            assert f"| `{feature.name}` |" in pages[docs.GUIDE]
            assert f"### {feature.name}\n" in page
            for text in (feature.description, feature.null_means, feature.unit if feature.value_type != "instant" else ""):
                assert text in page
                assert text in pages[docs.GUIDE]


def test_a_page_names_both_hashes() -> None:
    for view in VIEWS:
        page = docs.render()[f"{docs.DIRECTORY}/{view.name}.md"]
        assert data_hash(view) in page
        assert metadata_hash(view) in page


def test_a_page_names_the_operations_that_its_filters_name_and_no_other() -> None:
    page = docs.render()["docs/self-learning-agents/coding_features.md"]
    section = page.split("## Events it reads")[1].split("\n## ")[0]
    operations = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `") and line.count("|") == 4}

    assert operations == {"implement", "test_run", "tool_call", "feedback"}


def test_a_derived_feature_names_what_it_is_made_of() -> None:
    page = docs.render((view_named("documentation-keeper"),))["docs/self-learning-agents/documentation_features.md"]

    assert "**Made of:** `docs_checked_total` (7 days), `docs_in_sync_total` (7 days)." in page


def test_a_page_says_which_columns_of_the_log_each_feature_is_made_from() -> None:
    page = docs.render((view_named("code-reviewer"),))["docs/self-learning-agents/code_review_features.md"]

    assert "| `critical_review_rate` |  | `issues_critical`, `occurred_at`, `operation` |" in page
    assert "| `review_load_trend` | `recent_reviews_count`, `weekly_reviews_count` | `occurred_at`, `operation` |" in page


def test_every_row_of_a_table_has_as_many_cells_as_its_heading() -> None:
    for page in docs.render().values():
        heading: str | None = None
        for line in page.splitlines():
            cells = line.replace("\\|", "").count("|") if line.startswith("|") else 0
            if cells and heading is not None:
                assert cells == heading.replace("\\|", "").count("|"), line
            heading = (heading or line) if cells else None
