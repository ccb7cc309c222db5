"""`detektor emit`: one event into the raw log, by hand or from a script.

Its options are made from the declarations of measures and categories, when the command is asked for: other commands need not wait for that.
"""

from __future__ import annotations

import inspect
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from detektor_pipelines.cli_commands.clock import let_it_run
from detektor_pipelines.cli_commands.output import print_json, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detektor_pipelines.language.records import AgentEvent
    from detektor_pipelines.settings import Settings

SHORT: Final = {"issues_found": "--issues"}
"""Measures that are written so often that they have a second, shorter option."""

_SOURCE: Final = "emit"
_TAKEN: Final = "action"
"""The category that has no option of its own: `--action` says what the agent did."""


class _EmitCommand(TyperCommand):
    """The command with one option for each declared measure and category."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Add the options; the first call makes them."""
        if not self.params:
            alone = typer.Typer(add_completion=False)
            emit.__signature__ = _signature()  # type: ignore[attr-defined]
            alone.command()(emit)
            whole = typer.main.get_command(alone)
            self.params, self.callback = list(whole.params), whole.callback
        return super().get_params(ctx)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    emit.__signature__ = inspect.Signature()  # type: ignore[attr-defined]  # typer is to ask _EmitCommand
    app.command("emit", cls=_EmitCommand)(emit)


def emit(**given: Any) -> None:
    """Put one event into the raw log and print its event_id.

    It is checked as the lines of a log file are, and it is committed when the command returns. What an operation may carry is declared in
    detektor_pipelines/language/events.py; a wrong measure is refused with the list of the right ones.

    Example: [bold]detektor emit --agent code-reviewer --action review --project shop --issues 3 --verdict rejected[/]
    """
    from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
    from detektor_pipelines.ingest.live.writer import LiveWriter
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    if given["at"] is None:
        let_it_run(settings)
    event = _event(given)
    with LiveWriter(settings, mix=given["mix"]) as writer:
        if not (event.simulated or given["mix"]) and writer.holds_simulated_events_only():
            event = replace(event, simulated=True)
            say("This log is simulated, so the event is marked as simulated too.", err=True)
        if given["at"] is None:
            (outcome,) = writer.write([event])
        else:
            with dagster_hears_of_earlier_days(settings):
                (outcome,) = writer.write([event])
    if outcome.status == "rejected":
        raise UserError(
            f"The event was not added: {outcome.reason}.",
            where=f"event_id {outcome.event_id}; it is kept in ml_learning.rejected_events",
            fix="Add --mix if simulated and real events may share this log; give another --event-id if it is another event.",
        )
    if given["as_json"]:
        print_json({"event_id": outcome.event_id, "status": outcome.status, "agent_type": event.agent_type, "project": event.project})
    else:
        say(outcome.event_id or event.event_id)  # as it is stored: a credential in it is masked
        if outcome.status == "reread":
            say(f"Nothing was changed: it was {outcome.reason}.", err=True)
        _say_what_will_not_happen(event, settings)


def _say_what_will_not_happen(event: AgentEvent, settings: Settings) -> None:
    """Say when no feature will move for it, and when none moves just now."""
    from detektor_pipelines.ingest.readers.names import FILE_NAME
    from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
    from detektor_pipelines.stack import supervisor

    if event.agent_type == UNMAPPED:
        line = f'"{event.raw_name}" = "{AGENT_TYPES[0]}"'
        say(
            f"{event.raw_name!r} is the name of no agent: the event is kept and in no feature. A line such as {line} below [agents] in"
            f" {settings.home / FILE_NAME} makes it one's.",
            err=True,
        )
    elif "stream" not in supervisor.alive(settings):
        say(
            "No stream worker runs here: features show it after the next run of its day (`detektor backfill`), or when `detektor up` has"
            " started one.",
            err=True,
        )


def _event(given: Mapping[str, Any]) -> AgentEvent:
    """Make the event that the options describe.

    Raises:
        UserError: They describe none.

    """
    from detektor_pipelines.clock import now_us
    from detektor_pipelines.ingest.checks import problem
    from detektor_pipelines.ingest.readers.names import agent_names
    from detektor_pipelines.ingest.readers.projects import project_name
    from detektor_pipelines.language.events import CATEGORIES
    from detektor_pipelines.language.records import AgentEvent
    from detektor_pipelines.settings import get_settings

    now = now_us()
    event = AgentEvent(
        event_id=given["event_id"] or f"emit-{uuid.uuid4().hex}",
        agent_type=agent_names(get_settings().home).agent_type(given["agent"]),
        raw_name=given["agent"],
        operation=given["action"],
        occurred_at=now if given["at"] is None else _instant(given["at"]),
        source=_SOURCE,
        project=project_name(given["project"]) if given["project"] else None,
        session_id=given["session_id"],
        task_id=given["task_id"],
        measures=_measures(given),
        categories=_named(CATEGORIES, given, "category", given["category"]),
        extra=_extra(given["extra"]),
        simulated=given["simulated"],
    )
    found = problem(event, now)
    if found:
        raise _refusal(event, *found)
    return event


def _instant(text: str) -> int:
    from detektor_pipelines.clock import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"{error}.", where="--at", fix="Write it as 2026-03-05T10:00:00Z, or leave --at out for now.") from None


def _measures(given: Mapping[str, Any]) -> dict[str, int]:
    from detektor_pipelines.language.events import MEASURES

    named: dict[str, Any] = _named(MEASURES, given, "measure", given["measure"])
    for name, value in named.items():
        if isinstance(value, str):
            try:
                named[name] = int(value)
            except ValueError:
                fix = f"Write --measure {name}=3; its unit is {MEASURES[name].unit}."
                raise UserError(f"{name} is not a whole number: {value!r}.", where="--measure", fix=fix) from None
    return named


def _extra(pairs: Iterable[str] | None) -> dict[str, int | str]:
    """Read measures and categories of one's own, each as its declaration says."""
    from detektor_pipelines.language.events import EXTRA_CATEGORIES, EXTRA_MEASURES

    found: dict[str, int | str] = {}
    declared = ", ".join((*EXTRA_MEASURES, *EXTRA_CATEGORIES))
    for pair in pairs or ():
        name, sign, value = pair.partition("=")
        name = name.strip()
        if not sign or (name not in EXTRA_MEASURES and name not in EXTRA_CATEGORIES):
            wrong = f"No detektor.toml declares {name!r}" if sign else f"{pair!r} is not written as name=value"
            fix = f"Declared are {declared}." if declared else "Declare it under [measures] or [categories]: docs/own-agents.md."
            raise UserError(f"{wrong}.", where="--extra", fix=fix)
        found[name] = value.strip()
        if name in EXTRA_MEASURES:
            try:
                found[name] = int(value)
            except ValueError:
                fix = f"Write --extra {name}=3; its unit is {EXTRA_MEASURES[name].unit}."
                raise UserError(f"{name} is not a whole number: {value!r}.", where="--extra", fix=fix) from None
    return found


def _named(declared: Mapping[str, Any], given: Mapping[str, Any], option: str, pairs: Iterable[str] | None) -> dict[str, Any]:
    """Collect the options of their own, then those written as `name=value`."""
    from detektor_pipelines.language.events import OPERATIONS

    found = {name: given[name] for name in declared if name != _TAKEN and given.get(name) is not None}
    for pair in pairs or ():
        name, sign, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or name not in declared:
            own = OPERATIONS.get(given["action"])
            choice = [each for each in (*own.measures, *own.categories) if each in declared] if own else list(declared)
            wrong = f"{pair!r} is not written as name=value" if not sign else f"There is no {option} {name!r}"
            raise UserError(f"{wrong}.", where=f"--{option}", fix=f"{given['action']} has {', '.join(choice)}.")
        found[name] = value.strip()
    return found


def _refusal(event: AgentEvent, reason: str, value: str) -> UserError:
    from detektor_pipelines.clock import now_us, to_text
    from detektor_pipelines.language.events import OPERATIONS

    operation = OPERATIONS.get(event.operation)
    where = f"{value!r}" if value else "the options"
    if operation is None:
        return UserError(f"There is no operation {event.operation!r}.", where="--action", fix=f"It is one of {', '.join(OPERATIONS)}.")
    if reason.startswith("extra"):
        return UserError(f"The event is refused: {reason}.", where=where, fix="Correct it, or what detektor.toml declares.")
    if event.occurred_at > now_us() and "future" in reason:
        fix = f"Give an earlier --at, or none for now; it is {to_text(now_us())} for this DETEKTOR_HOME (`detektor clock`)."
        return UserError(f"The event is refused: {reason}.", where=f"--at {to_text(event.occurred_at)}", fix=fix)
    if event.measures.keys() | event.categories.keys() <= {*operation.measures, *operation.categories}:
        fix = f"Needed are {', '.join(operation.required)}." if "lacks" in reason else "Correct it; `detektor emit --help` has the ranges."
        return UserError(f"The event is refused: {reason}.", where=where, fix=fix)
    measures, categories = (", ".join(names) or "none" for names in (operation.measures, operation.categories))
    fix = f"Measures of {operation.name}: {measures}. Categories: {categories}."
    return UserError(f"The event is refused: {reason}.", where=where, fix=fix)


def _signature() -> inspect.Signature:
    """Write the command's options down: the fixed ones, and one for each declared measure and category."""
    from detektor_pipelines.language.events import AGENT_TYPES, CATEGORIES, MEASURES, OPERATIONS

    options: dict[str, tuple[Any, Any]] = {
        "agent": (
            Annotated[str, typer.Option(help=f"Who: one of {', '.join(AGENT_TYPES)}, or a name that agents.toml maps to one.")],
            inspect.Parameter.empty,
        ),
        "action": (Annotated[str, typer.Option(help=f"What it did: {', '.join(OPERATIONS)}.")], inspect.Parameter.empty),
        "project": (Annotated[str | None, typer.Option(help="Name of the repository.", show_default=False)], None),
        "task_id": (Annotated[str | None, typer.Option(help="The task that it belongs to.", show_default=False)], None),
        "session_id": (Annotated[str | None, typer.Option(help="The conversation that it belongs to.", show_default=False)], None),
        "at": (
            Annotated[str | None, typer.Option(metavar="INSTANT", help="When it ended, ISO 8601; by default now.", show_default=False)],
            None,
        ),
        "event_id": (
            Annotated[str | None, typer.Option(help="Its identity: the same one twice is one event. New by default.", show_default=False)],
            None,
        ),
        "measure": (
            Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any measure; repeatable.", show_default=False)],
            None,
        ),
        "category": (
            Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any category, repeatable.", show_default=False)],
            None,
        ),
        "extra": (
            Annotated[
                list[str] | None,
                typer.Option(
                    metavar="NAME=VALUE", help="A measure or category that detektor.toml declares; repeatable.", show_default=False
                ),
            ],
            None,
        ),
        "simulated": (
            Annotated[bool, typer.Option("--simulated", help="It never happened; on a log of simulated events that goes without saying.")],
            False,
        ),
        "mix": (Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")], False),
        "as_json": (Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")], False),
    }
    for measure in MEASURES.values():
        flags = [f"--{measure.name.replace('_', '-')}", *([SHORT[measure.name]] if measure.name in SHORT else [])]
        said = f"{measure.description} {measure.minimum} to {measure.maximum} {measure.unit}; of {_operations_with(measure.name)}."
        option = typer.Option(*flags, metavar="N", help=said, rich_help_panel="Measures", show_default=False)
        options[measure.name] = (Annotated[int | None, option], None)
    for category in CATEGORIES.values():
        if category.name == _TAKEN:
            continue
        said = f"{category.description} Of {_operations_with(category.name)}."
        option = typer.Option(
            f"--{category.name.replace('_', '-')}",
            metavar="|".join(category.values) or "TEXT",
            help=said,
            rich_help_panel="Categories",
            show_default=False,
        )
        options[category.name] = (Annotated[str | None, option], None)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [inspect.Parameter(name, keyword, default=default, annotation=kind) for name, (kind, default) in options.items()]
    )


def _operations_with(name: str) -> str:
    from detektor_pipelines.language.events import OPERATIONS

    return ", ".join(each.name for each in OPERATIONS.values() if name in (*each.measures, *each.categories))
