"""`detektor version` and `detektor env`."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import typer

from detektor_pipelines import __version__, own_catalog
from detektor_pipelines.cli_commands.output import JsonOption, print_json

if TYPE_CHECKING:
    from pydantic import SecretStr

    from detektor_pipelines.settings import Settings


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("env")(env)
    app.command("version")(version)


def version(*, as_json: JsonOption = False) -> None:
    """Show the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(__version__)


def env(*, as_json: JsonOption = False) -> None:
    """Print the variables with which the stock tools (feast, mlflow, dagster, psql, redis-cli) and AgentFeatures find the same servers.

    They hold passwords: evaluate them, do not write them down.

    Example: [bold]eval "$(detektor env)" && feast -c feature_repo feature-views list[/]
    """
    from detektor_pipelines.settings import get_settings

    variables = variables_of(get_settings())
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def variables_of(settings: Settings) -> dict[str, str]:
    """Return the environment of the stock tools, by variable name; a variable without value is left out."""
    from detektor_pipelines.stores.feast.registry import environment

    variables = {
        "DETEKTOR_HOME": str(settings.home),
        own_catalog.VARIABLE: os.environ.get(own_catalog.VARIABLE),
        own_catalog.ALSO_VARIABLE: os.environ.get(own_catalog.ALSO_VARIABLE),
        "DETEKTOR_PROJECT": settings.project,
        "DETEKTOR_NOW": settings.now,
        "DETEKTOR_POSTGRES_HOST": settings.postgres_host,
        "DETEKTOR_POSTGRES_PORT": str(settings.postgres_port),
        "DETEKTOR_POSTGRES_USER": settings.postgres_user,
        "DETEKTOR_POSTGRES_PASSWORD": _revealed(settings.postgres_password),
        "DETEKTOR_POSTGRES_DATABASE": settings.postgres_database,
        "DETEKTOR_REDIS_HOST": settings.redis_host,
        "DETEKTOR_REDIS_PORT": str(settings.redis_port),
        "DETEKTOR_REDIS_PASSWORD": _revealed(settings.redis_password),
        "DETEKTOR_REDIS_CONNECTION": settings.redis_connection_string,
        **environment(settings),
        "DETEKTOR_SERVE_URL": os.environ.get("DETEKTOR_SERVE_URL") or settings.serve_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "DAGSTER_HOME": str(settings.dagster_home),
        "DETEKTOR_DAGSTER_CODE_PORT": str(settings.dagster_code_port),
        "PGHOST": settings.postgres_host,
        "PGPORT": str(settings.postgres_port),
        "PGUSER": settings.postgres_user,
        "PGPASSWORD": _revealed(settings.postgres_password),
        "PGDATABASE": settings.postgres_database,
        "REDISCLI_AUTH": _revealed(settings.redis_password),
    }
    return {name: value for name, value in variables.items() if value}


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
