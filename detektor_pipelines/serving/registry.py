"""The registry server: Feast's own, over our registry in PostgreSQL; `detektor registry` runs it.

    port 6567    HTTP: Feast's REST registry (/api/v1/feature_views?project=detektor, …; its pages at /), and GET /health
    port 6570    gRPC: what the SDK's `registry_type: remote`, `path: 127.0.0.1:6570` speaks

Belongs here: starting Feast's two servers in one process, on loopback (its own commands listen on every address), and /health, which they
lack. Importing this is quick; `app` and `grpc_server` import Feast, which takes seconds.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    import grpc
    from fastapi import FastAPI
    from feast import FeatureStore
    from starlette.requests import Request
    from starlette.responses import Response

    from detektor_pipelines.settings import Settings

GRPC_STOP_S: Final = 5
_THREADS: Final = 10

_VIEWS: Final = "SELECT count(*) FROM feast.feature_views WHERE project_id = %s"


def app(settings: Settings, store: FeatureStore) -> FastAPI:
    """Return Feast's REST registry with /health before its own routes."""
    from feast.api.registry.rest.rest_registry_server import RestRegistryServer
    from starlette.routing import Route

    application = RestRegistryServer(store).app

    async def health(_: Request) -> Response:
        return await asyncio.to_thread(_health, settings)

    application.router.routes.insert(0, Route("/health", health, methods=["GET"]))
    return application


def grpc_server(store: FeatureStore, host: str, port: int) -> grpc.Server:
    """Return Feast's gRPC registry, not started yet: as Feast's own start does it, but on one address.

    Raises:
        UserError: The port cannot be taken.

    """
    import grpc
    from feast.grpc_error_interceptor import ErrorInterceptor
    from feast.protos.feast.registry import RegistryServer_pb2_grpc
    from feast.registry_server import RegistryServer
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    options = [("grpc.so_reuseport", 0)]  # else a second one would take a part of the first one's calls
    server = grpc.server(ThreadPoolExecutor(_THREADS), interceptors=[ErrorInterceptor()], options=options)
    servicer = RegistryServer(store.registry, store=store)
    RegistryServer_pb2_grpc.add_RegistryServerServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    state.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise UserError(
            "The port of the gRPC registry cannot be taken.",
            where=f"{host}:{port}",
            fix="Choose another one with --grpc-port or DETEKTOR_REGISTRY_GRPC_PORT, or end what listens there.",
        ) from None
    return server


def _health(settings: Settings) -> Response:
    from starlette.responses import JSONResponse

    content: dict[str, Any]
    try:
        with connect(settings) as connection:
            found = connection.execute(_VIEWS, (settings.project,)).fetchone()
    except UserError as error:
        content = {"status": "DOWN", "postgres": "down", "reason": error.what, "where": error.where}
        return JSONResponse(content, status_code=503)
    return JSONResponse({"status": "OK", "postgres": "up", "feature_views": found[0] if found else 0})
