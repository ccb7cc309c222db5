"""A state made of whole tiles equals one that heard every event."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_cases import HISTORY, ORIGIN, crafted, event_table, everything, histories
from support.oracle import Event, values

from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stream.load import keys_of, state_of

VIEW = everything()
FOLD = fold(plan(VIEW))
few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_equal_throughout(events: list[Event], instant: int, moves: list[int]) -> None:
    state = state_of(FOLD, event_table(VIEW, events), instant)
    names = [each.name for each in VIEW.features]
    for move in (0, *moves, 100 * DAY):
        state.advance(state.instant + move)
        for key, projects in ((VIEW.agent, {None, "p", "q"}), (f"{VIEW.agent}@p", {"p"}), (f"{VIEW.agent}@q", {"q"})):
            expected = values(VIEW, [each for each in events if each.project in projects], state.instant, as_served=False)
            assert dict(zip(names, state.values(key), strict=True)) == dict(zip(names, expected, strict=True)), (key, state.instant)
    state.changes()
    assert not list(state.keys)


@few
@given(histories(), st.integers(ORIGIN, ORIGIN + HISTORY * DAY), st.lists(st.integers(1, 10 * DAY), max_size=4))
def test_the_tiles_of_a_history_equal_oracle(events: list[Event], instant: int, moves: list[int]) -> None:
    assert_equal_throughout(events, instant, moves)


def test_the_tiles_of_the_crafted_history_equal_oracle() -> None:
    assert_equal_throughout(crafted(), ORIGIN + 3 * DAY, [DAY, 5 * DAY, 8 * DAY])


def test_an_event_one_microsecond_ahead_waits() -> None:
    event = Event("a", ORIGIN + 1, ORIGIN, "p")
    assert state_of(FOLD, event_table(VIEW, [event]), ORIGIN).waiting == len(keys_of(VIEW.agent, "p"))
    assert state_of(FOLD, event_table(VIEW, [event]), ORIGIN + 1).waiting == 0


def test_keys_that_are_not_owned_are_left_out() -> None:
    state = state_of(FOLD, event_table(VIEW, crafted()), ORIGIN + 3 * DAY, owned=lambda key: key.endswith("@p"))
    state.advance(ORIGIN + 12 * DAY)
    assert set(state.keys) == {f"{VIEW.agent}@p"}
