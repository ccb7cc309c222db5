"""The aggregations of texts, lists and higher moments: batch, stream, tiles and exact reads against the naive oracle, to the bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.engine_cases import (
    APART,
    HISTORY,
    ORIGIN,
    WINDOWS,
    comparable,
    crafted,
    event_table,
    histories,
    instants_strategy,
    picking,
    revised_histories,
    side_by_side,
)
from support.examples import examples
from support.oracle import Event, resolved, rows, values

from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import Span, states_sql
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.engine.moments import values_at_moments
from detektor_pipelines.language import days, hours, minutes
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stream.load import state_of
from detektor_pipelines.stream.state import ViewState

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView, Window

slow_checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
few = settings(
    max_examples=examples(3), deadline=None, suppress_health_check=slow_checks, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
filters = st.sampled_from((("",), ("_rejected",)))
several = st.lists(histories(size=10), min_size=4, max_size=4)
revised = st.lists(revised_histories(size=6).map(resolved), min_size=4, max_size=4)
STREAMED = picking((hours(6), days(1), days(12)), filters=("_rejected",))
FOLD = fold(plan(STREAMED))


def assert_same(view: FeatureView, batches: list[list[Event]], start: int, end: int) -> None:
    events = [event for batch in batches for event in batch]
    ours = comparable(compute(view, event_table(view, events), start=start, end=end))
    naive = sorted(
        (row for batch in batches for row in rows(view, batch, start=start, end=end)), key=lambda row: (row[0].encode(), row[1], row[2])
    )
    assert [row[:3] for row in ours] == [row[:3] for row in naive]
    names = [each.name for each in view.features]
    for mine, theirs in zip(ours, naive, strict=True):
        assert dict(zip(names, mine[3], strict=True)) == dict(zip(names, theirs[3], strict=True)), mine[:3]


@pytest.mark.parametrize("window", [minutes(45), days(1), days(30)], ids=lambda window: window.label)
def test_the_crafted_history_equals_oracle(window: Window) -> None:
    assert_same(picking((window,), filters=("",)), [crafted()], ORIGIN - DAY, ORIGIN + (HISTORY + 45) * DAY)


@pytest.mark.slow
@few
@given(st.one_of(several, revised), st.sampled_from(WINDOWS), filters)
def test_late_and_revised_events_equal_oracle(batches: list[list[Event]], window: Window, chosen: tuple[str, ...]) -> None:
    assert_same(picking((window,), filters=chosen), side_by_side(batches), ORIGIN - DAY, ORIGIN + (HISTORY + 45 + len(batches) * 100) * DAY)


@pytest.mark.slow
@few
@given(st.one_of(several, revised), st.integers(0, 4 * APART // HOUR), st.integers(1, 60), st.sampled_from((HOUR, 15 * 60_000_000, DAY)))
def test_any_range_and_grain_of_windows_that_share_states_equals_oracle(
    batches: list[list[Event]], first: int, length: int, grain: int
) -> None:
    start = ORIGIN + first * HOUR - first * HOUR % grain
    assert_same(picking((minutes(45), days(30)), grain, filters=("",)), side_by_side(batches), start, start + length * DAY)


@pytest.mark.slow
@few
@given(histories(), st.randoms(use_true_random=False), st.lists(st.integers(0, 10 * DAY), max_size=4), st.integers(0, (HISTORY + 31) * DAY))
def test_the_stream_equals_oracle_in_any_order_of_arrival(events: list[Event], random, moves: list[int], ahead: int) -> None:
    arriving = [each for each in events if each.live]
    random.shuffle(arriving)
    heard, whole = ViewState(FOLD, ORIGIN + ahead), state_of(FOLD, event_table(STREAMED, events), ORIGIN + ahead)
    for each in arriving:
        row = each.row()
        contribution = FOLD.contribution(each.occurred_at, each.project, *(row.get(name) for name in FOLD.columns))
        if contribution is not None:
            for key in [STREAMED.agent, *([f"{STREAMED.agent}@{each.project}"] if each.project else [])]:
                heard.add(key, each.occurred_at, each.event_id, contribution)
    names = [each.name for each in STREAMED.features]
    for move in (0, *moves):
        heard.advance(heard.instant + move)
        whole.advance(whole.instant + move)
        for key in (STREAMED.agent, f"{STREAMED.agent}@p"):
            own = [each for each in arriving if key in {STREAMED.agent, f"{STREAMED.agent}@{each.project}"}]
            expected = dict(zip(names, values(STREAMED, own, heard.instant, as_served=False), strict=True))
            assert dict(zip(names, heard.values(key), strict=True)) == expected, (key, heard.instant)
            assert dict(zip(names, whole.values(key), strict=True)) == expected, (key, heard.instant)


@pytest.mark.slow
@few
@given(histories(), st.lists(st.tuples(instants_strategy(), st.sampled_from(("a", "b", None))), min_size=1, max_size=15))
def test_moments_without_a_task_of_their_own_equal_oracle(history: list[Event], moments: list[tuple[int, str | None]]) -> None:
    import pyarrow as pa

    view = picking((days(1), days(30)), filters=("",))
    table = event_table(view, history)
    if "task_id" not in table.column_names:
        table = table.append_column("task_id", pa.array([each.values.get("task_id") for each in history], pa.string()))
    columns = {"agent_id": [view.agent] * len(moments), "instant": [at for at, _ in moments], "task_id": [task for _, task in moments]}
    schema = pa.schema([("agent_id", pa.string()), ("instant", pa.int64()), ("task_id", pa.string())])
    found = values_at_moments(view, table, pa.table(columns, schema=schema))
    plain = pa.table(
        [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in found.columns], found.column_names
    )
    for (at, task), row in zip(moments, plain.to_pylist(), strict=True):
        seen = [each for each in history if each.live and each.known_at <= at and (task is None or each.values.get("task_id") != task)]
        assert row == dict(zip((each.name for each in view.features), values(view, seen, at, as_served=False), strict=True)), (at, task)


def test_of_two_events_in_one_microsecond_the_event_id_decides() -> None:
    view = picking((days(1),), filters=("",))
    events = [
        Event(name, ORIGIN + 5, ORIGIN + 5, "p", values={"task_id": name, "verdict": "approved", "issues_found": n})
        for n, name in enumerate("bac")
    ]
    found = dict(
        zip((each.name for each in view.features), values_at(view, event_table(view, events), ORIGIN + 6)[view.agent], strict=True)
    )
    assert json.loads(found["last_k_1d"]) == ["c", "b", "a"]
    assert (found["last_text_1d"], found["first_1d"], json.loads(found["last_k_numbers_1d"])) == ("c", 1, [2, 0])


def test_the_skewness_of_the_greatest_values_is_exact_and_that_of_equal_ones_null() -> None:
    view = picking((days(30),), filters=("",))
    most = 7 * 24 * 3_600_000
    for numbers in ([most] * 5, [0, 0, most], [0, most, most], [0, most], []):
        events = [Event(str(n), ORIGIN + n, ORIGIN + n, "p", values={"duration_ms": each}) for n, each in enumerate(numbers)]
        found = values_at(view, event_table(view, events), ORIGIN + 100).get(view.agent)
        if found is not None:
            at = [each.name for each in view.features].index("skewness_30d")
            assert found[at] == values(view, events, ORIGIN + 100, as_served=False)[at]
            assert (found[at] is None) is (len(set(numbers)) < 2 or len(numbers) < 3)


def test_views_without_them_are_computed_by_the_same_sql_as_before() -> None:
    from detektor_pipelines.catalog import DECLARED

    for view in DECLARED:
        text = states_sql(plan(view), Span(ORIGIN, ORIGIN + DAY), form="served", late=True, revised=True)
        assert "array_agg" not in text
        assert not plan(view).ranked
        assert not plan(view).limbs
