"""When somebody is told that something takes long. The event loop's clock is played."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.serving.values.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.off = at, call, False

    def cancel(self) -> None:
        self.off = True


class Loop:
    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def run(self, until: float) -> None:
        while due := [each for each in self.timers if not each.off and each.at <= until]:
            first = min(due, key=lambda each: each.at)
            self.timers.remove(first)
            self.now = max(self.now, first.at)
            first.call()
        self.now = max(self.now, until)


class World:
    def __init__(self, late: float, over: float) -> None:
        self.loop, self.told = Loop(), list[tuple[float, str]]()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("asyncio.get_running_loop", lambda: self.loop)
            self.watch = Watch((late, lambda: self.tell("late")), (over, lambda: self.tell("over")))

    def tell(self, what: str) -> None:
        self.told.append((round(self.loop.now, 6), what))


def test_each_is_told_once_at_its_time() -> None:
    world = World(2, 10)
    world.loop.run(1)
    world.watch.begin()
    world.loop.run(50)
    assert world.told == [(3, "late"), (11, "over")]


def test_what_ends_in_time_is_not_told_and_the_next_one_at_its_own_time() -> None:
    world = World(2, 10)
    for _ in range(5):
        world.watch.begin()
        world.loop.run(world.loop.now + 1.5)
        world.watch.end()
    assert not world.told
    assert len([each for each in world.loop.timers if not each.off]) <= 1, "one timer for all"
    started = world.loop.now
    world.watch.begin()
    world.loop.run(started + 5)
    ((at, what),) = world.told
    assert what == "late"
    assert started + 2 <= at <= started + 3, "the first half may have begun with the timer of the one before"


def test_one_that_follows_a_late_one_does_not_wait_for_its_timer() -> None:
    world = World(2, 100)
    world.watch.begin()
    world.loop.run(3)
    world.watch.end()
    world.watch.begin()
    world.loop.run(6)
    assert world.told == [(2, "late"), (5, "late")]


def test_a_process_that_was_held_up_has_a_turn_before_anybody_is_told() -> None:
    world = World(2, 10)
    world.watch.begin()
    world.loop.now = 30.0
    world.loop.run(30)
    assert not world.told, "what has come meanwhile is read first"
    world.watch.end()
    world.loop.run(60)
    assert not world.told


def test_never_and_closed() -> None:
    world = World(0, 10)
    world.watch.begin()
    world.loop.run(20)
    assert world.told == [(10, "over")]
    world.watch.begin()
    world.watch.close()
    world.loop.run(60)
    assert len(world.told) == 1
