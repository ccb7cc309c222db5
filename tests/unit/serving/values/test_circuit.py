"""The circuit in front of Redis: open from the first failure, tried by its own probe only, closed by its answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.serving.values import circuit
from detektor_pipelines.serving.values.circuit import Circuit, again
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError

if TYPE_CHECKING:
    from collections.abc import Callable

GONE = OnlineStoreDownError("Redis does not answer.", where="Redis at here:1", fix="Start it.")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "PROBE_EVERY_S", 0.001)


class Redis:
    """Answers or not, and counts how often it was asked."""

    def __init__(self) -> None:
        self.away, self.asked = False, 0

    async def ask(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise again(GONE)


async def fail(through: Circuit, error: Exception = GONE) -> None:
    with pytest.raises(type(error)), through.watching():
        raise error


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


def test_one_failure_opens_it_and_the_probe_closes_it() -> None:
    async def run() -> None:
        redis = Redis()
        through = Circuit(redis.ask)
        assert through.why is None
        redis.away = True
        await fail(through)
        assert through.why is not None
        assert (through.why.what, through.why.where, through.why.fix) == (GONE.what, GONE.where, GONE.fix)
        await until(lambda: redis.asked > 3)
        assert through.why is not None
        redis.away = False
        await until(lambda: through.why is None)
        asked = redis.asked
        await asyncio.sleep(0.01)
        assert redis.asked == asked, "it is not asked any more"
        await fail(through)
        assert through.why is not None, "it opens again"
        await until(lambda: through.why is None)

    asyncio.run(run())


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), RuntimeError("a refusal")])
def test_what_is_an_answer_opens_nothing(error: Exception) -> None:
    async def run() -> None:
        through = Circuit(Redis().ask)
        await fail(through, error)
        assert through.why is None

    asyncio.run(run())


def test_a_probe_that_is_refused_is_answered() -> None:
    async def run() -> None:
        async def refused() -> None:
            await asyncio.sleep(0)
            message = "a refusal"
            raise RuntimeError(message)

        through = Circuit(refused)
        await fail(through)
        await until(lambda: through.why is None)

    asyncio.run(run())


def test_a_cancelled_block_opens_nothing() -> None:
    async def run() -> None:
        through = Circuit(Redis().ask)

        async def hanging() -> None:
            with through.watching():
                await asyncio.sleep(60)

        task = asyncio.create_task(hanging())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert through.why is None

    asyncio.run(run())


def test_an_answer_that_was_under_way_does_not_close_it() -> None:
    async def run() -> None:
        redis = Redis()
        redis.away = True
        through, later = Circuit(redis.ask), asyncio.Event()

        async def slow() -> None:
            with through.watching():
                await later.wait()

        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        await fail(through)
        later.set()
        await task
        assert through.why is not None
        await through.close()

    asyncio.run(run())


def test_of_several_failures_at_once_one_begins_to_probe() -> None:
    async def run() -> None:
        redis = Redis()
        redis.away = True
        through, both = Circuit(redis.ask), asyncio.Event()

        async def failing() -> None:
            with through.watching():
                await both.wait()
                raise again(GONE)

        tasks = [asyncio.create_task(failing()) for _ in range(2)]
        await asyncio.sleep(0)
        both.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [OnlineStoreDownError] * 2
        assert len(asyncio.all_tasks()) == 2, "this one and the probe"
        await through.close()

    asyncio.run(run())


def test_the_reason_keeps_no_tracebacks() -> None:
    async def run() -> None:
        redis = Redis()
        redis.away = True
        through = Circuit(redis.ask)
        await fail(through)
        await until(lambda: redis.asked > 20)
        assert through.why is not None
        assert through.why.__traceback__ is None
        await through.close()

    asyncio.run(run())
