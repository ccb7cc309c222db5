"""`detektor collect`: take events over HTTP, and Claude Code's OpenTelemetry logs."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from detektor_pipelines.errors import UserError

LOOPBACK = "127.0.0.1"
_STOP_S = 10

_log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("collect")(collect)


def collect(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="By default DETEKTOR_COLLECTOR_PORT, 4318.", show_default=False)
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")] = False,
) -> None:
    """Take events over HTTP until Ctrl-C: POST /v1/events in our own format, POST /v1/logs in OpenTelemetry's.

    Only this machine reaches it. When it is told to end, requests that have begun are answered first.

    Example: [bold]detektor collect[/], then [bold]OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318[/] for Claude Code
    """
    import socket

    import uvicorn

    from detektor_pipelines import log_lines
    from detektor_pipelines.ingest.live.http import app
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate
    from detektor_pipelines.web.request_log import RequestLog

    settings = get_settings()
    log_lines.set_up("collect", settings.log_level)
    chosen = port if port is not None else settings.collector_port
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, chosen))
    except OSError as error:
        raise UserError(
            f"The port cannot be opened: {error.strerror}.",
            where=f"{LOOPBACK}:{chosen}",
            fix="Choose another one with --port or DETEKTOR_COLLECTOR_PORT, or end what listens there.",
        ) from None
    with listener:
        migrate(settings)
        _log.info("Listening: http://%s:%d/v1/events and /v1/logs. Ctrl-C ends it.", LOOPBACK, chosen)
        application = RequestLog(app(settings, mix=mix))
        config = uvicorn.Config(
            application, log_config=None, log_level="warning", access_log=False, timeout_graceful_shutdown=_STOP_S, server_header=False
        )
        uvicorn.Server(config).run(sockets=[listener])
