"""Values of a moment ago: how old they may be, whose `valid_through` they carry, how many are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.values.hot_values import HotValues
from detektor_pipelines.stores.online.values import Lookup, stored_view

VIEW = stored_view(VIEWS[0])


class Clock:
    """Seconds, as a test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def lookup(*agents: str, view: int = 0) -> Lookup:
    return Lookup("p", stored_view(VIEWS[view]), agents)


def test_what_was_read_is_given_again_until_it_is_too_old() -> None:
    clock = Clock()
    hot = HotValues(500, timer=clock)
    assert hot
    assert hot.get(lookup("a")) is None
    hot.put(lookup("a", "b"), [b"1", None, b"T"], read_at=clock.now)
    assert hot.get(lookup("b", "a", "b")) == [None, b"1", None, b"T"]
    assert hot.get(lookup("a", view=1)) is None, "another view's"
    assert hot.get(lookup("a", "c")) is None, "one is missing"
    clock.now += 0.5
    assert hot.get(lookup("a")) == [b"1", b"T"]
    clock.now += 0.001
    assert hot.get(lookup("a")) is None


def test_it_is_off_by_default() -> None:
    assert not HotValues(0)


def test_the_oldest_valid_through_speaks_for_all() -> None:
    clock = Clock()
    hot = HotValues(5_000, timer=clock)
    hot.put(lookup("new"), [b"2", b"later"], read_at=clock.now)
    hot.put(lookup("old"), [b"1", b"before"], read_at=clock.now - 1)
    assert hot.get(lookup("new", "old")) == [b"2", b"1", b"before"]
    assert hot.get(lookup("new")) == [b"2", b"later"]


def test_no_more_than_so_many_are_kept() -> None:
    hot = HotValues(5_000, entries=3, timer=Clock())
    for agent in "abcd":
        hot.put(lookup(agent), [agent.encode(), b"T"], read_at=100.0)
        hot.get(lookup("a"))
    assert [agent for agent in "abcd" if hot.get(lookup(agent))] == ["a", "c", "d"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=30), st.sampled_from([100, 700, 3_000]))
def test_nothing_older_than_the_bound_and_no_valid_through_ahead_of_its_value(steps: list[tuple[str, float]], bound: int) -> None:
    clock = Clock()
    hot = HotValues(bound, timer=clock)
    for agent, seconds in steps:
        clock.now += seconds
        for asked in (lookup(agent), lookup("a", agent)):
            found = hot.get(asked)
            if found is None:
                read_at = clock.now
                found = [f"{read_at}".encode()] * (len(asked.agent_ids) + 1)
                hot.put(asked, found, read_at=read_at)
            read = [float(each or b"") for each in found]
            assert min(read) >= clock.now - bound / 1_000
            assert read[-1] == min(read)
