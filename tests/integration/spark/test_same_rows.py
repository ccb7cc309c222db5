"""Spark gives the rows that DuckDB and PostgreSQL give, to the hash of each day, and what is published of them is the same."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.engine_cases import APART, ORIGIN, crafted, event_table, everything, histories, picking, revised_histories, side_by_side
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event, resolved

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import POSTGRES, SPARK, Dialect, Span, reach_back, states_sql
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.engine import spark as spark_engine
from detektor_pipelines.engine.materialize import InMemory
from detektor_pipelines.language import days, event, feature, minutes, skewness, std, total, variance
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.offline.rows import hashes_by_day
from detektor_pipelines.stores.raw_log.reader import integer_events_sql
from tests.integration.spark.conftest import JAR

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.spark]

FIRST = dt.date(1970, 1, 1) + dt.timedelta(days=ORIGIN // DAY)
LENGTH = 60
DAYS = [FIRST + dt.timedelta(days=number) for number in range(LENGTH)]
END = ORIGIN + LENGTH * DAY
SUMS = everything((minutes(45), days(7)), filters=("_rejected",))
PICKS = picking((days(1), days(12)), filters=("",))
few = hypothesis_settings(
    max_examples=examples(1),
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # each example costs seconds
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def log(module_database: Settings) -> Settings:
    partition_log(module_database)
    return module_database


def calculator(settings: Settings, session: Any, *, by_jdbc: bool) -> spark_engine.SparkCalculator:
    """Have Spark read the log itself, where there is a driver for it, or be given files."""
    found = {"spark_jdbc_jar": JAR if by_jdbc and JAR.is_file() else None}
    return spark_engine.SparkCalculator(settings.model_copy(update=found), session)


def by_postgres(settings: Settings, view: FeatureView) -> pa.Table:
    compiled = plan(view)
    source = integer_events_sql(view.agent, compiled.columns, ORIGIN - reach_back(compiled), END)
    ranked = f"events AS (SELECT *, row_number() OVER (ORDER BY ts, event_id) AS seq FROM ({source}) e)"
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        found = []
        for form in ("served", "known_now"):
            text = states_sql(compiled, Span(ORIGIN, END), form=form, late=True, revised=True, dialect=POSTGRES)
            cursor.execute(text.replace("WITH ", f"WITH {ranked}, ", 1))
            found.append(engine.states_of(cursor.fetch_arrow_table()))
    return engine.rows_of(view, *found)


@pytest.mark.parametrize(("view", "by_jdbc"), [(SUMS, False), (PICKS, True)], ids=["sums from files", "picks by JDBC"])
def test_three_engines_give_a_day_the_same_hash(log: Settings, spark: Any, view: FeatureView, by_jdbc: bool) -> None:  # noqa: FBT001
    @few
    @given(st.one_of(histories(), revised_histories()))
    def same(events: list[Event]) -> None:
        clear(log)
        insert(log, [*events, *crafted_elsewhere()])
        with connect_arrow(log) as connection:
            expected = InMemory().calculate(connection, view, DAYS, END)
            hashes = hashes_by_day(expected.rows, DAYS)
            assert hashes_by_day(by_postgres(log, view), DAYS) == hashes
            found = calculator(log, spark, by_jdbc=by_jdbc).calculate(connection, view, DAYS, END)
            assert hashes_by_day(found.rows, DAYS) == hashes
            assert found.rows.equals(expected.rows)
            assert found.happened == expected.happened

    same()


def crafted_elsewhere() -> list[Event]:
    """The history with one of each sort, of names that no random one has."""
    return [replace(each, event_id=f"crafted{each.event_id}") for each in crafted()]


@pytest.mark.parametrize("view", [SUMS, PICKS], ids=["sums", "picks"])
def test_random_histories_give_the_rows_of_duckdb(spark: Any, view: FeatureView) -> None:
    """Twelve histories an example, so far apart that no window sees two."""

    @few
    @given(st.lists(st.one_of(histories(), revised_histories().map(resolved)), min_size=12, max_size=12))
    def same(batches: list[list[Event]]) -> None:
        events = [each for batch in side_by_side(batches) for each in batch]
        table = event_table(view, events)
        start, end = ORIGIN - DAY, ORIGIN + len(batches) * APART
        expected = engine.compute(view, table, start=start, end=end)
        found, _ = spark_engine.calculated(spark, view, spark.createDataFrame(table), start=start, end=end)
        assert found.equals(expected)

    same()


def at_the_bounds() -> tuple[FeatureView, pa.Table]:
    """Return a view of powers and sums of the greatest measures, and events of them: squares beyond 2^63, cubes beyond 2^100."""
    greatest = max((name for name in MEASURES if name != "duration_ms"), key=lambda name: MEASURES[name].maximum)
    column = getattr(event, greatest)
    functions = {"sum": total(column), "variance": variance(column), "std": std(column), "skewness": skewness(event.duration_ms)}
    features = [
        replace(SUMS.features[0], name=name, value=value, over=days(1), where=None, description="x") for name, value in functions.items()
    ]
    view = replace(SUMS, name="bounds", features=(*features, replace(features[0], name="half", value=feature("sum") / 2, over=None)))
    values = {"operation": "review", greatest: MEASURES[greatest].maximum, "duration_ms": MEASURES["duration_ms"].maximum}
    low = values | {greatest: MEASURES[greatest].minimum, "duration_ms": MEASURES["duration_ms"].minimum}
    instants = range(ORIGIN, ORIGIN + DAY, HOUR // 8)
    events = [Event(f"e{n}", at, at, "p", values=low if n % 50 == 7 else values) for n, at in enumerate(instants)]
    assert sum(int(each.values[greatest]) ** 2 for each in events) > 2**63
    return view, event_table(view, events)


def test_the_greatest_measures_are_exact(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    view, table = at_the_bounds()
    bounds = {"start": ORIGIN - DAY, "end": ORIGIN + 3 * DAY}
    expected = engine.compute(view, table, **bounds)
    frame = spark.createDataFrame(table)

    found, _ = spark_engine.calculated(spark, view, frame, **bounds)
    assert found.equals(expected)

    narrow = Dialect("narrow", "BIGINT", "({value} DIV {by})", SPARK.series, SPARK.listed)
    monkeypatch.setattr(spark_engine, "SPARK", narrow)
    with pytest.raises(Exception, match="ARITHMETIC_OVERFLOW"):
        spark_engine.calculated(spark, view, frame, **bounds)


@pytest.mark.parametrize("by_jdbc", [False, True], ids=["files", "JDBC"])
def test_a_log_without_events_gives_no_rows(database: Settings, spark: Any, by_jdbc: bool) -> None:  # noqa: FBT001
    small = replace(SUMS, features=SUMS.features[:1])
    with connect_arrow(database) as connection:
        found = calculator(database, spark, by_jdbc=by_jdbc).calculate(connection, small, DAYS[:2], clock.now_us())
    assert found.rows.num_rows == 0
    assert found.rows.schema == engine.row_schema(small)
    assert found.event_range is None
