"""A small server for programs that are no web servers: GET /metrics for Prometheus, GET /health for people and for the watchdog."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from detektor_pipelines.web.addresses import is_loopback
from detektor_pipelines.web.browsers import names_of, page_problem
from detektor_pipelines.web.peers import Connections
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse, WSGIEnvironment

    Health = Callable[[], tuple[int, dict[str, Any]]]

_STATUS: Final = {200: "200 OK", 404: "404 Not Found", 503: "503 Service Unavailable"}


CONNECTIONS: Final = 16
LOOPBACK_CONNECTIONS: Final = 64
"""Of a peer at a time, each a thread; who watches needs one."""

SECONDS: Final = 20.0
"""How long a connection may be silent."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread: a slow scrape does not keep the watchdog waiting."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections = Connections(CONNECTIONS, LOOPBACK_CONNECTIONS)
        self._peers: dict[Any, str] = {}
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection, or refuse it when its peer has too many."""
        with self._lock:
            self._peers[request] = str(client_address[0])
            problem = self._connections.opened(self._peers[request])
        if problem is None:
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(
                b"HTTP/1.0 429 %b\r\nContent-Type: %b\r\n\r\n%b" % (problem.title.encode(), MEDIA_TYPE.encode(), problem.body())
            )
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and count it no more."""
        with self._lock:
            if (peer := self._peers.pop(request, None)) is not None:
                self._connections.closed(peer)
        super().shutdown_request(request)


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request, and waits for none for ever."""

    timeout = SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing."""


def serving(
    port: int, collector: Any, health: Health, *, host: str = "127.0.0.1", names: Iterable[str] = ()
) -> AbstractContextManager[None]:
    """Open the port now; what is returned serves while it is open, in a thread.

    Args:
        port: Where.
        collector: Of prometheus_client: its `collect()` is asked at each scrape.
        health: Returns the status and the body of /health.
        host: The address. On loopback a name in Host must be a name of it or one of `names`: a page's own would be handed the answers.
        names: What the server is called.

    Raises:
        OSError: The port cannot be opened.

    """
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry()
    registry.register(collector)
    own = names_of(",".join(names), host) if is_loopback(host) else None
    metrics = make_wsgi_app(registry, disable_compression=True)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if (problem := _problem(environ, own)) is not None:
            start_response(
                f"{problem.status} {problem.title}",
                [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(problem.body())))],
            )
            return [problem.body()]
        if path == "/metrics":
            return cast("Iterable[bytes]", metrics(environ, start_response))
        status, content = health() if path == "/health" else (404, {"detail": f"There is no {path}. There are /metrics and /health."})
        body = json.dumps(content, default=str).encode()
        start_response(_STATUS[status], [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    server = _Server((host, port), _Quiet)
    server.set_app(application)
    return _while_open(server)


def _problem(environ: WSGIEnvironment, names: frozenset[str] | None) -> ProblemError | None:
    """Return what a request is refused for: a page that asks, or a method that changes something."""
    if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
        return ProblemError(405, "There is only GET /metrics and GET /health.")
    given = [(name, environ[f"HTTP_{name.upper()}"].encode("latin-1")) for name in ("host", "origin") if f"HTTP_{name.upper()}" in environ]
    return page_problem([(name.encode(), value) for name, value in given], names)


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
