"""How commands print: results to standard output, progress and errors to standard error, `--json` as one document.

rich is imported when something is printed, not when help is shown.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
"""The option of every command whose output is data."""


_UNWRAPPED: Final = 10_000
"""Columns of a pipe or a file: nothing is wrapped for a width that nobody has."""


def results_console() -> Console:
    """Return the console for results, as wide as the terminal; as wide as its lines where they go to a pipe or a file."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNWRAPPED
    return console


def errors_console() -> Console:
    """Return the console for progress and errors, so that standard output stays clean for pipes."""
    from rich.console import Console

    return Console(stderr=True)


def print_json(value: Any) -> None:
    """Print a value as one JSON document; paths, dates and the like as their text."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows as a table; cells may hold rich markup."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    results_console().print(table)
