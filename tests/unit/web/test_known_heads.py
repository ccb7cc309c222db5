"""Requests whose head is known: offered to the application's shortcut, answered in order, and by the application whatever it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from unit.web.test_http_connection import echo, fed, request, split

from detektor_pipelines.web.http_connection import HEAD_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detektor_pipelines.web.http_connection import Connection, Taken


class Shortcut:
    """Answers as `echo` does and says that it was it; a moment later, or leaves a body that begins with b to the application."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def known(self, scope: Mapping[str, Any]) -> str | None:
        return None if scope["path"] == "/3" else scope["path"]

    def take(self, head: str, body: bytes, taken: Taken) -> bool:
        if body.startswith(b"a"):
            return False
        self.taken.append(body)
        content = head.encode() + b"=" + body
        loop = asyncio.get_running_loop()
        if body.startswith(b"b"):
            loop.call_soon(taken.give_back)
        else:
            loop.call_soon(taken.answer, b"content-length: %d\r\nx-short: 1\r\n" % len(content), content)
        return True


class Application:
    """What uvicorn serves, with a shortcut beside it."""

    def __init__(self) -> None:
        self.state = type("State", (), {"shortcut": Shortcut()})()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)


_LETTERS = st.sampled_from([b"", b"a", b"b", b"c", b"cc", b"dd"])


@given(
    bodies=st.lists(st.tuples(_LETTERS, st.booleans(), st.integers(1, 3)), min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
    data=st.data(),
)
def test_each_is_answered_once_and_in_order(bodies: list[tuple[bytes, bool, int]], cuts: list[int], data: st.DataObject) -> None:
    """In pieces, or several in one, before the one before is answered or after it."""
    requests = [request(number, body, chunked=chunked) for body, chunked, number in bodies]
    pieces = requests if data.draw(st.booleans()) else split(b"".join(requests), cuts)
    pauses = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    connection, transport = asyncio.run(fed(pieces, pauses, Application()))
    answers = [each.partition(b"\r\n\r\n")[2] for each in transport.written.split(b"HTTP/1.1 ")[1:]]
    assert answers == [b"/%d=%s" % (number, body) for body, _, number in bodies]
    assert connection._due is None


_LINES = st.sampled_from(
    [
        b"Content-Length: 2\r\n",
        b"content-length:2\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"X: a\r\n b\r\n",
        b"X: a\n",
        b"X a\r\n",
        b"X:\r\n",
        b"X: a\x00\r\n",
        b"X: long\r\n",
        b"Content-Type: application/json\r\n",
    ]
)
_FIRST = st.sampled_from(
    [
        b"POST /1 HTTP/1.1",
        b"POST /2 HTTP/1.1",
        b"HEAD /1 HTTP/1.1",
        b"GET /1 HTTP/1.1",
        b"POST /1 HTTP/1.0",
        b"POST  /1 HTTP/1.1",
        b"\r\nPOST /1 HTTP/1.1",
    ]
)
_BODY = st.sampled_from([b"cc", b"", b"ccc", b"2\r\ncc\r\n0\r\n\r\n", b"2;x=y\r\ncc\r\n0\r\nTrailer: a\r\n\r\n", b"2\ncc\n0\n\n", b"c"])
_ODD = st.builds(
    lambda first, lines, end, body: first + b"\r\nHost: a\r\n" + b"".join(lines) + end + body,
    _FIRST,
    st.lists(_LINES, max_size=3),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
    _BODY,
)
_KNOWN = request(1, b"cc", chunked=False)


@given(
    odd=st.lists(st.one_of(st.just(_KNOWN), _ODD), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 600), max_size=5),
    apart=st.booleans(),
)
def test_whatever_comes_is_answered_as_without_a_shortcut(odd: list[bytes], cuts: list[int], apart: bool) -> None:  # noqa: FBT001
    """Behind a request whose head is known; uvicorn's parser, which sees every byte where there is no shortcut, says what is right."""
    requests = [each.replace(b"long", b"a" * (HEAD_LIMIT + 100)) for each in (_KNOWN, *odd, _KNOWN)]
    pieces = requests if apart else split(b"".join(requests), cuts)
    with_it, without = (asyncio.run(fed(pieces, [True] * len(pieces), each))[1] for each in (Application(), echo))
    assert with_it.written.replace(b"x-short: 1\r\n", b"") == without.written
    assert with_it.closed == without.closed


def sent(*pieces: bytes, then: Callable[[Connection], object] = lambda _: None) -> tuple[list[bytes], Any]:
    application = Application()

    async def run() -> Any:
        connection, transport = await fed(list(pieces), [True] * len(pieces), application)
        then(connection)
        return transport

    return application.state.shortcut.taken, asyncio.run(run())


def test_only_the_very_same_head_is_known() -> None:
    plain = request(1, b"cc", chunked=False)
    assert sent(plain, plain, plain)[0] == [b"cc", b"cc"]
    assert sent(plain, plain.replace(b"Host: a", b"Host: b"))[0] == []
    assert sent(*[request(1, b"cc", chunked=True)] * 3)[0] == [], "its length is not said"
    assert sent(*[request(3, b"cc", chunked=False)] * 3)[0] == [], "not for the shortcut"
    assert sent(*[plain.replace(b"Host", b"Connection: close\r\nHost")] * 3)[0] == []
    assert sent(*[request(1, b"cc", chunked=False, padding=3_000)] * 3)[0] == [], "too long to be kept"


def test_head_and_body_may_come_apart() -> None:
    """As Python's own client sends them."""
    head, body = request(1, b"cc", chunked=False).split(b"cc")[0], b"cc"
    taken, transport = sent(*[head, body] * 3)
    assert taken == [body] * 2
    assert transport.written.count(b"/1=cc") == 3
    taken, transport = sent(head + body, head, b"c", b"c" + head, body, head + b"c", b"c")
    assert taken == [body], "in three pieces, or with more behind it, it is the application's"
    assert transport.written.count(b"/1=cc") == 4


def test_nothing_of_a_request_is_lost_when_its_answer_has_to_wait() -> None:
    """The client takes no answers for a moment, between the head and the body."""
    plain = request(1, b"cc", chunked=False)

    async def run() -> Any:
        connection, transport = await fed([plain, plain[:-2]], [True, True], Application())
        connection.pause_writing()
        connection.data_received(plain[-2:])
        connection.resume_writing()
        for _ in range(10):
            await asyncio.sleep(0)
        return transport

    assert asyncio.run(run()).written.count(b"/1=cc") == 2


def test_what_is_missing_of_a_known_request_is_waited_for_no_longer_than_of_others() -> None:
    plain = request(1, b"cc", chunked=False)

    async def run() -> tuple[Any, bool]:
        connection, transport = await fed([plain, plain[:-1]], [True, True], Application())
        waits = connection._due is not None
        connection._late()
        return transport, waits

    transport, waits = asyncio.run(run())
    assert waits
    assert b"HTTP/1.1 408" in transport.written
    assert transport.closed


def test_a_client_with_another_head_each_time_costs_no_memory() -> None:
    pieces = [request(1, b"cc", chunked=False).replace(b"Host: a", b"Host: %d" % number) for number in range(100)]
    heads: list[int] = []
    _, transport = sent(*pieces, then=lambda connection: heads.append(len(connection._heads)))
    assert transport.written.count(b"/1=cc") == 100
    assert heads == [4]


def test_what_is_taken_is_answered_before_the_end() -> None:
    plain = request(1, b"cc", chunked=False)

    async def run() -> tuple[Any, list[bool]]:
        connection, transport = await fed([plain], [True], Application())
        connection.data_received(plain)
        connection.shutdown()
        connection.shutdown()
        open_while_due = not transport.closed
        for _ in range(5):
            await asyncio.sleep(0)
        return transport, [open_while_due]

    transport, open_while_due = asyncio.run(run())
    assert open_while_due == [True]
    assert transport.closed
    assert transport.written.count(b"/1=cc") == 2
    assert b"connection: close" in transport.written


def test_a_client_that_has_left_is_not_answered() -> None:
    plain = request(1, b"cc", chunked=False)

    async def run() -> Any:
        connection, transport = await fed([plain], [True], Application())
        connection.data_received(plain)
        transport.close()
        connection.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        return transport

    assert asyncio.run(run()).written.count(b"HTTP/1.1") == 1
