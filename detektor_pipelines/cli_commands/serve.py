"""`detektor serve`: features over HTTP; `detektor registry`: what features there are; `detektor token`: who may ask them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

    from detektor_pipelines.web.listening import ListenAddress
    from detektor_pipelines.web.spare import Held, Spare

_log = logging.getLogger(__name__)

Host = Annotated[
    str | None,
    typer.Option(help="Address to listen at; by default this machine's own, 127.0.0.1. 0.0.0.0 is every one.", show_default=False),
]
Certificate = Annotated[
    Path | None, typer.Option(help="Certificate and its chain, PEM: TLS is spoken. By default DETEKTOR_SERVE_TLS_CERT.", show_default=False)
]
Key = Annotated[Path | None, typer.Option(help="The certificate's key, PEM. By default DETEKTOR_SERVE_TLS_KEY.", show_default=False)]
Insecure = Annotated[bool, typer.Option("--insecure", help="Accept requests of other machines without access control.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("serve")(serve)
    app.command("registry")(registry)
    app.command("token")(token)


def serve(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="By default DETEKTOR_SERVE_PORT, 6566.", show_default=False)] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    host: Host = None,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    insecure: Insecure = False,
    keep_spare: Annotated[bool, typer.Option("--spare", hidden=True, help="A second process answers when this one is killed.")] = False,
) -> None:
    """Serve features over HTTP until Ctrl-C: Feast's API for online reads, /health, /metrics, /openapi.json.

    Only this machine reaches it, unless --host says otherwise; then callers need a token (`detektor token`, or an OIDC provider's). When it
    is told to end, requests that have begun are answered first. `detektor up` keeps one running.

    Example: [bold]curl -s localhost:6566/get-online-features --json '{"features": ["code_review_features:recent_reviews_count"],
    "entities": {"agent_id": ["code-reviewer"]}}'[/]
    """
    from detektor_pipelines.web import handover

    handover.keep_hang_ups()
    from detektor_pipelines import log_lines
    from detektor_pipelines.serving.server import app
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.web import listening, spare

    settings = get_settings()
    log_lines.set_up("serve", settings.log_level)
    settings = settings.model_copy(
        update={"serve_tls_cert": tls_cert or settings.serve_tls_cert, "serve_tls_key": tls_key or settings.serve_tls_key}
    )
    where = listening.listen_address(settings, host or settings.serve_host, port or settings.serve_port, insecure=insecure)
    settings = settings.model_copy(update={"serve_host": where.host})
    application = app(settings) if workers == 1 else "detektor_pipelines.serving.server:app"
    name = spare.name_of(settings.home, where.port)
    held = spare.ask(name) if keep_spare else None
    if held:
        _log.warning("The server before this one died: its spare process answers until this one does")
    taken = held.listener if held else None
    with listening.listening_socket(where, option="--port or DETEKTOR_SERVE_PORT", held=taken) as listener:
        _log.info("Listening: %s/get-online-features, /health, /metrics and /openapi.json. Ctrl-C ends it.", where.url)
        _warn_of_plain_text(where)
        beside = _spare(name, listener, held) if keep_spare and workers == 1 else None

        def begun() -> None:
            if beside is not None:
                beside.begun()
            if held is not None:
                held.relieve()

        try:
            again = listening.run(application, listener, where, workers=workers, begun=begun)
        finally:
            if beside is not None:
                beside.dismiss()
        if again and not (beside and beside.stands_in):
            handover.start_anew(listener)


def _spare(name: bytes, listener: socket.socket, held: Held | None) -> Spare | None:
    """Leave a spare that has loaded what it needs to answer."""
    import redis.asyncio  # noqa: F401

    from detektor_pipelines.web import listening, spare

    listening.load()
    return spare.leave_one(name, listener, held)


def registry(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Of HTTP; by default DETEKTOR_REGISTRY_PORT, 6567.", show_default=False)
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Of gRPC; by default DETEKTOR_REGISTRY_GRPC_PORT, or 3 further.", show_default=False),
    ] = None,
    host: Host = None,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Serve Feast's registry until Ctrl-C: over HTTP with /health, and over gRPC for the SDK's remote registry.

    Only this machine reaches it, unless --host says otherwise; then as with `detektor serve`. `detektor up` keeps one running.

    Example: [bold]curl -s "localhost:6567/api/v1/feature_views?project=detektor"[/]
    """
    from detektor_pipelines.web import handover

    handover.keep_hang_ups()
    from detektor_pipelines import log_lines
    from detektor_pipelines.serving import registry as served
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.feast.registry import closing_store
    from detektor_pipelines.web import listening
    from detektor_pipelines.web.access import access_of

    settings = get_settings()
    log_lines.set_up("registry", settings.log_level)
    settings = settings.model_copy(
        update={
            "registry_host": host or settings.registry_host,
            "registry_port": port or settings.registry_port,
            "serve_tls_cert": tls_cert or settings.serve_tls_cert,
            "serve_tls_key": tls_key or settings.serve_tls_key,
        }
    )
    where = listening.listen_address(settings, host or settings.registry_host, settings.registry_port, insecure=insecure)
    grpc = grpc_port or settings.registry_grpc
    with listening.listening_socket(where, option="--port or DETEKTOR_REGISTRY_PORT") as listener, closing_store(settings) as store:
        remote = served.grpc_server(store, where, grpc, access_of(settings))
        application = served.app(settings, store, access_of(settings))
        remote.start()
        try:
            address = f"{listening.bracketed(where.host)}:{grpc}"
            _log.info("Listening: %s and, for gRPC, %s. Ctrl-C ends it.", where.url, address)
            _warn_of_plain_text(where)
            again = listening.run(application, listener, where)
        finally:
            remote.stop(served.GRPC_STOP_S).wait()
        if again:
            handover.start_anew(listener)


def token(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits, . _ @ -", show_default=False)],
    *,
    file: Annotated[
        Path | None, typer.Option(help="By default DETEKTOR_SERVE_TOKENS_FILE, or tokens in DETEKTOR_HOME.", show_default=False)
    ] = None,
) -> None:
    """Make a token for the feature and the registry server: it is printed once, its SHA-256 goes into the token file.

    Running servers that read this file take it within a second. To take a token back, delete its line.

    Example: [bold]detektor token grafana[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.web.tokens import add_token

    settings = get_settings()
    chosen = (file or settings.serve_tokens_file or settings.home / "tokens").expanduser().absolute()
    made = add_token(chosen, name)
    typer.echo(f"{chosen} knows {name} by it. Keep it: it is not stored.", err=True)
    if chosen != settings.serve_tokens_file:
        typer.echo(f"The servers read this file when DETEKTOR_SERVE_TOKENS_FILE={chosen}", err=True)
    typer.echo(made)


def _warn_of_plain_text(where: ListenAddress) -> None:
    from detektor_pipelines.web.addresses import is_loopback

    if where.certificate is None and not is_loopback(where.host):
        _log.warning("Without --tls-cert, tokens and values cross the network in plain text.")
