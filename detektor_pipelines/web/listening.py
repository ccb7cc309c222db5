"""Where a server listens, over TLS or not, and who reaches it; runs an ASGI application there until the process is told to end.

Beyond loopback only those who are known may ask (`access`), unless somebody says otherwise in so many words. Requests that have begun are
answered before the end.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.web import access, handover
from detektor_pipelines.web.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from detektor_pipelines.settings import Settings

LOOPBACK: Final = "127.0.0.1"
STOP_S: Final = 10
_KEEP_ALIVE_S: Final = 75
"""Longer than clients keep an idle connection: one that the server closes just then costs them a request."""

SHARED_METRICS: Final = "DETEKTOR_SHARED_METRICS"
"""The variable with the directory in which the workers of one server share their metrics."""

_START_S: Final = 30
"""In which a worker that replaces another has begun to answer, on a busy machine too; if not, the old one goes on."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address of this machine, with the certificate and its key when TLS is spoken."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """What a client begins with."""
        return f"{'https' if self.certificate else 'http'}://{bracketed(self.host)}:{self.port}"

    def content(self) -> tuple[bytes, bytes] | None:
        """Return key and certificate chain as gRPC takes them; None without TLS."""
        return (self.key.read_bytes(), self.certificate.read_bytes()) if self.certificate and self.key else None


def listen_address(settings: Settings, host: str, port: int, *, insecure: bool = False) -> ListenAddress:
    """Return an address that may be listened at.

    Raises:
        UserError: It is reached from other machines without access control and not said to be meant; the certificate, its key or the
            tokens cannot be used.

    """
    access.check(settings)
    if not insecure and not access.configured(settings) and not is_loopback(host):
        raise UserError(
            "Everybody who reaches this address could read every agent's features: there is no access control.",
            where=f"host {host}",
            fix="Make a token (detektor token NAME), set DETEKTOR_SERVE_OIDC_DISCOVERY_URL, or pass --insecure if a proxy controls access.",
        )
    return ListenAddress(LOOPBACK if host == "localhost" else host, port, *_certificate(settings))


def bracketed(host: str) -> str:
    """Return an address as it stands before a port."""
    return f"[{host}]" if ":" in host else host


@contextmanager
def listening_socket(where: ListenAddress, *, option: str, held: socket.socket | None = None) -> Iterator[socket.socket]:
    """Take a port, or the socket that is `held` already, or that this process was started with; `option` says how to choose another one.

    Raises:
        UserError: It cannot be taken.

    """
    if (passed := held or handover.inherited()) is not None:
        with passed:
            found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
            if passed.getsockname()[:2] not in [address[:2] for *_, address in found]:
                raise UserError(
                    "The socket that was passed (LISTEN_FDS) listens elsewhere.",
                    where="{}:{}".format(*passed.getsockname()[:2]),
                    fix=f"Give the same address with {option} and --host.",
                )
            yield passed
        return
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((where.host, where.port))
        except OSError as error:
            raise UserError(
                f"The port cannot be opened: {error.strerror}.",
                where=f"{where.host}:{where.port}",
                fix=f"Choose another one with {option}, or end what listens there.",
            ) from None
        yield listener


def _nobody_waits() -> None:
    """Stand for who is told that a server has begun."""


def load() -> None:
    """Import what `run` will, for a process of which a copy is made before that."""
    for module in ("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvloop", "detektor_pipelines.web.http_connection"):
        importlib.import_module(module)


def run(
    application: ASGIApp | str,
    listener: socket.socket,
    where: ListenAddress,
    *,
    workers: int = 1,
    begun: Callable[[], None] = _nobody_waits,
) -> bool:
    """Serve until SIGTERM, SIGHUP or Ctrl-C; tell whether it was a SIGHUP: then the process is meant to start again on the same socket.

    With several workers a SIGHUP replaces one after the other, and nothing ends.

    Args:
        application: The application; for several workers, where its factory is (`module:function`).
        listener: Where it listens.
        where: The same, with its certificate.
        workers: Processes; each has its own connections, their metrics are one.
        begun: Called once it answers, where there is one process.

    """
    import uvicorn

    options: dict[str, Any] = {
        "factory": isinstance(application, str),
        "log_config": None,  # its lines are written as ours are
        "log_level": "warning",
        "access_log": False,
        "timeout_graceful_shutdown": STOP_S,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_worker_healthcheck": _START_S,
        "server_header": False,
        "proxy_headers": False,
        "http": "detektor_pipelines.web.http_connection:Connection",
        "ws": "none",
        "ssl_certfile": where.certificate,
        "ssl_keyfile": where.key,
    }
    config = uvicorn.Config(application, workers=workers, **options)
    heard: list[int] = []
    if workers == 1:

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                begun()

        server = Server(config)

        def end(number: int, _: object) -> None:
            heard.append(number)
            server.should_exit = True

        # uvicorn raises SIGTERM once more when it has ended: what is left to close would not be.
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGHUP, end)
        handover.hear_hang_ups()
        server.run(sockets=[listener.dup()])  # it closes what it was given
        return set(heard) == {signal.SIGHUP}
    from uvicorn.supervisors import Multiprocess

    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    handover.hear_hang_ups()
    with tempfile.TemporaryDirectory(prefix="detektor-metrics-") as directory:
        os.environ[SHARED_METRICS] = directory
        Multiprocess(config, sockets=[listener]).run()
    return False


def _certificate(settings: Settings) -> tuple[Path | None, Path | None]:
    certificate, key = settings.serve_tls_cert, settings.serve_tls_key
    if certificate is None and key is None:
        return None, None
    if certificate is None or key is None:
        raise UserError(
            "TLS takes a certificate and its key.",
            where="settings DETEKTOR_SERVE_TLS_CERT and DETEKTOR_SERVE_TLS_KEY",
            fix="Give both (--tls-cert, --tls-key), or neither.",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:  # an SSLError is one
        raise UserError(
            f"The certificate and its key cannot be used: {error.strerror or error}.",
            where=f"{certificate} and {key}",
            fix="Give two PEM files, the server's certificate first in its chain, the key of that certificate without a password.",
        ) from None
    return certificate, key


def _no_password() -> str:
    """Answer OpenSSL, which would ask on the terminal."""
    return ""
