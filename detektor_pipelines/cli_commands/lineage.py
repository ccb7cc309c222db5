"""`detektor lineage`: from a run of MLflow to rows, days, Dagster runs and raw events, and from a feature to runs and models."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.stores.mlflow.runs import MlflowRun
    from detektor_pipelines.training.lineage import Days, FeatureLineage, RunLineage

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command("lineage")(lineage)


def lineage(
    what: Annotated[str, typer.Argument(help="An MLflow run's id, or code_review_features:rejection_rate.", metavar="RUN_ID|VIEW:FEATURE")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what a run of MLflow was made from, or what a feature is made from and which runs and models it is in.

    Examples: [bold]detektor lineage code_review_features:rejection_rate[/], [bold]detektor lineage 0f3c…[/] (a run's id),
    [bold]detektor lineage code-reviewer:rejection_rate --json[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.training.lineage import of_feature, of_run, view_and_feature

    named = view_and_feature(what)
    found = of_run(get_settings(), what) if named is None else of_feature(get_settings(), *named)
    if as_json:
        print_json(asdict(found))
    elif named is None:
        _show_run(found)  # type: ignore[arg-type]
    else:
        _show_feature(found)  # type: ignore[arg-type]


def _show_run(found: RunLineage) -> None:
    events = found.events
    span = f"{events.first} to {events.last}" if events.count else "none"
    facts = [
        ("run", f"{found.name} ({found.kind}, {found.status})"),
        ("page", found.page),
        *((name, found.said[name]) for name in ("feature_version", "label", "training_set_hash", "code_revision") if name in found.said),
        ("raw events", f"{events.count:,} of {', '.join(events.agents)}: {span}"),
        ("snapshot of the log", events.snapshot or "not said"),
        ("Dagster runs", styled("\n".join(found.dagster_pages) or "none")),
        ("registered models", ", ".join(found.models) or "none"),
    ]
    print_table(("what", "which"), facts, title=found.run_id)
    _show_days(found.rows)
    if found.computed_by:
        _show_runs(found.computed_by, "Materializations of these versions")


def _show_feature(found: FeatureLineage) -> None:
    facts = [
        ("what it says", found.description),
        ("columns of the log", ", ".join(found.columns)),
        ("made of features", ", ".join(found.made_of) or "none"),
        ("registered models", found.problem or ", ".join(found.models) or "none"),
    ]
    print_table(("what", "which"), facts, title=f"{found.feature} ({found.data_hash[:12]})")
    _show_days(found.rows)
    if found.problem is None:
        _show_runs(found.computed_by, "MLflow runs that computed it")
        _show_runs(found.trained, "MLflow runs that trained on it")


def _show_days(rows: Sequence[Days]) -> None:
    shown = [(each.table, each.version or "earlier", each.first, each.last, each.days, f"{each.rows:,}") for each in rows]
    print_table(("table", "version", "first day", "last day", "days", "rows"), shown, title="Rows that are published")


def _show_runs(runs: Sequence[MlflowRun], title: str) -> None:
    shown = [(each.run_id, each.name, each.status, each.said.get("dagster_run_id", "")) for each in runs[:_SHOWN]]
    more = f", the newest {_SHOWN} of {len(runs)}" if len(runs) > _SHOWN else ""
    print_table(("run", "name", "status", "Dagster run"), shown, title=f"{title}{more}")
