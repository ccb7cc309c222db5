"""`detektor ingest` and `detektor reingest`: agent logs into the raw log."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.clock import clock_of_the_logs
from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
from detektor_pipelines.cli_commands.output import errors_console, print_table
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.ingest.run import IngestReport

OptionalPathsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Log files (plain or gzip), directories, or - for standard input.", metavar="PATH...", show_default=False),
]
PathsArgument = Annotated[
    list[str], typer.Argument(help="Log files (plain or gzip), directories, or - for standard input.", metavar="PATH...")
]
ProjectOption = Annotated[str | None, typer.Option(help="Project of all events, instead of what the logs say.", show_default=False)]
AgentsOption = Annotated[
    Path | None, typer.Option(help="TOML file with further names of agents, beside DETEKTOR_HOME/agents.toml.", show_default=False)
]
MixOption = Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")]
SpoolOption = Annotated[
    bool, typer.Option("--spool", help="Read what detektor-hook noted, instead of files; `detektor stream` does it all the time.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON at the end instead of tables.")]

_LISTED = 10
_REREAD = "read differently now (`detektor reingest` repairs them)"


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
    as_json: JsonOption = False,
) -> None:
    """Read agent logs into the raw log: Claude Code's transcripts, Codex's rollouts, our own JSONL.

    Harmless when repeated: what is known adds nothing. A line that cannot be read is kept in ml_learning.rejected_events with its reason.

    Examples: [bold]detektor ingest ~/.claude/projects[/], [bold]detektor ingest logs/ more.jsonl.gz --project shop[/],
    [bold]zcat old.jsonl.gz | detektor ingest -[/], [bold]detektor ingest --spool[/]
    """
    if spool == bool(paths):
        raise UserError(
            "--spool reads the hooks' spool, not files." if spool else "There is nothing to read.",
            where="the arguments",
            fix="Give paths, as in `detektor ingest ~/.claude/projects`, or --spool alone.",
        )
    if not paths:
        _drain(mix=mix, as_json=as_json)
        return
    _run(paths, project=project, agents=agents, mix=mix, as_json=as_json, again=False)


def reingest(
    paths: PathsArgument,
    *,
    project: ProjectOption = None,
    agents: AgentsOption = None,
    mix: MixOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read logs again and repair what is read differently now: another agent name, project or reader.

    The repaired event is a higher revision of the same event_id; nothing is overwritten. What was computed from the old one becomes stale.

    Example: after an entry in agents.toml, [bold]detektor reingest ~/.claude/projects[/]
    """
    _run(paths, project=project, agents=agents, mix=mix, as_json=as_json, again=True)


def _run(paths: list[str], *, project: str | None, agents: Path | None, mix: bool, as_json: bool, again: bool) -> None:
    from detektor_pipelines.ingest.readers.names import agent_names
    from detektor_pipelines.ingest.run import IngestOptions
    from detektor_pipelines.ingest.run import ingest as run
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    settings = get_settings()
    names = agent_names(settings.home, agents)
    migrate(settings)
    with clock_of_the_logs(settings), dagster_hears_of_earlier_days(settings), _progress() as (on_start, on_bytes):
        options = IngestOptions(project=project, names=names, mix=mix, reingest=again, on_start=on_start, on_bytes=on_bytes)
        report = run(settings, paths, options)
    if as_json:
        typer.echo(json.dumps(summary(report), ensure_ascii=False))
    else:
        _print(report, settings.home)


def _drain(*, mix: bool, as_json: bool) -> None:
    from detektor_pipelines.ingest.live.spool import drain
    from detektor_pipelines.ingest.live.writer import LiveWriter
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    settings = get_settings()
    migrate(settings)
    with LiveWriter(settings, mix=mix) as writer:
        counts = drain(settings, writer)
    if as_json:
        typer.echo(json.dumps(asdict(counts)))
        return
    waiting = f"; {counts.waiting} subagents' ends wait for the results of their calls" if counts.waiting else ""
    reread = f", {_REREAD} {counts.reread:,}" if counts.reread else ""
    said = f"{counts.accepted:,} events added, already known {counts.known:,}{reread}, rejected {counts.rejected:,}"
    typer.echo(f"{said}; {counts.lines:,} lines{waiting}.")


@contextmanager
def _progress() -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Show a bar over the bytes read; it is gone when the run ends."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = errors_console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def start(size: int) -> None:
            progress.update(task, total=size or None)

        def advance(size: int) -> None:
            progress.advance(task, size)

        yield start, advance


def summary(report: IngestReport) -> dict[str, Any]:
    """Return what a run did as data, for `--json`."""
    from detektor_pipelines.clock import from_us

    return {
        **asdict(report.counts),
        "events": sum(report.events.values()),
        "by_agent": {agent: dict(operations) for agent, operations in _by_agent(report).items()},
        "unmapped_names": dict(report.unmapped.most_common()),
        "rejected_by_reason": dict(report.rejected.most_common()),
        "files": dict(report.files),
        "skipped_files": len(report.skipped),
        "lines": report.lines,
        "bytes": report.size,
        "first_at": from_us(report.first_at).isoformat() if report.first_at is not None else None,
        "last_at": from_us(report.last_at).isoformat() if report.last_at is not None else None,
        "seconds": round(report.seconds, 3),
        "lines_per_second": round(report.lines / report.seconds) if report.seconds else None,
    }


def _print(report: IngestReport, home: Path) -> None:
    if report.events:
        rows = ((agent, f"{sum(operations.values()):,}", _listed(operations)) for agent, operations in _by_agent(report).items())
        print_table(("agent", "events", "operations"), rows)
    if report.unmapped:
        _print_unmapped(report.unmapped, home)
    if report.rejected:
        reasons = ((reason, f"{number:,}") for reason, number in report.rejected.most_common(_LISTED))
        print_table(("rejected because", "lines"), reasons)
        typer.echo("Each with its file and line: SELECT * FROM ml_learning.rejected_events ORDER BY id DESC")
    typer.echo(_sentence(report))


def _print_unmapped(unmapped: Counter[str], home: Path) -> None:
    from detektor_pipelines.ingest.readers.names import FILE_NAME, MAIN_THREAD

    names = Counter({name: number for name, number in unmapped.items() if name != MAIN_THREAD})
    if names:
        print_table(("name that maps to no agent", "events"), ((name, f"{number:,}") for name, number in names.most_common(_LISTED)))
        typer.echo(f"To map a name: an entry in {home / FILE_NAME}, then `detektor reingest` with the same paths.")


def _sentence(report: IngestReport) -> str:
    counts = report.counts
    parts = [f"{counts.added:,} events added", f"already known {counts.known:,}"]
    further = {
        "also seen": counts.also_seen,
        "repaired": counts.repaired,
        _REREAD: counts.reread,
        "contradicting a stored event, kept as rejected": counts.conflicts,
        "newly rejected": counts.rejected,
        "rejected before": counts.rejected_known,
        "left out, for they belong to what was erased": counts.erased,
    }
    parts += [f"{label} {number:,}" for label, number in further.items() if number]
    files = sum(report.files.values())
    read = f"{report.lines:,} lines of {files:,} {'file' if files == 1 else 'files'} in {report.seconds:.1f} s"
    skipped = f"; {len(report.skipped):,} files are not agent logs" if report.skipped else ""
    return f"{', '.join(parts)}; {read} ({report.lines / max(report.seconds, 1e-9):,.0f} lines/s){skipped}."


def _by_agent(report: IngestReport) -> dict[str, Counter[str]]:
    """Return the operations of each agent, in the order of the declarations, `unmapped` last."""
    from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED

    found = {agent: Counter[str]() for agent in (*AGENT_TYPES, UNMAPPED)}
    for (agent, operation), number in report.events.items():
        found[agent][operation] += number
    return {agent: operations for agent, operations in found.items() if operations}


def _listed(operations: Counter[str]) -> str:
    return ", ".join(f"{number:,} {operation}" for operation, number in operations.most_common())
