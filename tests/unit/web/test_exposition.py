"""The metrics ports: who is answered, and how much one peer may hold of them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.stack.ports import free_port
from detektor_pipelines.web import exposition
from detektor_pipelines.web.exposition import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """Has no figures."""

    def collect(self) -> Iterator[Any]:
        return iter(())


def asked(port: int, path: str = "/health", method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200 or json.loads(content)["detail"]
        return answer.status
    finally:
        connection.close()


@pytest.fixture
def port() -> Iterator[int]:
    chosen = free_port()
    with serving(chosen, Collector(), lambda: (200, {"status": "OK"}), names=["box.example", ""]):
        yield chosen


def test_a_page_of_elsewhere_is_not_answered(port: int) -> None:
    for path in ("/health", "/metrics"):
        for host in ("127.0.0.1", "localhost", f"localhost:{port}", "box.example"):
            assert asked(port, path, Host=host) == 200
        assert asked(port, path, Host="page.example") == 403
        assert asked(port, path, Origin="http://page.example") == 403
    assert asked(port, "/health", "POST") == 405
    assert asked(port, "/nope") == 404


def test_beyond_loopback_any_name_is_good() -> None:
    """As that of a service in a cluster; there no browser is on the same machine."""
    port = free_port()
    with serving(port, Collector(), lambda: (200, {}), host="0.0.0.0"):  # noqa: S104 - that is what it is about
        assert asked(port, Host="exporter:9466") == 200
        assert asked(port, Host="exporter:9466", Origin="http://page.example") == 403


def test_connections_of_a_peer_are_bounded(port: int) -> None:
    assert asked(port) == 200
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(exposition.LOOPBACK_CONNECTIONS)]
        further = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        assert further.recv(1_000).startswith(b"HTTP/1.0 429")
        held.pop().close()
    deadline = time.monotonic() + 20
    while True:  # the threads of those that were closed end by themselves
        try:
            assert asked(port) == 200
        except (AssertionError, OSError, ValueError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition._Quiet, "timeout", 0.1)
    port = free_port()
    with (
        serving(port, Collector(), lambda: (200, {})),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHos")
        assert connection.recv(1_000) == b""
