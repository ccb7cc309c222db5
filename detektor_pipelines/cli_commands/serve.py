"""`detektor serve`: features over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("serve")(serve)


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
