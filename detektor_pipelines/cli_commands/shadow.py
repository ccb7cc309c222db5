"""`detektor shadow`: the model in production predicts decisions beside the agents' work, and is compared with what came."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    from detektor_pipelines.training.outcomes import Judgement
    from detektor_pipelines.training.shadow import Shadow


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command("shadow")(shadow)


def shadow(
    *,
    agent: Annotated[str, typer.Option(help="Whose decisions: code-reviewer, deployment-specialist, …")],
    as_json: JsonOption = False,
) -> None:
    """Let the model in production predict each new decision, keep what it says, and compare it with what came of earlier ones.

    Example: [bold]detektor shadow --agent deployment-specialist[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.training.shadow import shadow as run

    found = run(get_settings(), agent)
    if as_json:
        print_json(_as_data(found))
    else:
        _print(found)


def _as_data(found: Shadow) -> dict[str, Any]:
    weeks = [{"monday": each.monday, "kind": each.kind, **asdict(each.figures)} for each in found.weeks]
    judged = {each.kind: _judgement(each) for each in (found.ahead, found.retrospective)}
    return asdict(found) | judged | {"weeks": weeks, "summary": found.summary()}


def _judgement(each: Judgement) -> dict[str, Any]:
    return asdict(each) | {"summary": each.summary()}


def _print(found: Shadow) -> None:
    rows = [
        (
            each.monday,
            each.kind,
            each.figures.count,
            f"{each.figures.agreement:.0%} ({each.figures.baseline_agreement:.0%})",
            f"{each.figures.log_loss:.3f} ({each.figures.baseline_log_loss:.3f})",
            f"{each.figures.predicted:.0%} ({each.figures.baseline_predicted:.0%})",
            f"{each.figures.observed:.0%}",
        )
        for each in found.weeks
    ]
    if rows:
        title = f"{found.agent}: {found.label}, model version {found.version}; in brackets the prior rate"
        print_table(("week from", "predicted", "outcomes", "agreement", "log loss", "foretold", "came true"), rows, title=title)
    for reason, number in found.without.items():
        say(f"{number:,} decisions without a prediction: {reason}")
    counts = {"outcome not known yet": found.pending, "no outcome": found.no_value, "decision no longer in the log": found.gone}
    for what, number in counts.items():
        if number:
            say(f"{number:,} predictions: {what}")
    say(*found.summary().splitlines())
    if found.problem:
        say(*found.problem.splitlines())
