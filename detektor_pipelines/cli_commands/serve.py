"""`detektor serve`: features over HTTP; `detektor registry`: what features there are."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("serve")(serve)
    app.command("registry")(registry)


def serve(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="By default DETEKTOR_SERVE_PORT, 6566.", show_default=False)] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve features over HTTP until Ctrl-C: Feast's API for online reads, /health, /metrics.

    Only this machine reaches it. When it is told to end, requests that have begun are answered first. `detektor up` keeps one running.

    Example: [bold]curl -s localhost:6566/get-online-features -d '{"features": ["code_review_features:recent_reviews_count"],
    "entities": {"agent_id": ["code-reviewer"]}}'[/]
    """
    from detektor_pipelines.serving import listening
    from detektor_pipelines.serving.server import app
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    chosen = port if port is not None else settings.serve_port
    with listening.loopback_socket(chosen, option="--port or DETEKTOR_SERVE_PORT") as listener:
        typer.echo(f"Listening: http://{listening.LOOPBACK}:{chosen}/get-online-features, /health and /metrics. Ctrl-C ends it.", err=True)
        listening.run(app(settings) if workers == 1 else "detektor_pipelines.serving.server:app", listener, workers=workers)


def registry(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Of HTTP; by default DETEKTOR_REGISTRY_PORT, 6567.", show_default=False)
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Of gRPC; by default DETEKTOR_REGISTRY_GRPC_PORT, or 3 further.", show_default=False),
    ] = None,
) -> None:
    """Serve Feast's registry until Ctrl-C: over HTTP with /health, and over gRPC for the SDK's remote registry.

    Only this machine reaches it. `detektor up` keeps one running.

    Example: [bold]curl -s "localhost:6567/api/v1/feature_views?project=detektor"[/]
    """
    from detektor_pipelines.serving import listening
    from detektor_pipelines.serving import registry as served
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.feast_repo import closing_store

    settings = get_settings()
    settings = settings.model_copy(update={"registry_port": port or settings.registry_port})
    http, grpc = settings.registry_port, grpc_port or settings.registry_grpc
    with listening.loopback_socket(http, option="--port or DETEKTOR_REGISTRY_PORT") as listener, closing_store(settings) as store:
        remote = served.grpc_server(store, listening.LOOPBACK, grpc)
        application = served.app(settings, store)
        remote.start()
        try:
            typer.echo(
                f"Listening: http://{listening.LOOPBACK}:{http} and, for gRPC, {listening.LOOPBACK}:{grpc}. Ctrl-C ends it.", err=True
            )
            listening.run(application, listener)
        finally:
            remote.stop(served.GRPC_STOP_S).wait()
