"""What the benchmarks of the feature server share: the values it serves, the requests, and clients as bare as can be.

Belongs here: nothing that knows stock Feast.
"""

from __future__ import annotations

import contextlib
import gc
import json
import selectors
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

AGENTS: Final = 100
STARTED: Final = int(time.time()) * 1_000_000
"""Of this process, µs: its rows are the same whenever they are made. A whole second, which is what Feast's own store keeps."""
CLIENTS: Final = 16


class Connection:
    """A client as bare as can be: what it costs itself is the least part of a figure."""

    def __init__(self, port: int, body: bytes, token: str = "") -> None:
        self._token = token
        self.set_body(body)
        self.source = ""
        self._port = port
        self._connect()

    def set_body(self, body: bytes) -> None:
        """Say what is asked from now on."""
        known = f"Authorization: Bearer {self._token}\r\n".encode() if self._token else b""
        head = b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.request = head % (known, len(body)) + body

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room, self._filled = bytearray(262_144), 0

    def ask(self) -> None:
        """Send and wait for the answer; a server that closes between two requests is asked again, and the time counts."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.socket.sendall(self.request)
                while not self.heard():
                    pass
            except OSError:
                if time.monotonic() > deadline:
                    raise
                self.reopen()
            else:
                return

    def heard(self) -> bool:
        """Receive a part; whether the answer is whole."""
        count = self.socket.recv_into(memoryview(self._room)[self._filled :])
        if not count:
            raise ConnectionResetError
        self._filled += count
        end = self._room.find(b"\r\n\r\n", 0, self._filled)
        if end < 0:
            return False
        head = bytes(self._room[:end]).lower()
        size = end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if self._filled < size:
            self._room += bytes(max(0, size - len(self._room)))
            return False
        if not head.startswith(b"http/1.1 200"):
            message = f"A request failed: {bytes(self._room[:500])!r}"
            raise RuntimeError(message)
        self.source = head.partition(b"x-feature-source:")[2].partition(b"\r\n")[0].strip().decode()
        self._filled = 0
        return True

    def reopen(self) -> None:
        """Connect again, as soon as the server listens."""
        self.socket.close()
        for _ in range(3_000):
            with contextlib.suppress(OSError):
                self._connect()
                return
            time.sleep(0.01)
        raise ConnectionRefusedError


class Ping:
    """The bare round trip: a client of Redis that asks for nothing."""

    request: Final = b"PING\r\n"

    def __init__(self, settings: Settings) -> None:
        self.socket = socket.create_connection((settings.redis_host, settings.redis_port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.redis_password:
            self.socket.sendall(b"AUTH %b\r\n" % settings.redis_password.get_secret_value().encode())
            self.heard()

    def heard(self) -> bool:
        """Receive the answer."""
        return bool(self.socket.recv(64))


def latencies(ask: Callable[[], object], number: int) -> list[float]:
    """Return the seconds that each of so many calls took."""
    found = []
    for _ in range(number):
        started = time.perf_counter()
        ask()
        found.append(time.perf_counter() - started)
    return found


def paced(clients: Sequence[Connection | Ping], rate: float, seconds: float) -> list[float]:
    """Return the seconds that answers took, each from the instant at which its request was due: so many a second, whoever is free asks.

    Each client has asked once before: what a connection costs is not what is measured.
    """
    for each in clients:
        each.socket.sendall(each.request)
        while not each.heard():
            pass
    gc.collect()
    gc.disable()  # a pause of the client's would be taken for one of the server's
    selector = selectors.SelectSelector()  # waits for microseconds, the default one for milliseconds
    for each in clients:
        selector.register(each.socket, selectors.EVENT_READ, each)
    free, since, found = list(clients), {}, []
    started = due = time.perf_counter()
    while due - started < seconds or since:
        now = time.perf_counter()
        while free and due <= now and due - started < seconds:
            client = free.pop()
            since[client], due = due, due + 1 / rate
            client.socket.sendall(client.request)
        for key, _ in selector.select(max(0.0, due - now) if free else 1):
            if key.data.heard():
                found.append(time.perf_counter() - since.pop(key.data))
                free.append(key.data)
    selector.close()
    gc.enable()
    for each in clients:
        each.socket.close()
    return found


def throughput(port: int, body: bytes, seconds: float, token: str = "") -> float:
    """Return the answers a second of clients that each ask again at once."""
    selector = selectors.DefaultSelector()
    for connection in [Connection(port, body, token) for _ in range(CLIENTS)]:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.socket.sendall(connection.request)
    answered, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for key, _ in selector.select(timeout=1):
            connection = key.data
            try:
                if not connection.heard():
                    continue
                answered += 1
                connection.socket.sendall(connection.request)
            except OSError:
                selector.unregister(key.fileobj)
                connection.reopen()
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.socket.sendall(connection.request)
    spent = time.perf_counter() - started
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return answered / spent


def body_of(features: list[str], agents: list[str]) -> bytes:
    """Return a request's body."""
    content = {"features": features, "entities": {"agent_id": agents}, "full_feature_names": True}
    return json.dumps(content).encode()


def one_agent() -> bytes:
    """Return the body that asks for an agent's twelve features."""
    from detektor_pipelines.catalog import VIEWS

    return body_of([f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features], agents_of(VIEWS[0])[:1])


def eight_agents() -> bytes:
    """Return the body that asks for all features of all views, of the eight agents of a project."""
    from detektor_pipelines.catalog import VIEWS

    features = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
    return body_of(features, [agents_of(view)[0] for view in VIEWS])


def agents_of(view: FeatureView) -> list[str]:
    """Return the agents of a view: of so many projects, the same ones for every view."""
    return [f"{view.agent}@project-{number}" for number in range(AGENTS)]


def rows_of(view: FeatureView) -> pa.Table:
    """One row an agent; a tenth of what may be null is."""
    import numpy as np
    import pyarrow as pa

    random, instant = np.random.default_rng(1), pa.timestamp("us", tz="UTC")
    now = STARTED
    at = pa.array([now - 3_600_000_000] * AGENTS, pa.int64()).cast(instant)
    columns: dict[str, pa.Array] = {"agent_id": pa.array(agents_of(view)), "event_timestamp": at, "created_at": at}
    for each in view.features:
        values, missing = random.integers(0, 1_000_000, AGENTS), random.random(AGENTS) < 0.1 * each.nullable
        if each.value_type == "float64":
            columns[each.name] = pa.array(values / 7, mask=missing)
        elif each.value_type == "instant":
            columns[each.name] = pa.array(now - values * 1_000_000, pa.int64(), mask=missing).cast(instant)
        else:
            columns[each.name] = pa.array(values, pa.int64(), mask=missing)
    return pa.table(columns)


def write_values(settings: Settings, views: Sequence[FeatureView] = ()) -> None:
    """Write the values of some views, by default of all."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online.values import redis_client, write_rows

    now = time.time_ns() // 1_000
    with redis_client(settings) as client:
        for view in views or VIEWS:
            write_rows(client, settings.project, view, rows_of(view), as_of_us=now, valid_through_us=now, snapshot="1:1:")


def at(found: Sequence[float], percent: float) -> float:
    """Return a percentile of seconds, in milliseconds."""
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000
