"""`detektor restart`: every process to the definitions that are on disk now, without a failed read."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program
    from detektor_pipelines.stack.restart import Restarted
    from detektor_pipelines.versions.processes import Process

_OURS: Final = ("stream", "serve", "registry", "dagster-code", "feast")
_HOLDING: Final = ("stream", "serve", "registry", "dagster-code")
_BY_HAND: Final = " (started by hand: end it and start it again)"

_COMPLETE_S: Final = 120
_NOTICED_S: Final = 30
"""In which Dagster's pages have noticed that the code location is another one."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("restart")(restart)


def restart(
    names: Annotated[list[str] | None, typer.Argument(help="Programs; by default all that run and hold code of ours.")] = None,
    *,
    definitions: Annotated[
        bool, typer.Option("--definitions", help="Only what has definitions loaded: Dagster's pages and daemon ask its code server.")
    ] = False,
    same_code: Annotated[
        bool, typer.Option("--same-code", hidden=True, help="Programs that began after the code's last change need no proof that it loads.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the running programs to the present code and definitions, one after the other; exit code 1 when one does not come back.

    The definitions are loaded first, in a process of their own: when they cannot be, nothing is touched. The stream worker goes first and
    has the new versions' values online before the feature server gives them. Feast's registry, where it is used, is brought up to date.

    Examples: [bold]detektor restart[/], [bold]detektor restart serve stream --json[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stack import code_on_disk
    from detektor_pipelines.stack import restart as restarting

    settings, console = get_settings(), errors_console()

    def tell(text: str) -> None:
        console.print(text, style="dim", highlight=False)

    among = restarting.HOLDING if definitions else restarting.RESTARTABLE
    programs = restarting.chosen(settings, tuple(names or ()), among)
    with console.status("Restarting"):
        proven = same_code and _all_began_after(settings, programs, code_on_disk.changed_at())
        present = code_on_disk.definitions(code_on_disk.CATALOG if proven else code_on_disk.PROGRAMS)
        tell(f"The definitions on disk can be loaded: {present['hash']}")
        done, registered = _restarted(settings, programs, present["hash"], tell, register=not names)
        left = _left(settings, [each.name for each in done], names)
    problems = [f"{each.title}: {each.problem}" for each in done if each.problem]
    problems += [f"{each.title} at {each.where}: {each.words}{'' if each.name in _OURS else _BY_HAND}" for each in left]
    if as_json:
        print_json(
            {
                "definitions": present,
                "restarted": [asdict(each) for each in done],
                "registered": registered,
                "problems": problems,
            }
        )
    else:
        _print(done, registered, problems)
    if problems:
        raise typer.Exit(1)


def _restarted(
    settings: Settings, programs: list[Program], wanted: str, tell: Callable[[str], None], *, register: bool
) -> tuple[list[Restarted], list[str]]:
    """Restart the programs, and register with Feast beside it, once the stream worker has written what is served then."""
    from concurrent.futures import ThreadPoolExecutor

    from detektor_pipelines.stack import restart as restarting

    done: list[Restarted] = []
    with ThreadPoolExecutor(1) as beside:
        registering = None
        for each in restarting.restart(settings, programs, tell):
            done.append(each)
            if each.name == "stream" and each.problem is None:
                _await_values(settings, wanted, tell)
            if register and registering is None:
                registering = beside.submit(_register, settings)  # it imports Feast, as the registry server does meanwhile
        registered = registering.result() if registering else []
    return done, registered


def _all_began_after(settings: Settings, programs: list[Program], instant: float) -> bool:
    """Whether every one of the programs that holds definitions says that it has loaded them after an instant (seconds since 1970)."""
    from detektor_pipelines import clock
    from detektor_pipelines.versions.processes import processes

    said = [(each.name, each.since) for each in processes(settings) if each.name in _HOLDING]
    if not {program.name for program in programs if program.name in _HOLDING} <= {name for name, _ in said}:
        return False  # one does not answer
    return all(since is not None and clock.parse_instant(since) > instant * 1_000_000 for _, since in said)


def follow(settings: Settings, views: Sequence[FeatureView], tell: Callable[[str], None], *, same_code: bool = False) -> bool:
    """Bring all programs that run, and Feast's registry, to the definitions that are on disk now, which need not be those loaded here.

    Args:
        settings: Where everything is.
        views: What is in force on disk now.
        tell: Hears of each step.
        same_code: Whether only what was chosen has changed, not the code: then it need not prove once more that it can be loaded.

    Returns:
        Whether all of it went well; a program that did not come back has said so on standard error.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    import subprocess
    import sys

    from detektor_pipelines.stack import supervisor
    from detektor_pipelines.stack.restart import HOLDING
    from detektor_pipelines.stores.feast import registry

    running = set(supervisor.alive(settings))
    well = True
    if running.intersection(HOLDING):
        # A process of its own: this one has loaded what was in force before
        words = [sys.executable, "-P", "-m", "detektor_pipelines", "restart", "--definitions", *(["--same-code"] if same_code else [])]
        well = subprocess.run(words, check=False, stdout=sys.stderr.fileno(), stdin=subprocess.DEVNULL).returncode == 0
    else:
        tell("No program of ours runs: each loads the definitions when it starts")
    registry.apply(settings, views)
    return well


def _await_values(settings: Settings, wanted: str, tell: Callable[[str], None]) -> None:
    """Wait until a worker with these definitions has written all that it has to; says so when that takes too long."""
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stream.run import workers

    deadline = time.monotonic() + _COMPLETE_S
    while time.monotonic() < deadline:
        try:
            reports = [each for each in workers(settings) if each.get("definitions", {}).get("hash") == wanted]
        except UserError:
            reports = []
        if any(each["shards"] and not each["behind"] and not each["pending"] for each in reports):
            return
        time.sleep(0.2)
    tell(f"The stream worker has not written all values within {_COMPLETE_S} s; going on")


def _register(settings: Settings) -> list[str]:
    """Bring Feast's registry up to date where it holds views of ours; return what was registered."""
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stores.feast import registry as feast_repo

    try:
        return list(feast_repo.apply(settings).changed) if feast_repo.is_used(settings) else []
    except UserError:  # PostgreSQL is away: what is left to do is said below
        return []


def _left(settings: Settings, restarted: list[str], names: list[str] | None) -> list[Process]:
    """Return which of the restarted processes still have other definitions; without names, which of all."""
    from detektor_pipelines.versions.processes import processes

    deadline = time.monotonic() + _NOTICED_S
    while True:
        found = [each for each in processes(settings) if each.differs and (not names or each.name in restarted)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _print(done: list[Restarted], registered: list[str], problems: list[str]) -> None:
    rows = [(each.title, each.done, styled(each.problem, "red") if each.problem else "answers", f"{each.seconds:.1f} s") for each in done]
    print_table(("program", "what was done", "now", "took"), rows)
    if registered:
        typer.echo(f"Registered with Feast: {', '.join(registered)}. History of a version that nothing has computed: detektor backfill")
    typer.echo(
        "\n".join(("Not at the present definitions:", *problems)) if problems else "Every process has the definitions that are on disk."
    )
