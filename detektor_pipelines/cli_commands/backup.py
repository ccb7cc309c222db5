"""`detektor backup`: make backups, look whether they are any good, and go back to one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.recovery.create import Created
    from detektor_pipelines.recovery.manifest import Manifest
    from detektor_pipelines.recovery.restore import Restored
    from detektor_pipelines.recovery.target import Target
    from detektor_pipelines.recovery.verify import Verified
    from detektor_pipelines.settings import Settings

TargetArgument = Annotated[
    str | None,
    typer.Argument(help="Where backups are: a directory or a URL of fsspec; by default DETEKTOR_BACKUP_URL.", show_default=False),
]
BackupOption = Annotated[str | None, typer.Option("--backup", help="Which, as `list` names it; by default the newest.", show_default=False)]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="File of private keys of age; by default DETEKTOR_BACKUP_IDENTITY_FILE.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="Make backups, verify them, and go back to one.")
    for command in (create, verify, restore, drill, prune, key):
        group.command()(command)
    group.command("list")(list_backups)
    app.add_typer(group, name="backup")


def create(
    target: TargetArgument = None,
    *,
    encrypt_to: Annotated[
        list[str] | None,
        typer.Option(
            "--encrypt-to", help="Public key of age (age1…) or a file of them; by default DETEKTOR_BACKUP_RECIPIENTS.", show_default=False
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Keep nothing of the backups before.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Back up event log, features, registry, models and Dagster's history, consistent with each other, while all goes on.

    Of the log, and of MLflow's files, only what came since the last backup is written. Values online, passwords and keys are not in it.

    Examples: [bold]detektor backup create /mnt/backups[/], [bold]detektor backup create s3://bucket/detektor --encrypt-to age1…[/]
    """
    from detektor_pipelines.recovery import sealing
    from detektor_pipelines.recovery.create import create as make

    settings, where = _opened(target)
    with _progress("Backup") as tell:
        made = make(settings, where, sealing.recipients(settings, encrypt_to or ()), full=full, tell=tell)
    if as_json:
        print_json(
            {
                **_described(made.manifest),
                "bytes_written": made.written,
                "chunks_kept": made.kept_chunks,
                "vanished": made.manifest.vanished,
            }
        )
    else:
        _say_created(made, where)


def list_backups(target: TargetArgument = None, *, as_json: JsonOption = False) -> None:
    """List the backups, oldest first: when, of what, how big, and for which key.

    Examples: [bold]detektor backup list /mnt/backups[/]
    """
    from detektor_pipelines.recovery import listing

    _, where = _opened(target)
    found = [_described(each) for each in listing.backups(where)]
    if as_json:
        print_json(found)
        return
    columns = ("backup", "events", "other rows", "size", "new", "encrypted to")
    print_table(
        columns,
        [
            (
                *(each["backup"], f"{each['events']:,}", f"{each['rows']:,}"),
                *(_bytes(each["bytes"]), _bytes(each["bytes_own"]), ", ".join(each["recipients"])),
            )
            for each in found
        ],
    )


def verify(
    target: TargetArgument = None,
    *,
    backup: BackupOption = None,
    identity: IdentityOption = None,
    files_only: Annotated[bool, typer.Option("--files-only", help="Only the hashes of the files; restore nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a backup's files against their hashes, restore it into a throw-away cluster, and compare all tables; exit code 1 if it differs.

    Examples: [bold]detektor backup verify /mnt/backups[/], [bold]detektor backup verify --files-only[/]
    """
    from detektor_pipelines.recovery import listing
    from detektor_pipelines.recovery import verify as verifying
    from detektor_pipelines.recovery.sealing import Opener

    settings, where = _opened(target)
    chosen = listing.chosen(where, backup)
    look = verifying.files if files_only else verifying.whole
    with _progress("Verifying") as tell:
        found = look(where, chosen, Opener(settings, identity), tell)
    words = f"{found.files:,} files have their hashes" + (
        "" if files_only else f"; {len(chosen.tables)} tables and {chosen.events:,} events theirs"
    )
    _conclude(found, f"Backup {chosen.backup} is whole: {words}.", as_json=as_json)


def drill(
    target: TargetArgument = None, *, backup: BackupOption = None, identity: IdentityOption = None, as_json: JsonOption = False
) -> None:
    """Rehearse the loss of a disk in throw-away servers: restore, values online, parity with the log; touches nothing that runs.

    Examples: [bold]detektor backup drill /mnt/backups[/]
    """
    from detektor_pipelines.recovery import listing
    from detektor_pipelines.recovery import verify as verifying
    from detektor_pipelines.recovery.sealing import Opener

    settings, where = _opened(target)
    chosen = listing.chosen(where, backup)
    with _progress("Drill") as tell:
        found = verifying.drill(where, chosen, Opener(settings, identity), tell)
    keys = sum(each.keys for each in found.restored.online.values()) if found.restored else 0
    _conclude(
        found, f"Backup {chosen.backup} brings everything back: {chosen.events:,} events, {keys:,} keys online, parity 0.", as_json=as_json
    )


def restore(
    target: TargetArgument = None,
    *,
    backup: BackupOption = None,
    identity: IdentityOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="What is there goes, and the backup takes its place.")] = False,
    online: Annotated[bool, typer.Option("--online/--no-online", help="Write the values online too.")] = True,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take another port for one that is taken, and say which.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into an empty installation: starts PostgreSQL and Redis, restores, and writes the values online again.

    What is there is touched only with --replace, and not before the backup is restored beside it as a whole. Interrupted: the same again.
    Afterwards [bold]detektor up[/] starts the rest.

    Examples: [bold]detektor backup restore /mnt/backups[/], [bold]detektor backup restore --backup 20261128T213000Z --replace[/]
    """
    from detektor_pipelines import stack
    from detektor_pipelines.recovery import listing
    from detektor_pipelines.recovery.restore import restore as put_back
    from detektor_pipelines.recovery.restore import summary
    from detektor_pipelines.recovery.sealing import Opener

    settings, where = _opened(target)
    chosen = listing.chosen(where, backup)
    opener = Opener(settings, identity)
    with _progress("Restore") as tell:
        settings = stack.up(settings, ("postgres", "redis"), free_ports=free_ports, on_progress=tell).settings
        done = put_back(settings, where, chosen, opener, replace=replace, online=online, tell=tell)
    if as_json:
        print_json({**summary(done), "definitions": _other_definitions(done)})
    else:
        _say_restored(done, online=online)
    if done.offline:
        raise UserError(
            f"The values online were not written: {done.offline.what}",
            where=done.offline.where,
            fix=f"All else is restored. {done.offline.fix or ''} `detektor up` fills the online store.".replace("  ", " "),
        )


def prune(
    target: TargetArgument = None,
    *,
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many of the newest backups stay.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it the command only says what it would delete.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete old backups, and files that no backup needs any more. Only with --yes.

    After an erasure: what was erased is in the backups that were made before.

    Examples: [bold]detektor backup prune --keep 14[/], [bold]detektor backup prune --keep 14 --yes[/]
    """
    from detektor_pipelines.recovery import listing

    _, where = _opened(target)
    going, files = listing.prune(where, keep, delete=yes)
    if as_json:
        print_json({"deleted": yes, "backups": going, "files": files})
        return
    done = "Deleted" if yes else "To be deleted with --yes"
    typer.echo(f"{done}: {len(going)} backups, {len(files)} files." + (f" {', '.join(going)}" if going else ""))


def key(file: Annotated[Path, typer.Argument(help="A new file for the private half; keep it away from the backups.")]) -> None:
    """Make a key for encrypted backups: its private half goes into a file, its public half is printed.

    Examples: [bold]detektor backup key /safe/backup-key[/]
    """
    from detektor_pipelines.recovery.sealing import make_key

    typer.echo(make_key(file.expanduser()))


def _opened(url: str | None) -> tuple[Settings, Target]:
    from detektor_pipelines.recovery.target import Target
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    chosen = url or settings.backup_url
    if not chosen:
        raise UserError(
            "Where backups are kept is not said.",
            fix="Name a directory or URL, or set DETEKTOR_BACKUP_URL: detektor backup create /mnt/backups",
        )
    return settings, Target(chosen)


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "backup": manifest.backup,
        "made_at": manifest.made_at,
        "seconds": manifest.seconds,
        "release": manifest.release,
        "events": manifest.events,
        "rows": sum(each.rows for each in manifest.tables.values()),
        "chunks": len(manifest.chunks),
        "artifacts": len(manifest.artifacts),
        "bytes": manifest.size,
        "bytes_own": manifest.own_size,
        "recipients": manifest.recipients,
        "left_out": manifest.left_out,
    }


def _say_created(made: Created, where: Target) -> None:
    manifest = made.manifest
    typer.echo(
        f"Backup {manifest.backup} is in {where.name}: {manifest.events:,} events,"
        f" {sum(each.rows for each in manifest.tables.values()):,} rows besides, {len(manifest.artifacts)} files of MLflow."
        f" {_bytes(made.written)} written, {_bytes(manifest.size)} in all: {manifest.seconds:.1f} s."
    )
    if made.changed_chunks:
        typer.echo(
            f"{made.changed_chunks} pieces of the log are not what they were: rows were erased. Backups made before hold them:"
            " detektor backup prune"
        )
    if manifest.vanished:
        typer.echo(f"Deleted meanwhile, so not in it: {', '.join(manifest.vanished)}")
    if not manifest.recipients:
        typer.echo("It is not encrypted. `detektor backup key FILE` makes a key.")


def _say_restored(done: Restored, *, online: bool) -> None:
    manifest = done.manifest
    keys = sum(each.keys for each in done.online.values())
    typer.echo(
        f"Backup {manifest.backup} is restored, as of {manifest.made_at}: {manifest.events:,} events"
        + (f", {keys:,} keys online" if online else "")
        + f". {_seconds(done.seconds)}."
    )
    typer.echo(f"Life {done.life} of the log begins. Next: detektor up" + ("" if online else ", which fills the online store"))
    for each in [*done.trouble, *_other_definitions(done)]:
        typer.echo(each)


def _other_definitions(done: Restored) -> list[str]:
    """Name the views whose definition is another one than when the backup was made."""
    from detektor_pipelines.language.hashes import data_hash

    now = {view.name: view for view in reversed(done.views)}
    then = done.manifest.definitions["views"]
    return [
        f"{name}: the backup was made under {said['version']}, here is {now[name].version if name in now else 'none'}. `detektor plan`"
        for name, said in then.items()
        if name not in now or data_hash(now[name]) != said["data_hash"]
    ]


def _conclude(found: Verified, well: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"backup": found.manifest.backup, "files": found.files, "problems": found.problems, "seconds": found.seconds})
    elif found.problems:
        typer.echo("\n".join((f"Backup {found.manifest.backup} is not as it was made:", *found.problems)))
    else:
        typer.echo(f"{well} {_seconds(found.seconds)}.")
    if found.problems:
        raise typer.Exit(1)


def _seconds(steps: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items())
    return f"{sum(steps.values()):.1f} s ({parts})"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1_000:  # noqa: PLR2004 - units of a thousand
            return f"{size:.0f} {unit}"
        size /= 1_000
    return f"{size:.1f} GB"


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show what is under way on standard error: a line that changes in a terminal, a line a step elsewhere."""
    console, last = errors_console(), ""
    with console.status(title) as spinner:

        def tell(text: str) -> None:
            nonlocal last
            step = text.partition(":")[0]
            if console.is_terminal:
                spinner.update(f"{title}: {text}")
            elif step != last:
                console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)
            last = step

        yield tell
