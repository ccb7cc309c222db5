"""The `detektor` command: assembles the command groups, and nothing else.

A further group is a module in `cli_commands` with `register(app)`, and one entry in `GROUPS`. `detektor --help` loads all groups, so
their top-level imports stay light (typer, standard library); settings, drivers and the rest are imported inside the command functions.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands import about
from detektor_pipelines.cli_commands.failures import as_user_error
from detektor_pipelines.clock import follow
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import home
from detektor_pipelines.installation import absent_package

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS: Final = (
    "demo",
    "init",
    "stack",
    "restart",
    "status",
    "report",
    "usage",
    "validate",
    "doctor",
    "logs",
    "emit",
    "hook",
    "collect",
    "consume",
    "simulate",
    "backfill",
    "apply",
    "rollback",
    "backup",
    "erase",
    "features",
    "training_set",
    "experiment",
    "shadow",
    "drift",
    "online",
    "lineage",
    "generate",
    "clock",
    "acceptance",
    "about",
    "stream",
    "serve",
    "exporter",
)
"""Modules of `cli_commands`, in the order in which `detektor --help` lists their commands."""

ALONE: Final = {"ingest": "logs", "reingest": "logs"}
"""Commands that are run often and on little: their group alone is loaded, which saves them the time that the others' take."""

_FAILED: Final = 1


def build_app(groups: Iterable[str] = GROUPS) -> typer.Typer:
    """Return the application with these groups registered."""
    app = typer.Typer(
        name="detektor",
        help="From agent logs to served features. Begin with [bold]detektor demo[/bold], or [bold]detektor up[/bold] and then ingest logs.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,  # a traceback is for a bug of ours, and then the whole of it
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before_any_command)
    for group in groups:
        import_module(f"detektor_pipelines.cli_commands.{group}").register(app)
    return app


def _before_any_command(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=about.show_version)] = False,
) -> None:
    del version  # shown before this is called


def main() -> None:
    """Run the command line; a person's mistake or a missing server is one message and exit code 1, never a traceback."""
    try:
        own_catalog.find()  # first: it may say which home is meant
        follow(home())
        group = ALONE.get(next(iter(sys.argv[1:]), ""))
        build_app([group] if group else GROUPS)()
    except Exception as error:
        message = error if isinstance(error, UserError) else absent_package(error, next(iter(sys.argv[1:]), "")) or as_user_error(error)
        if message is None:
            raise
        _show(message)
        sys.exit(_FAILED)


def _show(error: UserError) -> None:
    from detektor_pipelines.cli_commands.output import errors_console

    console = errors_console()
    console.print("[bold red]Error[/]", end=" ")
    console.print(_lines(error.what), markup=False, highlight=False, soft_wrap=True)
    for label, text in (("where", error.where), ("what to do", error.fix)):
        if text:
            console.print(f"  [dim]{label}:[/]", end=" ")
            console.print(_lines(text), markup=False, highlight=False, soft_wrap=True)


def _lines(text: str) -> str:
    """Return a message, which may have several lines and name what stands in logs, as a terminal only shows it."""
    from detektor_pipelines.cli_commands.output import visible

    return "\n".join(map(visible, text.split("\n")))


if __name__ == "__main__":
    main()
