"""Runs an ASGI application on a loopback port until the process is told to end: requests that have begun are answered first."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.serving.server_metrics import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

LOOPBACK: Final = "127.0.0.1"
STOP_S: Final = 10
_KEEP_ALIVE_S: Final = 75
"""Longer than clients keep an idle connection: one that the server closes just then costs them a request."""


@contextmanager
def loopback_socket(port: int, *, option: str) -> Iterator[socket.socket]:
    """Take a port; `option` says how to choose another one.

    Raises:
        UserError: It cannot be taken.

    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            raise UserError(
                f"The port cannot be taken: {error.strerror}.",
                where=f"{LOOPBACK}:{port}",
                fix=f"Choose another one with {option}, or end what listens there.",
            ) from None
        yield listener


def run(application: Starlette | str, listener: socket.socket, *, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        application: The application; for several workers, where its factory is (`module:function`).
        listener: Where it listens.
        workers: Processes; each has its own connections, their metrics are one.

    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    settings: dict[str, Any] = {
        "factory": isinstance(application, str),
        "log_level": "warning",
        "access_log": False,
        "timeout_graceful_shutdown": STOP_S,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "server_header": False,
    }
    config = uvicorn.Config(application, workers=workers, **settings)
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more when it has ended: what is left to close would not be
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
        return
    with tempfile.TemporaryDirectory(prefix="detektor-metrics-") as directory:
        os.environ[SHARED] = directory
        Multiprocess(config, sockets=[listener]).run()
