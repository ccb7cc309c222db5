"""Loopback ports: free ones, those that were chosen and are not listened at yet, and whether one answers."""

from __future__ import annotations

import errno
import http.client
import random
import socket
import ssl
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

LOOPBACK = "127.0.0.1"
_CLAIMS = "127.0.0.77"
"""An address of loopback at which nobody listens: a socket bound to it says that its port was chosen."""

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


_claimed: Final[dict[int, tuple[Path, socket.socket]]] = {}
"""By port whose it is, and what keeps others away. The kernel takes the claims of a process back however it ends."""


def claim(wanted: Collection[int], home: Path) -> bool:
    """Keep other commands that look for ports from choosing these, until `release`; False when one of them was claimed for another home.

    Between choosing a port and listening at it seconds pass, in which a second `detektor up` would find it free too.
    """
    made: dict[int, socket.socket] = {}
    for port in wanted:
        if port in _claimed and _claimed[port][0] == home:
            continue
        held = _bound(port)
        if held is None:
            for each in made.values():
                each.close()
            return False
        made[port] = held
    _claimed.update({port: (home, held) for port, held in made.items()})
    return True


def release(home: Path, given: Collection[int] | None = None) -> None:
    """Give up the claims of a home, by default all of them."""
    for port, (owner, held) in list(_claimed.items()):
        if owner == home and (given is None or port in given):
            held.close()
            del _claimed[port]


def _bound(port: int) -> socket.socket | None:
    """Return a socket that claims a port, None when there is one already."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((_CLAIMS, port))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server may listen at every address all the same
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            held.close()
            return None
    return held  # also where loopback is a single address: then nobody claims


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


def free_port(avoid: frozenset[int] = frozenset(), second: int | None = None, claimed_for: Path | None = None) -> int:
    """Return a port that is free now and not in `avoid`, and so is the one that lies `second` above it; both are claimed for a home.

    Raises:
        UserError: None of many was free.

    """
    generator = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = generator.choice(_FREE_RANGE)
        wanted = {port, port + (second or 0)}
        if not wanted & avoid and all(map(is_free, wanted)) and (claimed_for is None or claim(wanted, claimed_for)):
            return port
    raise UserError(
        f"No free port found between {_FREE_RANGE.start} and {_FREE_RANGE.stop - 1}.",
        where=LOOPBACK,
        fix="Stop what holds them: `ss -ltnp` lists the listeners.",
    )
