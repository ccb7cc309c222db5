"""A request that cannot be answered, as a problem detail (RFC 9457): what is wrong, where, and what to do; never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"


class ProblemError(Exception):
    """What the answer says instead of values; `headers` stand beside it, names in lower case."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps({"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail})
