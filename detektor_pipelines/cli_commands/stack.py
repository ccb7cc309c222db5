"""`detektor up` and `detektor down`: the embedded servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.clock import let_it_run
from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json
from detektor_pipelines.cli_commands.status import print_servers, servers_as_json

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import StackStatus


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("up")(up)
    app.command("down")(down)


def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Servers to start; all of them by default. What they need starts too.")
    ] = None,
    *,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take another port for one that is taken, and say which.")] = False,
    monitoring: Annotated[
        bool, typer.Option("--monitoring", help="Prometheus and Alertmanager too, where they are installed on this machine.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the servers that do not run yet: PostgreSQL, Redis, MLflow, stream worker, feature and registry server, exporter, Dagster.

    Harmless when they run. A server of your own is used instead when you give its address:

        DETEKTOR_EXTERNAL_POSTGRES_URL=postgresql://user:password@host:5432/database detektor up

    Examples: [bold]detektor up[/], [bold]detektor up postgres redis[/], [bold]detektor up --free-ports[/]
    """
    from detektor_pipelines import own_catalog, stack
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stack.lifecycle import DEFAULT_SERVICES

    console = errors_console()

    def tell(text: str) -> None:
        console.print(text, style="dim", highlight=False)

    own_catalog.remember(get_settings().home)
    names = tuple(services or DEFAULT_SERVICES)
    if "stream" in names:
        let_it_run(get_settings())
        get_settings.cache_clear()  # it holds the clock's setting
    if monitoring:
        _check_monitoring()
        names = (*names, "alertmanager", "prometheus")
    storage = tuple(name for name in names if name in {"postgres", "redis"})
    before_dagster = tuple(name for name in names if not name.startswith("dagster"))
    if before_dagster != names:  # its definitions ask for the oldest event: the tables come first
        before_dagster, storage = ("postgres", *before_dagster), ("postgres", *storage)
    with console.status("Starting"):
        begun = stack.up(get_settings(), before_dagster, free_ports=free_ports, on_progress=tell, wait=storage)
        if begun["postgres"].ready:
            _migrate(begun.settings)  # while MLflow is still starting
        if before_dagster != names:
            begun = stack.up(begun.settings, names, free_ports=free_ports, on_progress=tell, wait=())
        finished = stack.wait(begun.settings, *names, on_progress=tell)
    if as_json:
        print_json(servers_as_json(finished))
    else:
        print_servers(finished)
        _print_pages(finished)


def down(*, as_json: JsonOption = False) -> None:
    """End the servers that `detektor up` started. Data, ports set by you and passwords stay.

    Example: [bold]detektor down[/]
    """
    from detektor_pipelines import stack
    from detektor_pipelines.settings import get_settings

    console = errors_console()
    ended = stack.down(get_settings(), on_progress=lambda text: console.print(text, style="dim", highlight=False))
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo(f"Ended: {', '.join(ended)}." if ended else "No server was running.")


def _print_pages(status: StackStatus) -> None:
    """Print what a person opens in a browser."""
    if status["dagster"].ready:
        typer.echo(f"Dagster UI: {status.settings.dagster_url}")
    if status["mlflow"].ready:
        from detektor_pipelines.stores.mlflow.tracking import first_page

        typer.echo(f"MLflow: {first_page(status.settings)}")
    if status["prometheus"].ready:
        typer.echo(f"Prometheus: http://{status['prometheus'].address}, alerts at http://{status['alertmanager'].address}")


def _check_monitoring() -> None:
    """Say before anything starts what is not installed."""
    from detektor_pipelines.monitoring import started

    for name in ("prometheus", "alertmanager"):
        started.program(name)


def _migrate(settings: Settings) -> None:
    from detektor_pipelines.stores.schema import migrate

    migrate(settings)
