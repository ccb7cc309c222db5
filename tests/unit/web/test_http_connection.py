"""Whatever pieces a request arrives in, the application gets it, and nothing is waited for once it is there."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from detektor_pipelines.settings import Settings
from detektor_pipelines.web import http_connection
from detektor_pipelines.web.http_connection import HEAD_LIMIT, Connection


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    answer = scope["path"].encode() + b"=" + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


def request(number: int, body: bytes, *, chunked: bool, padding: int = 0) -> bytes:
    head = b"POST /%d HTTP/1.1\r\nHost: a\r\nX: %s\r\n" % (number, b"a" * padding)
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    piece = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + piece + b"0\r\n\r\n"


async def fed(pieces: list[bytes], pauses: list[bool], app: Any = echo) -> tuple[Connection, Transport]:
    config = Config(
        app, access_log=False, log_level="critical", ws="none", lifespan="off", proxy_headers=False
    )  # as `web.listening` has it
    config.load()
    transport = Transport()
    connection = Connection(config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop())
    connection.connection_made(transport)
    for piece, pause in zip(pieces, pauses, strict=True):
        if piece and not transport.closed:
            connection.data_received(piece)
        for _ in range(4 if pause else 0):
            await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    http_connection._CONNECTIONS.closed(connection._peer)  # else all that tests ever make count as open
    return connection, transport


def split(content: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[start:end] for start, end in pairwise(edges)]


_bodies = st.lists(st.tuples(st.binary(max_size=60), st.booleans()), min_size=1, max_size=4)


@given(bodies=_bodies, cuts=st.lists(st.integers(0, 2_000), max_size=12), rest=st.integers(0, 40), data=st.data())
def test_in_any_pieces(bodies: list[tuple[bytes, bool]], cuts: list[int], rest: int, data: st.DataObject) -> None:
    """`rest`: of a further request, as many bytes."""
    whole = b"".join(request(number, body, chunked=chunked) for number, (body, chunked) in enumerate(bodies))
    further = request(9, b"x" * 50, chunked=False)[:rest]
    pieces = split(whole + further, cuts)
    pauses = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    connection, transport = asyncio.run(fed(pieces, pauses))
    answers = [each.partition(b"\r\n\r\n")[2] for each in transport.written.split(b"HTTP/1.1 ")[1:]]
    assert answers == [b"/%d=%s" % (number, body) for number, (body, _) in enumerate(bodies)]
    assert (connection._due is not None) == bool(further), "the rest of a request is waited for, and nothing else"


@given(
    padding=st.integers(HEAD_LIMIT - 200, HEAD_LIMIT + 200), cuts=st.lists(st.integers(0, 40_000), max_size=4), body=st.integers(0, 50_000)
)
def test_the_head_is_bounded_and_the_body_is_not_counted(padding: int, cuts: list[int], body: int) -> None:
    content = request(0, b"x" * body, chunked=False, padding=padding)
    size = len(content.partition(b"\r\n\r\n")[0])
    pieces = split(content, cuts)
    _, transport = asyncio.run(fed(pieces, [True] * len(pieces)))
    if size > HEAD_LIMIT + 60:
        assert transport.written.startswith(b"HTTP/1.1 431")
        assert transport.closed
    elif size < HEAD_LIMIT - 60:
        assert transport.written.startswith(b"HTTP/1.1 200")
        assert len(transport.written.partition(b"=")[2]) == body


def test_bytes_that_begin_no_request_do_not_keep_a_connection() -> None:
    """They end uvicorn's own wait for a connection that is idle."""
    connection, transport = asyncio.run(fed([request(0, b"x", chunked=False), b"\r\n"], [True, True]))
    assert transport.written.endswith(b"/0=x")
    assert connection._due is not None


@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_are_answered_or_waited_for(content: bytes, cuts: list[int]) -> None:
    pieces = split(content, cuts)
    connection, transport = asyncio.run(fed(pieces, [False] * len(pieces)))
    if transport.closed:
        assert transport.written.startswith(b"HTTP/1.1 400")
        assert http_connection.MEDIA_TYPE.encode() in transport.written
        assert connection._due is None
    else:
        assert connection._due is not None or b"200 OK" in transport.written


CHUNKED = b"POST /0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_trailers_are_dropped_and_counted_as_headers_are() -> None:
    few = CHUNKED + b"3\r\nabc\r\n0\r\nX-A: b\r\nAuthorization: Bearer x\r\n\r\n"
    connection, transport = asyncio.run(fed([few], [True]))
    assert transport.written.endswith(b"/0=abc")
    assert [name for name, _ in connection.headers] == [b"host", b"transfer-encoding"]
    piece = b"X-A: " + b"b" * 1_000 + b"\r\n"
    for trailers in ([piece] * 40, [b"X-A: ", *([b"b" * 1_000] * 40)]):
        pieces = [CHUNKED, b"3\r\nabc\r\n0\r\n", *trailers]
        _, transport = asyncio.run(fed(pieces, [True] * len(pieces)))
        assert transport.written.startswith(b"HTTP/1.1 431")
        assert transport.closed


def test_a_body_is_bounded_before_the_application_looks_at_anything() -> None:
    """It answers at once, as it does to who has no token, and never asks for the body."""
    limit = Settings().serve_body_limit
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    pieces = [CHUNKED, *([piece] * (limit // 65_536 + 3))]
    connection, transport = asyncio.run(fed(pieces, [True] * len(pieces), refuse))
    assert transport.closed
    assert connection._refused
    assert transport.written.count(b"HTTP/1.1 ") == 1


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer 401 without a look at the body."""
    del scope, receive
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
