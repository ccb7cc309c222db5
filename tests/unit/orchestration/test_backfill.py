"""Which runs a backfill is made of, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import DayResult
from detektor_pipelines.orchestration.backfill import GAP, Backfill, Batch, batches, run_batches
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.views import FeatureView

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


# The runs one after another ---------------------------------------------------------------------------------------------------

ONE = Batch(VIEWS[:1], FIRST, FIRST, due=1)


def runs(monkeypatch: pytest.MonkeyPatch, *outcomes: dict[str, Any], days: Sequence[DayResult] = ()) -> tuple[Backfill, list[date]]:
    """Let three runs end so, each having told of `days`; returns what became of them, and the days that the caller heard of."""
    from detektor_pipelines.orchestration import run

    left = iter(outcomes)

    def materialize_range(_: Settings, views: Sequence[FeatureView], *more: Any, **__: Any) -> run.RunSummary:
        for day in days:
            more[-1](views[0], day)
        return run.RunSummary(**next(left))

    monkeypatch.setattr(run, "materialize_range", materialize_range)
    heard: list[date] = []
    return run_batches(Settings(), [ONE] * len(outcomes), on_day=lambda _, day: heard.append(day.day)), heard


@pytest.mark.slow
def test_a_failed_run_is_followed_by_the_next_and_a_cancelled_one_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = runs(monkeypatch, {"succeeded": False}, {"cancelled": True}, {"succeeded": True})
    assert (len(done.runs), done.cancelled, done.succeeded) == (2, True, False)


@pytest.mark.slow
def test_a_step_that_is_tried_again_tells_of_no_day_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    result = DayResult(FIRST, "published", 24, "hash", 24, None)
    done, heard = runs(monkeypatch, {"succeeded": True}, days=[result, replace(result, status="kept")])
    assert done.days == {VIEWS[0].name: [result]}
    assert heard == [FIRST]
