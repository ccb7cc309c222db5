"""`detektor exporter`: metrics of what no server knows."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("exporter")(exporter)


def exporter(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="By default DETEKTOR_EXPORTER_PORT, 9466.", show_default=False)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="By default DETEKTOR_EXPORTER_HOST: this machine's own address.", show_default=False)
    ] = None,
) -> None:
    """Answer Prometheus about the data, until Ctrl-C: its age, days, rows and nulls, backfills, checks, drift, Redis, and the servers.

    It asks in the background, every DETEKTOR_EXPORTER_SECONDS (15) and less often what costs more; a scrape reads what was found last.
    `detektor up` keeps one running. All metrics of all servers: docs/metrics.md.

    Example: [bold]curl -s localhost:9466/metrics | grep detektor_offline_age_seconds[/]
    """
    import signal
    import threading

    from detektor_pipelines import log_lines
    from detektor_pipelines.monitoring.exporter.run import run
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    log_lines.set_up("exporter", settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    where = host or settings.exporter_host
    chosen = port or settings.exporter_port
    run(settings, stop, host=where, port=chosen)
