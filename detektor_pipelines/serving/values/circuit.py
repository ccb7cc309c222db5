"""Whether Redis is asked at all: a circuit breaker (pybreaker), tried by a probe of its own.

Belongs here: open and closed, why, and the way back. What is asked, and what is answered meanwhile, is not known here.

The breaker's own way back is to let one of the next calls through as a trial. Here no request is a trial: from the first failure on a probe
asks beside them, ten times a second, and its answer closes the circuit.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from detektor_pipelines.stores.connections_redis import OnlineStoreDownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

PROBE_EVERY_S: Final = 0.1

_log = logging.getLogger(__name__)


class Circuit:
    """Closed while Redis answers. To be used inside one event loop; `probe` asks once and raises `OnlineStoreDownError`."""

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        from pybreaker import CircuitBreaker

        self._probe = probe
        self._breaker = CircuitBreaker(fail_max=1, exclude=[_is_an_answer], throw_new_error_on_trip=False, name="Redis")
        self._last: OnlineStoreDownError | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def why(self) -> OnlineStoreDownError | None:
        """Why Redis is not asked now; None while it is."""
        return None if self._closed else self._last

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Open the circuit when the block ends with an `OnlineStoreDownError`; anything else is an answer."""
        try:
            yield
        except OnlineStoreDownError as error:
            self.open_for(error)
            raise

    def open_for(self, error: OnlineStoreDownError) -> None:
        """Ask no more, and begin to probe. The breaker is told of failures alone: of one that is closed an answer changes nothing."""
        if self._closed:
            with suppress(OnlineStoreDownError), self._breaker.calling():
                raise error
        if self._probing is None:
            _log.warning("%s (%s)", error.what, error.where)
            self._probing = asyncio.get_running_loop().create_task(self._until_closed())
        self._last = again(error)

    async def close(self) -> None:
        """End the probe."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    @property
    def _closed(self) -> bool:
        return self._breaker.current_state == "closed"

    async def _until_closed(self) -> None:
        try:
            while not self._closed:
                await asyncio.sleep(PROBE_EVERY_S)
                self._breaker.half_open()
                with suppress(Exception), self._breaker.calling():  # the breaker sees what it was
                    await self._probe()
            _log.warning("Redis answers again.")
        finally:
            self._probing = None


def again(error: OnlineStoreDownError) -> OnlineStoreDownError:
    """Return a new one: one that is raised a thousand times keeps a thousand tracebacks."""
    return type(error)(error.what, where=error.where, fix=error.fix)


def _is_an_answer(error: BaseException) -> bool:
    return not isinstance(error, OnlineStoreDownError)
