"""The exporter as a program: asks in the background, answers /metrics and /health on loopback until it is told to end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.errors import UserError
from detektor_pipelines.monitoring.exporter.collector import Collector
from detektor_pipelines.web.exposition import serving

if TYPE_CHECKING:
    import threading

    from detektor_pipelines.settings import Settings

HUNG_S: Final = 120
"""Without a turn for longer, and for longer than three turns, it hangs: the longest statement may take 30 s, and there are few."""

_log = logging.getLogger(__name__)


def run(settings: Settings, stop: threading.Event, *, host: str, port: int) -> None:
    """Serve until `stop` is set.

    Raises:
        UserError: The port cannot be opened.

    """
    collector = Collector(settings)
    seconds = settings.exporter_seconds

    def health() -> tuple[int, dict[str, Any]]:
        silent = time.monotonic() - collector.beat
        if silent > max(HUNG_S, 3 * seconds):
            return 503, {"status": "HUNG", "reason": f"Nothing was asked for {silent:.0f} s.", "fix": "detektor restart exporter"}
        return 200, {"status": "OK", "definitions": definitions()}

    try:
        server = serving(port, collector, health, host=host, names=(settings.server_names or "").split(","))
    except OSError as error:
        raise UserError(
            f"The port cannot be opened: {error.strerror}.",
            where=f"{host}:{port}",
            fix="Choose another one with --port or DETEKTOR_EXPORTER_PORT, or end what listens there.",
        ) from None
    with server:
        _log.info("Listening: http://%s:%d/metrics and /health. Ctrl-C ends it.", host, port)
        collector.run(stop, seconds)
