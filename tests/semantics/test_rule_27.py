"""Rule 27: parity asks whether a reader gets now what he should get now, and to have compared nothing is not a success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.planted import AGENT, KEY, VIEW, Planting, at, reviews, states

from detektor_pipelines import clock
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.quality.parity.check import check, compared_nothing, repair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

MORNING = "2026-03-07T10:06:00Z"
LATER = "2026-03-07T10:40:00Z"


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, so no worker could move anything."""
    monkeypatch.setattr(judgement, "AGAIN_S", 0.1)


@pytest.fixture
def planting(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planting]:
    """A review of the day before, which the worker knows, and one of 10:40, which it has heard too."""
    partition_log(servers)
    with Planting(servers, monkeypatch) as planting:
        at(monkeypatch, MORNING)
        insert(servers, reviews("a", "2026-03-06 08:00", project="p"))
        planting.tick()
        planting.keep("before")
        at(monkeypatch, LATER)
        insert(servers, reviews("b", "2026-03-07 10:40", project="p"))
        planting.tick()
        planting.keep("right")
        yield planting


def test_27_a_right_value_is_ok(planting: Planting) -> None:
    assert planting.states() == {"ok": 2}


def test_27_a_wrong_number_with_right_stamps_is_wrong(planting: Planting) -> None:
    planting.plant(week=99)
    (found,) = planting.errors()
    assert (found.state, found.feature, found.served, found.right) == ("wrong", "week", 99, 2)


def test_27_a_wrong_number_without_a_snapshot_is_compared_too(planting: Planting) -> None:
    planting.plant(snapshot=None, week=99)
    (found,) = planting.errors()
    assert (found.state, found.feature, found.served, found.right) == ("wrong", "week", 99, 2)


def test_27_a_right_number_without_a_snapshot_is_right_but_does_not_say_what_it_knows(planting: Planting) -> None:
    planting.plant(snapshot=None)
    assert planting.states() == {"ok": 1, "unknown": 1}


def test_27_the_value_of_before_an_event_is_a_lost_write(planting: Planting) -> None:
    planting.put_back("before")
    found = planting.errors()[-1]
    assert (found.state, found.feature, found.served, found.right) == ("lost", "week", 1, 2)
    assert found.since is not None
    assert found.since.startswith("event b of 2026-03-07T10:40:00Z")


def test_27_a_decay_that_was_never_written_is_frozen(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-03-20T00:00:00Z")
    planting.tick()
    assert planting.states() == {"ok": 2}
    planting.put_back("right")
    found = {each.feature: each for each in planting.errors()}
    assert {each.state for each in found.values()} == {"frozen"}
    assert (found["week"].served, found["week"].right) == (2, 0)
    assert found["week"].since == "an event left the window of 1d at 2026-03-08T11:00:00Z"


def test_27_beside_a_worker_at_work_the_reasons_are_the_same(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    """`valid_through` moves on while parity looks, and each value claims to be right up to there."""
    monkeypatch.setattr(judgement, "AGAIN_S", 10.0)  # until it has moved twice
    with planting.moving():
        planting.put_back("before")
        assert {each.state for each in planting.errors()} == {"lost"}
        planting.put_back("right")
        planting.plant(week=99)
        assert {each.state for each in planting.errors()} == {"wrong"}
    at(monkeypatch, "2026-03-20T00:00:00Z")
    planting.tick()
    with planting.moving():
        planting.put_back("right")
        assert {each.state for each in planting.errors()} == {"frozen"}


def test_27_a_key_that_was_never_written_is_missing(planting: Planting) -> None:
    planting.remove()
    found = {each.feature: each for each in planting.errors()}
    assert {each.state for each in found.values()} == {"missing"}
    assert (found["week"].served, found["week"].right) == (None, 2)


def test_27_a_key_that_was_read_and_is_gone_is_evicted(planting: Planting) -> None:
    planting.remember_read()
    planting.remove()
    assert {each.state for each in planting.errors()} == {"evicted"}


def test_27_a_key_that_was_published_and_is_gone_is_evicted(planting: Planting) -> None:
    planting.publish("2026-03-06")
    planting.remove()
    assert {each.state for each in planting.errors()} == {"evicted"}


def test_27_a_value_ahead_of_the_clock_is_an_error(planting: Planting) -> None:
    planting.plant(as_of=parse_instant(LATER) + 17 * 3_600_000_000)
    (found,) = planting.errors()
    assert (found.state, found.agent_id, found.since) == ("ahead", KEY, "61200 s ahead of the clock")


def test_27_valid_through_ahead_of_the_clock_is_an_error(planting: Planting) -> None:
    planting.move(parse_instant(LATER) + DAY)
    assert planting.states() == {"ahead": 2}


def test_27_valid_through_moved_past_a_lost_write_is_an_error(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    planting.put_back("before")
    at(monkeypatch, "2026-03-07T11:10:00Z")
    planting.move(parse_instant("2026-03-07T11:00:00Z"))
    assert {each.state for each in planting.errors()} == {"lost"}


def test_27_an_event_since_the_worker_ended_is_behind_and_no_error(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-03-07T12:30:00Z")
    insert(planting.settings, reviews("c", "2026-03-07 12:00", project="p"))
    insert(planting.settings, reviews("late", "2026-03-07 09:00", known="2026-03-07 12:00", project="new"))
    assert planting.states() == {"behind": 3}


def test_27_what_leaves_a_window_before_valid_through_must_have_left(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "2026-03-20T00:00:00Z")
    assert planting.states() == {"behind": 2}
    planting.move(parse_instant("2026-03-19T00:00:00Z"))
    assert planting.states() == {"frozen": 2}


def test_27_of_an_earlier_life_of_the_log_a_value_is_compared_by_value_only(planting: Planting) -> None:
    planting.plant(epoch=7)
    assert planting.states() == {"ok": 2}
    planting.plant(epoch=7, week=99)
    assert planting.states() == {"ok": 1, "wrong": 1}


def test_27_what_is_not_right_is_mended_from_the_log(planting: Planting) -> None:
    for spoil in (
        lambda: planting.plant(week=99),
        lambda: planting.plant(snapshot=None, week=99),
        lambda: planting.put_back("before"),
        planting.remove,
    ):
        spoil()
        found = check(planting.settings, [VIEW])
        assert found[0].errors == 1
        assert repair(planting.settings, [VIEW], found) == 1
        assert planting.states() == {"ok": 2}


def test_27_to_have_compared_nothing_is_no_success(servers: Settings) -> None:
    found = check(servers, [VIEW])
    assert compared_nothing(found)
    assert (found[0].known, found[0].compared, found[0].errors) == (0, 0, 0)


def test_27_events_that_nothing_was_made_of_are_missing_values(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    partition_log(servers)
    at(monkeypatch, LATER)
    insert(servers, reviews("a", "2026-03-06 08:00", project="p"))
    assert states(servers) == {"missing": 2}


def test_27_all_that_is_known_is_looked_at(planting: Planting, monkeypatch: pytest.MonkeyPatch) -> None:
    planting.publish("2026-03-06")
    at(monkeypatch, "2026-06-01T00:00:00Z")
    planting.empty_redis()
    insert(planting.settings, reviews("c", "2026-05-31 12:00", project="q"))
    (found,) = check(planting.settings, [VIEW])
    assert found.known == 3
    assert {each.agent_id for each in found.mismatches} >= {AGENT, f"{AGENT}@q"}
    assert clock.now_us() == parse_instant("2026-06-01T00:00:00Z")
