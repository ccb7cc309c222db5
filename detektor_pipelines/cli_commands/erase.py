"""`detektor erase` and `detektor retention`: forgetting what somebody asks to be forgotten, and what is old."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.erasure.erase import Erasure
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.settings import Settings

_NOT_ALL = 1
_DAYS = re.compile("[1-9][0-9]{0,4}")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("erase")(erase)
    app.command("retention")(retention)


def erase(  # noqa: PLR0913 - one option for each kind of name
    *,
    agent_id: Annotated[str | None, typer.Option("--agent-id", help="An agent, or an agent of a project: agent@project.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="A session's id.")] = None,
    project: Annotated[str | None, typer.Option("--project", help="A project's name.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="A person, as attributes of events and home directories name them.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is of it, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the tables anew, so that freed places hold nothing; they are locked meanwhile.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a person, a session, a project or an agent from every store, and say what went and what a backup still holds.

    Values that others share are computed again. What was erased does not come back when its logs are read again. After a crash the same
    command goes on.

    Examples: [bold]detektor erase --session 5f0c… --dry-run[/], [bold]detektor erase --project website --yes[/]
    """
    from detektor_pipelines.catalog import BESIDE, VIEWS
    from detektor_pipelines.erasure import erase as erasing
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    subject = _subject({"agent-id": agent_id, "session": session, "project": project, "user": user})
    settings = get_settings()
    migrate(settings)
    if dry_run:
        found = erasing.together([erasing.look(settings, each) for each in _subjects(settings, subject)])
        _print(found, subject, as_json=as_json, dry_run=True)
        return
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UserError("Erasing cannot be undone.", where="detektor erase", fix="Look with --dry-run, then repeat with --yes.")
        typer.confirm(f"Erase {subject.kind} {subject.name} from every store? This cannot be undone.", abort=True)
    with _progress() as tell:
        done = erasing.together(
            [erasing.erase(settings, each, (*VIEWS, *BESIDE), rewrite=rewrite, tell=tell) for each in _subjects(settings, subject)]
        )
    _print(done, subject, as_json=as_json, dry_run=False)
    if done.remaining:
        raise typer.Exit(_NOT_ALL)


def retention(
    *,
    wanted: Annotated[list[str] | None, typer.Option("--set", metavar="TABLE=DAYS", help="How long to keep; DAYS may be forever.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove now what is older; Dagster's job does it each night.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be removed; nothing is set either.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say, or set, how many days each table keeps, and remove what is older.

    Feature rows stay as they were published when events that they were computed of go; nothing computes those days again.

    Examples: [bold]detektor retention[/], [bold]detektor retention --set agent_events=400 --set predictions=730 --dry-run[/]
    """
    from detektor_pipelines.catalog import BESIDE, VIEWS
    from detektor_pipelines.erasure import retention as keeping
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    chosen = dict(_days(each) for each in wanted or ())
    settings = get_settings()
    migrate(settings)
    views = (*VIEWS, *BESIDE)
    if dry_run:
        keeping.check(views, chosen)
    elif chosen:
        keeping.keep(settings, views, chosen)
    found = keeping.apply(settings, dry_run=dry_run or not apply, tried=chosen)
    if as_json:
        print_json({"removed": apply and not dry_run, "tables": [asdict(each) for each in found]})
        return
    print_table(
        ("table", "what", "keeps", "removed" if apply and not dry_run else "older"),
        [(each.name, keeping.HOLDS[each.name], f"{each.days:,} days" if each.days else "for ever", f"{each.rows:,}") for each in found],
    )


def _days(said: str) -> tuple[str, int | None]:
    name, _, days = said.partition("=")
    if days == "forever":
        return name, None
    if not _DAYS.fullmatch(days):
        raise UserError(f"{said!r} sets no retention.", where="--set", fix="Write TABLE=DAYS, such as agent_events=400, or TABLE=forever.")
    return name, int(days)


def _subject(given: dict[str, str | None]) -> Subject:
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.stores.raw_log.erased import KINDS

    chosen = [(kind, name) for kind in KINDS if (name := given[kind]) is not None]
    if len(chosen) != 1:
        raise UserError(
            "What is to be erased?" if not chosen else "One thing is erased at a time.",
            where="detektor erase",
            fix="Give one of --agent-id, --session, --project and --user.",
        )
    return Subject(*chosen[0])


def _subjects(settings: Settings, subject: Subject) -> list[Subject]:
    """A person is in the log under a pseudonym, and under the name in what was stored before there were any, and in files."""
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.ingest.masking import key_of, pseudonym

    if subject.kind != "user":
        return [subject]
    return list(dict.fromkeys((subject, Subject("user", pseudonym(key_of(settings.home), subject.name)))))


def _print(found: Erasure, subject: Subject, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({"kind": subject.kind, "dry_run": dry_run, **asdict(found)})
        return
    if not found.removed:
        say(f"There is nothing of this {subject.kind}.")
    else:
        print_table(
            ("there is" if dry_run else "went", "how many"), sorted((what, f"{number:,}") for what, number in found.removed.items())
        )
    for view, days in found.recomputed.items():
        say(f"{view}: {days:,} days computed again.")
    for view, failed in found.failed.items():
        say(f"{view}: {', '.join(failed)} do not pass the gate, and stay without rows: `detektor status` says more.")
    for version, gaps in found.gaps.items():
        say(f"{version}: {len(gaps):,} days cannot be computed again, for there is no definition or no log of then: they are gaps.")
    for note in found.notes:
        say(f"{note}.")
    _print_backups(found)
    if found.remaining:
        print_table(("still names it, and could not be changed", "places"), sorted(found.remaining.items()))
    elif not dry_run:
        say("A search through every store finds nothing of it.")


def _print_backups(found: Erasure) -> None:
    if found.backups is None:
        say("Where backups are is not set (DETEKTOR_BACKUP_URL): those made before hold it still.")
    elif found.backups:
        held = f"{found.backups[0]} to {found.backups[-1]}" if len(found.backups) > 1 else found.backups[0]
        say(f"{len(found.backups)} backups hold it still ({held}): make another, then `detektor backup prune --keep 1 --yes`.")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = errors_console()
    with console.status("Erasing") as status:
        yield lambda step: status.update(f"Erasing: {step}")
