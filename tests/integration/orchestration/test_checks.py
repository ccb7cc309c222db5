"""The checks through Dagster on real PostgreSQL: one run evaluates them, a later look finds what a hand did meanwhile."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is currently in beta")]

REVIEWS = view_named("code_review_features")
FIRST, LAST = date(2026, 5, 1), date(2026, 5, 10)


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


@pytest.fixture
def instance(history: Settings) -> Iterator[Any]:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(history) as instance:
        yield instance


def run(settings: Settings) -> None:
    from detektor_pipelines.orchestration.run import materialize_range

    assert materialize_range(settings, (REVIEWS,), FIRST, LAST).succeeded


def newest(instance: Any, name: str, key: list[str]) -> Any:
    import dagster as dg

    check = dg.AssetCheckKey(dg.AssetKey(key), name)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_run_evaluates_all_checks_and_finds_what_a_hand_did_meanwhile(history: Settings, instance: Any) -> None:
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import row_table

    names = (
        "data_is_fresh",
        "rows_are_of_this_version",
        "volume_is_usual",
        "values_are_valid",
        "rows_are_unique",
        "values_are_in_bounds",
        "rows_did_not_shrink",
        "nulls_are_usual",
        "values_have_not_drifted",
    )
    run(history)
    assert [newest(instance, name, ["code_reviewer", "features"]).passed for name in names] == [True] * len(names)
    with connect(history) as connection:
        # At an instant that no computation has, so that publishing again leaves it alone
        connection.execute(
            f'INSERT INTO feast."{row_table(REVIEWS)}" (agent_id, event_timestamp, created_at, written_at, recent_reviews_count)'
            " VALUES ('code-reviewer@by-hand', '2026-05-09 10:00Z', '2026-05-09 10:00Z', now(), -5)"
        )
    run(history)
    assert newest(instance, "values_are_valid", ["code_reviewer", "features"]).passed
    bounds = newest(instance, "values_are_in_bounds", ["code_reviewer", "features"])
    assert not bounds.passed
    rows = [record.data for record in bounds.metadata["cases"].records]
    assert ("code-reviewer@by-hand", "recent_reviews_count", "-5", ">= 0") in [
        (row["agent_id"], row["column"], row["value"], row["rule"]) for row in rows
    ]
    shrink = newest(instance, "rows_did_not_shrink", ["code_reviewer", "features"])
    (row,) = [record.data for record in shrink.metadata["cases"].records]
    assert (row["agent_id"], row["event_timestamp"]) == ("code-reviewer@by-hand", "2026-05-09 10:00:00")


def test_the_log_is_observed_and_freshness_told_without_a_run(history: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.checks.freshness import watch_freshness

    def tick(cursor: str | None) -> Any:
        with dg.build_sensor_context(instance, cursor=cursor) as context:
            result = watch_freshness(VIEWS, history).evaluate_tick(context)
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
        return result

    run(history)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-11T02:00:00Z")
    first = tick(None)
    told = {event.asset_key.to_user_string(): event.passed for event in first.asset_events if hasattr(event, "passed")}
    others = {f"{view.group}/features" for view in VIEWS} - {"code_reviewer/features"}
    assert told == {"agent_events": True} | dict.fromkeys(others, False)  # of the view itself the run has said it
    assert newest(instance, "data_is_fresh", ["code_reviewer", "features"]).passed
    (observation,) = [event for event in first.asset_events if not hasattr(event, "passed")]
    assert observation.metadata["events"].value > 100
    assert tick(first.cursor).asset_events == []
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-11T03:00:01Z")
    (late,) = tick(first.cursor).asset_events
    assert (late.asset_key.to_user_string(), late.passed, late.severity) == ("code_reviewer/features", False, dg.AssetCheckSeverity.WARN)
