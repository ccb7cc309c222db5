"""The feature server: Feast's HTTP API for online reads over our online store; `detektor serve` runs it on port 6566.

    POST /get-online-features    as Feast's own server answers it, so that the SDK's remote online store works against it unchanged
    GET  /health                 200 while Redis answers, else 503, the reason, and what is left to answer from. {"status": "OK", …}, or
                                 what is not well and what to do about it (`serving.health`); with ?fresh, 503 for that too
    GET  /health/live            200 while the process answers
    GET  /metrics                for Prometheus
    GET  /openapi.json           what all of these take and answer

With Redis away it answers from the values kept last, if there are any: `X-Feature-Source: fallback`, and their age (`sources`).

Belongs here: the ASGI application, limits, answers to what goes wrong. What a request means is `online_request`, where values come
from `sources`, who may ask `access`. Neither Feast nor a registry is needed but for `view@v2` (`view_versions`) and for services that are
not of the definitions (`feature_services`): the definitions are this process's own, so it is restarted when they change. Errors are problem
details (RFC 9457).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from detektor_pipelines import log_lines
from detektor_pipelines.serving.feature_services import FeatureServices
from detektor_pipelines.serving.health import FRESH, ServerHealth
from detektor_pipelines.serving.online_request import ServiceNeededError, VersionsNeededError, answer, check_others, parse
from detektor_pipelines.serving.openapi import description
from detektor_pipelines.serving.server_metrics import ServerMetrics
from detektor_pipelines.serving.shortcut import Shortcut
from detektor_pipelines.serving.values.last_known import LastKnown
from detektor_pipelines.serving.values.sources import Sources
from detektor_pipelines.serving.view_versions import ViewVersions
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web.access import DETAIL, KNOWN, Guard, access_of
from detektor_pipelines.web.browsers import NoPages, names_of
from detektor_pipelines.web.peers import PEER, REASONS, TOO_MANY
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError
from detektor_pipelines.web.request_log import Lines, RequestLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from detektor_pipelines.serving.online_request import OnlineRequest
    from detektor_pipelines.serving.requested import Pin, Version
    from detektor_pipelines.settings import Settings

AGE_HEADER: Final = "x-feature-age-seconds"
SOURCE_HEADER: Final = "x-feature-source"
_LARGE: Final = 5_000
"""Values of an answer from which on it is put together in a thread: some 10 ms of work."""

_LARGE_BODY: Final = 16_384
"""Bytes of a body from which on it is understood in a thread."""

_DROPPED: Final = 100
"""Rows of a large answer that are let go of at once."""

_SWITCH_S: Final = 0.001
"""How long the thread may work until the event loop has its turn; Python's own is five times that, and an answer takes several turns."""

_JSON: Final = b"application/json"
_FORMS: Final = (b"application/x-www-form-urlencoded", b"text/plain", b"multipart/form-data")
"""What a page may send anywhere without asking first; some browsers and proxies leave out the Origin."""

_ROUTES: Final = "POST /get-online-features, GET /health, GET /health/live, GET /metrics and GET /openapi.json"
_READ: Final = "/get-online-features"
_FAILED: Final = "The request failed. The log file of `detektor serve` says why, under the X-Request-Id of this answer."
_OPEN: Final = ("/health", "/health/live")
"""What anybody may ask, also where access is controlled: those who watch over a server have no token."""

_log = logging.getLogger(__name__)


def app(settings: Settings | None = None) -> Starlette:
    """Return the ASGI application; without settings, of this process's environment, as each of several workers makes its own."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route

    from detektor_pipelines.settings import get_settings

    chosen = settings or get_settings()
    if settings is None:
        log_lines.set_up("serve", chosen.log_level)
    metrics = ServerMetrics()  # before Feast, which may come with the next line and has metrics of its own
    access = access_of(chosen)
    server = _Server(chosen, metrics, LastKnown(chosen), ViewVersions(chosen), FeatureServices(chosen))
    server.description = orjson.dumps(description(chosen, guarded=access is not None))

    @asynccontextmanager
    async def connected(_: Starlette) -> AsyncIterator[None]:
        shortcut.sources = server.sources = Sources(server.settings, server.last_known, server.metrics)
        sys.setswitchinterval(_SWITCH_S)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: looking through it, a collection would hold requests up for 20 ms
        with log_lines.written_aside():
            async with server.last_known.keeping():
                yield
            shortcut.flush()
            await server.sources.close()

    routes = [
        Route(_READ, _OnlineFeatures(server), methods=["POST"]),
        Route("/health", server.health, methods=["GET"]),
        Route("/health/live", server.live, methods=["GET"]),
        Route("/metrics", server.exposition, methods=["GET"]),
        Route("/openapi.json", server.openapi, methods=["GET"]),
    ]
    lines = Lines(sample=chosen.serve_log_sample, slow_ms=chosen.serve_log_slow_ms)
    names = None if access else names_of(chosen.server_names, chosen.serve_host)
    handlers: dict[Any, Any] = {404: _not_found, 405: _not_found, 500: _failed}
    guard = (
        [Middleware(Guard, access, _OPEN, lambda status: metrics.refused(status, PEER if status == TOO_MANY else "token"))]
        if access
        else []
    )
    middleware = [Middleware(RequestLog, lines=lines), Middleware(NoPages, names, lambda status: metrics.refused(status, "page")), *guard]
    application = Starlette(routes=routes, exception_handlers=handlers, lifespan=connected, middleware=middleware)
    application.state.refused = lambda status: metrics.refused(status, REASONS[status], counted=False)
    application.state.shortcut = shortcut = Shortcut(_READ, chosen, metrics, access, NoPages(application, names), lines)
    return application


@dataclass
class _Server:
    """What the requests share."""

    settings: Settings
    metrics: ServerMetrics
    last_known: LastKnown
    versions: ViewVersions
    services: FeatureServices
    sources: Sources | None = None
    description: bytes = b""
    judge: ServerHealth = field(init=False)
    _large: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "large-answer"))

    def __post_init__(self) -> None:
        self.judge = ServerHealth(self.settings, self.metrics, self.last_known)

    async def read(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Answer a read: the body and its headers.

        Raises:
            ProblemError: The request cannot be understood, or Redis does not answer.

        """
        try:
            request = await self._parsed(body)
        except (VersionsNeededError, ServiceNeededError) as needed:
            request = await self._with_registry(body, needed)
        self.metrics.agents.inc(len(request.agent_ids))
        lookups = request.lookups(self.settings.project)
        try:
            found, source = await cast("Sources", self.sources).get(lookups)
        except OnlineStoreDownError as error:
            raise _down(error) from None
        if source == "fallback" and request.pinned:
            detail = "Kept values are served, and they are of the current versions: ask for those, or try again soon; /health says why."
            raise ProblemError(503, detail, {"retry-after": "1"})
        refused = await self._refused(lookups) if request.why and source != "fallback" else []
        asked = request, lookups, found, refused, source
        if request.values > _LARGE:  # beside the event loop, one after the other: others are answered meanwhile
            content, age = await asyncio.get_running_loop().run_in_executor(self._large, _answered_aside, *asked)
        else:
            content, age = _answered(*asked)
        return content, {SOURCE_HEADER: source} | ({} if age is None else {AGE_HEADER: f"{age:.3f}"})

    async def _parsed(self, body: bytes) -> OnlineRequest:
        limit = self.settings.serve_entities_limit
        return await asyncio.to_thread(parse, body, limit) if len(body) > _LARGE_BODY else parse(body, limit)

    async def _refused(self, lookups: Sequence[online.Lookup]) -> list[list[bytes | None]]:
        """Return what was refused of the values read; nothing when Redis went away meanwhile: the values are there."""
        live = cast("Sources", self.sources).live
        try:
            return [await live.fields(online.refused_key(each.project, each.view), each.agent_ids) for each in lookups]
        except OnlineStoreDownError:
            return []

    async def _with_registry(self, body: bytes, needed: VersionsNeededError | ServiceNeededError) -> OnlineRequest:
        """Understand a request that names what is not in the definitions: first its service, which may name versions."""
        services: dict[str, tuple[str, ...]] = {}
        versions: Mapping[Pin, Version] = {}
        while True:
            if isinstance(needed, ServiceNeededError):
                services[needed.name] = await self.services.of(needed.name)
            else:
                versions = await self._versions(needed)
            try:
                return parse(body, self.settings.serve_entities_limit, versions, services)
            except VersionsNeededError as more:
                needed = more

    async def _versions(self, needed: VersionsNeededError) -> Mapping[Pin, Version]:
        try:
            return await self.versions.of(needed.pins, cast("Sources", self.sources).live)
        except OnlineStoreDownError as error:
            raise _down(error) from None

    async def health(self, request: Request) -> Response:
        """Say how it is; to one who is not known, no more than that."""
        content, status = await self.judge.state(cast("Sources", self.sources))
        if "fresh" in request.query_params and content["status"] not in FRESH:
            status = 503
        if request.scope.get(KNOWN, True) is None:
            content = {"status": content["status"]}
        return _response(content, status)

    async def live(self, _: Request) -> Response:
        """Answer while the process does."""
        return _response({"status": "ALIVE"})

    async def openapi(self, _: Request) -> Response:
        """Return the description of all this."""
        from starlette.responses import Response

        return Response(self.description, media_type="application/json")

    async def exposition(self, _: Request) -> Response:
        """Return the metrics."""
        from starlette.responses import Response

        await self.judge.measure(cast("Sources", self.sources))
        content, media_type = self.metrics.exposition()
        return Response(content, media_type=media_type)


def _answered(
    request: OnlineRequest,
    lookups: Sequence[online.Lookup],
    found: Sequence[bytes | None],
    refused: Sequence[Sequence[bytes | None]],
    source: str,
) -> tuple[bytes, float | None]:
    """Return the answer's JSON and the age of its oldest value, of what was read."""
    rows = online.rows_of(lookups, found)
    if source != "fallback":  # of what is kept, not everything is there
        check_others(request, rows)
    answered = answer(request, rows, refused)
    if request.values > _LARGE:  # dropped at once, a million values would hold everybody up
        for each in rows:
            while each:
                del each[-_DROPPED:]
    return answered


def _answered_aside(*asked: Any) -> tuple[bytes, float | None]:
    """Do the same without looking for garbage: among so many values that are all in use it would hold everybody up."""
    gc.disable()
    try:
        return _answered(*asked)
    finally:
        gc.enable()


class _OnlineFeatures:
    """The hot path, in ASGI's own terms: what Starlette's request and response objects cost is a third of such an answer."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status, media_type = 200, _JSON
        headers: dict[str, str] = {}
        try:
            body = await _body(scope, receive, self._server.settings.serve_body_limit)
            if body is None:  # the client has gone
                return
            content, headers = await self._server.read(body)
        except Exception as error:  # noqa: BLE001 - `_problem_of` logs what it does not know
            problem = _problem_of(error)
            scope[DETAIL] = problem.detail
            status, media_type, content, headers = problem.status, MEDIA_TYPE.encode(), problem.body(), problem.headers
        raw = [(b"content-type", media_type), (b"content-length", b"%d" % len(content))]
        raw += [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})
        self._server.metrics.count(status, time.perf_counter() - started)


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """Return the request's body, None when the client left before its end.

    Raises:
        ProblemError: It is larger than `limit`, or says that it is not JSON.

    """
    size = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            size = int(value) if value.isdigit() else 0
        elif name == b"content-type" and value != _JSON:
            _check_type(value)
        elif name == b"content-encoding" and value != b"identity":
            detail = "The body is compressed. Send it uncompressed."
            raise ProblemError(415, detail, {"accept-encoding": "identity"})
    parts = []
    more = True
    while more:
        if size > limit:
            raise ProblemError(413, f"The body is too large. Send at most {limit:,} bytes a request.")
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size = max(size, sum(map(len, parts)))
        more = message.get("more_body", False) or size > limit
    return b"".join(parts)


def _check_type(content_type: bytes) -> None:
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type and media_type != _JSON and not media_type.endswith(b"+json"):
        what = "what a form of any web page sends" if media_type in _FORMS else "not JSON"
        detail = f"Content-Type is {media_type.decode('latin-1'):.100}, {what}. Send application/json; with curl: --json instead of -d."
        raise ProblemError(415, detail, {"accept": "application/json"})


def _down(error: OnlineStoreDownError) -> ProblemError:
    return ProblemError(503, f"{error.what} {error.where}. {error.fix}", {"retry-after": "1"})


def _problem_of(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    _log.error("A request failed", exc_info=error)
    return ProblemError(500, _FAILED)


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    headers = {name.lower(): value for name, value in (getattr(error, "headers", None) or {}).items()}
    return _problem(ProblemError(status, f"There is no {request.method} {request.url.path}. There are {_ROUTES}.", headers))


async def _failed(request: Request, error: Exception) -> Response:
    del request, error  # uvicorn writes it to the log file
    return _problem(ProblemError(500, _FAILED))


def _problem(problem: ProblemError) -> Response:
    from starlette.responses import Response

    return Response(problem.body(), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _response(content: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import Response

    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
