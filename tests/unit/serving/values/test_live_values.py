"""How Redis is asked: shared round trips, who waits for a late one and who does not. Redis is played here."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from detektor_pipelines.serving.values import live_values
from detektor_pipelines.serving.values.live_values import KEYS_A_TRIP, LANES, LiveValues, OnlineStoreLateError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Redis:
    """One server for all clients: answers each key with itself, once it may."""

    def __init__(self) -> None:
        self.trips: list[list[str]] = []
        self.may = asyncio.Event()
        self.may.set()
        self.error: Exception | None = None
        self.sent: list[list[tuple[Any, ...]]] = []

    async def answer(self, keys: tuple[str, ...]) -> list[bytes]:
        self.trips.append(list(keys))
        await self.may.wait()
        for _ in range(5):  # what has come takes some turns of the loop until it is read
            await asyncio.sleep(0)
        if self.error:
            raise self.error
        return [key.encode() for key in keys]


class Pipeline(list[tuple[Any, ...]]):
    """redis-py's, as far as it is used."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self.redis = redis

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def execute_command(self, *command: Any) -> None:
        self.append(command)

    async def execute(self) -> None:
        self.redis.sent.append(list(self))


class Client:
    """What `LiveValues` needs of redis-py's."""

    connection_pool = SimpleNamespace(connection_kwargs={"host": "here", "port": 1})

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def execute_command(self, name: str, *keys: str) -> list[bytes]:
        assert name == "MGET"
        return await self.redis.answer(keys)

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self.redis)

    async def ping(self) -> bool:
        await self.redis.answer(())
        return True

    async def aclose(self) -> None:
        pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def running(test: Callable[[LiveValues, Redis], Awaitable[None]], **settings: Any) -> None:
        async def inside() -> None:
            redis = Redis()
            monkeypatch.setattr(live_values, "_client", lambda _: Client(redis))
            chosen = {"serve_redis_timeout_ms": 10_000, "serve_redis_late_ms": 20} | settings
            live = LiveValues(Settings(**chosen))
            try:
                async with asyncio.timeout(30):
                    await test(live, redis)
            finally:
                await live.close()

        asyncio.run(inside())

    return running


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what it waits for tells nobody
        await asyncio.sleep(0)


async def occupied(live: LiveValues, redis: Redis) -> list[asyncio.Task[list[bytes | None]]]:
    """Have a patient request on every lane, unanswered."""
    redis.may.clear()
    tasks = []
    for number in range(LANES):
        tasks.append(asyncio.create_task(live.get([str(number)])))
        await until(lambda: len(redis.trips) > number)  # noqa: B023 - awaited at once
    return tasks


def test_those_who_wait_share_a_round_trip(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        first = await occupied(live, redis)
        others = [asyncio.create_task(live.get([f"{number}a", f"{number}b"])) for number in range(50)]
        await asyncio.sleep(0.01)
        redis.may.set()
        assert [await each for each in others] == [[f"{number}a".encode(), f"{number}b".encode()] for number in range(50)]
        assert [await each for each in first] == [[b"0"], [b"1"]]
        assert len(redis.trips) == LANES + 1

    run(test)


def test_what_does_not_fit_goes_with_the_next_one(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        redis.may.clear()
        waiting = [asyncio.create_task(live.get([str(number)] * 900)) for number in range(LANES + 5)]
        await asyncio.sleep(0.01)
        redis.may.set()
        assert [await each for each in waiting] == [[str(number).encode()] * 900 for number in range(LANES + 5)]
        assert max(map(len, redis.trips)) <= KEYS_A_TRIP

    run(test)


def test_more_than_a_round_trip_takes_is_read_in_pieces_the_last_key_first(run: Callable[..., None]) -> None:
    """What says up to when the values before it are complete must not be read after them."""

    async def test(live: LiveValues, redis: Redis) -> None:
        keys = [str(number) for number in range(2 * KEYS_A_TRIP + 5)]
        assert await live.get(keys, patient=False) == [key.encode() for key in keys]
        assert [trip[0] for trip in redis.trips] == [str(2 * KEYS_A_TRIP), str(KEYS_A_TRIP), "0"]
        assert max(map(len, redis.trips)) == KEYS_A_TRIP

    run(test)


def test_who_is_not_patient_does_not_wait_for_a_late_answer(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        patient, _ = await occupied(live, redis)
        hasty = [asyncio.create_task(live.get([str(number)], patient=False)) for number in range(10)]
        found = await asyncio.gather(*hasty, return_exceptions=True)
        assert {type(each) for each in found} == {OnlineStoreLateError}, "those whose trip is out, and those who wait for one"
        assert not patient.done()
        trips = len(redis.trips)
        with pytest.raises(OnlineStoreLateError, match="has not answered for 20 ms"):
            await live.get(["b"], patient=False)
        assert len(redis.trips) == trips, "as long as all round trips are late nobody who is not patient waits at all"
        assert live.down is None, "late is not away"
        redis.may.set()
        assert await patient == [b"0"]
        await until(lambda: not live._late)
        assert await live.get(["c"], patient=False) == [b"c"]

    run(test)


def test_nobody_is_late_when_that_is_switched_off_or_the_request_is_large(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        redis.may.clear()
        waiting = asyncio.create_task(live.get(["a"] * size, patient=False))
        await asyncio.sleep(0.1)
        redis.may.set()
        assert await waiting == [b"a"] * size

    size = 1
    run(test, serve_redis_late_ms=0)
    size = KEYS_A_TRIP + 1
    run(test)


@pytest.mark.parametrize("settings", [{}, {"serve_redis_timeout_ms": 50, "serve_redis_late_ms": 0}])
def test_a_process_that_was_held_up_itself_calls_nobody_late_or_away(run: Callable[..., None], settings: dict[str, int]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        waiting = asyncio.create_task(live.get(["a"], patient=False))
        await until(lambda: bool(redis.trips))
        time.sleep(0.1)  # noqa: ASYNC251 - that is what it is about
        assert await waiting == [b"a"]
        assert live.down is None

    run(test, **settings)


def test_a_time_out_opens_the_circuit(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        redis.may.clear()
        found = await asyncio.gather(*(live.get([str(number)]) for number in range(5)), return_exceptions=True)
        assert {str(each).partition("\n")[0] for each in found} == {"Redis does not answer within 50 ms."}
        trips = len(redis.trips)
        with pytest.raises(OnlineStoreDownError):
            await live.get(["a"])
        assert len(redis.trips) == trips, "it is not asked"
        redis.may.set()
        await until(lambda: live.down is None)
        assert await live.get(["a"]) == [b"a"]

    run(test, serve_redis_timeout_ms=50)


def test_a_lost_connection_opens_the_circuit_a_refusal_does_not(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        redis.error = ResponseError("WRONGTYPE")
        with pytest.raises(ResponseError):
            await live.get(["a"])
        assert live.down is None
        redis.error = RedisConnectionError("reset")
        with pytest.raises(OnlineStoreDownError, match="does not answer"):
            await live.get(["a"])
        assert live.down is not None

    run(test)


def test_a_request_that_has_gone_takes_nothing_from_others(run: Callable[..., None]) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        redis.may.clear()
        gone, stays = asyncio.create_task(live.get(["a"])), asyncio.create_task(live.get(["b", "c"]))
        await asyncio.sleep(0.01)
        gone.cancel()
        redis.may.set()
        assert await stays == [b"b", b"c"]

    run(test)


def test_what_nobody_waits_for_is_sent_together(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(live: LiveValues, redis: Redis) -> None:
        monkeypatch.setattr(live_values, "UNSENT_LIMIT", 4)
        for number in range(5):
            live.send([("XADD", number)])
        live.send([])
        await until(lambda: bool(redis.sent))
        live.send([("XADD", 5)])
        await until(lambda: len(redis.sent) == 2)
        assert redis.sent == [[("XADD", number) for number in range(1, 5)], [("XADD", 5)]], "the oldest are left out"

    run(test)
