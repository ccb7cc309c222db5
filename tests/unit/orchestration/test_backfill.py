"""Which runs a backfill is made of."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.orchestration.backfill import GAP, batches

FIRST = date(2026, 1, 1)
day = st.integers(0, 200).map(lambda number: FIRST + timedelta(days=number))
due = st.dictionaries(st.sampled_from(VIEWS[:3]), st.sets(day, max_size=12).map(sorted))


@given(due)
def test_every_due_day_is_in_exactly_one_run_with_its_view(wanted: dict[Any, list[date]]) -> None:
    made = batches(wanted)
    for view, days in wanted.items():
        for each in days:
            assert [view in batch.views for batch in made if batch.first <= each <= batch.last] == [True]
    assert sum(batch.due for batch in made) == sum(len(days) for days in wanted.values())


@given(due)
def test_runs_are_apart_and_begin_and_end_with_a_due_day(wanted: dict[Any, list[date]]) -> None:
    every = {each for days in wanted.values() for each in days}
    made = batches(wanted)
    assert all({batch.first, batch.last} <= every and batch.views for batch in made)
    assert all((after.first - before.last).days > GAP for before, after in pairwise(made))


def test_nothing_due_is_no_run() -> None:
    assert batches({VIEWS[0]: []}) == []


def test_far_apart_days_are_runs_of_their_own_with_their_views_only() -> None:
    long_ago, today = FIRST, FIRST + timedelta(days=100)
    old, new = batches({VIEWS[0]: [long_ago, today], VIEWS[1]: [today]})
    assert (old.views, old.first, old.last, old.due) == ((VIEWS[0],), long_ago, long_ago, 1)
    assert (new.views, new.first, new.last, new.due) == (VIEWS[:2], today, today, 2)
