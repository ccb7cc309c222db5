"""Online reads: our feature server beside stock `feast serve`, our SDK store beside the stock one; same values, same Redis, taking turns.

    .venv/bin/python benchmarks/serving.py [--requests 3000] [--seconds 4] [--turns 3] [--json]

One worker each. Stock runs with its default, which replaces the worker after 1,000 requests, and with that switched off. Latency is of
one client that keeps its connection and asks again at once; requests/s is of 16 such clients in one process. Beside them stands the bare
PING of the same Redis, in the same turn. `eight agents`: all features of all eight views for the eight agents of a project, in one request.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from feast import FeatureStore

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

AGENTS: Final = 100
CLIENTS: Final = 16
STOCK_DATABASE: Final = 1
SERVERS: Final = ("ours", "stock", "stock, no recycling")
warnings.filterwarnings("ignore")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--requests", type=int, default=3_000, help="of one client, a turn")
    parser.add_argument("--seconds", type=float, default=4.0, help="of 16 clients, a turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        figures |= measure(settings, Path(directory), arguments.requests, arguments.seconds, arguments.turns)
    print(json.dumps(figures) if arguments.json else _table(figures))


def measure(settings: Settings, directory: Path, requests: int, seconds: float, turns: int) -> dict[str, Any]:
    """Write the values in both forms, start the servers, then let the ways take turns."""
    from detektor_pipelines.stores import feast_repo

    measuring.say("Writing values, starting the servers …")
    feast_repo.apply(settings)
    stock = _stock_store(directory, settings)
    with feast_repo.closing_store(settings) as ours, _servers(settings, directory) as ports:
        _write_values(settings, stock)
        times: dict[str, list[float]] = {}
        rates: dict[str, list[float]] = {name: [] for name in SERVERS}
        ways = _ways(settings, ours, stock, ports)
        for turn in range(turns + 1):
            measuring.say(f"Turn {turn} of {turns} …")
            for name, (ask, share) in ways.items():
                found = _latencies(ask, max(20, int(requests * share)) if turn else 20)
                times.setdefault(name, []).extend(found if turn else [])  # the first warms caches and connections
            for name, port in ports.items() if turn else ():
                rates[name].append(_throughput(port, _one_agent(), seconds))
    latencies = {name: {"p50_ms": _at(found, 50), "p99_ms": _at(found, 99), "requests": len(found)} for name, found in times.items()}
    return {"latency": latencies, "requests_per_second": {name: statistics.median(found) for name, found in rates.items()}} | _ratios(
        latencies, rates
    )


def _ways(
    settings: Settings, ours: FeatureStore, stock: FeatureStore, ports: dict[str, int]
) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what is timed, each with its share of the requests: what takes long is asked less often."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online import redis_client

    client = redis_client(settings)
    names = [f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features]
    one, hundred = ([{"agent_id": agent} for agent in _agents(VIEWS[0])[:number]] for number in (1, AGENTS))
    ways: dict[str, tuple[Callable[[], object], float]] = {"PING": (client.ping, 1)}
    for name, port in ports.items():
        ways[f"HTTP, 1 agent: {name}"] = (_Connection(port, _one_agent()).ask, 1)
        if name != "stock":
            ways[f"HTTP, 100 agents: {name}"] = (_Connection(port, _body(names, _agents(VIEWS[0]))).ask, 0.1)
            ways[f"HTTP, eight agents: {name}"] = (_Connection(port, _eight_agents()).ask, 0.2)
    for name, store in (("ours", ours), ("stock", stock)):
        ways[f"SDK, 1 agent: {name}"] = (lambda store=store: store.get_online_features(names, one), 1)
        ways[f"SDK, 100 agents: {name}"] = (lambda store=store: store.get_online_features(names, hundred), 0.1)
    return ways


def _ratios(latencies: dict[str, Any], rates: dict[str, list[float]]) -> dict[str, float]:
    def ratio(one: str, other: str, figure: str) -> float:
        return float(latencies[one][figure] / latencies[other][figure])

    steady = "stock, no recycling"
    return {
        "http_p50_over_stock": ratio("HTTP, 1 agent: ours", f"HTTP, 1 agent: {steady}", "p50_ms"),
        "http_p99_over_stock": ratio("HTTP, 1 agent: ours", f"HTTP, 1 agent: {steady}", "p99_ms"),
        "requests_per_second_over_stock": statistics.median(rates["ours"]) / statistics.median(rates[steady]),
        "sdk_p99_over_stock": ratio("SDK, 1 agent: ours", "SDK, 1 agent: stock", "p99_ms"),
        "sdk_100_agents_p50_over_stock": ratio("SDK, 100 agents: ours", "SDK, 100 agents: stock", "p50_ms"),
        "eight_agents_p50_over_ping": ratio("HTTP, eight agents: ours", "PING", "p50_ms"),
    }


# Clients -----------------------------------------------------------------------------------------------------------------------


class _Connection:
    """A client as bare as can be: what it costs itself is the least part of a figure."""

    def __init__(self, port: int, body: bytes) -> None:
        head = f"POST /get-online-features HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def ask(self) -> None:
        """Send and wait for the answer; a server that closes between two requests is asked anew, and the time counts."""
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
        part = self.socket.recv(262_144)
        if not part:
            raise ConnectionResetError
        self._received += part
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._received[:end].lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < end + 4 + size:
            return False
        if not head.startswith(b"http/1.1 200"):
            message = f"A request failed: {self._received[:500]!r}"
            raise RuntimeError(message)
        self._received = b""
        return True

    def reopen(self) -> None:
        """Connect anew, as soon as the server listens."""
        self.socket.close()
        for _ in range(3_000):
            with contextlib.suppress(OSError):
                self._connect()
                return
            time.sleep(0.01)
        raise ConnectionRefusedError


def _latencies(ask: Callable[[], object], number: int) -> list[float]:
    found = []
    for _ in range(number):
        started = time.perf_counter()
        ask()
        found.append(time.perf_counter() - started)
    return found


def _throughput(port: int, body: bytes, seconds: float) -> float:
    """Return the answers a second of clients that each ask again at once."""
    selector = selectors.DefaultSelector()
    for connection in [_Connection(port, body) for _ in range(CLIENTS)]:
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


def _body(features: list[str], agents: list[str]) -> bytes:
    content = {"features": features, "entities": {"agent_id": agents}, "full_feature_names": True}
    return json.dumps(content).encode()


def _one_agent() -> bytes:
    from detektor_pipelines.catalog import VIEWS

    return _body([f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features], _agents(VIEWS[0])[:1])


def _eight_agents() -> bytes:
    from detektor_pipelines.catalog import VIEWS

    features = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
    return _body(features, [_agents(view)[0] for view in VIEWS])


# Values and servers ------------------------------------------------------------------------------------------------------------


def _agents(view: FeatureView) -> list[str]:
    return [f"{view.agent}@project-{number}" for number in range(AGENTS)]


def _rows(view: FeatureView) -> pa.Table:
    """One row an agent; a tenth of what may be null is."""
    import numpy as np
    import pyarrow as pa

    random, instant = np.random.default_rng(1), pa.timestamp("us", tz="UTC")
    now = time.time_ns() // 1_000
    at = pa.array([now - 3_600_000_000] * AGENTS, pa.int64()).cast(instant)
    columns: dict[str, pa.Array] = {"agent_id": pa.array(_agents(view)), "event_timestamp": at, "created_at": at}
    for each in view.features:
        values, missing = random.integers(0, 1_000_000, AGENTS), random.random(AGENTS) < 0.1 * each.nullable
        if each.value_type == "float64":
            columns[each.name] = pa.array(values / 7, mask=missing)
        elif each.value_type == "instant":
            columns[each.name] = pa.array(now - values * 1_000_000, pa.int64(), mask=missing).cast(instant)
        else:
            columns[each.name] = pa.array(values, pa.int64(), mask=missing)
    return pa.table(columns)


def _write_values(settings: Settings, stock: FeatureStore) -> None:
    from feast.utils import _convert_arrow_to_proto
    from feast.value_type import ValueType

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online import redis_client, write_rows

    now = time.time_ns() // 1_000
    store = stock._get_provider().online_store  # noqa: SLF001 - the store itself, without materialize around it
    with redis_client(settings) as client:
        for view in VIEWS:
            rows = _rows(view)
            write_rows(client, settings.project, view, rows, as_of_us=now, valid_through_us=now + 3_600_000_000, snapshot="1:1:")
            registered = stock.get_feature_view(view.name)
            protos = _convert_arrow_to_proto(rows.combine_chunks(), registered, {"agent_id": ValueType.STRING})
            store.online_write_batch(stock.config, registered, protos, None)


def _stock_store(directory: Path, settings: Settings) -> FeatureStore:
    """Feast's own Redis store in the same server, database 1; `directory` is also the repository that `feast serve` reads."""
    import yaml
    from feast import FeatureStore

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile import feast as compiled

    password = settings.redis_password.get_secret_value() if settings.redis_password else ""
    config = {
        "project": "stock",
        "provider": "local",
        "registry": {"registry_type": "file", "path": str(directory / "registry.db"), "cache_ttl_seconds": 600},
        "online_store": {
            "type": "redis",
            "connection_string": f"{settings.redis_host}:{settings.redis_port},db={STOCK_DATABASE},password={password}",
        },
        "entity_key_serialization_version": 3,
    }
    (directory / "feature_store.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    store = FeatureStore(repo_path=str(directory))
    with contextlib.redirect_stdout(io.StringIO()):
        store.apply([compiled.entity(), *(compiled.feature_view(view) for view in VIEWS)])
    return store


@contextmanager
def _servers(settings: Settings, directory: Path) -> Iterator[dict[str, int]]:
    """Run the three servers, each in a process group of its own; yield their ports."""
    from detektor_pipelines.stack.ports import free_port, http_answers

    scripts, ports = Path(sys.executable).parent, {}
    for name in SERVERS:
        ports[name] = free_port(frozenset(ports.values()))
    stock = [str(scripts / "feast"), "--chdir", str(directory), "serve", "--no-access-log", "--workers", "1"]
    commands = {
        "ours": [str(scripts / "detektor"), "serve", "--port", str(ports["ours"])],
        "stock": [*stock, "--port", str(ports["stock"])],
        "stock, no recycling": [*stock, "--port", str(ports["stock, no recycling"]), "--max-requests", "0"],
    }
    ours = {"DETEKTOR_EXTERNAL_REDIS_URL": settings.redis_url, "DETEKTOR_HOME": str(settings.home)}
    with (directory / "servers.log").open("wb") as log:
        started = [
            subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ | ours)
            for command in commands.values()
        ]
        try:
            deadline = time.monotonic() + 120
            while not all(http_answers(port, "/health") for port in ports.values()):
                if time.monotonic() > deadline or any(each.poll() is not None for each in started):
                    raise RuntimeError((directory / "servers.log").read_text(encoding="utf-8")[-3_000:])
                time.sleep(0.2)
            yield ports
        finally:
            for each in started:
                os.killpg(each.pid, signal.SIGTERM)
            for each in started:
                each.wait(30)


def _at(found: list[float], percent: int) -> float:
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1_000


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['cores']} cores, load {figures['load_before']:.1f} before"]
    lines.append(f"{'way':<42}{'p50 ms':>10}{'p99 ms':>10}{'requests':>10}")
    lines += [
        f"{name:<42}{found['p50_ms']:>10.2f}{found['p99_ms']:>10.2f}{found['requests']:>10,}" for name, found in figures["latency"].items()
    ]
    lines += [f"{f'requests/s, {CLIENTS} clients: {name}':<42}{rate:>10,.0f}" for name, rate in figures["requests_per_second"].items()]
    lines += [f"{name:<42}{figure:>10.2f}" for name, figure in figures.items() if "_over_" in name]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
