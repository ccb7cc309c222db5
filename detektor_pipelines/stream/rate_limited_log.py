"""Words for the log about what may happen in every tick: said at once, then not again for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

AGAIN_S: Final = 30.0


class RateLimitedLog:
    """Speaks through a logger, at most once in AGAIN_S for each text."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[str, float] = {}

    def say(self, level: int, text: str, *values: object) -> None:
        """Log a text with its values, unless it was logged a moment ago."""
        now = time.monotonic()
        if now >= self._said.get(text, -AGAIN_S) + AGAIN_S:
            self._said[text] = now
            self._logger.log(level, text, *values)
