"""`detektor simulate`: put a made-up history of all eight agents into the raw log."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003  typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    import pyarrow as pa

    from detektor_pipelines.stores.raw_log.writer import IngestCounts


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("simulate")(simulate)


def simulate(  # noqa: PLR0913  each is an option of the command
    *,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Length of the history; it ends at the last midnight (UTC).")] = 184,
    projects: Annotated[int, typer.Option(min=1, max=10_000, help="Number of projects.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same events.")] = 1,
    events: Annotated[
        int | None,
        typer.Option(min=1, max=100_000_000, help="Exactly so many events; by default about 136 a project and day.", show_default=False),
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")] = False,
    figures: Annotated[bool, typer.Option("--figures", help="Only print the history's figures beside those of real logs.")] = False,
    compare: Annotated[
        list[Path] | None,
        typer.Option(help="With --figures: measure these real logs too, instead of the figures that we know.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate six months of all eight agents at work, calibrated on real logs, marked as simulated.

    Examples: [bold]detektor simulate[/], [bold]detektor simulate --days 30 --projects 2 --seed 7[/], [bold]detektor simulate --figures[/]
    """
    from detektor_pipelines.clock import from_us, now_us
    from detektor_pipelines.simulation.simulator import simulate_table

    started = time.monotonic()
    end = from_us(now_us()).date()
    table = simulate_table(days=days, projects=projects, seed=seed, end=end, events=events)
    if figures:
        _print_figures(table, compare or [], as_json=as_json)
        return
    counts = _store(table, mix=mix)
    _print_summary(table, counts, end, time.monotonic() - started, as_json=as_json)


def _store(table: pa.Table, *, mix: bool) -> IngestCounts:
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stores.schema import migrate

    settings = get_settings()
    migrate(settings)
    with dagster_hears_of_earlier_days(settings):
        return append_table(settings, table, mix=mix)


def _print_summary(table: pa.Table, counts: IngestCounts, end: date, seconds: float, *, as_json: bool) -> None:
    import pyarrow.compute as pc

    projects = len(pc.unique(table["project"]))
    if as_json:
        summary = {"events": table.num_rows, "added": counts.added, "known": counts.known, "conflicts": counts.conflicts}
        print_json({**summary, "projects": projects, "end": end, "seconds": round(seconds, 3)})
        return
    print_table(
        ("agent", "own work", "pieces", "events"),
        _rows_by_agent(table),
        title=f"{table.num_rows:,} simulated events of {projects} projects, up to {end} 00:00 UTC",
    )
    typer.echo(f"{counts.added:,} added, {counts.known:,} known before, in {seconds:.1f} s.")
    if counts.conflicts:
        typer.echo(
            f"{counts.conflicts:,} contradict events of the same id: the raw log holds another history of this seed. Use another --seed."
        )


def _rows_by_agent(table: pa.Table) -> Iterator[tuple[object, ...]]:
    import pyarrow.compute as pc

    from detektor_pipelines.language.events import EIGHT, views_operation

    for agent in (each.agent_type for each in EIGHT):
        of_agent = table.filter(pc.equal(table["agent_type"], agent))
        operation = views_operation(agent)
        pieces = pc.sum(pc.equal(of_agent["operation"], operation)).as_py() or 0
        yield agent, operation, f"{pieces:,}", f"{of_agent.num_rows:,}"


def _print_figures(table: pa.Table, compare: list[Path], *, as_json: bool) -> None:
    from detektor_pipelines.simulation.figures import figures

    real = _real_figures(compare)
    found = figures(table)
    if as_json:
        print_json({each.name: {"unit": each.unit, "real": real.get(each.name), "simulated": each.value} for each in found})
        return
    typer.echo("| figure | unit | real | simulated |\n|---|---|---:|---:|")
    for each in found:
        typer.echo(f"| {each.name} | {each.unit} | {_short(real.get(each.name))} | {_short(each.value)} |")


def _real_figures(paths: list[Path]) -> Mapping[str, float | None]:
    """Measured on the logs at `paths`, or without any the figures that the simulator was calibrated on."""
    from detektor_pipelines.ingest.readers.names import agent_names
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.simulation.calibration import REAL_FIGURES
    from detektor_pipelines.simulation.figures import figures

    if not paths:
        return REAL_FIGURES
    from detektor_pipelines.simulation.real import read_events

    return {each.name: each.value for each in figures(read_events(paths, agent_names(get_settings().home)))}


def _short(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "-"
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004  where three digits end
