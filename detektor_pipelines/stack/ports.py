"""Loopback ports: free ones, and whether one answers."""

from __future__ import annotations

import http.client
import random
import socket
import ssl

from detektor_pipelines.errors import UserError

LOOPBACK = "127.0.0.1"

# Below Linux's range for outgoing connections (32768 and up): nothing else is handed one of these by chance.
_FREE_RANGE = range(20_000, 32_768)
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:
    """Tell whether something accepts connections on `port` within `timeout` seconds."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def http_answers(port: int, path: str, host: str = LOOPBACK, *, tls: bool = False) -> bool:
    """Tell whether `GET path` answers with status 200."""
    return http_status(port, path, host, tls=tls) == http.HTTPStatus.OK


def http_status(port: int, path: str, host: str = LOOPBACK, *, tls: bool = False, called: str | None = None) -> int | None:
    """Return the status of `GET path`, None without an answer within 2 s.

    `called` is sent as the Host header. Whose certificate it is does not matter here, it is a server of this machine.
    """
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - asks one of every address
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=2, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": called} if called else {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def free_port(avoid: frozenset[int] = frozenset(), second: int | None = None) -> int:
    """Return a port that is free now and not in `avoid`, and so is the one that lies `second` above it.

    Raises:
        UserError: None of many was free.

    """
    generator = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = generator.choice(_FREE_RANGE)
        if not {port, port + (second or 0)} & avoid and is_free(port) and (second is None or is_free(port + second)):
            return port
    raise UserError(
        f"No free port found between {_FREE_RANGE.start} and {_FREE_RANGE.stop - 1}.",
        where=LOOPBACK,
        fix="Stop what holds them: `ss -ltnp` lists the listeners.",
    )
