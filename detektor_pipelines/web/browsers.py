"""What a web page in somebody's browser may ask of a server without access control: nothing.

A page reaches loopback from every browser on the machine. It can send a form or a text anywhere, with its Origin; and where its own name is
made to lead to this machine (rebinding), the browser takes our answers for the page's own and hands them over: then the Host header has
the page's name. So a name in Host must be one of ours. An address cannot be rebound, which leaves health probes and loopback as they are.

Where tokens are asked for, a page has none, and a proxy may call the server by any name: then only the Origin is looked at.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from detektor_pipelines.web.access import DETAIL, answer
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK: Final = "localhost"


class NoPages:
    """ASGI middleware that refuses what a page of another origin sends, and names in Host that are not ours.

    Args:
        app: What answers the rest.
        names: What the server is called beside loopback names and addresses; None: by any name.
        refused: Is told the status of what was refused.

    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None, refused: Callable[[int], None] | None = None) -> None:
        self._app = app
        self._names = None if names is None else frozenset(name.lower().rstrip(".") for name in names)
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] in {"http", "websocket"}:
            problem = self.problem(scope["headers"])
            if problem is not None:
                if self._refused is not None:
                    self._refused(problem.status)
                scope[DETAIL] = problem.detail
                if scope["type"] == "http":
                    await answer(problem, send)
                else:  # before it is accepted that is a 403
                    await send({"type": "websocket.close"})
                return
        await self._app(scope, receive, send)

    def problem(self, headers: Iterable[tuple[bytes, bytes]]) -> ProblemError | None:
        """Return what is wrong with a request's headers; nothing else is looked at."""
        return page_problem(headers, self._names)


def page_problem(headers: Iterable[tuple[bytes, bytes]], names: frozenset[str] | None) -> ProblemError | None:
    """Return why a request is refused by its headers, names in lower case; `names` as `NoPages` has them, in lower case."""
    hosts = [value for name, value in headers if name == b"host"]
    if names is not None and not all(is_own(host_of(each), names) for each in hosts):
        detail = f"This server is not called {hosts[0].decode('latin-1')[:100]!r}. Use its address, or name it in DETEKTOR_SERVER_NAMES."
        return ProblemError(403, detail)
    origins = [value for name, value in headers if name == b"origin"]
    if not all(_authority(each) in hosts for each in origins):
        return ProblemError(403, "Requests of web pages elsewhere (Origin) are refused. Ask from a program, or through a proxy of yours.")
    return None


def _authority(origin: bytes) -> bytes:
    """Return what stands after the scheme of an Origin, nothing for `null`: what the Host header has when the page is ours."""
    return origin.partition(b"://")[2]


def names_of(given: str | None, *hosts: str) -> frozenset[str]:
    """Return the names of a setting, commas between them, and of the addresses that a server was given to listen at."""
    return frozenset(filter(None, (each.strip().lower() for each in (*(given or "").split(","), *hosts))))


def is_own(host: str, names: frozenset[str]) -> bool:
    """Whether a server may be called so: an address, a name of loopback, or one that it was given."""
    if host == _LOOPBACK or host.endswith("." + _LOOPBACK) or host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_of(header: bytes) -> str:
    """Return the name or address in a Host header, without the port, in lower case."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0].rstrip(".") if ":" in text else text.rstrip(".")
