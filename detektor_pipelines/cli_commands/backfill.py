"""`detektor backfill`: the days of history that are missing or stale, through Dagster, from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, visible
from detektor_pipelines.cli_commands.publication import publish
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.backfill import Backfill, Batch
    from detektor_pipelines.settings import Settings

_FAILED, _CANCELLED = 1, 130
_ROWS_SHOWN = 20
_STATUSES = ("published", "unchanged", "kept", "failed")

FromOption = Annotated[
    str | None, typer.Option("--from", help="First day (UTC), such as 2026-05-01; default: the first.", show_default=False)
]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day, included; default: today.", show_default=False)]
ViewOption = Annotated[
    list[str] | None, typer.Option("--view", help="A feature view or its agent; may be repeated; default: all.", show_default=False)
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="What computes: duckdb, or spark; default: DETEKTOR_ENGINE.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="Compute every day again, also what is published and still true.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("backfill")(backfill)


def backfill(
    *,
    first: FromOption = None,
    last: ToOption = None,
    view: ViewOption = None,
    everything: AllOption = False,
    engine: EngineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute and publish the days that are missing or stale, offline and online, in as few Dagster runs as are sensible.

    What is published stands: after Ctrl-C or a crash the same command goes on where it was. A day whose rows are not valid fails alone.

    Examples: [bold]detektor backfill[/], [bold]detektor backfill --from 2026-05-01 --to 2026-05-31 --view code-reviewer[/]
    """
    from detektor_pipelines.settings import get_settings

    settings = _with_engine(get_settings(), engine)
    views = views_of(view)
    span = _span(settings, first, last)
    wanted = _wanted(settings, views, span, everything=everything)
    if not wanted:
        _nothing(span, as_json=as_json)
        return
    again = _command(span, view) + (f" --engine {engine}" if engine else "")
    try:
        done = publish(settings, wanted, errors_console(), everything=everything)
    except KeyboardInterrupt:  # before the first run began or after the last ended
        _say_cancelled(again, None)
        raise typer.Exit(_CANCELLED) from None
    _report(done, views, as_json=as_json)
    if done.cancelled:
        _say_cancelled(again, done)
        raise typer.Exit(_CANCELLED)
    if not done.succeeded:
        _say_failed(done, again)
        raise typer.Exit(_FAILED)


def _with_engine(settings: Settings, engine: str | None) -> Settings:
    if engine not in (None, "duckdb", "spark"):
        raise UserError(f"There is no engine {engine}.", where="--engine", fix="Use duckdb or spark.")
    chosen = settings.model_copy(update={"engine": engine}) if engine else settings
    if chosen.engine == "spark":
        from detektor_pipelines.orchestration.spark import interpreter

        interpreter(chosen)  # before a run of Dagster's is made that fails view by view
    return chosen


def views_of(names: list[str] | None) -> list[FeatureView]:
    """Return the views of `--view`, all of them without one."""
    from detektor_pipelines.catalog import VIEWS, view_named

    try:
        return list(dict.fromkeys(view_named(name) for name in names)) if names else list(VIEWS)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", where="--view", fix="`detektor features list` shows them all.") from None


def _span(settings: Settings, first: str | None, last: str | None) -> tuple[date, date]:
    from detektor_pipelines.quality.freshness_report import history

    given = day_of(first, "--from"), day_of(last, "--to")
    known = history(settings)
    if known is None:
        raise UserError("The log holds no event.", fix="Run detektor ingest PATH, or detektor simulate.")
    span = given[0] or known[0], given[1] or known[1]
    if span[1] < span[0]:
        raise UserError(
            f"The last day, {span[1]}, is before the first, {span[0]}.", where="--from, --to", fix="Give the earlier day first."
        )
    return span


def day_of(text: str | None, option: str) -> date | None:
    """Return the day that an option gives, None without one."""
    from detektor_pipelines.clock import parse_day

    if text is None:
        return None
    try:
        return parse_day(text)
    except ValueError:
        raise UserError(f"{text!r} is not a day.", where=option, fix="Write it as 2026-05-01.") from None


def _wanted(settings: Settings, views: Sequence[FeatureView], span: tuple[date, date], *, everything: bool) -> list[Batch]:
    from detektor_pipelines.orchestration.backfill import Batch, due_batches

    if everything:
        return [Batch(tuple(views), *span, due=len(views) * ((span[1] - span[0]).days + 1))]
    return due_batches(settings, views, *span)


def _report(done: Backfill, views: Sequence[FeatureView], *, as_json: bool) -> None:
    rows = [_of_view(done, view) for view in views if view.name in done.days or view.name in done.problems]
    if as_json:
        runs = [{"run_id": run.run_id, "succeeded": run.succeeded, "seconds": round(run.seconds, 3)} for run in done.runs]
        print_json({"succeeded": done.succeeded, "cancelled": done.cancelled, "runs": runs, "views": rows})
        return
    how = "one Dagster run" if len(done.runs) == 1 else f"{len(done.runs)} Dagster runs"
    print_table(
        ("view", *_STATUSES, "rows written", "keys online"),
        [(row["view"], *(row["days"][status] for status in _STATUSES), f"{row['rows_written']:,}", row["keys_online"]) for row in rows],
        title=f"Days by view, {how}, {sum(run.seconds for run in done.runs):.1f} s",
    )
    for row in rows:
        if row["online"] and row["online"]["trouble"]:
            errors_console().print(f"{row['view']} online: {row['online']['trouble']}.", markup=False, highlight=False, soft_wrap=True)


def _of_view(done: Backfill, view: FeatureView) -> dict[str, Any]:
    days = done.days.get(view.name, [])
    published = done.publications.get(view.name)
    return {
        "view": view.name,
        "days": {status: sum(day.status == status for day in days) for status in _STATUSES},
        "rows_written": sum(day.written for day in days),
        "keys_online": published.keys if published else None,
        "online": _online(published) if published else None,
        "failed_days": [day.day for day in days if day.status == "failed"],
        "failing_rows": [{"day": day.day} | case for day in days for case in day.failures or ()],
        "problem": done.problems.get(view.name),
    }


def _online(publication: OnlinePublication) -> dict[str, Any]:
    counts = ("written", "from_log", "withheld", "refused", "made_good", "lost")
    return {name: getattr(publication, name) for name in counts} | {"trouble": publication.trouble() or None}


def _nothing(span: tuple[date, date], *, as_json: bool) -> None:
    if as_json:
        print_json({"succeeded": True, "cancelled": False, "runs": [], "views": []})
    else:
        typer.echo(f"Nothing to do: all days from {span[0]} to {span[1]} are published, and none is stale.")


def _say_failed(done: Backfill, again: str) -> None:
    """Name the views, days and rows that failed, and what to do, on standard error."""
    console = errors_console()
    for name, problem in done.problems.items():
        console.print(f"[bold red]{name}[/]", end=" ")
        console.print(visible(problem), markup=False, highlight=False, soft_wrap=True)
    cases = [(name, day.day, case) for name, days in done.days.items() for day in days for case in day.failures or ()]
    for name, day, case in cases[:_ROWS_SHOWN]:
        text = f"  {name} {day}  {case.get('agent_id')} {case.get('event_timestamp')}  {case.get('column')} = {case.get('value')}"
        console.print(visible(f"{text}, which must be {case.get('check')}"), markup=False, highlight=False, soft_wrap=True)
    if len(cases) > _ROWS_SHOWN:
        console.print(f"  … and {len(cases) - _ROWS_SHOWN} more rows; all of them on the run's page in Dagster.")
    first = "Fix the events or the definition" if cases else "When the cause is fixed"
    console.print(f"{first}, then: {again}", markup=False, highlight=False, soft_wrap=True)


def _say_cancelled(again: str, done: Backfill | None) -> None:
    days = [day for some in done.days.values() for day in some if day.status != "kept"] if done else []
    stands = f"{len(days)} days were computed and stand, nothing is half published." if days else "Nothing was published."
    errors_console().print(f"Cancelled. {stands} To go on: {again}", markup=False, highlight=False, soft_wrap=True)


def _command(span: tuple[date, date], views: list[str] | None) -> str:
    chosen = "".join(f" --view {name}" for name in views or ())
    return f"detektor backfill --from {span[0]} --to {span[1]}{chosen}"
