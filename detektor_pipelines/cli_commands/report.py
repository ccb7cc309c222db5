"""`detektor report`: what the agents did, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.output import JsonOption, check_place, errors_console, print_json, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from datetime import date

    from detektor_pipelines.report.contents import Report
    from detektor_pipelines.settings import Settings

DEFAULT = Path("report.html")
_READABLE = 0o644


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("report")(report)


def report(
    *,
    out: Annotated[Path, typer.Option(help="The file to write.")] = DEFAULT,
    first: Annotated[
        str | None, typer.Option("--from", help="First day (UTC); by default that of the first event.", show_default=False)
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day (UTC); by default today's.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the agents did, their features over time, drift, data quality and what stands out into one file that opens anywhere.

    With `--json` the same as data is printed, and no file is written.

    Examples: [bold]detektor report[/], [bold]detektor report --out may.html --from 2026-05-01 --to 2026-05-31[/]
    """
    from detektor_pipelines.settings import get_settings

    if not as_json:
        check_place(out, "--out")
    with errors_console().status("Reading"):
        found = gathered(get_settings(), _day(first, "--from"), _day(last, "--to"))
    if as_json:
        print_json(found.as_data())
        return
    size = write(found, out)
    say(f"{out} ({size / 1_000_000:.1f} MB), {found.period.first} to {found.period.last}")
    for number, each in enumerate(found.stands_out, 1):
        say(f"  {number}. {each.headline}" + ("" if each.tested else " (a record)"))


def gathered(settings: Settings, first: date | None = None, last: date | None = None) -> Report:
    """Return the report of the catalogue's views."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.report.gather import gather

    return gather(settings, VIEWS, first, last)


def write(found: Report, out: Path) -> int:
    """Write the page; return its size in bytes.

    Raises:
        UserError: The file cannot be written.

    """
    from detektor_pipelines.files import replace_file
    from detektor_pipelines.report.page import render

    page = render(found)
    try:
        replace_file(out, page, mode=_READABLE)
    except OSError as error:
        raise UserError(
            f"The report cannot be written: {error.strerror or error}.",
            where=str(out),
            fix="Give --out a file in a directory that is there.",
        ) from error
    return len(page.encode())


def _day(text: str | None, option: str) -> date | None:
    from detektor_pipelines.clock import parse_day

    if text is None:
        return None
    try:
        return parse_day(text)
    except ValueError:
        raise UserError(f"{text!r} is no day.", where=option, fix="Write it as 2026-05-31.") from None
