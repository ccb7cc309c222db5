"""`detektor plan` and `detektor apply`: what a change of the definitions does, and carrying it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, say_dimly
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.versions.lock import History
    from detektor_pipelines.versions.plan import Plan, ViewPlan

_FAILED, _DUE, _CANCELLED = 1, 2, 130
_NAMED: Final = 3
_MINUTE: Final = 60
_AGAIN: Final = "detektor apply --yes"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("plan")(plan)
    app.command("apply")(apply)


def plan(*, as_json: JsonOption = False) -> None:
    """Say feature by feature what the definitions on disk change, and what `detektor apply` would do. Changes nothing.

    Compared with what Feast's registry holds, what is published, and what the running processes have loaded. Exit code 0 when there is
    nothing to do, 2 when there is.

    Examples: [bold]detektor plan[/], [bold]detektor plan --json | jq '.views[] | select(.due)'[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.versions.plan import plan as planned

    with errors_console().status("Comparing"):
        found = planned(get_settings())
    if as_json:
        print_json(found.as_data())
    else:
        _print(found)
        if found.due:
            typer.echo("To carry it out: detektor apply")
    if found.due:
        raise typer.Exit(_DUE)


def apply(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Carry out what `detektor plan` says: compute the new versions beside the old ones, publish, register, and bring all programs to them.

    What is read stays as it is until all of the new is there. The version that is replaced is kept fresh online beside the new one until
    `detektor retire`. Interrupted at any point, the same command goes on.

    Examples: [bold]detektor apply[/], [bold]detektor apply --yes[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stack import code_on_disk
    from detektor_pipelines.versions.plan import plan as planned

    settings = get_settings()
    code_on_disk.definitions(code_on_disk.PROGRAMS)
    with errors_console().status("Comparing"):
        found = planned(settings)
    _refuse(found)
    _print(found)
    if not found.due:
        return
    if not yes:
        typer.confirm("Carry it out?", abort=True)
    _compute(settings, found)
    _publish(settings, found)
    _switch(settings, found)


def _refuse(found: Plan) -> None:
    problems = [view.problem for view in found.views if view.problem]
    if problems:
        raise UserError("\n".join(problems), fix="Raise `version` in the view's file, then: detektor generate, detektor apply")


def _compute(settings: Settings, found: Plan) -> None:
    """Compute the days that are due, in Dagster runs of this process; nothing has changed for readers when that fails."""
    from detektor_pipelines.cli_commands.publication import publish
    from detektor_pipelines.orchestration.backfill import due_batches

    names = {view.view: view.work.days for view in found.views if view.work.days}
    if not names:
        return
    views = [view for view in _in_force() if view.name in names]
    first, last = min(days[0] for days in names.values()), max(days[-1] for days in names.values())
    wanted = due_batches(settings, views, first, last)
    try:
        done = publish(settings, wanted, errors_console())
    except KeyboardInterrupt:
        done = None
    if done is None or done.cancelled:
        errors_console().print(f"Cancelled. What is computed stands, readers get what they got. To go on: {_AGAIN}", highlight=False)
        raise typer.Exit(_CANCELLED)
    if not done.succeeded:
        told = "; ".join(f"{name}: {problem}" for name, problem in done.problems.items()) or "a run failed"
        raise UserError(
            f"Not all days could be computed, so nothing was switched: {told}.",
            fix=f"`detektor backfill` names the rows. Correct the definition or the events, then: {_AGAIN}",
        )


def _publish(settings: Settings, found: Plan) -> None:
    """Write the newest values of what takes another version's place online, also where an interrupted run had not come to it."""
    from detektor_pipelines.engine.online import publish_online

    replacing = {view.view for view in found.views if view.replaces}
    for view in _in_force():
        if view.name in replacing and (trouble := publish_online(settings, view).trouble()):
            errors_console().print(f"{view.name} online: {trouble}.", markup=False, highlight=False, soft_wrap=True)


def _switch(settings: Settings, found: Plan) -> None:
    """Keep what is replaced beside, then bring the registry and the programs to what is in force."""
    from detektor_pipelines.cli_commands.restart import follow
    from detektor_pipelines.versions import choice
    from detektor_pipelines.versions.lock import History

    history, kept = History(), []
    for view in found.views:
        old = _replaced(history, view)
        if old is not None:
            choice.keep_beside(settings, old)
            kept.append(old)
    if not follow(settings, _in_force(), say_dimly):
        raise UserError("Not every program has the new definitions; which, and why, stands above.", fix=f"Mend it, then: {_AGAIN}")
    for old in kept:
        typer.echo(f"{old.name} {old.version} is kept fresh beside the new one until: detektor retire {old.name} --version {old.version}")
    typer.echo("Applied: the definitions on disk are computed, published, registered and served.")


def _replaced(history: History, view: ViewPlan) -> FeatureView | None:
    """Return the definition that a view's new one takes the place of; None when there is none, or it cannot be computed any more."""
    from detektor_pipelines.versions.plan import definition_of

    if view.before is None or not view.replaces:
        return None
    released = definition_of(history, view.view, view.before)
    if released is None:
        return None
    try:
        return released.view()
    except UserError as error:
        say_dimly(f"{error.what} It is not kept fresh")
        return None


def _in_force() -> tuple[FeatureView, ...]:
    from detektor_pipelines.catalog import VIEWS

    return VIEWS


def _print(found: Plan) -> None:
    changed = [view for view in found.views if view.due or view.held or view.problem]
    for view in changed:
        _print_view(view)
    if found.removed:
        typer.echo(f"Registered and defined no more: {', '.join(found.removed)}. They leave the registry, their rows stay.")
    for each in found.processes:
        typer.echo(f"{each.title} at {each.where} has other definitions loaded: {each.words}.")
    if not found.due:
        typer.echo("Nothing to do: the definitions on disk are published, registered, and loaded by every process.")
        return
    rows = [
        (view.view, len(view.work.days), f"{view.work.rows:,}" if view.work.rows is not None else "?", _about(view.work.seconds))
        for view in changed
        if view.work.days
    ]
    if rows:
        print_table(("to compute", "days", "rows, about", "takes, about"), rows)


def _print_view(view: ViewPlan) -> None:
    before = view.before
    was = f"{before.version or 'an unknown version'} ({before.data_hash[:12]})" if before else "nothing"
    where = "registered" if before and before.registered else "published"
    typer.echo(f"{view.view}: {view.version} ({view.data_hash[:12]}); {where} until now: {was}")
    if view.held:
        typer.echo(
            f"  held at {view.version} by a rollback, its file says {view.held}; forward again: detektor rollback {view.view} --forward"
        )
    if view.problem:
        typer.echo(f"  {view.problem}")
    _print_changes(view)
    if view.work.days:
        typer.echo(f"  estimated from {view.work.told_from}: {_about(view.work.seconds)}")
    if view.models is None:
        typer.echo("  which registered models use the version before is not known: MLflow does not answer")
    elif view.models:
        more = f" and {len(view.models) - _NAMED} more" if len(view.models) > _NAMED else ""
        typer.echo(f"  registered models that use the version before: {', '.join(view.models[:_NAMED])}{more}")


def _print_changes(view: ViewPlan) -> None:
    if view.changes is None:
        typer.echo("  the definition before stands in no lock: every feature may have other numbers")
        return
    for each in view.changes.changes:
        typer.echo(f"  {each}")
    if view.changes.bump != "none":
        typer.echo(f"  bump: {view.changes.bump}")


def _about(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / _MINUTE)} min"
