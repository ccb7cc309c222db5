"""`detektor validate`: does everything that is stored say the same, from the raw log to what a reader gets?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, say

if TYPE_CHECKING:
    from rich.console import Console

    from detektor_pipelines.quality.validation.outcomes import Outcome

PASSED: Final = "All validations passed"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("validate")(validate)


def validate(
    *,
    check_all: Annotated[bool, typer.Option("--check-all", help="Every check; that is what is done without it, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold log, published rows, registry, online values and what readers get against each other. Exit code 1 when something is wrong.

    Every published day's schema and bounds, every row against what was recorded of it, Feast's registry against the catalogue against the
    tables, online against offline against the log, and keys that are missing or of nobody. A check that compared nothing has not passed.

    Examples: [bold]detektor validate --check-all[/], [bold]detektor validate --check-all --json[/]
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.quality.validation import check
    from detektor_pipelines.settings import get_settings

    del check_all  # there is nothing less to ask for
    console = errors_console()
    columns = (TextColumn("Validating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(check.CHECKS) + 1, completed=-1)

        def on_check(name: str) -> None:
            progress.update(task, advance=1, description=name)

        found = check.validate(get_settings(), VIEWS, on_check=on_check)
    passed = all(each.passed for each in found)
    if as_json:
        print_json(
            {"passed": passed, "seconds": round(sum(each.seconds for each in found), 3), "checks": [each.as_data() for each in found]}
        )
    else:
        _print(console, found)
        say(*([PASSED] if passed else _failed(found)))
    if not passed:
        raise typer.Exit(1)


def _print(console: Console, found: list[Outcome]) -> None:
    """Say beside the result what was compared."""
    for each in found:
        mark = "[green]✓[/]" if each.passed else "[red]✗[/]"
        note = f"; {each.note}" if each.note else ""
        wrong = f", {each.wrong:,} wrong" if each.wrong else ""
        console.print(f"{mark} {each.check:<24} [dim]{each.compared:,} {each.unit}{wrong}, {each.seconds:.1f} s{note}[/]", highlight=False)


def _failed(found: list[Outcome]) -> list[str]:
    """Return what is wrong, where, and what to do."""
    lines = []
    for each in found:
        for one in each.problems:
            lines += [f"{each.check}: {one.what}", f"  where: {one.where}", f"  what to do: {one.fix}"]
        if each.wrong > len(each.problems):
            lines.append(f"{each.check}: and {each.wrong - len(each.problems):,} more of that kind.")
    failed = [each.check for each in found if not each.passed]
    return [*lines, f"{len(failed)} of {len(found)} validations failed: {', '.join(failed)}"]
