"""A small server for programs that are no web servers: GET /metrics for Prometheus, GET /health for people and for the watchdog."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse, WSGIEnvironment

    Health = Callable[[], tuple[int, dict[str, Any]]]

_STATUS: Final = {200: "200 OK", 404: "404 Not Found", 503: "503 Service Unavailable"}


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread: a slow scrape does not keep the watchdog waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing."""


def serving(port: int, collector: Any, health: Health, *, host: str = "127.0.0.1") -> AbstractContextManager[None]:
    """Open the port now; what is returned serves while it is open, in a thread.

    Args:
        port: Where.
        collector: Of prometheus_client: its `collect()` is asked at each scrape.
        health: Returns the status and the body of /health.
        host: The address.

    Raises:
        OSError: The port cannot be opened.

    """
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry()
    registry.register(collector)
    metrics = make_wsgi_app(registry, disable_compression=True)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return cast("Iterable[bytes]", metrics(environ, start_response))
        status, content = health() if path == "/health" else (404, {"detail": f"There is no {path}. There are /metrics and /health."})
        body = json.dumps(content, default=str).encode()
        start_response(_STATUS[status], [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    server = _Server((host, port), _Quiet)
    server.set_app(application)
    return _while_open(server)


@contextmanager
def _while_open(server: WSGIServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="exposition", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
