"""`detektor collect`: take events over HTTP, and Claude Code's OpenTelemetry logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.clock import let_it_run
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp

    from detektor_pipelines.settings import Settings

_STOP_S = 10
_OPEN = ("/healthz",)
"""Those who watch over a server have no token."""

_log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("collect")(collect)


def collect(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="By default DETEKTOR_COLLECTOR_PORT, 4318.", show_default=False)
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen at; by default DETEKTOR_COLLECTOR_HOST: this machine's own. 0.0.0.0 is every one.", show_default=False
        ),
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")] = False,
) -> None:
    """Take events over HTTP until Ctrl-C: POST /v1/events in our own format, POST /v1/logs in OpenTelemetry's.

    Only this machine reaches it, unless --host says otherwise; then callers need a token of DETEKTOR_COLLECTOR_TOKENS_FILE (`detektor token
    NAME --file FILE`). When it is told to end, requests that have begun are answered first.

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
    let_it_run(settings)
    log_lines.set_up("collect", settings.log_level)
    chosen = port if port is not None else settings.collector_port
    where = host or settings.collector_host
    _check(settings, where)
    listener = socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((where, chosen))
    except OSError as error:
        raise UserError(
            f"The port cannot be opened: {error.strerror}.",
            where=f"{where}:{chosen}",
            fix="Choose another one with --port or DETEKTOR_COLLECTOR_PORT, or end what listens there.",
        ) from None
    with listener:
        migrate(settings)
        _log.info("Listening: http://%s:%d/v1/events and /v1/logs. Ctrl-C ends it.", where, chosen)
        application = RequestLog(_guarded(settings, where, app(settings, mix=mix)))
        config = uvicorn.Config(
            application,
            http=_connection(),
            ws="none",
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_STOP_S,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _connection() -> type[asyncio.Protocol]:
    """Return a connection with the bounds that the feature server's have, and this endpoint's bodies."""
    from detektor_pipelines.ingest.live.http import BODY_LIMIT
    from detektor_pipelines.web.http_connection import Connection

    class OfEvents(Connection):
        """Takes larger bodies."""

        body_limit = BODY_LIMIT

    return OfEvents


def _check(settings: Settings, host: str) -> None:
    """Refuse an address that other machines reach while nobody is named who may write.

    Raises:
        UserError: There is no token file, or it cannot be used.

    """
    from detektor_pipelines.web.addresses import is_loopback
    from detektor_pipelines.web.tokens import TokenFile

    if is_loopback(host):
        return
    if settings.collector_tokens_file is None:
        raise UserError(
            "Everybody who reaches this address could write events: there is no access control.",
            where=f"host {host}",
            fix="Make a token (detektor token NAME --file FILE), and set DETEKTOR_COLLECTOR_TOKENS_FILE to the file.",
        )
    TokenFile(settings.collector_tokens_file)


def _guarded(settings: Settings, host: str, application: ASGIApp) -> ASGIApp:
    """Let those with a token in, where other machines reach the address; readers' tokens are others."""
    from detektor_pipelines.web.access import Access, Guard
    from detektor_pipelines.web.addresses import is_loopback
    from detektor_pipelines.web.browsers import NoPages, names_of
    from detektor_pipelines.web.tokens import TokenFile

    if is_loopback(host) or settings.collector_tokens_file is None:
        return NoPages(application, names_of(settings.server_names, host))
    return NoPages(Guard(application, Access(TokenFile(settings.collector_tokens_file), None), _OPEN), None)
