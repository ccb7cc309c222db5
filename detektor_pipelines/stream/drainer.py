"""Beside the worker: what the hooks have spooled goes to the raw log, where the worker finds it as it finds everything."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

PAUSE_S: Final = 0.02
"""Between two looks at the spool; an idle one takes a tenth of a millisecond."""
_AGAIN_S: Final = 1.0

_logger = logging.getLogger(__name__)


@contextmanager
def draining(settings: Settings) -> Iterator[None]:
    """Drain the spool in a thread of its own for as long as the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_drain, args=(settings, stop), name="spool", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_AGAIN_S * 10)


def _drain(settings: Settings, stop: threading.Event) -> None:
    from detektor_pipelines.ingest.live.spool import Spool
    from detektor_pipelines.ingest.live.writer import LiveWriter

    spool, complaint, pause = Spool(settings), "", PAUSE_S
    with LiveWriter(settings) as writer:
        while not stop.wait(pause):
            try:
                spool.drain(writer)
                complaint, pause = "", PAUSE_S
            except (UserError, OSError) as error:  # a server away, a full disk: the lines stay where they are
                pause = _AGAIN_S
                if str(error) != complaint:
                    complaint = str(error)
                    _logger.warning("The spool waits. %s", error)
