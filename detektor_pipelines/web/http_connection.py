"""A client's connection: uvicorn's, with bounds on what a client can hold by sending little.

    a request's line and headers        `HEAD_LIMIT` bytes, else 431
    what comes with a body beside it    `HEAD_LIMIT`, and `OVERHEAD` bytes a byte: trailers count as headers do, and are dropped, else 431
    a body                              DETEKTOR_SERVE_BODY_LIMIT, before anybody looks at the token, else 413
    connections of a peer               `peers.CONNECTIONS` at a time, else 429
    a request whole, from its first byte, or the connection's begin        DETEKTOR_SERVE_REQUEST_SECONDS, else 408
    some of an answer that waits to be taken                        as long, else the connection is cut

A request that comes whole, with the very head that a request before it on this connection had, need not be parsed again: it is offered to
the application's `state.shortcut`, if it has one, which may answer it without ASGI. What that does not take goes the usual way.

uvicorn itself bounds none of these: its time-out is for a connection that is idle between two requests. What the body may hold is the
application's business. A request that arrives at once, as nearly all do, costs one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from detektor_pipelines.settings import get_settings
from detektor_pipelines.web.peers import Connections
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from uvicorn.server import ServerState

HEAD_LIMIT: Final = 32_768
OVERHEAD: Final = 8
"""Bytes a byte of a chunked body may cost on its way, beside `HEAD_LIMIT` for what is no body: sizes of chunks, extensions, trailers."""

SLACK: Final = 65_536

_CONNECTIONS: Final = Connections()

DRAIN_S: Final = 1.0
"""How long a connection between two requests stays when the server ends: the next answer tells the client to connect again. Closed at once,
it would cost the client whose request is on its way."""


HEADS: Final = 4
KNOWN_HEAD_LIMIT: Final = 2_048
"""Heads that are known of a connection, and bytes of one."""

KNOWN_BODY_LIMIT: Final = 65_536
_PIECES: Final = 2
"""Bytes of the body behind a head that is known, and in how many pieces such a request comes."""

_NEW_HEADS: Final = 16
"""How many may be new before one comes again; a client that has another one each time is not looked at any more."""


class Taken(Protocol):
    """A request that a shortcut has taken, to be answered once."""

    client: tuple[str, int] | None

    def answer(self, headers: bytes, content: bytes) -> None:
        """Send the answer, a 200; `headers`: whole lines."""

    def give_back(self) -> None:
        """Have the application answer it."""


class Shortcut(Protocol):
    """What an application may have beside itself."""

    def known(self, scope: Mapping[str, Any]) -> Any | None:
        """Return what `take` is to know of requests with this head, None when they are not for it."""

    def take(self, head: Any, body: bytes, taken: Taken) -> bool:
        """Answer a request, now or later; False when it is not for it."""


class _Head(NamedTuple):
    """What is known of a head: how many bytes of body it announces, and what the shortcut knows."""

    size: int
    known: Any


class Connection(HttpToolsProtocol):
    """One connection; `_in_head` from a request's first byte to the end of its headers. `_taken`: the request that the shortcut has.

    `body_limit`: instead of DETEKTOR_SERVE_BODY_LIMIT. An application's `state.refused` is told the status of what is refused here.
    """

    body_limit: ClassVar[int] = 0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._seconds = get_settings().serve_request_seconds
        self._in_head = self._in_body = self._refused = self._ending = False
        self._limit = self.body_limit or get_settings().serve_body_limit
        self._state = getattr(self.app, "state", None)
        self._head = self._piece = self._body = self._rest = 0
        self._peer = ""
        self._due: asyncio.TimerHandle | None = None
        self._earlier: list[RequestResponseCycle] = []
        self._shortcut: Shortcut | None = getattr(self._state, "shortcut", None)
        self._heads: dict[bytes, _Head] = {}
        self._new_heads = 0
        self._taken = self._held = self._begun = self._raw = b""
        self._pieces = 0
        self._active = 0.0

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
        self._taken = self._held = self._begun = self._raw = b""
        self._heads.clear()
        self.pipeline.clear()
        for cycle in self._earlier:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._refused or (self._shortcut is not None and not (data := self._left(data))):
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
            self._wait_no_more()
            if self._raw:
                self._learn(self._raw)
                self._raw = b""
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
        if not self._ending and (self._taken or self.cycle is None or self.cycle.response_complete):
            self._ending = True
            self.loop.call_later(DRAIN_S, self.shutdown)
        elif not self._taken:  # else it ends with the answer
            super().shutdown()

    def answer(self, headers: bytes, content: bytes) -> None:
        """Send the answer to the request that the shortcut has taken (`Taken`), and go on."""
        if not self._taken or self.transport.is_closing():
            return
        self._taken = b""
        end = b"connection: close\r\n\r\n" if self._ending else b"\r\n"
        self.transport.write(b"".join((_begin(self.server_state), headers, end, content)))
        self.server_state.total_requests += 1
        left = self.transport.get_write_buffer_size()
        if left:
            self.loop.call_later(self._seconds, self._cut_if_not_taken, left)
        if self._ending:
            self.transport.close()
            return
        self._active = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self._go_on()

    def give_back(self) -> None:
        """Give the request that the shortcut has taken to the application (`Taken`)."""
        if not self._taken or self.transport.is_closing():
            return
        self._held, self._taken = self._taken + self._held, b""
        shortcut, heads, self._heads = self._shortcut, self._heads, {}
        self._shortcut = None
        self._go_on()
        self._shortcut, self._heads = shortcut, heads

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing was asked for long; answers of the shortcut are no reason to move the timer each time."""
        left = self._active + self.timeout_keep_alive - self.loop.time()
        if self._taken or self._begun or left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(max(left, 1.0), self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _go_on(self) -> None:
        """Take what came while a request was with the shortcut."""
        if self._held:
            data, self._held = self._held, b""
            self.flow.resume_reading()
            self.data_received(data)

    def _left(self, data: bytes) -> bytes:
        """Return what is to be parsed of what has come, nothing when the shortcut has it or is to have it."""
        if self._taken:  # a client that does not wait for its answer
            self._held += data
            self.flow.pause_reading()
            return b""
        begun = self._begun
        if begun:
            data, self._begun = begun + data, b""
        cycle = self.cycle  # between two requests nothing of one is there, and no answer is due
        between = not (self._in_head or self._in_body or self.pipeline or self.flow.write_paused) and (
            cycle is None or cycle.response_complete
        )
        if between and self._heads:
            end = data.find(b"\r\n\r\n") + 4
            head = self._heads.get(data[:end])
            if head is not None and self._is_taken(head, data, end, begun=bool(begun)):
                return b""
        self._note(data, between=between)
        return data

    def _is_taken(self, head: _Head, data: bytes, end: int, *, begun: bool) -> bool:
        """Offer the shortcut a request whose head is known, if it is whole; wait for the rest of one that has just `begun`."""
        missing = head.size - (len(data) - end)
        if missing:
            if missing < 0 or begun:
                return False
            self._begun = data  # many clients send head and body apart
            if self._due is None:
                self._due = self.loop.call_later(self._seconds, self._late)
            return True
        self._new_heads = 0
        self._taken = data
        if not cast("Shortcut", self._shortcut).take(head.known, data[end:], self):
            self._taken = b""
            return False
        self._wait_no_more()
        return True

    def _note(self, data: bytes, *, between: bool) -> None:
        """Keep the bytes of a request that comes in one piece or two, to know its head when it is whole."""
        self._pieces = 1 if between else self._pieces + 1
        self._raw = data if between else self._raw + data if self._pieces == _PIECES and len(self._raw) <= KNOWN_HEAD_LIMIT else b""

    def _learn(self, data: bytes) -> None:
        """Remember the head of the request that has just come, if it was all that came, and with its length said."""
        if self._shortcut is None or self._new_heads >= _NEW_HEADS:
            return
        end, cycle = data.find(b"\r\n\r\n") + 4, self.cycle
        sizes = [value for name, value in self.headers if name == b"content-length"]
        if (
            end > KNOWN_HEAD_LIMIT
            or len(data) - end > KNOWN_BODY_LIMIT
            or sizes != [b"%d" % (len(data) - end)]
            or self._in_body
            or not cycle.keep_alive
        ):
            return
        self._new_heads += 1
        known = self._shortcut.known(cycle.scope)
        if known is None:
            return
        if len(self._heads) >= HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[data[:end]] = _Head(len(data) - end, known)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; also called when the parser was ended."""
        if not self._refused:
            self._refuse(ProblemError(400, f"The request is not HTTP. {msg}"))

    def _arriving(self) -> bool:
        """Whether a part of a request is there and a part is not."""
        return bool(self._in_head or self._begun) or (self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete)

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
        if (told := getattr(self._state, "refused", None)) is not None:
            told(problem.status)
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


def _begin(state: ServerState) -> bytes:
    """Return the first lines of a good answer; uvicorn makes the headers of all answers, one of which is the date, once a second."""
    global _BEGUN  # noqa: PLW0603 - what was made last
    headers = state.default_headers
    if _BEGUN[0] is not headers:
        _BEGUN = headers, STATUS_LINE[200] + b"".join([b"%b: %b\r\n" % each for each in headers])
    return _BEGUN[1]


_BEGUN: tuple[list[tuple[bytes, bytes]], bytes] = ([], STATUS_LINE[200])


class _RefusedError(Exception):
    """Ends the parser's work on a connection."""


def _body_too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"The body is too large. Send at most {limit:,} bytes a request.")


def _too_large() -> ProblemError:
    return ProblemError(431, f"The headers are too large. Send at most {HEAD_LIMIT:,} bytes, request line included.")
