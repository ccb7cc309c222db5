"""`detektor version` and `detektor env`."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated

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


def show_version(asked: bool) -> None:  # noqa: FBT001 - how typer calls it
    """End with the version, for `detektor --version`."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def version(*, as_json: JsonOption = False) -> None:
    """Show the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(__version__)


def env(
    *,
    role: Annotated[
        str | None,
        typer.Option("--role", help="Log in as who may do less: ingest, compute, serve, read, admin; by default as the owner."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the variables with which the stock tools (feast, mlflow, dagster, psql, redis-cli) and AgentFeatures find the same servers.

    They hold passwords: evaluate them, do not write them down.

    Examples: [bold]eval "$(detektor env)" && feast -c feature_repo feature-views list[/],
    [bold]eval "$(detektor env --role read)" && psql[/]
    """
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    variables = variables_of(_in_role(settings, role) if role else settings)
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _in_role(settings: Settings, role: str) -> Settings:
    """Return the settings of a role's login.

    Raises:
        UserError: There is no such role, or the server is not ours.

    """
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stack.servers.access import ROLES

    if role not in ROLES:
        raise UserError(f"There is no role {role!r}.", where="--role", fix=f"Choose from: {', '.join(ROLES)}.")
    if settings.external_postgres_url:
        raise UserError(
            "`detektor up` makes no logins on a PostgreSQL that it does not run.",
            where="DETEKTOR_EXTERNAL_POSTGRES_URL",
            fix=f"Make one there (CREATE ROLE … LOGIN IN ROLE detektor_{role}), and give its address.",
        )
    if not settings.login_file(role, "postgres").exists():
        raise UserError("The logins of roles are not made yet.", where=str(settings.home), fix="detektor up postgres redis")
    return settings.as_login(role)


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
        "DETEKTOR_REDIS_USER": settings.redis_user,
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
