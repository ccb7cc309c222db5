"""Access control of the registry server: `access` before Feast's REST and gRPC registry, and what it found out told to Feast's permissions.

Importing this takes seconds, because Feast does.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

import grpc
from feast.permissions.auth.auth_manager import AuthManager, set_auth_manager
from feast.permissions.auth.token_parser import TokenParser
from feast.permissions.security_manager import SecurityManager, get_security_manager, set_security_manager
from feast.permissions.server.rest_token_extractor import RestTokenExtractor
from feast.permissions.user import User

from detektor_pipelines.web.access import answer
from detektor_pipelines.web.peers import TOO_MANY, Connections
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from feast import FeatureStore
    from starlette.types import ASGIApp, Receive, Scope, Send

    from detektor_pipelines.web.access import Access
    from detektor_pipelines.web.callers import Caller

_READING: Final = re.compile(r"/feast\.registry\.RegistryServer/(Get|List|Search|Proto|Refresh)\w*")
_HEALTH: Final = "/grpc.health.v1.Health/"
_PATIENCE_S: Final = 10

GRPC_CALLS_OF_A_PEER: Final = 16
GRPC_CALLS_OF_LOOPBACK: Final = 64
"""At a time, of the hundred that there are in all: so nobody alone keeps the others out."""

_CODES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def use_permissions(store: FeatureStore, access: Access) -> None:
    """Have Feast enforce the registry's permissions on those that `access` knows, in both servers of this process."""
    set_security_manager(SecurityManager(project=store.project, registry=store.registry))
    set_auth_manager(AuthManager(token_extractor=RestTokenExtractor(), token_parser=_Parser(access)))


def read_only(app: ASGIApp) -> ASGIApp:
    """Return an ASGI application that answers questions only."""

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            await answer(_changing(), send)
        else:
            await app(scope, receive, send)

    return reading


class CallGuard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets gRPC calls through of those who are known, as far as they change nothing; the health service is open.

    Without `access` everybody who reaches it may read. A peer has so many calls at a time; one is counted, and its caller looked at, before
    what it asks has come in.
    """

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._calls = Connections(GRPC_CALLS_OF_A_PEER, GRPC_CALLS_OF_LOOPBACK)
        self._counting = threading.Lock()
        if access is None:
            return
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="access", daemon=True).start()

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Return the call's handler, which first finds out who asks: in a thread of its own, for a provider may be slow."""
        handler, method = continuation(handler_call_details), handler_call_details.method
        if handler is None or method.startswith(_HEALTH):
            return handler
        header = _header(handler_call_details.invocation_metadata)

        def guarded(requests: Iterator[Any], context: Any) -> Any:
            try:
                with self._counted(_peer(context.peer())):
                    caller = None if self._access is None else self._caller(self._access, header)
                    if handler.unary_unary is None or not _READING.fullmatch(method):
                        raise _changing()
                    return _read(handler, caller, next(requests), context)
            except ProblemError as problem:
                context.abort(_CODES.get(problem.status, grpc.StatusCode.INTERNAL), f"{problem.title}: {problem.detail}")
            except StopIteration:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call asks nothing.")

        # As a stream of requests, though one comes: a handler of a single one is called only when it has come, which may be never.
        return grpc.stream_unary_rpc_method_handler(guarded, handler.request_deserializer, handler.response_serializer)

    @contextmanager
    def _counted(self, peer: str) -> Iterator[None]:
        with self._counting:
            problem = self._calls.opened(peer)
        try:
            if problem is not None:
                raise ProblemError(TOO_MANY, "Too many calls of this address are under way. Wait for some, or make fewer at a time.")
            yield
        finally:
            with self._counting:
                self._calls.closed(peer)

    def _caller(self, access: Access, header: str | None) -> Caller:
        return asyncio.run_coroutine_threadsafe(access.caller(header), self._loop).result(_PATIENCE_S)


class _Parser(TokenParser):
    """Says who a token is of, in Feast's words."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def user_details_from_access_token(self, access_token: str) -> User:
        return _user(await self._access.caller(f"Bearer {access_token}"))


def _read(handler: Any, caller: Caller | None, request: Any, context: Any) -> Any:
    """Answer a call as the one who makes it."""
    if caller is None:
        return handler.unary_unary(request, context)
    manager = cast("SecurityManager", get_security_manager())
    manager.set_current_user(_user(caller))
    before = manager.set_current_project(getattr(request, "project", None))
    try:
        return handler.unary_unary(request, context)
    finally:
        manager.reset_current_project(before)  # type: ignore[no-untyped-call]


def _peer(said: str) -> str:
    """Return the address of a peer as gRPC names it: `ipv4:10.0.0.7:40000`, `ipv6:%5B::1%5D:40000`."""
    return unquote(said.partition(":")[2].rpartition(":")[0]).strip("[]")


def _user(caller: Caller) -> User:
    return User(caller.name, roles=list(caller.roles), groups=list(caller.groups))


def _header(metadata: Any) -> str | None:
    return next((value for name, value in metadata if name.lower() == "authorization" and isinstance(value, str)), None)


def _changing() -> ProblemError:
    detail = "The registry is read-only here. It is written from the definitions: detektor restart, or feast apply beside the database."
    return ProblemError(403, detail)
