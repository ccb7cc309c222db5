"""`detektor exporter`: metrics of what no server knows; `detektor monitoring`: Prometheus and Alertmanager that ask for all of them."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("exporter")(exporter)
    app.command("monitoring")(monitoring)


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


def monitoring(
    name: Annotated[str, typer.Argument(help="prometheus or alertmanager.", show_default=False)],
) -> None:
    """Run Prometheus or Alertmanager, where it is installed, with our rules and for the ports in use, until Ctrl-C.

    `detektor up --monitoring` keeps both running: http://127.0.0.1:9090 and 9093, or DETEKTOR_PROMETHEUS_PORT and
    DETEKTOR_ALERTMANAGER_PORT.

    Example: [bold]detektor monitoring prometheus[/]
    """
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.monitoring import started
    from detektor_pipelines.settings import get_settings

    if name not in {"prometheus", "alertmanager"}:
        raise UserError(f"There is no program {name!r}.", fix="Choose from: prometheus, alertmanager.")
    started.become(get_settings(), name)
