"""`detektor ingest` and `detektor reingest`: agent logs into the raw log."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.clock import clock_of_the_logs, let_it_run
from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
from detektor_pipelines.cli_commands.ingest_summary import REREAD, print_report
from detektor_pipelines.cli_commands.output import errors_console, print_json_line, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OptionalPathsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Log files, plain or packed, archives, directories, or - for standard input.", metavar="PATH...", show_default=False
    ),
]
PathsArgument = Annotated[
    list[str], typer.Argument(help="Log files, plain or packed, archives, directories, or - for standard input.", metavar="PATH...")
]
ProjectOption = Annotated[str | None, typer.Option(help="Project of all events, instead of what the logs say.", show_default=False)]
AgentsOption = Annotated[
    Path | None, typer.Option(help="TOML file with further names of agents, beside DETEKTOR_HOME/agents.toml.", show_default=False)
]
MixOption = Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")]
SpoolOption = Annotated[
    bool, typer.Option("--spool", help="Read what detektor-hook noted, instead of files; `detektor stream` does it all the time.")
]
NullsOption = Annotated[bool, typer.Option("--nulls", help="Say also which measures each source of logs leaves open.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end instead of tables.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("ingest")(ingest)
    app.command("reingest")(reingest)


def ingest(
    paths: OptionalPathsArgument = None,
    *,
    spool: SpoolOption = False,
    project: ProjectOption = None,
    agents: AgentsOption = None,
    mix: MixOption = False,
    nulls: NullsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read agent logs into the raw log: Claude Code, Codex, Copilot CLI, Gemini CLI, OpenCode, Qwen Code, our own JSONL.

    Harmless when repeated: what is known adds nothing. A line that cannot be read is kept in ml_learning.rejected_events with its reason.
    Without a path it lists the places of this machine that hold logs, and reads nothing.

    Examples: [bold]detektor ingest ~/.claude/projects[/], [bold]detektor ingest logs/ more.jsonl.gz --project shop[/],
    [bold]zcat old.jsonl.gz | detektor ingest -[/], [bold]detektor ingest --spool[/]
    """
    if spool and paths:
        raise UserError(
            "--spool reads the hooks' spool, not files.",
            where="the arguments",
            fix="Give paths, as in `detektor ingest ~/.claude/projects`, or --spool alone.",
        )
    if spool:
        _drain(mix=mix, as_json=as_json)
        return
    if not paths:
        _places(as_json=as_json)
        return
    _run(paths, project=project, agents=agents, mix=mix, as_json=as_json, nulls=nulls, again=False)


def reingest(
    paths: PathsArgument,
    *,
    project: ProjectOption = None,
    agents: AgentsOption = None,
    mix: MixOption = False,
    nulls: NullsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read logs again and repair what is read differently now: another agent name, project or reader.

    The repaired event is a higher revision of the same event_id; nothing is overwritten. What was computed from the old one becomes stale.

    Example: after an entry in agents.toml, [bold]detektor reingest ~/.claude/projects[/]
    """
    _run(paths, project=project, agents=agents, mix=mix, as_json=as_json, nulls=nulls, again=True)


def _run(paths: list[str], *, project: str | None, agents: Path | None, mix: bool, as_json: bool, nulls: bool, again: bool) -> None:
    from detektor_pipelines.ingest.readers.interface import context_of
    from detektor_pipelines.ingest.readers.names import agent_names
    from detektor_pipelines.ingest.reading import begin
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    context = context_of(paths, project, agent_names(settings.home, agents))
    with begin(paths, context, settings.home) as reading:
        # Now, while the other process reads
        from detektor_pipelines.ingest.run import IngestOptions
        from detektor_pipelines.ingest.run import ingest as run
        from detektor_pipelines.ingest.summary import as_data
        from detektor_pipelines.stores.schema import migrate

        migrate(settings)
        with clock_of_the_logs(settings), dagster_hears_of_earlier_days(settings), _progress() as (on_start, on_bytes):
            options = IngestOptions(mix=mix, reingest=again, on_start=on_start, on_bytes=on_bytes)
            report = run(settings, paths, options, reading=reading)
    if as_json:
        print_json_line(as_data(report))
    else:
        print_report(report, settings.home, nulls=nulls)


def _places(*, as_json: bool) -> None:
    """List the places where agents keep their logs on this machine, and the command that reads them.

    Raises:
        UserError: There are none.

    """
    from detektor_pipelines.ingest.readers.formats import FORMATS, places_found

    found = places_found()
    if as_json:
        print_json_line([{"format": each.name, "title": each.title, "path": path} for each, path in found])
        return
    if not found:
        raise UserError(
            "There is nothing to read.",
            where=f"none of {', '.join(place for each in FORMATS for place in each.places if place.startswith('~'))} is here",
            fix="Give paths, as in `detektor ingest ~/.claude/projects`, or --spool alone.",
        )
    say("Nothing was read. Agents keep logs at these places of this machine:")
    for each, path in found:
        say(f"  {path}  ({each.title})")
    say(f"To read them: detektor ingest {' '.join(shlex.quote(str(path)) for _, path in found)}")


def _drain(*, mix: bool, as_json: bool) -> None:
    from detektor_pipelines.ingest.live.spool import drain
    from detektor_pipelines.ingest.live.writer import LiveWriter
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    settings = get_settings()
    let_it_run(settings)
    migrate(settings)
    with LiveWriter(settings, mix=mix) as writer:
        counts = drain(settings, writer)
    if as_json:
        print_json_line(asdict(counts))
        return
    waiting = f"; {counts.waiting} subagents' ends wait for the results of their calls" if counts.waiting else ""
    reread = f", {REREAD} {counts.reread:,}" if counts.reread else ""
    said = f"{counts.accepted:,} events added, already known {counts.known:,}{reread}, rejected {counts.rejected:,}"
    early = f"; {counts.held:,} events lie ahead of the clock and wait for it" if counts.held else ""
    cut = f"; {counts.cut} files had been cut and were read from their start again" if counts.cut else ""
    say(f"{said}; {counts.lines:,} lines{waiting}{early}{cut}.")


@contextmanager
def _progress() -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Show a bar over the bytes read, where somebody may see it; it is gone when the run ends."""
    if not sys.stderr.isatty():
        yield lambda _: None, lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors_console(), transient=True) as progress:
        task = progress.add_task("", total=None)

        def start(size: int) -> None:
            progress.update(task, total=size or None)

        def advance(size: int) -> None:
            progress.advance(task, size)

        yield start, advance
