"""A client's connection: uvicorn's, with bounds on what a client can hold by sending little.

    a request's line and headers        `HEAD_LIMIT` bytes, else 431
    what comes with a body beside it    `HEAD_LIMIT`, and `OVERHEAD` bytes a byte: trailers count as headers do, and are dropped, else 431
    a body                              DETEKTOR_SERVE_BODY_LIMIT, before anybody looks at the token, else 413
    connections of a peer               `peers.CONNECTIONS` at a time, else 429
    a request whole, from its first byte, or the connection's begin        DETEKTOR_SERVE_REQUEST_SECONDS, else 408
    some of an answer that waits to be taken                        as long, else the connection is cut

uvicorn itself bounds none of these: its time-out is for a connection that is idle between two requests. What the body may hold is the
application's business. A request that arrives at once, as nearly all do, costs one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from detektor_pipelines.settings import get_settings
from detektor_pipelines.web.peers import Connections
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError

if TYPE_CHECKING:
    import asyncio

HEAD_LIMIT: Final = 32_768
OVERHEAD: Final = 8
"""Bytes a byte of a chunked body may cost on its way, beside `HEAD_LIMIT` for what is no body: sizes of chunks, extensions, trailers."""

SLACK: Final = 65_536

_CONNECTIONS: Final = Connections()

DRAIN_S: Final = 1.0
"""How long a connection between two requests stays when the server ends: the next answer tells the client to connect again. Closed at once,
it would cost the client whose request is on its way."""


class Connection(HttpToolsProtocol):
    """One connection; `_in_head` from a request's first byte to the end of its headers."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._seconds = get_settings().serve_request_seconds
        self._in_head = self._in_body = self._refused = self._ending = False
        self._limit = get_settings().serve_body_limit
        self._head = self._piece = self._body = self._rest = 0
        self._peer = ""
        self._due: asyncio.TimerHandle | None = None
        self._earlier: list[RequestResponseCycle] = []

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        if (problem := _CONNECTIONS.opened(self._peer)) is not None:
            self._refuse(problem)
            return
        self._due = self.loop.call_later(self._seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and have nothing written for nobody: uvicorn tells the request that came last, not the one that is answered."""
        super().connection_lost(exc)
        _CONNECTIONS.closed(self._peer)
        self._wait_no_more()
        self.pipeline.clear()
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._refused:
            return
        self._piece = len(data)
        in_body = self._in_body
        super().data_received(data)
        if in_body and not self._refused:
            self._rest += len(data)
            if self._rest > HEAD_LIMIT + (OVERHEAD + 1) * self._body:
                self._refuse_rest(_too_large())
                return
        cycle = self.cycle
        if (
            not self._in_head and cycle is not None and not cycle.more_body and not cycle.response_complete
        ):  # a whole request, as nearly always
            if self._due is not None:
                self._wait_no_more()
            return
        if self._in_head:
            self._head += self._piece
            if self._head > HEAD_LIMIT:
                self._refuse(_too_large())
        if self._due is None and not self._refused and (self._arriving() or self.timeout_keep_alive_task is None):
            self._due = self.loop.call_later(self._seconds, self._late)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head = self._body = self._rest = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind the body (a trailer) is counted with the rest, and nobody is told of it."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, as long as it is wanted; who may send it is not known yet.

        Raises:
            _RefusedError: It is too large.

        """
        self._body += len(body)
        if self._body > self._limit + SLACK:  # what is a little too large is answered by the application
            self._refuse_rest(_body_too_large(self._limit))
            raise _RefusedError
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Give the request to the application, or refuse it.

        Raises:
            _RefusedError: It is refused; that ends the parser's work.

        """
        self._in_head = False
        self._in_body = True
        if self._head + self._piece > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            self._refuse(_too_large())
            raise _RefusedError
        before = self.cycle
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False
        if self.pipeline:
            self._earlier.append(before)
        elif self._earlier:
            self._earlier.clear()

    def on_message_complete(self) -> None:
        """Note that a request is there whole."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """See to it that the answer is taken."""
        super().on_response_complete()
        left = self.transport.get_write_buffer_size()
        if left:
            self.loop.call_later(self._seconds, self._cut_if_not_taken, left)

    def shutdown(self) -> None:
        """End after the answer that is due; when none is, after the next one, or when none is asked for (tests: `test_under_load`)."""
        if not self._ending and (self.cycle is None or self.cycle.response_complete):
            self._ending = True
            self.loop.call_later(DRAIN_S, self.shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; also called when the parser was ended."""
        if not self._refused:
            self._refuse(ProblemError(400, f"The request is not HTTP. {msg}"))

    def _arriving(self) -> bool:
        """Whether a part of a request is there and a part is not."""
        return self._in_head or (self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete)

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _late(self) -> None:
        self._due = None
        if self.cycle is None or self.cycle.response_complete or self._arriving():
            detail = f"The request did not arrive in full within {self._seconds:g} seconds."
            self._refuse(ProblemError(408, detail))

    def _refuse(self, problem: ProblemError) -> None:
        """Answer in the application's place, if it has not begun to, and close."""
        self._refused = True
        self._in_head = False
        self._wait_no_more()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = problem.body()
            head = [
                STATUS_LINE[problem.status],
                f"content-type: {MEDIA_TYPE}\r\n".encode(),
                *(f"{name}: {value}\r\n".encode() for name, value in problem.headers.items()),
                b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
            ]
            self.transport.write(b"".join([*head, body]))
            if self.cycle is not None:
                self.cycle.disconnected = True  # what the application says now is for nobody
                self.cycle.message_event.set()
        self.transport.close()

    def _refuse_rest(self, problem: ProblemError) -> None:
        """Refuse what follows a head; where the answer is sent already, there is nothing left to say."""
        if self.cycle.response_complete:
            self._refused = True
            self._wait_no_more()
            self.transport.close()
        else:
            self._refuse(problem)

    def _wait_no_more(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _cut_if_not_taken(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now >= left:
            self.transport.abort()
        elif now:
            self.loop.call_later(self._seconds, self._cut_if_not_taken, now)


class _RefusedError(Exception):
    """Ends the parser's work on a connection."""


def _body_too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"The body is too large. Send at most {limit:,} bytes a request.")


def _too_large() -> ProblemError:
    return ProblemError(431, f"The headers are too large. Send at most {HEAD_LIMIT:,} bytes, request line included.")
