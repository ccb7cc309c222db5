"""Redis in its other shapes, real: a cluster, a primary with a replica and three Sentinels, and one that is spoken to over TLS.

The embedded Redis is built without TLS, so a proxy of the standard library ends TLS in front of it; what is under test, the client's side,
does not know.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import Redis

from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded
from support import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOPBACK = ports.LOOPBACK
SERVICE = "features"
SLOTS = 16384
_SECONDS = 30


@dataclass(frozen=True)
class Cluster:
    """Running nodes, each with a third of the slots, and no replicas."""

    nodes: tuple[embedded.RedisServer, ...]
    url: str


@dataclass(frozen=True)
class Watched:
    """A running primary with a replica, and the URL of the Sentinels that watch them."""

    primary: embedded.RedisServer
    replica: embedded.RedisServer
    url: str


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not within {_SECONDS} s: {what}"
        time.sleep(0.05)


@contextmanager
def redis_cluster(directory: Path, count: int = 3) -> Iterator[Cluster]:
    """Run a cluster."""
    with ExitStack() as stack:
        nodes = tuple(stack.enter_context(cluster_node(directory / str(number))) for number in range(count))
        clients = [stack.enter_context(_client(node.port)) for node in nodes]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS * number // count, SLOTS * (number + 1) // count))
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER MEET", LOOPBACK, node.port)
        until(lambda: all(client.cluster("info")["cluster_state"] == "ok" for client in clients), "the cluster is whole")
        hosts = ",".join(f"{node.host}:{node.port}" for node in nodes)
        yield Cluster(nodes, f"redis+cluster://:{embedded.PASSWORD}@{hosts}")


@contextmanager
def cluster_node(directory: Path, port: int | None = None) -> Iterator[embedded.RedisServer]:
    """Run a node of a cluster; it listens for the others 10,000 ports above."""
    while port is None:
        port = ports.free_port()
        port = port if ports.is_free(port + 10_000) else None
    lines = ("cluster-enabled yes", "cluster-node-timeout 1000", f"masterauth {embedded.PASSWORD}")
    with embedded.start_redis(directory, port, lines=lines) as server:
        yield server


@contextmanager
def watched_redis(directory: Path) -> Iterator[Watched]:
    """Run a primary, its replica and three Sentinels, which make the replica the primary half a second after that is gone."""
    with ExitStack() as stack:
        secret = f"masterauth {embedded.PASSWORD}"
        primary = stack.enter_context(embedded.start_redis(directory / "primary", lines=[secret]))
        follow = (secret, f"replicaof {LOOPBACK} {primary.port}")
        replica = stack.enter_context(embedded.start_redis(directory / "replica", lines=follow))
        lines = (
            f"sentinel monitor {SERVICE} {LOOPBACK} {primary.port} 2",
            f"sentinel auth-pass {SERVICE} {embedded.PASSWORD}",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 2000",
            f"sentinel sentinel-pass {embedded.PASSWORD}",
        )
        sentinels = [
            stack.enter_context(embedded.start_redis(directory / f"sentinel{number}", lines=lines, words=["--sentinel"]))
            for number in range(3)
        ]
        clients = [stack.enter_context(_client(server.port)) for server in sentinels]
        until(lambda: all(_knows_all(client) for client in clients), "the Sentinels know each other and the replica")
        hosts = ",".join(f"{server.host}:{server.port}" for server in sentinels)
        url = f"redis+sentinel://:{embedded.PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={embedded.PASSWORD}"
        yield Watched(primary, replica, url)


def _knows_all(sentinel: Redis) -> bool:
    state = sentinel.sentinel_master(SERVICE)
    return state["num-other-sentinels"] == 2 and state["num-slaves"] == 1


@contextmanager
def _client(port: int) -> Iterator[Redis]:
    client = Redis(host=LOOPBACK, port=port, password=embedded.PASSWORD, socket_timeout=5)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def tls_proxy(server: embedded.RedisServer, directory: Path) -> Iterator[tuple[int, Path]]:
    """Take TLS in front of a Redis; yields the port and the file of the authority that signed its certificate."""
    files = certificates.make(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, server.port), daemon=True).start()
        try:
            yield listener.getsockname()[1], files.authority
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, context, port), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        connection,
        context.wrap_socket(connection, server_side=True) as outside,
        socket.create_connection((LOOPBACK, port)) as inside,
    ):
        back = threading.Thread(target=_pump, args=(inside, outside), daemon=True)
        back.start()
        _pump(outside, inside)
        back.join(timeout=5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(65_536):
            target.sendall(received)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
