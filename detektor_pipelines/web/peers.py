"""How much one peer may hold of a server: its connections at a time, and bad tokens a minute.

The table of peers is bounded: who has been silent longest is forgotten first. Loopback may do much more, as everybody on the machine and
whatever proxy runs there come from it.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from typing import Final

from detektor_pipelines.web.addresses import is_loopback
from detektor_pipelines.web.problems import ProblemError

TOO_MANY: Final = 429
PEER: Final = "peer"
REASONS: Final = {400: "syntax", 408: "time", 413: "size", TOO_MANY: PEER, 431: "size"}
"""Why a connection is refused what it sends, by the status that it is told: few words, for metrics."""

PEERS: Final = 10_000
CONNECTIONS: Final = 256
LOOPBACK_CONNECTIONS: Final = 4_096
BAD_TOKENS: Final = 30
LOOPBACK_BAD_TOKENS: Final = 600
WINDOW_S: Final = 60.0


class BadTokens:
    """Counts the bad tokens of each peer, a minute at a time."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, peer: str) -> None:
        """Count one."""
        now = time.monotonic()
        begun, count = self._seen.pop(peer, (now, 0))
        self._seen[peer] = (now, 1) if now - begun >= WINDOW_S else (begun, count + 1)
        while len(self._seen) > PEERS:
            self._seen.popitem(last=False)

    def problem(self, peer: str) -> ProblemError | None:
        """Return what a peer is told that has sent too many; None for the others."""
        begun, count = self._seen.get(peer, (0.0, 0))
        left = WINDOW_S - (time.monotonic() - begun)
        if left <= 0 or count < (LOOPBACK_BAD_TOKENS if is_loopback(peer) else BAD_TOKENS):
            return None
        return ProblemError(
            TOO_MANY, "Too many bad tokens came from this address. Send a good one, or wait.", {"retry-after": f"{int(left) + 1}"}
        )

    def __len__(self) -> int:
        """Return how many peers are remembered."""
        return len(self._seen)


class Connections:
    """Counts open connections by peer: one that has none is not in the table, so it is bounded by what is open."""

    def __init__(self, limit: int = CONNECTIONS, of_loopback: int = LOOPBACK_CONNECTIONS) -> None:
        self._open: Counter[str] = Counter()
        self._limit, self._of_loopback = limit, of_loopback

    def opened(self, peer: str) -> ProblemError | None:
        """Count one more; return what it is told when there are too many of this peer."""
        self._open[peer] += 1
        if self._open[peer] <= (self._of_loopback if is_loopback(peer) else self._limit):
            return None
        return ProblemError(TOO_MANY, "Too many connections are open from this address. Close some, or keep fewer.", {"retry-after": "1"})

    def closed(self, peer: str) -> None:
        """Count one less."""
        self._open[peer] -= 1
        if self._open[peer] <= 0:
            del self._open[peer]

    def __len__(self) -> int:
        """Return how many peers have connections."""
        return len(self._open)
