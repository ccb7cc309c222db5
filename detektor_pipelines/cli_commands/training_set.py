"""`detektor training-set` and `detektor labels`: decisions with the features of their instants, and which labels there are."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.instants import span_of
from detektor_pipelines.cli_commands.output import JsonOption, check_place, errors_console, print_json, print_table
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.training.sets import Progress, TrainingSet


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("training-set")(make)
    app.command("labels")(list_labels)


def make(  # noqa: PLR0913  each is an option of the command
    *,
    agent: Annotated[str, typer.Option("--agent", help="Whose decisions: code-reviewer.")],
    label: Annotated[str | None, typer.Option("--label", help="A label of the catalogue (`detektor labels`).", show_default=False)] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Your own: CSV or Parquet with agent_id, decided_at, label, if known task_id.", show_default=False),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--features",
            help="VIEW:FEATURE, VIEW, VIEW@all:FEATURE, or a version of its own view (v1.1.0); may be repeated. Default: all its own.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file to write; without it only what it would hold.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Decisions from this instant (UTC) on.", show_default=False)] = None,
    end: Annotated[str | None, typer.Option("--to", help="Decisions before this instant (UTC).", show_default=False)] = None,
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", help="Make a set again: the log as the snapshot of an earlier set saw it.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the labels of an agent's decisions with the features that serving would have said just before each.

    Examples: [bold]detektor training-set --agent code-reviewer --label rejected --out set.parquet[/],
    [bold]detektor training-set --agent code-reviewer --label rejected --features v1.1.0 --features coding_features:rework_rate[/],
    [bold]detektor training-set --agent code-reviewer --labels mine.csv --out set.parquet --json[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.training.labels import read_label_file
    from detektor_pipelines.training.references import version_and_references
    from detektor_pipelines.training.sets import training_set
    from detektor_pipelines.versions.lock import released

    if (label is None) is (labels is None):
        raise UserError("One of --label and --labels is needed.", where="training-set", fix=f"`detektor labels {agent}` shows the labels.")
    begin, before = span_of(start, end)
    if out is not None:
        check_place(out, "--out")
    version, references = version_and_references(features or [])
    wanted = label if label is not None else read_label_file(labels or Path())
    with _progress() as on_step:
        made = training_set(
            get_settings(),
            agent=agent,
            label=wanted,
            features=references or None,
            version=version,
            definitions=released(agent, version),
            start=begin,
            end=before,
            snapshot=snapshot,
            progress=on_step,
        )
    if out is not None:
        made.write(out)
    if as_json:
        print_json(_facts(made, out))
    else:
        _show(made, out)


def list_labels(
    agent: Annotated[str | None, typer.Argument(help="Of one agent; all by default.", show_default=False)] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the labels: what can be learnt of each agent's decisions.

    Examples: [bold]detektor labels[/], [bold]detektor labels code-reviewer --json[/]
    """
    from detektor_pipelines.catalog import LABELS, labels_of
    from detektor_pipelines.language.hashes import label_hash

    found = labels_of(agent) if agent else LABELS
    rows = [
        {
            "agent": each.agent,
            "label": each.name,
            "unit": each.unit,
            "within_next": None if each.within_next is None else each.within_next.label,
            "description": each.description,
            "null_means": each.null_means or None,
            "label_hash": label_hash(each),
        }
        for each in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = [(row["agent"], row["label"], row["unit"], row["within_next"] or "at once", row["description"]) for row in rows]
    print_table(("agent", "label", "unit", "known after", "what it says"), shown)


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("labels x views"), TimeElapsedColumn())
    with Progress(*columns, console=errors_console(), transient=True) as progress:
        task = progress.add_task("Reading the log", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total, description="Computing features")


def _facts(made: TrainingSet, out: Path | None) -> dict[str, Any]:
    classes = {str(value).lower(): number for value, number in made.classes.items()}
    return made.facts() | {"classes": classes or None, "null_columns": list(made.null_columns), "out": None if out is None else str(out)}


def _show(made: TrainingSet, out: Path | None) -> None:
    rows: list[tuple[str, object]] = [
        ("labels", f"{made.table.num_rows:,} {made.label_name} of {made.agent}, {_span(made)}"),
        *([("", _balance(made.classes))] if made.classes else []),
        ("features", f"{len(made.references)} of {', '.join(f'{each.name} v{each.version}' for each in made.views)}"),
        ("events", "none" if made.first_event is None else f"{made.first_event:%Y-%m-%d %H:%M} to {made.last_event:%Y-%m-%d %H:%M}"),
        ("snapshot", made.snapshot),
        ("set hash", made.set_hash),
        ("written to", "nowhere: give --out" if out is None else str(out)),
    ]
    print_table(("", "training set"), rows)
    if made.dropped:
        print_table(("left out", "why"), [(f"{number:,}", reason) for reason, number in made.dropped.items()])
    for line in _warnings(made):
        errors_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _span(made: TrainingSet) -> str:
    decided = made.table["decided_at"]
    return f"decided {decided[0].as_py():%Y-%m-%d %H:%M} to {decided[-1].as_py():%Y-%m-%d %H:%M}"


def _balance(classes: dict[bool, int]) -> str:
    return f"{classes[True]:,} true, {classes[False]:,} false"


def _warnings(made: TrainingSet) -> Sequence[str]:
    lines = []
    if made.classes and not all(made.classes.values()):
        lines.append(
            f"All labels are {str(max(made.classes, key=lambda each: made.classes[each])).lower()}: nothing can be learnt from them."
        )
    if made.null_columns:
        lines.append(f"Null for every label: {', '.join(made.null_columns)}.")
    return lines
