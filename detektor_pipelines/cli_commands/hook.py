"""`detektor hook`: put `detektor-hook` into Claude Code's settings, take it out, and say how it stands."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.clock import let_it_run
from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from detektor_pipelines.ingest.live.hook_settings import SettingsFile

SettingsOption = Annotated[
    Path | None, typer.Option("--settings", help="The settings file; by default your own, ~/.claude/settings.json.", show_default=False)
]
ProjectOption = Annotated[
    bool, typer.Option("--project", help="This directory's own settings that are not shared, .claude/settings.local.json.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_COLOURS = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Put detektor-hook into Claude Code's settings, or remove it again.", no_args_is_help=True)
    group.command("install")(install)
    group.command("uninstall")(uninstall)
    group.command("status")(status)
    app.add_typer(group, name="hook")


def install(*, settings: SettingsOption = None, project: ProjectOption = False, yes: YesOption = False) -> None:
    """Let Claude Code report what its agents do, as they do it. Shows the change and asks first; harmless when repeated.

    Example: [bold]detektor hook install[/]
    """
    from detektor_pipelines.ingest.live.hook_settings import quick_command
    from detektor_pipelines.ingest.live.spool import DIRECTORY
    from detektor_pipelines.settings import get_settings

    file = _file(settings, project=project)
    before = file.text()
    let_it_run(get_settings())
    after = file.installed(quick_command(get_settings().home / DIRECTORY))
    if after == before:
        typer.echo(f"The hook is in {file.path} already.")
        return
    _show(file, before, after)
    _confirm("Write this?", yes=yes)
    if not any(file.commands().values()):
        type(file)(file.backup).write(before)
    file.write(after)
    kept = f" Before: {file.backup}" if before else ""
    typer.echo(f"Written. Claude Code sessions that start from now on are recorded; `detektor hook uninstall` removes it.{kept}")


def uninstall(*, settings: SettingsOption = None, project: ProjectOption = False, yes: YesOption = False) -> None:
    """Remove the hook; what others wrote into the file stays. Shows the change and asks first.

    Example: [bold]detektor hook uninstall[/]
    """
    file = _file(settings, project=project)
    before = file.text()
    after = file.removed()
    if after == before:
        typer.echo(f"The hook is not in {file.path}.")
        return
    _show(file, before, after or "")
    if after is None:
        typer.echo(f"{file.path} was made for the hook alone: it is deleted.")
    _confirm("Write this?", yes=yes)
    file.write(after)
    file.backup.unlink(missing_ok=True)
    typer.echo("Taken out.")


def status(*, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Say in which settings the hook is, and what waits in the spool."""
    from detektor_pipelines.ingest.live.hook_settings import HOOKS
    from detektor_pipelines.ingest.live.spool import DIRECTORY
    from detektor_pipelines.settings import get_settings

    files = [_file(settings, project=False)] if settings else [_file(None, project=False), _file(None, project=True)]
    rows: list[dict[str, Any]] = []
    for file in files:
        commands = file.commands()
        present = [name for name in HOOKS if commands.get(name)]
        said = "installed" if len(present) == len(HOOKS) else "incomplete: install it again" if present else "not installed"
        rows.append({"settings": str(file.path), "state": said, "hooks": present})
    spool = get_settings().home / DIRECTORY
    waiting = [path.stat().st_size for path in spool.glob("hook-*")] if spool.is_dir() else []
    if as_json:
        print_json({"settings": rows, "spool": str(spool), "files": len(waiting), "bytes": sum(waiting)})
        return
    print_table(("settings", "hook"), ((row["settings"], row["state"]) for row in rows))
    typer.echo(f"Spool: {spool}, {len(waiting)} files, {sum(waiting):,} bytes; a file goes when its day is over and it is drained.")


def _file(given: Path | None, *, project: bool) -> SettingsFile:
    from detektor_pipelines.ingest.live.hook_settings import SettingsFile

    default = Path(".claude/settings.local.json") if project else Path("~/.claude/settings.json")
    return SettingsFile((given if given is not None else default).expanduser().absolute())


def _show(file: SettingsFile, before: str, after: str) -> None:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(file.path), str(file.path), lineterm="")
    for line in lines:
        typer.secho(line, fg=_COLOURS.get(line[:1]), bold=line.startswith(("---", "+++")))


def _confirm(question: str, *, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)
