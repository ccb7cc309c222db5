"""`detektor init`: a catalogue of one's own to begin with; `detektor features new`: one view more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands import skeletons
from detektor_pipelines.errors import UserError

WorkOption = Annotated[str, typer.Option(help="The operation that its work is: review, deploy, implement, document, advise, …")]
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("init")(init)


def init(
    directory: Annotated[Path, typer.Argument(help="Where; made if it is not there, and empty of such files.")],
) -> None:
    """Make a small project with an agent and a view of your own: agents.toml, a catalogue, cases, a README that says what to type.

    Commands that are run in it use its views beside those of the eight agents; elsewhere DETEKTOR_CATALOG names it.

    Example: [bold]detektor init my-agents && cd my-agents && detektor features test[/]
    """
    files = {
        own_catalog.FILE: skeletons.DETEKTOR_TOML,
        "agents.toml": skeletons.AGENTS_TOML,
        ".gitignore": skeletons.GITIGNORE,
        f"{own_catalog.VIEWS}/release_scribe.py": skeletons.VIEW,
        "cases/release_features.yaml": skeletons.CASES,
        "example.jsonl": _example(),
        "README.md": skeletons.README.format(name=directory.absolute().name),
    }
    there = [name for name in files if (directory / name).exists()]
    if there:
        fix = "Give a directory that is empty or does not exist; what is there stays as it is."
        raise UserError(f"{directory} holds {', '.join(there)} already.", where=str(directory), fix=fix)
    try:
        for name, text in files.items():
            _write(directory / name, text)
    except OSError as error:
        raise UserError(f"The project cannot be written: {error.strerror}.", where=str(directory), fix="Give another directory.") from None
    typer.echo(f"Made {directory}: an agent of your own, release-scribe, with a view of three features. Next:\n")
    typer.echo(f"    cd {directory}\n    detektor features test\n\nREADME.md there says what comes then.")


def new_view(
    agent: Annotated[str, typer.Argument(help="Whose view: an agent of yours, declared if it is not, or one whose view is replaced.")],
    *,
    work: WorkOption = "implement",
) -> None:
    """Write a skeleton of a view into your catalogue, with comments that teach, and declare its agent where nobody has.

    Example: [bold]detektor features new triager[/]
    """
    own = own_catalog.own()
    if own is None:
        fix = "Make one with `detektor init my-agents` and run this in it, or name yours in DETEKTOR_CATALOG."
        raise UserError("There is no catalogue of your own here.", where=str(Path.cwd()), fix=fix)
    if not _NAME.match(agent):
        raise UserError(f"{agent!r} is no name of an agent.", where="the name", fix="Use lower case, digits and single hyphens: my-agent.")
    from detektor_pipelines.catalog import DECLARED, OUTSIDE
    from detektor_pipelines.language.events import AGENT_TYPES, views_operation

    name = agent.replace("-", "_")
    file = own.views / f"{name}.py"
    files = {each.view.agent: str(each.file) for each in OUTSIDE}
    if file.exists() or agent in {view.agent for view in DECLARED}:
        fix = "Put another feature into that view: an agent has one."
        if agent not in files:
            fix = f'Write replace = ["{agent}"] under [catalog] in {own.file} first, if yours is to take its place.'
        raise UserError(f"{agent} has a view already.", where=files.get(agent, "the package"), fix=fix)
    declared = agent in AGENT_TYPES
    if declared:
        work = views_operation(agent)
    else:
        _declare(own, agent, work)
    _write(file, skeletons.NEW_VIEW.format(agent=agent, work=work, view=f"{name}_features"))
    typer.echo(f"Wrote {file}" + ("." if declared else f", and declared {agent} in {own.file}."))
    typer.echo(f"See it: detektor features list {agent}")


def _declare(own: own_catalog.OwnCatalog, agent: str, work: str) -> None:
    from detektor_pipelines.language.events import WORKS

    if work not in WORKS:
        raise UserError(f"{work!r} is no operation that is an agent's work.", where="--work", fix=f"Take one of {', '.join(WORKS)}.")
    text = own.file.read_text(encoding="utf-8")
    _write(own.file, f"{text.rstrip()}\n{skeletons.NEW_AGENT.format(agent=agent, work=work)}")


def _example() -> str:
    """Return three events of the days before today, in our own log format."""
    from detektor_pipelines.clock import from_us, now_us

    day = 24 * 3_600_000_000
    events = [
        {"agent": "changelog-writer", "outcome": "success", "extra": {"entries_written": 12, "channel": "stable"}},
        {"agent": "release-scribe", "outcome": "failure", "extra": {"entries_written": 1, "channel": "beta"}},
        {"agent": "release-scribe", "outcome": "success", "extra": {"entries_written": 4, "channel": "beta"}, "project": "shop"},
    ]
    lines = []
    for number, event in enumerate(events):
        at = from_us(now_us() // day * day - (len(events) - number) * day + 10 * 3_600_000_000)
        lines.append(json.dumps({**event, "operation": "document", "occurred_at": at.isoformat().replace("+00:00", "Z")}))
    return "\n".join(lines) + "\n"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")
