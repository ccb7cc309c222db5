"""Which ids name one thing in all logs, and what names it where a provider begins to count anew in each session.

`toolu_…`, `call_…` and `msg_…` are drawn at random: a fork or a copy repeats them, nobody else does. Behind a proxy other providers give
`functions.Bash:0` or `chatcmpl-0`, which stand in every session for something else. Such an id is joined with the instant of its first
record: a copy of the record has the same instant, another session's call has another.
"""

from __future__ import annotations

import re
from typing import Final

_COUNTED: Final = re.compile(r"(?:.*[^0-9A-Za-z])?\d{1,9}", re.DOTALL)
DRAWN: Final = ("toolu_", "srvtoolu_", "call_", "msg_", "resp_", "ws_")
"""How ids begin that are drawn at random."""


def is_counted(given: str) -> bool:
    """Whether an id is a counter, or a name and a counter: unique in its own session only."""
    return not given.startswith(DRAWN) and _COUNTED.fullmatch(given) is not None


def anchored(given: str, at: int) -> str:
    """Return what names a counted id's thing in all logs: with the instant (µs) of its first record."""
    return f"{given}@{at}"
