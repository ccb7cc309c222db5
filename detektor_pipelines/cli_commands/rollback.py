"""`detektor rollback` and `detektor retire`: back to an earlier version or to static values, forward again, and the end of a version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, say_dimly
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from detektor_pipelines.engine.materialize import Materialization
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.versions.retire import Retired, Retiring
    from detektor_pipelines.versions.rollback import Prepared, Target

_NOTICED_S: Final = 5
"""In which every server has noticed the switch to static values."""

_LET_GO_S: Final = 30
"""In which a worker that has ended is heard of no more, and one that began says what it keeps fresh."""

ViewArgument = Annotated[str | None, typer.Argument(help="Feature view or its agent.", metavar="VIEW", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("rollback")(rollback)
    app.command("retire")(retire)


def rollback(
    view: ViewArgument = None,
    *,
    to: Annotated[str | None, typer.Option("--to", help="The version to go to: 1.0.0.", show_default=False)] = None,
    forward: Annotated[bool, typer.Option("--forward", help="To what the view's file declares.")] = False,
    static: Annotated[bool, typer.Option("--static", help="Have the feature servers answer from the values kept last.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Back from --static to the values of Redis.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put an earlier version of a view in force everywhere, definition and data, and forward again; no file of the catalogue is edited.

    Its rows still stand: what happened since is computed, then Feast's registry, the stream worker, the servers and Dagster take it.
    Interrupted, the same command goes on. --static needs neither Redis nor PostgreSQL, and no restart.

    Examples: [bold]detektor rollback code_review_features --to 1.0.0[/], [bold]detektor rollback code_review_features --forward[/],
    [bold]detektor rollback --static[/], [bold]detektor rollback --live[/]
    """
    from detektor_pipelines.settings import get_settings

    if sum((to is not None, forward, static, live)) != 1 or (view is None) is not (static or live):
        raise UserError("What to go back to is not clear.", fix="VIEW --to VERSION, VIEW --forward, --static, or --live.")
    if view is None:
        _switch(get_settings(), on=static, as_json=as_json)
    else:
        _to_version(get_settings(), view, to, as_json=as_json)


def _to_version(settings: Settings, name: str, version: str | None, *, as_json: bool) -> None:
    from detektor_pipelines.cli_commands.restart import follow
    from detektor_pipelines.versions import rollback as rolling

    started = time.monotonic()
    chosen = rolling.target(name, version)
    view = chosen.view
    prepared = _prepared(settings, view)
    ready = time.monotonic()
    views = rolling.put_in_force(settings, chosen)
    told = follow(settings, views, say_dimly, same_code=True)
    ended = time.monotonic()
    if as_json:
        print_json(
            {
                "view": view.name,
                "version": view.version,
                "pinned": not chosen.declared,
                "days_computed": prepared.computed,
                "failed_days": prepared.failed,
                "keys_online": prepared.online.keys if prepared.online else 0,
                "seconds": {"data": round(ready - started, 1), "definitions": round(ended - ready, 1)},
                "everywhere": told,
            }
        )
    else:
        _say(chosen, prepared, (ready - started, ended - ready))
    if not told:
        raise UserError("Not every program has taken it; which, and why, stands above.", fix="Mend it, then run the same command again.")


def _prepared(settings: Settings, view: FeatureView) -> Prepared:
    """Make the version's rows and online values whole, with its progress."""
    from detektor_pipelines.versions.rollback import prepare

    with errors_console().status(f"{view.name} {view.version}: what happened since") as spinner:
        counted = 0

        def on_part(part: Materialization) -> None:
            nonlocal counted
            counted += len(part.days)
            spinner.update(f"{view.name} {view.version}: {counted} days are there")

        found = prepare(settings, view, on_part)
    if found.failed:
        say_dimly(f"Not valid, so they keep what they had: {', '.join(map(str, found.failed))}")
    if found.online and (trouble := found.online.trouble()):
        say_dimly(f"Online: {trouble}.")
    return found


def _say(chosen: Target, prepared: Prepared, took: tuple[float, float]) -> None:
    view, keys = chosen.view, prepared.online.keys if prepared.online else 0
    typer.echo(
        f"{view.name} {view.version} is in force. {prepared.computed} of {len(prepared.days)} days had to be computed,"
        f" {keys} keys are online: {took[0]:.1f} s. Registry and programs: {took[1]:.1f} s."
    )
    if not chosen.declared:
        typer.echo(f"It holds until you go forward again: detektor rollback {view.name} --forward")


def _switch(settings: Settings, *, on: bool, as_json: bool) -> None:
    """Switch to the values kept last, or back, and wait until the server of this stack says so."""
    from detektor_pipelines.serving.values import last_known, static

    started, kept = time.monotonic(), settings.home / last_known.FILE
    if on and not kept.exists():
        raise UserError(
            "No values were kept, so there is nothing to answer from.",
            where=str(kept),
            fix="A feature server keeps them each minute: `detektor up serve`, with Redis there.",
        )
    changed = static.switch(settings, on=on)
    served = _await_server(settings, static_wanted=on)
    seconds = time.monotonic() - started
    if as_json:
        print_json({"static": on, "changed": changed, "server": served, "seconds": round(seconds, 1)})
        return
    what = "the values kept last" if on else "the values of Redis"
    back = " Back: detektor rollback --live" if on else ""
    answers = {True: f"The feature server answers from {what}", None: f"Feature servers of {settings.home} answer from {what} from now on"}
    if served is False:
        raise UserError(
            f"The feature server does not say that it answers from {what}.",
            where=settings.serve_url,
            fix="`detektor doctor` names its log file.",
        )
    typer.echo(f"{answers[served]}: {seconds:.1f} s.{back}")


def _await_server(settings: Settings, *, static_wanted: bool) -> bool | None:
    """Return whether the server of this stack says what is wanted within seconds; None when none runs."""
    from detektor_pipelines.versions.processes import server_status

    deadline = time.monotonic() + _NOTICED_S
    while True:
        status = server_status(settings)
        if status is None:
            return None
        if (status == "STATIC") is static_wanted:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def retire(
    view: Annotated[str, typer.Argument(help="Feature view or its agent.", metavar="VIEW")],
    *,
    version: Annotated[str, typer.Option("--version", help="The version: 1.0.0, or the first 12 digits of its data hash.")],
    force: Annotated[bool, typer.Option("--force", help="Also when a registered model, or somebody's SQL view, uses it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the rows and the online values of a version that another one has replaced, and keep it fresh no longer.

    Its definition stays in the lock. Refused while the version is in force, registered, or used by a registered model.

    Examples: [bold]detektor retire code_review_features --version 1.0.0[/]
    """
    from detektor_pipelines.catalog import VIEWS, view_named
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.versions import retire as retiring

    settings = get_settings()
    try:
        chosen = view_named(view, VIEWS)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", fix="`detektor features list` shows them all.") from None
    found = retiring.find(settings, chosen, version)
    if not force:
        retiring.check_models(found)
    if not yes:
        text = f"Delete {found.rows:,} rows of {found.days} days of {found.name}, and its online values?"
        typer.confirm(text, abort=True, err=as_json)
    _let_go(settings, found)
    gone = retiring.retire(settings, found, force=force)
    _report(found, gone, as_json=as_json)


def _let_go(settings: Settings, found: Retiring) -> None:
    """Have no stream worker keep it fresh any longer; a worker that would go on writes what is being deleted."""
    import subprocess
    import sys

    from detektor_pipelines.language.hashes import data_hash
    from detektor_pipelines.stack import supervisor
    from detektor_pipelines.stream.run import workers
    from detektor_pipelines.versions import choice

    short = f"({found.digest[:12]})"
    for each in choice.chosen(settings).beside:
        if each.name == found.view.name and data_hash(each).startswith(found.digest):
            choice.let_go(settings, each.name, data_hash(each))
    if "stream" in supervisor.alive(settings):
        words = [sys.executable, "-P", "-m", "detektor_pipelines", "restart", "stream"]
        subprocess.run(words, check=False, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + _LET_GO_S
    while keeping := [each for each in workers(settings) if any(short in phrase for phrase in each.get("beside", ()))]:
        if time.monotonic() > deadline:
            where = ", ".join(f"{each['host']} {each['pid']}" for each in keeping)
            raise UserError(
                f"A stream worker still keeps {found.name} fresh.", where=where, fix="End it and start it again, then the same command."
            )
        time.sleep(0.2)


def _report(found: Retiring, gone: Retired, *, as_json: bool) -> None:
    if as_json:
        print_json({"view": found.view.name, "version": found.version, "rows": gone.rows, "days": gone.days, "online_values": gone.values})
    else:
        typer.echo(f"Retired {found.name}: {gone.rows:,} rows of {gone.days} days, {gone.values:,} online values are gone.")
