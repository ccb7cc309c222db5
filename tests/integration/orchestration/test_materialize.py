"""Real days through Dagster: simulated events in PostgreSQL, rows in PostgreSQL, values in Redis, MLflow down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from detektor_pipelines.language.views import FeatureView

pytestmark = pytest.mark.slow

FIRST, LAST = date(2026, 5, 1), date(2026, 5, 10)
REVIEWS = view_named("code_review_features")


@pytest.fixture
def history(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose log holds ten simulated days; the clock stands at their end."""
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-11T00:00:00Z")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    get_settings.cache_clear()
    append_table(servers, simulate_table(days=10, projects=2, seed=7, end=date(2026, 5, 11)))
    return get_settings()


def materialize(settings: Settings, views: tuple[FeatureView, ...], first: date, last: date, seen: list[Any] | None = None) -> Any:
    from detektor_pipelines.orchestration.run import materialize_range

    return materialize_range(settings, views, first, last, None if seen is None else lambda view, day: seen.append((view.name, day.day)))


def strict(view: FeatureView) -> FeatureView:
    """Return the view with a bound that busy days break; the numbers, and so the data hash, are the same."""
    narrow = [replace(each, within=(0, 5)) if each.name == "recent_reviews_count" else each for each in view.features]
    return replace(view, features=tuple(narrow))


def published(settings: Settings) -> set[date]:
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline.rows import published_days

    with connect_arrow(settings) as connection:
        return {day.day for day in published_days(connection, REVIEWS)}


def test_a_range_of_all_views_is_published_offline_and_online(history: Settings) -> None:
    from detektor_pipelines.stores.connections import connect

    seen: list[Any] = []
    summary = materialize(history, VIEWS, FIRST, LAST, seen)
    assert summary.problems == {}
    assert summary.succeeded
    assert len(seen) == len(VIEWS) * 10
    assert set(summary.publications) == {view.name for view in VIEWS}
    assert all(publication.keys for publication in summary.publications.values())
    with connect(history) as connection:
        (views,) = connection.execute("SELECT count(DISTINCT view) FROM ml_learning.partition_state").fetchone() or (0,)
        (status,) = connection.execute("SELECT status FROM dagster.runs WHERE run_id = %s", (summary.run_id,)).fetchone() or ("",)
    assert views == len(VIEWS)
    assert status == "SUCCESS"


def test_partitions_start_at_the_oldest_event(history: Settings) -> None:
    from detektor_pipelines.orchestration.partitions import daily_partitions

    keys = daily_partitions(history).get_partition_keys()
    assert (keys[0], keys[-1]) == ("2026-05-01", "2026-05-11")


def test_bad_days_stay_out_of_both_stores_and_a_later_run_mends_them(history: Settings) -> None:
    summary = materialize(history, (strict(REVIEWS),), FIRST, LAST)
    assert not summary.succeeded
    days = summary.materializations[REVIEWS.name].days
    bad = {day.day for day in days if day.status == "failed"}
    assert bad
    assert len(bad) < len(days)
    assert "did not pass" in summary.problems[REVIEWS.name]
    assert published(history) == {day.day for day in days} - bad
    assert not summary.publications

    fixed = materialize(history, (REVIEWS,), min(bad), max(bad))
    assert fixed.succeeded
    assert published(history) == {day.day for day in days}


def test_dagster_keeps_the_good_days_and_shows_the_failing_rows(history: Settings) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.instance import persistent_instance

    summary = materialize(history, (strict(REVIEWS),), FIRST, LAST)
    bad = {day.day.isoformat() for day in summary.materializations[REVIEWS.name].days if day.status == "failed"}
    key = dg.AssetKey(["code_reviewer", "features"])
    with persistent_instance(history) as instance:
        done = instance.get_materialized_partitions(key)
        (check,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "values_are_valid"), limit=5)
    assert {day.day.isoformat() for day in summary.materializations[REVIEWS.name].days} == done | bad
    assert not done & bad
    assert check.event is not None
    evaluation: Any = check.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    rows = evaluation.metadata["failing_rows"].records
    assert {row.data["day"] for row in rows} == bad
    assert {row.data["column"] for row in rows} == {"recent_reviews_count"}
    assert all(int(float(row.data["value"])) > 5 for row in rows)


def test_a_second_run_finds_everything_unchanged(history: Settings) -> None:
    first = materialize(history, (REVIEWS,), FIRST, LAST).materializations[REVIEWS.name]
    second = materialize(history, (REVIEWS,), FIRST, LAST).materializations[REVIEWS.name]
    assert {day.hash for day in first.days} == {day.hash for day in second.days}
    assert not sum(day.written for day in second.days)


def test_a_day_without_a_partition_is_refused_with_those_that_exist(history: Settings) -> None:
    from detektor_pipelines.errors import UserError

    with pytest.raises(UserError, match="no partition 2025-01-01"):
        materialize(history, (REVIEWS,), date(2025, 1, 1), LAST)
