"""`detektor online`: which versions of the features the online store holds, deleting those that nobody needs, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table

if TYPE_CHECKING:
    from detektor_pipelines.engine.mend import Mended
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.mlflow.model_versions import ModelVersion
    from detektor_pipelines.stores.online.upkeep import Surveyed

OlderOption = Annotated[float, typer.Option("--older-than", min=0, help="Days since a version was last complete.", metavar="DAYS")]
ModelsOption = Annotated[
    bool, typer.Option("--without-models", help="Do not ask MLflow: what only registered models were made from goes too.")
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="See what the online store holds, delete retired versions, mend it.")
    group.command("versions")(versions)
    group.command("prune")(prune)
    group.command("mend")(mend)
    group.command("take-over")(take_over)
    app.add_typer(group, name="online")


def versions(*, older_than: OlderOption = 7, without_models: ModelsOption = False, as_json: JsonOption = False) -> None:
    """List every version of every view in the online store: what it takes, until when it is complete, and what keeps it.

    Examples: [bold]detektor online versions[/], [bold]detektor online versions --json[/]
    """
    _, found = _surveyed(older_than, without_models=without_models)
    if as_json:
        print_json([_described(each) for each in found])
    else:
        _print(found)


def take_over() -> None:
    """Make the online store this copy of the log's own, after a restore or with a copy beside it whose values stand there.

    What is online is overwritten as batch and stream write; workers and runs of the other copy are refused from now on.

    Examples: [bold]detektor online take-over[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.online import life as online_life

    life = online_life.take_over(get_settings())
    typer.echo(f"Life {life.epoch} of the log begins, and the online store is its own. A stream worker or the next publication fills it.")


def prune(
    *,
    older_than: OlderOption = 7,
    without_models: ModelsOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it the command only says what it would delete.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the versions that nobody needs: of no present definition and no registered model, and complete long ago. Only with --yes.

    Examples: [bold]detektor online prune[/], [bold]detektor online prune --older-than 30 --yes[/]
    """
    from detektor_pipelines.stores.online.upkeep import drop

    settings, found = _surveyed(older_than, without_models=without_models)
    going = [each for each in found if not each.kept_by]
    gone = drop(settings, going) if yes else 0
    if as_json:
        print_json({"deleted": yes, "values": gone, "versions": [_described(each) for each in going]})
        return
    if not going:
        typer.echo("Every version in the online store is needed, or not old enough.")
        return
    _print(going)
    if yes:
        typer.echo(f"Deleted: {gone:,} values.")
    else:
        typer.echo("Nothing was deleted. Add --yes to delete what the table lists.")


def mend(*, as_json: JsonOption = False) -> None:
    """Drop the values and marks of completeness that lie ahead of the clock, and fill them again from the log. Harmless when nothing does.

    They come from a batch or a worker whose clock was ahead; nobody trusts them, and nothing newer replaces them. Set that clock right
    first.

    Examples: [bold]detektor online mend[/], [bold]detektor online mend --json[/]
    """
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.mend import mend as mended
    from detektor_pipelines.settings import get_settings

    settings, done = get_settings(), []
    with errors_console().status("Looking through the online store") as spinner:
        for each in mended(settings, VIEWS):
            done.append(each)
            spinner.update(f"{each.found.view} is done")
    some = [each for each in done if each.found]
    if as_json:
        print_json({"mended": [_mended(each) for each in some], "views": len(done)})
        return
    if not some:
        typer.echo("Nothing online lies ahead of the clock.")
        return
    rows = [
        (each["view"], each["values"], each["shards"], each["furthest"], each["dropped"], each["refilled"], each["withheld"] + each["lost"])
        for each in map(_mended, some)
    ]
    print_table(("view", "values ahead", "shards ahead", "up to", "dropped", "refilled", "not refilled"), rows)
    for each in some:
        for publication in filter(None, (each.refilled, each.published)):
            if trouble := publication.trouble():
                errors_console().print(f"{each.found.view}: {trouble}.", markup=False, highlight=False, soft_wrap=True)


def _mended(each: Mended) -> dict[str, Any]:
    from detektor_pipelines.clock import to_text

    refilled, published = each.refilled, each.published
    return {
        "view": each.found.view,
        "values": len(each.found.agent_ids),
        "shards": len(each.found.shards),
        "furthest": to_text(each.found.furthest),
        "dropped": each.dropped,
        "refilled": refilled.keys - refilled.withheld - refilled.lost if refilled else 0,
        "withheld": refilled.withheld if refilled else 0,
        "lost": (refilled.lost if refilled else 0) + (published.lost if published else 0),
        "complete_up_to": published.as_of if published else None,
    }


def _surveyed(older_than: float, *, without_models: bool) -> tuple[Settings, list[Surveyed]]:
    from detektor_pipelines.catalog import BESIDE, VIEWS
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.online.upkeep import survey

    settings = get_settings()
    models = None if without_models else _models(settings)
    with errors_console().status("Counting"):
        return settings, survey(settings, VIEWS, older_than_days=older_than, models=models, beside=BESIDE)


def _models(settings: Settings) -> list[ModelVersion]:
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stores.mlflow.model_versions import model_versions
    from detektor_pipelines.stores.mlflow.rest import TrackingUnavailableError

    try:
        return model_versions(settings)
    except TrackingUnavailableError as error:
        raise UserError(
            f"Which versions registered models were made from is not known. {error.what}",
            where=error.where,
            fix="Run `detektor up mlflow`, or leave models out of account with --without-models.",
        ) from None


def _described(surveyed: Surveyed) -> dict[str, Any]:
    from detektor_pipelines.clock import to_text

    held = surveyed.held
    return {
        "view": held.view,
        "data_hash": held.hash,
        "keys": held.keys,
        "bytes": held.size,
        "last_complete": None if held.last is None else to_text(held.last),
        "kept_by": surveyed.kept_by or None,
    }


def _print(found: list[Surveyed]) -> None:
    rows = [
        (
            each["view"],
            each["data_hash"],
            f"{each['keys']:,}",
            _size(each["bytes"]),
            each["last_complete"] or "",
            each["kept_by"] or "nothing",
        )
        for each in map(_described, found)
    ]
    print_table(("view", "version", "values", "bytes", "last complete", "kept by"), rows)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1_000:  # noqa: PLR2004 - units of a thousand
            return f"{count:.0f} {unit}"
        count /= 1_000
    return f"{count:.1f} GB"
