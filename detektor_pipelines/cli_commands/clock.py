"""`detektor clock`, and how commands that read logs treat a home directory whose clock stands at the end of old ones."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

_LIVE_US: Final = 2 * 3_600_000_000
"""Logs whose last event is no older than this go on: their clock is the real one."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("clock")(clock)


def clock(
    *,
    at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Let it stand there, for example 2026-03-05T10:00:00Z.", show_default=False)
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Let it run again, as the machine's does.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what time it is for this DETEKTOR_HOME; let it stand or run.

    `detektor demo --logs` lets it stand where old logs end: what was true then is shown, instead of all being too old. What notes or keeps
    fresh what happens now (`detektor up`, `emit`, `collect`, `hook install`) lets it run.

    Examples: [bold]detektor clock[/], [bold]detektor clock --run[/]
    """
    from detektor_pipelines import clock as platform
    from detektor_pipelines.settings import get_settings

    home = get_settings().home
    if at is not None and run:
        raise UserError("A clock stands or runs.", where="the options", fix="Give --at or --run, not both.")
    if run:
        platform.run(home)
    if at is not None:
        try:
            platform.stand(home, platform.parse_instant(at))
        except ValueError as error:
            raise UserError(f"{error}.", where="--at", fix="Write it as 2026-03-05T10:00:00Z.") from None
    said = os.environ.get(platform.VARIABLE)
    by = "home" if said and said == platform.kept(home) else "environment" if said else "machine"
    if as_json:
        print_json({"now": platform.to_text(platform.now_us()), "by": by})
        return
    reasons = {
        "home": f"it stands there for {home}; `detektor clock --run` lets it run",
        "environment": f"as {platform.VARIABLE}={said} says",
        "machine": "the machine's clock",
    }
    typer.echo(f"{platform.to_text(platform.now_us())}  ({reasons[by]})")


def let_it_run(settings: Settings) -> None:
    """Let the home directory's clock run, where it stands at the end of old logs, before what happens now is noted; and say so."""
    from detektor_pipelines import clock as platform

    stood = platform.kept(settings.home)
    if stood:
        platform.run(settings.home)
        typer.echo(f"The clock, which stood at {stood}, where the logs end, runs from now on: what happens now is of now.", err=True)


@contextmanager
def clock_of_the_logs(settings: Settings, *, keep: bool = False) -> Iterator[None]:
    """Read logs by the real time where the home directory's clock stands, and let it stand afterwards where all that was read ends.

    Args:
        settings: Whose clock and log.
        keep: Let it stand also where it ran before, if the last event is older than two hours.

    """
    from detektor_pipelines import clock as platform
    from detektor_pipelines.language.windows import HOUR, ceil_to
    from detektor_pipelines.stores.raw_log.state import newest_event_us

    said, stood = os.environ.get(platform.VARIABLE), platform.kept(settings.home)
    if said and said != stood:  # somebody chose an instant: they mean it
        yield
        return
    platform.run(settings.home)
    before = platform.now_us()
    try:
        yield
    finally:
        newest = newest_event_us(settings)
        if (stood or keep) and newest is not None and before - newest > _LIVE_US:
            now = platform.stand(settings.home, ceil_to(newest, HOUR))
            if stood and now != stood:
                said = "`detektor backfill` computes the days in between."
                typer.echo(f"The clock stands at {now} now, where all that was read ends (before: {stood}). {said}", err=True)
