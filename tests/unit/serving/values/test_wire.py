"""Round trips over the connection that redis-py has made: a server that speaks Redis's protocol, well or not, is played over TCP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from detektor_pipelines.serving.values.live_values import LANES, LiveValues
from detektor_pipelines.serving.values.wire import Wire, mget
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Server:
    """Answers an MGET with its keys, as `answer` says it; everything else with OK."""

    def __init__(self) -> None:
        self.connections = 0
        self.trips: list[tuple[int, list[bytes]]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]] = _well

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                words = [await self._word(reader) for _ in range(int((await reader.readuntil(b"\r\n"))[1:]))]
                if words[0] == b"MGET":
                    self.trips.append((number, words[1:]))
                    await self.answer(
                        b"*%d\r\n" % (len(words) - 1) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in words[1:]), writer
                    )
                else:
                    writer.write(b"+OK\r\n")

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readuntil(b"\r\n"))[1:])
        return (await reader.readexactly(size + 2))[:-2]


async def _well(answer: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer)


def once(answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]], server: Server) -> None:
    """Have the next MGET answered in this way, further ones well."""

    async def first(found: bytes, writer: asyncio.StreamWriter) -> None:
        server.answer = _well
        await answer(found, writer)

    server.answer = first


def run(test: Callable[[LiveValues, Server], Awaitable[None]], **settings: Any) -> Server:
    server = Server()

    async def inside() -> None:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        chosen = {"serve_redis_timeout_ms": 10_000, "serve_redis_late_ms": 0, "external_redis_url": f"redis://127.0.0.1:{port}"} | settings
        live = LiveValues(Settings(**chosen))
        try:
            async with asyncio.timeout(30):
                assert await live.get(["first"]) == [b"first"]
                await test(live, server)
        finally:
            await live.close()
            for each in server.writers:
                each.close()
            listening.close()

    asyncio.run(inside())
    return server


async def asks(live: LiveValues, *names: str) -> None:
    """Ask for each, and hold the answer to it."""
    found = await asyncio.gather(*(live.get([name, name]) for name in names))
    assert found == [[name.encode()] * 2 for name in names]


def test_it_goes_over_the_same_connection() -> None:
    async def test(live: LiveValues, server: Server) -> None:
        for number in range(5):
            await asks(live, str(number))
        assert len({connection for connection, _ in server.trips}) == 1
        await asks(live, *map(str, range(50)))
        assert len({connection for connection, _ in server.trips}) == LANES
        assert len(server.trips) < 20, "they share round trips"

    run(test)


def test_an_answer_in_pieces() -> None:
    async def slowly(answer: bytes, writer: asyncio.StreamWriter) -> None:
        for position in range(len(answer)):
            writer.write(answer[position : position + 1])
            await asyncio.sleep(0)

    async def test(live: LiveValues, server: Server) -> None:
        server.answer = slowly
        await asks(live, "a", "bc")
        await asks(live, "d")

    run(test)


def test_a_connection_that_ends_between_two_trips_or_in_one_costs_nobody_an_answer() -> None:
    async def close(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def half(answer: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer[:-3])
        writer.close()

    async def test(live: LiveValues, server: Server) -> None:
        for writer in server.writers:
            writer.close()
        await asyncio.sleep(0.05)
        await asks(live, "a")
        for way in (close, half):
            once(way, server)
            await asks(live, "b", "c")
            await asks(live, "d")
        assert live.down is None

    run(test)


def test_what_is_no_answer_is_asked_again() -> None:
    async def garbage(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def other(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b":7\r\n")

    async def twice(answer: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer + answer)

    async def test(live: LiveValues, server: Server) -> None:
        for way in (garbage, other, twice):
            once(way, server)
            await asks(live, "a")
            await asks(live, "b")
        assert live.down is None

    run(test)


def test_an_error_is_told_and_the_next_one_is_answered() -> None:
    async def error(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-WRONGTYPE no text\r\n")

    async def test(live: LiveValues, server: Server) -> None:
        server.answer = error
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await live.get(["a"])
        server.answer = _well
        await asks(live, "b")
        assert live.down is None

    run(test)


def test_an_answer_that_came_too_late_is_nobody_elses() -> None:
    held: list[tuple[bytes, asyncio.StreamWriter]] = []

    async def hold(answer: bytes, writer: asyncio.StreamWriter) -> None:
        held.append((answer, writer))

    async def test(live: LiveValues, server: Server) -> None:
        server.answer = hold
        with pytest.raises(OnlineStoreDownError, match="does not answer within 1000 ms"):
            await live.get(["a"])
        server.answer = _well
        for answer, writer in held:
            writer.write(answer)
        while live.down is not None:  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.01)
        await asks(live, "b", "c")

    run(test, serve_redis_timeout_ms=1_000)


@given(answers=st.lists(st.lists(st.one_of(st.none(), st.binary(max_size=30)), max_size=5), max_size=5), cuts=st.lists(st.integers(1, 20)))
def test_any_values_in_any_pieces(answers: list[list[bytes | None]], cuts: list[int]) -> None:
    told: list[list[bytes | None] | None] = []
    wire = Wire(_Transport(), told.append)
    for values in answers:
        content = b"*%d\r\n" % len(values) + b"".join(
            b"$-1\r\n" if each is None else b"$%d\r\n%b\r\n" % (len(each), each) for each in values
        )
        wire.ask(b"")
        for cut in cuts:
            piece, content = content[:cut], content[cut:]
            if piece:
                wire.data_received(piece)
        if content:
            wire.data_received(content)
    assert told == answers
    assert not wire.over


class _Transport(asyncio.Transport):
    def get_protocol(self) -> asyncio.BaseProtocol:
        return asyncio.Protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def write(self, data: Any) -> None:
        pass


def test_keys_are_counted_in_bytes() -> None:
    assert mget([["ż"], [b"a", b"b"]]) == b"*4\r\n$4\r\nMGET\r\n$2\r\n\xc5\xbc\r\n$1\r\na\r\n$1\r\nb\r\n"
