"""A real server of ours as a process, and a client that keeps its connection."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

DETEKTOR = str(Path(sys.executable).with_name("detektor"))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running server; `log` is what it has said. `token` is sent with every request, `context` is of one that speaks TLS."""

    def __init__(self, port: int, process: Any, log: Path, context: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.process = process
        self.token: str | None = None
        self._log = log
        self._context = context

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection: http.client.HTTPConnection
        if self._context:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self._context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        try:
            started = time.perf_counter()
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            content = response.read()
            return Answer(
                response.status, {name.lower(): text for name, text in response.getheaders()}, content, time.perf_counter() - started
            )
        finally:
            connection.close()

    def read(self, features: list[str], agents: list[str], **more: Any) -> Answer:
        content = {"features": features, "entities": {"agent_id": agents}} | more
        return self.ask("POST", "/get-online-features", json.dumps(content).encode())


@contextmanager
def running(
    directory: Path,
    command: str,
    *words: str,
    environment: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    port: int | None = None,
) -> Iterator[Server]:
    """Run `detektor <command> --port …` until the block ends; ready when /health answers, whatever it says."""
    port = port or ports.free_port()
    path = directory / f"{command}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [DETEKTOR, command, "--port", str(port), *words],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | (environment or {}),
        )
        server = Server(port, process, path, context)
        try:
            _await(server)
            yield server
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _await(server: Server) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert server.process.poll() is None, server.log
        assert time.monotonic() < deadline, server.log
        try:
            server.get("/health")
        except OSError:
            time.sleep(0.05)
        else:
            return
