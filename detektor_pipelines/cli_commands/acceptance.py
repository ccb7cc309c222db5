"""`detektor acceptance`: does everything that the platform has to do work on this stack?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, results_console, visible
from detektor_pipelines.installation import refuse_without_clone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from detektor_pipelines.acceptance.findings import Part, Result, Row

_LOOKS: Final = {"passed": "[green]pass[/]", "failed": "[red]FAIL[/]", "not checked": "[yellow]not\nchecked[/]"}
_FAILED: Final = 1


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("acceptance")(acceptance)


def acceptance(
    *,
    only: Annotated[str | None, typer.Option("--only", metavar="T8,T12", help="Only these rows.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Check T1 to T20, what the platform has to do, on the running stack; exit code 1 when a row fails.

    What cannot be looked at here is not checked, which is no pass. Nothing is left behind: events that it emits are retracted.

    Examples: [bold]detektor acceptance[/], [bold]detektor acceptance --only T5,T8[/]
    """
    refuse_without_clone("acceptance")
    from detektor_pipelines.acceptance import run
    from detektor_pipelines.settings import get_settings

    rows = run.chosen(only)
    console = errors_console()
    found: list[Result] = []
    with console.status("") as spinner:

        def say(row: Row, text: str) -> None:
            spinner.update(f"{row.name} of {rows[-1].name}: {row.title}{f' ({text})' if text else ''}")

        for result in run.run(get_settings(), rows, say):
            found.append(result)
            if not console.is_terminal:
                console.print(f"{result.row.name} {result.state}, {result.seconds:.1f} s", highlight=False)
    if as_json:
        print_json({"passed": not _failures(found), "rows": [each.as_data() for each in found]})
    else:
        results_console().print(_table(found))
        typer.echo(_summary(found))
    if _failures(found):
        raise typer.Exit(_FAILED)


def _failures(found: Sequence[Result]) -> list[str]:
    return [each.row.name for each in found if each.state == "failed"]


def _table(found: Sequence[Result]) -> Table:
    from rich.table import Table

    table = Table(header_style="bold", show_lines=True)
    table.add_column("row")
    table.add_column("", min_width=7)
    table.add_column("what was checked", overflow="fold")
    for each in found:
        table.add_row(each.row.name, _LOOKS[each.state], "\n".join((f"[bold]{each.row.title}[/]", *map(_line, each.parts))))
    return table


def _line(part: Part) -> str:
    from rich.markup import escape

    mark = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "not checked": "[yellow]?[/]"}[part.state]
    line = f"{mark} {escape(visible(part.text))}"
    return f"{line}\n  [bold]what to do:[/] {escape(visible(part.fix))}" if part.fix and part.state != "passed" else line


def _summary(found: Sequence[Result]) -> str:
    failures = _failures(found)
    unchecked = [each.row.name for each in found if each.state == "not checked"]
    passed = len(found) - len(failures) - len(unchecked)
    parts = [f"{passed} of {len(found)} rows passed"]
    parts += [f"failed: {', '.join(failures)}"] if failures else []
    parts += [f"not checked: {', '.join(unchecked)}"] if unchecked else []
    return "; ".join(parts) + f". {sum(each.seconds for each in found):.0f} s."
