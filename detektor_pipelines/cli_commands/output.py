"""How commands print: results to standard output, progress and errors to standard error, `--json` as one document.

rich is imported when something is printed, not when help is shown.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.text import Text

_PIPED: Final = 1_000
"""Columns of a console that nobody looks at: a table takes as many as it needs."""
_IN_UTC: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")

_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
"""The option of every command whose output is data."""


def as_typed(command: str) -> str:
    """Return a command of ours as it must be typed here: with the path of this program where `detektor` alone would not find it."""
    if shutil.which("detektor"):
        return command
    program = Path(sys.argv[0]).with_name("detektor")
    near = os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
    return f"{near}{command.removeprefix('detektor')}" if program.is_file() else command


def results_console() -> Console:
    """Return the console for results; what is piped is not wrapped, unless COLUMNS says where."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() or os.environ.get("COLUMNS") else Console(width=_PIPED)


def errors_console() -> Console:
    """Return the console for progress and errors, so that standard output stays clean for pipes."""
    from rich.console import Console

    return Console(stderr=True)


def print_json(value: Any) -> None:
    """Print a value as one JSON document; instants as RFC 3339 in UTC (`2026-03-05T10:00:00Z`), paths and the like as their text."""
    sys.stdout.write(_document(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print a value as `print_json` does, on one line."""
    sys.stdout.write(_document(value, indent=None))


def _document(value: Any, indent: int | None) -> str:
    text = json.dumps(as_data(value), indent=indent, default=str, ensure_ascii=False)
    return "\n".join(map(visible, text.split("\n"))) + "\n"  # `visible` writes what JSON may leave as it is, such as DEL, as JSON does


def as_data(value: Any) -> Any:
    """Return a value with all instants in it as RFC 3339 in UTC."""
    if isinstance(value, dict):
        return {key: as_data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and _IN_UTC.fullmatch(value):
        return value.replace(" ", "T").replace("+00:00", "Z")
    return value


class Styled(str):
    """A cell in a style of rich, which a plain text never has; its lines are ours, so they stay lines."""

    __slots__ = ("__dict__",)
    style: str


def styled(text: str, style: str = "") -> Styled:
    """Return a text for a cell in a style, `bold red` for one."""
    cell = Styled(text)
    cell.style = style
    return cell


def visible(text: object) -> str:
    r"""Return a text as one line that a terminal only shows: control characters, and what turns the direction of writing, as `\u001b`.

    Names, paths and reasons come from logs that anybody may have written; they pass through here on their way to the terminal.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def check_place(file: Path, option: str) -> None:
    """Refuse a file that cannot be made there, before what is to go into it has been computed.

    Raises:
        UserError: Its directory does not exist, or it is a directory itself.

    """
    if not file.absolute().parent.is_dir():
        raise UserError(f"There is no directory {file.absolute().parent}.", where=option, fix="Make it, or give another file.")
    if file.is_dir():
        raise UserError(f"{file} is a directory.", where=option, fix="Give a file in it.")


def say(*lines: object, err: bool = False) -> None:
    """Print lines of text, each as `visible` shows it."""
    for line in lines:
        typer.echo(visible(line), err=err)


def say_dimly(text: str) -> None:
    """Print a line of how it gets on to stderr, apart from results."""
    errors_console().print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows as a table. Cells are plain text, whatever stands in them; `styled` makes those that have a style.

    Names, numbers and whatever else has no space are never broken: where they do not fit beside each other, each row becomes a block.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    console = results_console()
    if _least_width(columns, cells) <= console.width:
        _print_columns(console, columns, cells, title)
    else:
        _print_blocks(console, columns, cells, title)


def _cell(value: object) -> Text:
    from rich.text import Text

    if isinstance(value, Styled):
        return Text("\n".join(map(visible, value.split("\n"))), style=value.style)
    return Text("" if value is None else visible(value))


def _least_width(columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> int:
    """Return the width that a table needs when it breaks lines at spaces only; a space, the text and a space between lines."""
    from rich.cells import cell_len

    widest = [max(map(cell_len, name.split()), default=0) for name in columns]
    for row in cells:
        widest = [max(least, *map(cell_len, cell.plain.split() or [""])) for least, cell in zip(widest, row, strict=True)]
    return sum(width + 3 for width in widest) + 1


def _print_columns(console: Console, columns: Sequence[str], cells: Sequence[Sequence[Text]], title: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(visible(title))
    table = Table(title=heading, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        whole = all(" " not in row[number].plain for row in cells)
        table.add_column(Text(column), overflow="fold", no_wrap=whole and " " not in column)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _print_blocks(console: Console, columns: Sequence[str], cells: Sequence[Sequence[Text]], title: str | None) -> None:
    from rich.text import Text

    def write(*parts: Text | tuple[str, str]) -> None:
        console.print(Text.assemble(*parts), highlight=False, soft_wrap=True)

    if title:
        write((visible(title), "italic"))
    width = max(map(len, columns))
    for row in cells:
        write((row[0].plain, "bold"))
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell.plain:
                write(("  ", ""), (f"{column:<{width}}", "dim"), (" ", ""), cell)
