"""Rule 13: SQL ends with integer states, each is converted to a float once, and nothing overflows at the greatest values."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, crafted, event_table, everything
from support.log_rows import insert, partition_log
from support.rule_views import happened, read, rows_of, view_of

from detektor_pipelines.compile.finalise import Ratio, State
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import DUCKDB, POSTGRES, Form, Span, reach_back, states_sql
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.language import DefinitionError, count, days, event, feature, mean, std, total
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, ceil_to, floor_to
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.reader import integer_events_sql, read_events

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

TOKENS = MEASURES["input_tokens"].maximum
SPAN = Span(ORIGIN - DAY, ORIGIN + 60 * DAY)


def tokens(*values: int) -> dict[str, Any]:
    view = view_of(
        sum=(total(event.input_tokens), days(1)), avg=(mean(event.input_tokens), days(1)), spread=(std(event.input_tokens), days(1))
    )
    events = [happened("2026-03-05 09:00", event_id=str(number), input_tokens=value) for number, value in enumerate(values)]
    rows = rows_of(view, events)
    return {name: read(rows, "03-05 09:00", name) for name in ("sum", "avg", "spread")}


def test_13_sums_of_the_greatest_values_are_exact() -> None:
    assert tokens(*[TOKENS] * 20) == {"sum": 20 * TOKENS, "avg": float(TOKENS), "spread": 0.0}


def test_13_squares_of_the_greatest_values_take_128_bits() -> None:
    """Ten squares of 10**9 exceed int64, and n times them more so."""
    assert 10 * TOKENS**2 > 2**63
    exact = Fraction(20 * 10 * TOKENS**2 - (10 * TOKENS) ** 2, 20 * 19)

    assert tokens(*[TOKENS] * 10, *[0] * 10)["spread"] == math.sqrt(float(exact.numerator) / float(exact.denominator))


def test_13_a_spread_of_neighbouring_great_values_does_not_cancel() -> None:
    assert tokens(TOKENS, TOKENS - 1)["spread"] == math.sqrt(0.5)
    assert tokens(TOKENS, TOKENS - 1, TOKENS - 2)["spread"] == 1.0


def test_13_each_integer_is_converted_once_and_then_divided() -> None:
    """float(a) / float(b) is not a / b: Python's integer division rounds the exact quotient, which no other engine does."""
    a, b = 2**53 + 1, 3
    row = {"a": a, "b": b}
    assert float(a) / float(b) != a / b

    assert Ratio(State("a"), State("b")).scalar(row) == float(a) / float(b)


def test_13_the_states_are_integers_and_divisions_stand_in_the_finaliser() -> None:
    view = everything((days(1), days(30)))
    compiled = plan(view)
    for form in ("served", "known_now"):
        text = states_sql(compiled, SPAN, form=form, late=True, revised=True)
        with engine.loaded(event_table(view, crafted()), compiled) as duck:
            table = duck.sql(text).to_arrow_table()
        assert {str(field.type) for field in table.schema if field.name != "agent_id"} == {"int64"}
        assert " / " not in text
        assert "DOUBLE" not in text.upper()


@pytest.mark.parametrize(
    ("aggregation", "message"),
    [
        (total(event.input_tokens * 100), "overflow int64 when 268435456 events are summed"),
        (mean(event.duration_ms * event.attempt), "overflow int64 when 268435456 events are summed"),
        (std(event.lead_time_ms * 4), "overflow 124 bits"),
    ],
)
def test_13_sums_that_could_overflow_are_refused_from_the_declared_ranges(aggregation: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        view_of(value=(aggregation, days(1)))


def test_13_every_measure_can_be_summed_and_spread() -> None:
    for name in MEASURES:
        column = getattr(event, name)
        view_of(sum=(total(column), days(30)), avg=(mean(column), days(30)), spread=(std(column), days(30)))


@given(st.integers(0, 2**53), st.sampled_from((5 * MINUTE, HOUR, DAY)))
def test_13_hop_arithmetic_is_portable(instant: int, hop: int) -> None:
    """`ts - MOD(ts, h)` and `ts + MOD(h - MOD(ts, h), h)`, with a MOD that every engine has."""
    assert instant - instant % hop == floor_to(instant, hop)
    assert instant + (hop - instant % hop) % hop == ceil_to(instant, hop)


def test_13_sql_rounds_by_mod_alone() -> None:
    compiled = plan(everything((days(1), days(30))))
    for dialect in (DUCKDB, POSTGRES):
        text = states_sql(compiled, SPAN, form="served", late=True, revised=True, dialect=dialect).upper()
        assert "MOD(" in text
        for word in ("CEIL", "FLOOR", "DATE_TRUNC", "TIME_BUCKET", "%"):
            assert word not in text


def test_13_derived_features_are_finalised_with_the_rest() -> None:
    view = view_of(
        size=(count(), days(1)), sum=(total(event.input_tokens), days(1)), each=feature("sum") / feature("size"), third=feature("each") / 3
    )
    events = [happened("2026-03-05 09:00", event_id=str(number), input_tokens=TOKENS) for number in range(3)]
    rows = rows_of(view, events)

    assert read(rows, "03-05 09:00", "third") == float(3 * TOKENS) / float(3) / 3.0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["served", "known_now"])
def test_13_postgres_gives_the_same_states_at_the_greatest_values(module_database: Settings, form: Form) -> None:
    view = everything((days(1), days(30)))
    compiled = plan(view)
    start, end = SPAN.start - reach_back(compiled), SPAN.end
    with connect_arrow(module_database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ml_learning.agent_events_all') IS NULL")
        empty = cursor.fetchone() == (True,)
    if empty:
        partition_log(module_database)
        insert(module_database, crafted())
    with connect_arrow(module_database) as connection, connection.cursor() as cursor:
        table = read_events(connection, view.agent, compiled.columns, start, end)
        source = integer_events_sql(view.agent, compiled.columns, start, end)
        ranked = f"events AS (SELECT *, row_number() OVER (ORDER BY ts, event_id) AS seq FROM ({source}) e)"
        text = states_sql(compiled, SPAN, form=form, late=True, revised=True, dialect=POSTGRES)
        cursor.execute(text.replace("WITH ", f"WITH {ranked}, ", 1))
        theirs = engine.states_of(cursor.fetch_arrow_table())
        with engine.loaded(table, compiled) as duck:
            ours = engine.states_of(duck.sql(states_sql(compiled, SPAN, form=form, late=True, revised=True)).to_arrow_table())
    assert ours.keys.to_pylist() == theirs.keys.to_pylist()
    assert ours.instants.tolist() == theirs.instants.tolist()
    for name, (values, valid) in ours.columns.items():
        assert values.tolist() == theirs.columns[name][0].tolist(), name
        assert valid.tolist() == theirs.columns[name][1].tolist(), name
