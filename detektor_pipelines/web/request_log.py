"""A line in the log for a request, and the id by which the client's and the server's side of it are found: `X-Request-Id`.

A client may give the id; what it gives must be short and plain, else the server makes one. The answer carries it, every line that is
logged meanwhile does, and so the client of an error can name it.

Of a busy server not every good answer is worth a line: errors and slow ones always have one, of the others a share, a few a second. No more
than so many lines a second are written; how many were left out stands in the next one.
"""

from __future__ import annotations

import logging
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.log_lines import REQUEST_ID
from detektor_pipelines.web.access import DETAIL, KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
LINES_A_SECOND: Final = 100
SAMPLED_A_SECOND: Final = 10
"""Of those the lines of a share of good and quick answers: a line costs what an answer does, and holds up those that come next."""

_GIVEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PATH_SHOWN: Final = 200
_REFUSED: Final = 400
_FAILED: Final = 500
_QUIET: Final = ("/health", "/health/live", "/healthz", "/metrics")
"""Asked every few seconds by machines: only what goes wrong with these is worth a line."""

_log = logging.getLogger(__name__)


class Lines:
    """Writes them, as many as are worth it.

    Args:
        sample: The share of good and quick answers that has a line, 0 to 1.
        slow_ms: From when on an answer always has one.

    """

    def __init__(self, *, sample: float = 1.0, slow_ms: float = 50.0) -> None:
        self._sample = sample
        self._slow_s = slow_ms / 1_000
        self._second = self._lines = self._sampled = self._left_out = 0

    def note(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """Write a line of an answer, if it is worth one; status 0: the client left."""
        if self.is_worth(scope["path"], status, seconds):
            self.write(scope, status, seconds)

    def is_worth(self, path: str, status: int, seconds: float) -> bool:
        """Whether an answer has a line: what went wrong and what was slow always, of the others a share."""
        if status >= _REFUSED or status == 0:
            return True
        return path not in _QUIET and (seconds >= self._slow_s or self._sample >= 1 or random.random() < self._sample)  # noqa: S311 - no secret

    def write(self, scope: Mapping[str, Any], status: int, seconds: float, ended: float | None = None) -> None:
        """Write a line of an answer, unless there were too many in this second; `ended`: when that was, if it was not now."""
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._lines, self._sampled = now, 0, 0
        sampled = self._sample < 1 and 0 < status < _REFUSED and seconds < self._slow_s
        if self._lines >= LINES_A_SECOND or (sampled and self._sampled >= SAMPLED_A_SECOND):
            self._left_out += 1
            return
        self._lines += 1
        self._sampled += sampled
        level = logging.ERROR if status >= _FAILED else logging.WARNING if status >= _REFUSED else logging.INFO
        fields: dict[str, Any] = {"method": scope["method"], "path": scope["path"][:_PATH_SHOWN], "status": status or "client left"}
        fields |= {"ms": round(seconds * 1_000, 3), "client": (scope.get("client") or ("", 0))[0]}
        if ended is not None:
            fields["timestamp"] = clock.to_text(int(ended * 1_000_000))
        if caller := scope.get(KNOWN):
            fields["caller"] = caller.name
        if detail := scope.get(DETAIL):
            fields["detail"] = detail
        if self._left_out:
            fields["lines_left_out"], self._left_out = self._left_out, 0
        _log.log(level, "request", extra=fields)


class RequestLog:
    """ASGI middleware, the outermost. `lines` are shared with what answers beside it; else they are as `sample` and `slow_ms` say."""

    def __init__(self, app: ASGIApp, *, lines: Lines | None = None, sample: float = 1.0, slow_ms: float = 50.0) -> None:
        self._app = app
        self._lines = lines or Lines(sample=sample, slow_ms=slow_ms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its answer with the id, and write the line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = id_of(scope)
        REQUEST_ID.set(request_id)  # uvicorn answers each request in a context of its own
        header = (HEADER.encode(), request_id.encode())
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._lines.note(scope, status, time.perf_counter() - started)


def id_of(scope: Scope) -> str:
    """Return the id that the client gave, or a new one when it gave none that may stand in a header and in a log."""
    return id_given(scope["headers"]) or new_id()


def id_given(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the id that the client gave, None when it gave none that may stand in a header and in a log."""
    for name, value in headers:
        if name == b"x-request-id":
            return str(value, "ascii") if _GIVEN.fullmatch(value) else None
    return None


def new_id() -> str:
    """Return an id that no other request has; no secret, so it need not cost what one does."""
    return f"{random.getrandbits(128):032x}"
