"""A request to the feature server and its answer, over connections that are kept.

A server that is being restarted refuses connections for a moment, and closes those that it had: both are tried again, for a time that the
caller bounds. A server that is silent is not. A read changes nothing, so asking twice does no harm.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit
from weakref import WeakSet

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

URL: Final = "DETEKTOR_SERVE_URL"
PORT: Final = "DETEKTOR_SERVE_PORT"
TOKEN: Final = "DETEKTOR_SERVE_TOKEN"  # noqa: S105 - the name of a variable
CA: Final = "DETEKTOR_SERVE_CA"

_IDLE: Final = 8
"""Connections that are kept for later; more at a time are made as needed."""

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.25
_OK: Final = 200
_UNAVAILABLE: Final = 503


_servers: Final[WeakSet[Connections]] = WeakSet()


class FeatureServerError(UserError):
    """No values came; the text says what, where, and what to do."""


class FeatureServerDownError(FeatureServerError):
    """The feature server cannot be reached, is silent, or has nothing to answer from: later it may."""


class RequestRefusedError(FeatureServerError):
    """The feature server does not take this request, now or later.

    Args:
        status: HTTP's.

    """

    def __init__(self, what: str, *, where: str, fix: str, status: int) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status


class Answer(NamedTuple):
    """What the server said; header names are lower-case."""

    headers: Mapping[str, str]
    content: Any


def default_url() -> str:
    """Return the server's address as the environment says it: DETEKTOR_SERVE_URL, else this machine at DETEKTOR_SERVE_PORT or 6566."""
    return os.environ.get(URL) or f"http://127.0.0.1:{os.environ.get(PORT) or 6566}"


@lru_cache(maxsize=32)
def connections(url: str, ca: str | None) -> Connections:
    """Return a server's connections, the same for all who ask it: `AgentFeatures(…).get()` again and again opens no new one.

    Raises:
        UserError: The address cannot be one, or the certificate cannot be read.

    """
    server = Connections(url, ca)
    _servers.add(server)
    return server


def close_all() -> None:
    """Close all idle connections of this process; those that ask later open new ones."""
    for each in tuple(_servers):
        each.close()


class Connections:
    """A server's connections. Threads may share it; a process that was forked makes its own.

    Args:
        url: `http://host:port` or `https://host:port`, with a path when the server stands behind a proxy's.
        ca: PEM of the authority that the server's certificate is of, beside those that the machine trusts.

    """

    def __init__(self, url: str, ca: str | None = None) -> None:
        parts = _split(url)
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        self._host = parts.hostname or ""
        self._port = parts.port
        self._tls = _tls(ca) if parts.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()

    def post(self, path: str, content: Any, *, token: str | None, timeout: float, patience: float) -> Answer:
        """Ask, and return the answer's headers and JSON.

        Args:
            path: Below the server's address.
            content: The request, for JSON.
            token: A bearer token, if the server wants one.
            timeout: Seconds that the server may be silent.
            patience: Seconds for which a server that refuses connections is tried again.

        Raises:
            FeatureServerDownError: It cannot be reached, is silent, or has nothing to answer from.
            RequestRefusedError: It does not take the request.
            FeatureServerError: What answers is not a feature server.

        """
        headers = {"Content-Type": "application/json"}
        status, found, text = self._exchange("POST", path, json.dumps(content).encode(), headers | _authorized(token), timeout, patience)
        return Answer(found, self._content(status, text))

    def loaded(self, *, token: str | None, timeout: float, patience: float) -> Mapping[str, Mapping[str, str]]:
        """Return which version and hash of each view the server has loaded; it says so without Redis too.

        Raises:
            FeatureServerDownError: It cannot be reached, or is silent.
            FeatureServerError: It does not say: it is no feature server, or wants a token to say it.

        """
        _, _, text = self._exchange("GET", "/health", None, _authorized(token), timeout, patience)
        try:
            views: Mapping[str, Mapping[str, str]] = json.loads(text)["definitions"]["views"]
        except (ValueError, KeyError, TypeError):
            what = "What answers there does not say which definitions it has loaded."
            fix = f"Correct the url, or {URL}; a server that asks for a token says it only to those who have one ({TOKEN})."
            raise FeatureServerError(what, where=self.url, fix=fix) from None
        return views

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float, patience: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        give_up, pause = time.monotonic() + patience, _FIRST_PAUSE_S
        while True:
            connection, kept = self._taken(timeout)
            try:
                return self._ask(connection, method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if kept and not isinstance(error, TimeoutError):  # the server, as a rule a restarted one, has closed it and the others
                    self.close()
                elif isinstance(error, ConnectionError) and time.monotonic() + pause <= give_up:
                    time.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                else:
                    self._failed(error, timeout)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            with suppress(IndexError):  # another thread has taken the last one
                self._idle.pop().close()

    def _taken(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection for one request, and whether it was kept from an earlier one."""
        if os.getpid() != self._process:  # the sockets are the parent's
            self._idle, self._process = [], os.getpid()
        with suppress(IndexError):
            connection = self._idle.pop()
            connection.sock.settimeout(timeout)
            return connection, True
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls), False
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout), False

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection.request(method, self._path + path, body, dict(headers))
        response = connection.getresponse()
        text = response.read()
        if len(self._idle) < _IDLE and connection.sock is not None:  # None: the server wants it closed
            self._idle.append(connection)
        else:
            connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, text

    def _content(self, status: int, text: bytes) -> Any:
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if status == _OK and isinstance(content, dict):
            return content
        problem = content if isinstance(content, dict) else {}
        if status == _OK or "title" not in problem:
            raise FeatureServerError(
                f"What answers there is not a feature server (status {status}).", where=self.url, fix=f"Correct the url, or {URL}."
            )
        first, _, rest = str(problem.get("detail") or problem["title"]).partition(". ")
        what, fix = f"{first.removesuffix('.')}.", rest or "The server's log file says more."
        if status == _UNAVAILABLE:
            raise FeatureServerDownError(what, where=self.url, fix=fix)
        raise RequestRefusedError(what, where=f"{self.url}, status {status}", fix=fix, status=status)

    def _failed(self, error: Exception, timeout: float) -> NoReturn:
        if isinstance(error, ssl.SSLCertVerificationError):
            what = f"The server's certificate is not trusted: {error.verify_message}."
            fix = f"Name its authority's PEM file in {CA} or ca=."
        elif isinstance(error, TimeoutError):
            what, fix = f"The feature server has said nothing for {timeout:g} s.", "Ask again, or with a larger timeout=."
        elif isinstance(error, OSError):
            what = f"The feature server cannot be reached: {error.strerror or error}."
            fix = f"Start it with `detektor up` or `detektor serve`, or correct {URL}."
        else:
            what = f"What answers there is not a feature server ({error!r})."
            raise FeatureServerError(what, where=self.url, fix=f"Correct the url, or {URL}.") from error
        raise FeatureServerDownError(what, where=self.url, fix=fix) from error


def _authorized(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _split(url: str) -> Any:
    with suppress(ValueError):  # a port that is not a number
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return parts
    raise UserError("This is not the address of a feature server.", where=repr(url), fix=f"Write it as http://host:6566, in url= or {URL}.")


def _tls(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:  # ssl's own errors are some as well
            raise UserError(
                f"The authority's certificate cannot be read: {error.strerror or error}.", where=ca, fix=f"Correct {CA} or ca=: a PEM file."
            ) from None
    return context
