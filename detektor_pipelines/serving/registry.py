"""The registry server: Feast's own, over our registry in PostgreSQL; `detektor registry` runs it.

    port 6567    HTTP: Feast's REST registry (/api/v1/feature_views?project=detektor, …; its pages at /), and GET /health
    port 6570    gRPC: what the SDK's `registry_type: remote`, `path: 127.0.0.1:6570` speaks

Belongs here: starting Feast's two servers in one process, at one address (its own commands listen on every one), and /health, which they
lack. Importing this is quick; `app` and `grpc_server` import Feast, which takes seconds.

Nothing can be changed over the network, on loopback neither: the registry is written from the definitions, by `detektor restart` and
`feast apply`, which reach PostgreSQL. With access control, who asks is known as at the feature server, and stands before Feast's own
permissions: where the registry holds `Permission` objects, they are enforced on the token's name, roles and groups.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.compile import feast_import  # noqa: F401  before Feast
from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.web.access import KNOWN, Guard
from detektor_pipelines.web.browsers import NoPages, names_of
from detektor_pipelines.web.listening import bracketed
from detektor_pipelines.web.request_log import RequestLog

if TYPE_CHECKING:
    import grpc
    from feast import FeatureStore
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.web.access import Access
    from detektor_pipelines.web.listening import ListenAddress

GRPC_STOP_S: Final = 5
GRPC_CALLS: Final = 100
"""Calls at a time, of whomever, each with a thread; a further one is told RESOURCE_EXHAUSTED at once. Of a peer: `registry_access`."""

_GRPC_AGE_MS: Final = 600_000
"""How long a connection is kept: so long at most a call waits that never sends what it asks. Clients connect again unnoticed."""

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Feature registry</title>
<h1>Feature registry</h1><p>Feast's registry of the project {project}, read-only. What is here:</p><ul>
<li><a href="/api/v1/feature_views?project={project}">/api/v1/feature_views?project={project}</a>: the feature views
<li><a href="/api/v1/feature_services?project={project}">/api/v1/feature_services?project={project}</a>: the feature services
<li><a href="/api/v1/entities?project={project}">/api/v1/entities?project={project}</a>: the entities
<li><a href="/openapi.json">/openapi.json</a>: everything else that can be asked
<li><a href="/health">/health</a>: how this server is
</ul><p>It is written from the definitions: <code>detektor apply</code>, <code>detektor restart</code>.</p></html>
"""
"""Feast's own page fetches what it shows from the internet: without it, it is blank."""

_VIEWS: Final = "SELECT count(*) FROM feast.feature_views WHERE project_id = %s"


def app(settings: Settings, store: FeatureStore, access: Access | None = None) -> ASGIApp:
    """Return Feast's REST registry with /health before its own routes, for those who are known."""
    from feast.api.registry.rest.rest_registry_server import RestRegistryServer
    from starlette.routing import Route

    application = RestRegistryServer(store).app

    async def health(request: Request) -> Response:
        known = request.scope.get(KNOWN, True) is not None
        return await asyncio.to_thread(_health, settings, known=known)

    async def live(_: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "ALIVE"})

    async def page(_: Request) -> Response:
        from starlette.responses import HTMLResponse

        return HTMLResponse(_PAGE.format(project=settings.project))

    application.user_middleware.clear()  # Feast's writes into the registry what was read, and lets pages of other sites read it
    application.router.routes[:0] = [
        Route("/", page, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/health/live", live, methods=["GET"]),
    ]
    from detektor_pipelines.serving.registry_access import read_only, use_permissions

    reading = read_only(cast("ASGIApp", application))
    if access is None:
        return RequestLog(NoPages(reading, names_of(settings.server_names, settings.registry_host)))
    use_permissions(store, access)  # after Feast's server has said that it has none
    return RequestLog(NoPages(Guard(reading, access, ("/health", "/health/live")), None))


def grpc_server(store: FeatureStore, where: ListenAddress, port: int, access: Access | None = None) -> grpc.Server:
    """Return Feast's gRPC registry, not started yet: as Feast's own start does it, but on one address.

    `access` is to be another one than that of `app`: each belongs to one event loop.

    Raises:
        UserError: The port cannot be taken.

    """
    import grpc
    from feast.grpc_error_interceptor import ErrorInterceptor
    from feast.protos.feast.registry import RegistryServer_pb2_grpc
    from feast.registry_server import RegistryServer
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    options = [
        ("grpc.so_reuseport", 0),  # else a second one would take a part of the first one's calls
        ("grpc.max_connection_age_ms", _GRPC_AGE_MS),
        ("grpc.max_connection_age_grace_ms", GRPC_STOP_S * 1_000),
    ]
    from detektor_pipelines.serving.registry_access import CallGuard

    interceptors = [CallGuard(access), ErrorInterceptor()]
    calls = ThreadPoolExecutor(GRPC_CALLS)
    server = grpc.server(calls, interceptors=interceptors, options=options, maximum_concurrent_rpcs=GRPC_CALLS)
    servicer = RegistryServer(store.registry, store=store)
    RegistryServer_pb2_grpc.add_RegistryServerServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    state.set("", health_pb2.HealthCheckResponse.SERVING)
    address, secrets = f"{bracketed(where.host)}:{port}", where.content()
    try:
        if secrets is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, grpc.ssl_server_credentials([secrets]))
    except RuntimeError:
        raise UserError(
            "The port of the gRPC registry cannot be opened.",
            where=address,
            fix="Choose another one with --grpc-port or DETEKTOR_REGISTRY_GRPC_PORT, or end what listens there.",
        ) from None
    return server


def _health(settings: Settings, *, known: bool) -> Response:
    from starlette.responses import JSONResponse

    content: dict[str, Any]
    try:
        with connect(settings) as connection:
            found = connection.execute(_VIEWS, (settings.project,)).fetchone()
    except UserError as error:
        content = {"status": "DOWN", "postgres": "down", "reason": error.what, "where": error.where, "definitions": definitions()}
        return JSONResponse(content if known else {"status": "DOWN"}, status_code=503)
    content = {"status": "OK", "postgres": "up", "feature_views": found[0] if found else 0, "definitions": definitions()}
    return JSONResponse(content if known else {"status": "OK"})
