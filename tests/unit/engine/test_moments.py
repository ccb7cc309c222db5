"""Values of many moments against the naive oracle and against one read a moment, to the bit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_cases import HISTORY, ORIGIN, WINDOWS, crafted, event_table, everything, histories, instants_strategy, revised_histories
from support.examples import examples
from support.oracle import Event, Value, resolved, values
from support.rule_views import view_of

from detektor_pipelines.compile.moments import taking_part
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.engine.moments import values_at_moments
from detektor_pipelines.language import FeatureView, count, days, distinct, event, last, maximum, total
from detektor_pipelines.language.windows import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language import Window

few = settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
KEYS = ("code-reviewer", "code-reviewer@p", "code-reviewer@q", "code-reviewer@nobody")
Moment = tuple[str, int, str | None]
MOMENTS = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.one_of(instants_strategy(), st.integers(ORIGIN, ORIGIN + (HISTORY + 31) * DAY)),
        st.sampled_from(("a", "b", "ż", None)),
    ),
    max_size=40,
)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def table_of(moments: Sequence[Moment]) -> pa.Table:
    schema = pa.schema([("agent_id", pa.string()), ("instant", pa.int64()), ("task_id", pa.string())])
    return pa.table([list(column) for column in zip(*moments, strict=True)] or [[], [], []], schema=schema)


def computed(view: FeatureView, history: list[Event], moments: Sequence[Moment]) -> list[tuple[Value, ...]]:
    table = event_table(view, history)
    if "task_id" not in table.column_names:
        table = table.append_column("task_id", pa.array([each.values.get("task_id") for each in history], pa.string()))
    found = values_at_moments(view, table, table_of(moments))
    plain = [
        [(cell - EPOCH) // dt.timedelta(microseconds=1) if isinstance(cell, dt.datetime) else cell for cell in row] for row in rows(found)
    ]
    return [tuple(row) for row in plain]


def rows(table: pa.Table) -> list[list[Value]]:
    return [list(row.values()) for row in table.to_pylist()]


def known_at(history: list[Event], instant: int) -> list[Event]:
    """What somebody could know, one event at a time: its highest revision by then, unless that is a retraction."""
    by_id = {
        each.event_id: [other for other in history if other.event_id == each.event_id and other.known_at <= instant] for each in history
    }
    newest = [max(revisions, key=lambda each: each.revision) for revisions in by_id.values() if revisions]
    return [each for each in newest if each.live]


def of_key(events: list[Event], key: str) -> list[Event]:
    return [each for each in events if key in {"code-reviewer", f"code-reviewer@{each.project}"}]


def assert_as_the_oracle(view: FeatureView, history: list[Event], moments: Sequence[Moment]) -> None:
    names = [each.name for each in view.features]
    found = computed(view, resolved(history), moments)
    assert len(found) == len(moments)
    for (key, instant, task), row in zip(moments, found, strict=True):
        own = [each for each in of_key(known_at(history, instant), key) if task is None or each.values.get("task_id") != task]
        expected = values(view, own, instant, as_served=False)
        assert dict(zip(names, row, strict=True)) == dict(zip(names, expected, strict=True)), (key, instant, task)


@pytest.mark.slow
@few
@given(histories(), st.sampled_from(WINDOWS), MOMENTS)
def test_any_moments_equal_the_oracle(history: list[Event], window, moments: list[Moment]) -> None:
    assert_as_the_oracle(everything((window,)), history, moments)


@pytest.mark.slow
@few
@given(revised_histories(), st.sampled_from(WINDOWS), MOMENTS)
def test_with_revisions_too(history: list[Event], window, moments: list[Moment]) -> None:
    assert_as_the_oracle(everything((window,)), history, moments)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.label)
def test_every_boundary_of_a_crafted_history(window: Window) -> None:
    instants = sorted({instant + by for each in crafted() for instant in (each.occurred_at, each.known_at) for by in (-1, 0, 1)})
    moments = [(key, instant, task) for instant in instants for key in KEYS[:2] for task in (None, "a")]
    assert_as_the_oracle(everything((window,)), crafted(), moments)


@pytest.mark.slow
@few
@given(revised_histories(size=15), st.lists(instants_strategy(), min_size=1, max_size=6))
def test_they_equal_one_read_a_moment(history: list[Event], instants: list[int]) -> None:
    view, known = everything((WINDOWS[2],)), resolved(history)
    alone = {instant: values_at(view, event_table(view, known), instant, known=instant) for instant in instants}
    moments = [(key, instant, None) for key in KEYS[:3] for instant in instants]
    for (key, instant, _), row in zip(moments, computed(view, known, moments), strict=True):
        assert row == alone[instant].get(key, values(view, [], instant, as_served=False))


def test_moments_come_back_in_their_own_order() -> None:
    view = view_of(number=(count(), days(1)))
    history = [Event(f"e{number}", ORIGIN + number * HOUR, ORIGIN + number * HOUR, "p") for number in range(4)]
    moments: list[Moment] = [("code-reviewer@p", ORIGIN + number * HOUR, None) for number in (3, 0, 2, 0, 1)]
    assert computed(view, history, moments) == [(4,), (1,), (3,), (1,), (2,)]


def test_no_moments_and_no_events() -> None:
    view = view_of(number=(count(), days(1)), newest=(last(event.issues_found), days(1)))
    assert computed(view, [], [("code-reviewer", ORIGIN, None), ("code-reviewer@p", ORIGIN, "a")]) == [(0, None), (0, None)]
    assert computed(view, [Event("e", ORIGIN, ORIGIN)], []) == []


def test_the_moments_own_task_is_left_out_at_each_of_its_moments_and_counts_between_them_for_others() -> None:
    view = view_of(
        number=(count(), days(1)),
        most=(maximum(event.issues_found), days(1)),
        newest=(last(event.issues_found), days(1)),
        tasks=(distinct(event.task_id), days(1)),
        issues=(total(event.issues_found), days(1)),
    )
    mine = Event("mine", ORIGIN, ORIGIN, "p", values={"task_id": "a", "issues_found": 9})
    other = replace(mine, event_id="other", occurred_at=ORIGIN - HOUR, known_at=ORIGIN - HOUR, values={"task_id": "b", "issues_found": 2})
    at = ("code-reviewer@p", ORIGIN + HOUR)
    without, everything_of_it = (1, 2, 2, 1, 2), (2, 9, 9, 2, 11)
    moments: list[Moment] = [(*at, "a"), (*at, None), (*at, "a"), (*at, "c")]
    assert computed(view, [mine, other], moments) == [without, everything_of_it, without, everything_of_it]


def test_squares_at_their_greatest_are_exact() -> None:
    view = everything((WINDOWS[3],), filters=("",))
    assert_as_the_oracle(view, crafted(), [("code-reviewer", ORIGIN + 3 * DAY, None), ("code-reviewer", ORIGIN + 3 * DAY, "a")])


def test_what_no_feature_lets_through_need_not_be_read() -> None:
    review, all_of_it = event.operation == "review", view_of(number=(count(), days(1)))
    named = view_of(number=(count(), days(1), review), rejected=(count(), days(7), review & (event.verdict == "rejected")))
    assert taking_part(plan(named)) == "(operation = 'review') OR ((operation = 'review') AND (verdict = 'rejected'))"
    assert taking_part(plan(all_of_it)) is None
    assert taking_part(plan(view_of(number=(count(), days(1), event.occurred_at > 0)))) is None
