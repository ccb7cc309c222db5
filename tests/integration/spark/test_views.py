"""The eight views are published by Spark as by DuckDB, and a day that breaks a bound fails by the same gate."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.spark import SparkCalculator
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.offline.rows import published_days
from detektor_pipelines.stores.raw_log.bulk import append_table

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.spark]

LAST = dt.date(2026, 5, 4)
DAYS = [LAST - dt.timedelta(days=number) for number in range(10, 0, -1)]


@pytest.fixture(scope="module")
def log(module_database: Settings) -> Settings:
    """Return settings whose log holds thirty simulated days."""
    append_table(module_database, simulate_table(days=30, projects=2, seed=7, end=LAST))
    return module_database


@pytest.fixture
def calculator(log: Settings, spark: Any, monkeypatch: pytest.MonkeyPatch) -> SparkCalculator:
    monkeypatch.setenv("DETEKTOR_NOW", f"{LAST}T00:00:00Z")
    return SparkCalculator(log, spark)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_duckdb_finds_nothing_to_change_in_what_spark_published(log: Settings, calculator: SparkCalculator, view: FeatureView) -> None:
    by_spark = materialize(log, view, DAYS, calculator=calculator)
    assert sum(day.written for day in by_spark.days) == sum(day.rows for day in by_spark.days) > 0

    by_duckdb = materialize(log, view, DAYS)
    assert [day.written for day in by_duckdb.days] == [0] * len(DAYS)
    assert [(day.rows, day.hash, day.events, day.event_range, day.null_rates) for day in by_spark.days] == [
        (day.rows, day.hash, day.events, day.event_range, day.null_rates) for day in by_duckdb.days
    ]
    assert (by_spark.event_count, by_spark.event_range) == (by_duckdb.event_count, by_duckdb.event_range)
    with connect_arrow(log) as connection:
        assert {each.day: each.hash for each in published_days(connection, view)} == {day.day: day.hash for day in by_spark.days}
    assert not list((log.home / "spark").glob("*")), "what was handed over as files is gone"


def test_a_day_that_breaks_a_bound_fails_by_the_same_gate(log: Settings, calculator: SparkCalculator) -> None:
    view = view_named("code_review_features")
    narrow = tuple(replace(each, within=(0, 1)) if each.name == "recent_reviews_count" else each for each in view.features)
    by_spark = materialize(log, replace(view, features=narrow), DAYS, calculator=calculator)
    by_duckdb = materialize(log, replace(view, features=narrow), DAYS)
    assert by_spark.failed
    assert [(day.status == "failed", day.failures) for day in by_spark.days] == [
        (day.status == "failed", day.failures) for day in by_duckdb.days
    ]
