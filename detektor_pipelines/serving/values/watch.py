"""How long something has been under way, at the cost of no timer each time.

Belongs here: when to say so. Who is told, and what it means, is `live_values`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Makes some calls, each once when so many seconds have passed since the last `begin`, unless it has ended; 0 seconds: never.

    Each wait in two halves, because the time also passes while this process itself is held up, as by turning thirty megabytes into JSON:
    between them the event loop reads what has come. The timer of one thing under way goes on for the next.
    """

    def __init__(self, *calls: tuple[float, Callable[[], None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._waits: list[tuple[float, Callable[[], None] | None]] = []
        before = 0.0
        for seconds, call in sorted(((each for each in calls if each[0])), key=lambda each: each[0]):
            half = (seconds - before) / 2
            self._waits += [(half, None), (half, call)]
            before = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._step, self._since, self._on = 0, 0.0, False

    def begin(self) -> None:
        """Count from now."""
        if self._step > 1 and self._timer is not None:  # of one that was late: it would come long after this one's first half
            self._timer.cancel()
            self._timer = None
        self._step, self._since, self._on = 0, self._loop.time(), True
        if self._timer is None:
            self._timer = self._loop.call_later(self._waits[0][0], self._over)

    def end(self) -> None:
        """Do not call any more."""
        self._on = False

    def close(self) -> None:
        """End for good."""
        self._on = False
        if self._timer is not None:
            self._timer.cancel()

    def _over(self) -> None:
        self._timer = None
        if not self._on:
            return
        wait, call = self._waits[self._step]
        left = self._since + wait - self._loop.time() if self._step == 0 else 0.0
        if left > 0:  # the timer was that of an earlier one
            self._timer = self._loop.call_later(left, self._over)
            return
        self._step += 1
        if self._step < len(self._waits):
            self._timer = self._loop.call_later(self._waits[self._step][0], self._over)
        else:
            self._on = False
        if call is not None:
            call()
