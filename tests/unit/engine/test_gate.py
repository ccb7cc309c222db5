"""The gate: rows that the engine makes pass, rows that break a type, a bound or the key are named by the day that owns them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from support.engine_cases import event_table
from support.rule_views import happened

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.compile import pandera
from detektor_pipelines.engine.compute import compute, row_schema
from detektor_pipelines.engine.gate import SHOWN, failures_by_day
from detektor_pipelines.language import Feature, FeatureView, count, days, event, last, mean
from detektor_pipelines.language.windows import DAY

VIEW = FeatureView(
    "gated_features",
    "code-reviewer",
    "1.0.0",
    "x",
    "x",
    (
        Feature("reviews_count", count(), over=days(1), description="x", unit="x", within=(0, 10)),
        Feature("issues_mean", mean(event.issues_found), over=days(1), description="x", unit="x", null_means="x", within=(None, 1_000)),
        Feature("last_at", last(event.occurred_at), over=days(1), description="x", unit="x", null_means="x"),
    ),
)
NOON = parse_instant("2026-03-05 12:00")
TODAY = (NOON - 1) // DAY


def rows(*changes: dict[str, Any]) -> pa.Table:
    """A good row an hour apart for each of the changes, with these made."""
    made = []
    for number, change in enumerate(changes):
        at = NOON + number * 3_600_000_000
        instants = {"event_timestamp": at, "created_at": at, "last_at": at}
        good = {"agent_id": "code-reviewer@shop", "reviews_count": 1, "issues_mean": 2.0, **instants}
        made.append({**good, **change})
    types = [(field.name, field.type) for field in row_schema(VIEW)]
    integers = pa.schema([(name, pa.int64() if pa.types.is_timestamp(kind) else kind) for name, kind in types])
    return pa.Table.from_pylist(made, schema=integers).cast(pa.schema(types))


def failed(*changes: dict[str, Any]) -> dict[int, list[tuple[str, str]]]:
    """(column, check) of each failure by day."""
    return {day: [(each["column"], each["check"]) for each in cases] for day, cases in failures_by_day(VIEW, rows(*changes)).items()}


def test_good_rows_pass_nulls_and_bounds_among_them() -> None:
    assert failed({}, {"issues_mean": None, "last_at": None}, {"reviews_count": 0}, {"reviews_count": 10, "issues_mean": 1000.0}) == {}


@pytest.mark.parametrize(
    ("change", "column", "check"),
    [
        ({"reviews_count": 11}, "reviews_count", "at most 10"),
        ({"reviews_count": -1}, "reviews_count", "at least 0"),
        ({"issues_mean": 1000.0000000000001}, "issues_mean", "at most 1,000"),
        ({"reviews_count": None}, "reviews_count", "not null"),
        ({"agent_id": "debugger"}, "agent_id", "code-reviewer or code-reviewer@<project>"),
        ({"agent_id": "code-reviewer@Shop"}, "agent_id", "code-reviewer or code-reviewer@<project>"),
        ({"agent_id": "code-reviewer@"}, "agent_id", "code-reviewer or code-reviewer@<project>"),
        ({"created_at": NOON - 1}, "", "created_at is not before event_timestamp"),
    ],
)
def test_what_breaks_a_rule_is_named(change: dict[str, Any], column: str, check: str) -> None:
    assert failed(change)[TODAY] == [(column, check)]


def test_a_case_says_which_row_and_which_value() -> None:
    (case,) = failures_by_day(VIEW, rows({}, {"reviews_count": 11}))[TODAY]

    assert case == {
        "agent_id": "code-reviewer@shop",
        "event_timestamp": "2026-03-05 13:00:00+00:00",
        "column": "reviews_count",
        "value": "11",
        "check": "at most 10",
    }
    assert list(case) == ["agent_id", "event_timestamp", "column", "value", "check"]


def test_a_failure_belongs_to_the_day_that_owns_its_row() -> None:
    midnight = (TODAY + 1) * DAY
    bad = {"reviews_count": 11}
    at_midnight = {**bad, "event_timestamp": midnight, "created_at": midnight}
    after_it = {**bad, "event_timestamp": midnight + 1, "created_at": midnight + 1}

    assert {day: len(cases) for day, cases in failed({}, at_midnight, after_it).items()} == {TODAY: 1, TODAY + 1: 1}


def test_a_key_twice_is_no_row() -> None:
    same = {"event_timestamp": NOON, "created_at": NOON}

    assert failed(same, same) == {TODAY: [("", "a key of its own")] * 2}


def test_only_the_first_failures_of_a_day_are_kept() -> None:
    early = NOON - 11 * 3_600_000_000
    many = [{"reviews_count": 11, "event_timestamp": early + number, "created_at": early + number} for number in range(SHOWN + 5)]

    assert len(failed(*many)[TODAY]) == SHOWN


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_rows_that_the_engine_makes_of_nothing_pass(view: FeatureView) -> None:

    late = happened("2026-03-05 10:00", known="2026-03-06 09:30", project="shop")
    table = compute(view, event_table(view, [late]), start=parse_instant("2026-03-01"), end=parse_instant("2026-05-01"))

    assert table.num_rows > 4
    assert failures_by_day(view, table) == {}


def test_a_frame_keeps_integers_beside_nulls() -> None:
    frame = pandera.frame(rows({"reviews_count": 2**53 + 1}, {"reviews_count": None}))

    assert frame["reviews_count"].iloc[0] == 2**53 + 1
