"""A request that cannot be answered, as a problem detail (RFC 9457): what is wrong, where, and what to do; never a traceback.

The title is the status in words, the same for every server (RFC 9457 asks that of problems without a type of their own); what is wrong with
this request is in the detail, whose first sentence can stand alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {
    400: "Bad request",
    401: "Authentication required",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    410: "Gone",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    429: "Too many requests",
    431: "Request header fields too large",
    500: "Internal server error",
    503: "Service unavailable",
}
"""The names of RFC 9110 and RFC 6585, but that of 401, which is about who asks, not about what they may do."""


class ProblemError(Exception):
    """What the answer says instead of values; `headers` stand beside it, names in lower case.

    Args:
        status: One of `TITLES`.
        detail: What is wrong with this request, one sentence, then what to do about it.
        headers: Headers of the answer.

    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = TITLES[status]
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps({"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail})
