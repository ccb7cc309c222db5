"""`detektor experiment`: train a small model on point-in-time features and log it; `detektor reproduce`: make one again and compare."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.instants import span_of
from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, say, styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.training.experiment import Experiment
    from detektor_pipelines.training.sets import Progress
    from detektor_pipelines.training.tracking import Logged

_DIFFERS = 1


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("experiment")(experiment)
    app.command("reproduce")(reproduce)


def experiment(  # noqa: PLR0913  each is an option of the command
    *,
    agent: Annotated[str, typer.Option(help="Whose decisions: code-reviewer, detektor-coder, …")],
    label: Annotated[str | None, typer.Option(help="What became of them; by default the agent's first label.", show_default=False)] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of your own instead: a .csv or .parquet file.", show_default=False, dir_okay=False)
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(help="A version (v1.1.0) of the agent's own view, or references (VIEW:FEATURE, VIEW, VIEW@all).", show_default=False),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Decisions from this instant (UTC) on.", show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--to", help="Decisions before this instant (UTC).", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**31 - 1, help="Of all that is drawn.", show_default=False)] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Put the model into production, whichever is there now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a small model on what was known at each decision, judge it against doing without one, and log it to MLflow.

    Examples: [bold]detektor experiment --agent code-reviewer --label rejected --features v1.1.0[/],
    [bold]detektor experiment --agent code-reviewer --features code_review_features --features coding_features:rework_rate --promote[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.training.experiment import SEED, run
    from detektor_pipelines.training.references import version_and_references
    from detektor_pipelines.training.tracking import check_tracking, log
    from detektor_pipelines.versions.lock import released

    begin, before = span_of(start, end)
    settings = get_settings()
    check_tracking(settings)
    version, references = version_and_references(features or [])
    with _progress("features") as advance:
        made = run(
            settings,
            agent=agent,
            label=_given(labels) if labels is not None else label,
            features=references or None,
            version=version,
            start=begin,
            end=before,
            definitions=released(agent, version),
            seed=SEED if seed is None else seed,
            progress=advance,
        )
    logged = log(settings, made, promote=promote)
    if as_json:
        print_json(_as_data(made, logged))
    else:
        _print(made, logged)


def reproduce(
    run_id: Annotated[str, typer.Argument(help="Of the MLflow run; `detektor experiment` prints it.", show_default=False)],
    *,
    as_json: JsonOption = False,
) -> None:
    """Make an experiment again from its run alone, and compare set and model to the bit; exit code 1 when they differ.

    Example: [bold]detektor reproduce 3f2a…[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.training.reproduction import reproduce as make_again

    with _progress("features") as advance:
        found = make_again(get_settings(), run_id, progress=advance)
    if as_json:
        both = {"compared": found.compared, "circumstances": found.circumstances}
        parts = {
            name: [{"name": each.name, "then": each.then, "now": each.now, "equal": each.equal} for each in some]
            for name, some in both.items()
        }
        print_json({"run_id": run_id, "equal": found.equal, "summary": found.summary(), **parts})
    else:
        rows = [(each.name, each.then[:16], each.now[:16], "equal" if each.equal else styled("differs", "red")) for each in found.compared]
        print_table(("", "then", "now", ""), rows, title=f"Run {run_id}, made again")
        say(*found.summary().splitlines())
    if not found.equal:
        raise typer.Exit(_DIFFERS)


def _given(file: Path) -> Any:
    from detektor_pipelines.training.labels import read_label_file

    return read_label_file(file)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show how far it is on standard error."""
    from rich.progress import Progress as Bar

    with Bar(console=errors_console(), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def _print(made: Experiment, logged: Logged) -> None:
    parts, found = made.parts, made.found
    rows = [(who, each["auc"], each["average_precision"], each["log_loss"], each["brier"]) for who, each in made.metrics.items()]
    title = f"{found.agent}: {found.label_name}, judged on {len(parts.test):,} decisions that came after {len(parts.refit):,} learnt ones"
    print_table(
        ("forecast", "AUC", "average precision", "log loss", "Brier"), [(styled(row[0], "bold"), *row[1:]) for row in rows], title=title
    )
    moved = [(name, text, f"{value:.3f}") for name, text, value in made.importance if value > 0]
    print_table(("what moves it", "", "log-odds"), moved[:5])
    for reason, number in found.dropped.items():
        say(f"{number:,} labels left out: {reason}")
    say(*made.summary().splitlines())
    say("", f"Run {logged.run_id}: {logged.page}")
    where = f"models:/{logged.model}@production" if logged.production else f"models:/{logged.model}/{logged.version}"
    more = "" if logged.production else "; another version is in production, --promote puts this one there"
    say(f"Model {where} (version {logged.version}{more})")
    say(f"Again: detektor reproduce {logged.run_id}")


def _as_data(made: Experiment, logged: Logged) -> dict[str, Any]:
    found, parts = made.found, made.parts
    return {
        "run_id": logged.run_id,
        "page": logged.page,
        "model": logged.model,
        "model_version": logged.version,
        "production": logged.production,
        "agent": found.agent,
        "label": found.label_name,
        "training_set_hash": found.set_hash,
        "views": {each.name: {"version": each.version, "data_hash": each.data_hash} for each in found.views},
        "snapshot": found.snapshot,
        "dropped": dict(found.dropped),
        "rows": {
            "train": len(parts.train),
            "validation": len(parts.validation),
            "learnt": len(parts.refit),
            "judged": len(parts.test),
            "embargoed": parts.embargoed,
        },
        "chosen": made.chosen,
        "digests": made.digests,
        "verdict": made.verdict,
        "summary": made.summary(),
        "metrics": {
            who: {name: {"value": each.value, "low": each.low, "high": each.high} for name, each in some.items()}
            for who, some in made.metrics.items()
        },
        "importance": [{"input": name, "description": text, "mean_abs_shap": value} for name, text, value in made.importance],
    }
