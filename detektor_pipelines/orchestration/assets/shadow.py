"""What models in production say of decisions, and what came of them, as assets: one for each agent whose decisions have labels.

Nothing hangs on them: without a model, or with MLflow away, a materialization says so and all else goes on.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines.catalog import LABELS
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.keys import RAW_LOG, shadow_key
from detektor_pipelines.orchestration.resources import Platform

if TYPE_CHECKING:
    from detektor_pipelines.training.outcomes import Week
    from detektor_pipelines.training.shadow import Shadow

CHECK: Final = "not_behind_the_prior_rate"

_WITH_LABELS: Final = frozenset(label.agent for label in LABELS)


def shadow_assets(views: Sequence[FeatureView]) -> list[dg.AssetsDefinition]:
    """Return an asset for each view whose agent has labels."""
    return [_shadow(view) for view in _with_labels(views)]


def hourly_shadow(views: Sequence[FeatureView]) -> list[dg.ScheduleDefinition]:
    """Return the schedule that lets all models predict what is new; none when no agent has labels."""
    keys = [shadow_key(view) for view in _with_labels(views)]
    if not keys:
        return []
    return [
        dg.ScheduleDefinition(
            name="hourly_shadow",
            cron_schedule="50 * * * *",
            execution_timezone="UTC",
            target=dg.AssetSelection.assets(*keys),
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Lets the models in production predict the decisions that are new, and compares earlier ones with what came.",
        )
    ]


def _with_labels(views: Sequence[FeatureView]) -> list[FeatureView]:
    return [view for view in views if view.agent in _WITH_LABELS]


def _shadow(view: FeatureView) -> dg.AssetsDefinition:
    key = shadow_key(view)

    @dg.asset(
        key=key,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[RAW_LOG],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key,
                description="Of predictions written before their outcome was known, agreement, log loss and calibration are not worse "
                "than the prior rate's by more than chance explains.",
            )
        ],
        description=f"What the model of {view.agent} in production said of its decisions, each once, and what came of them.\n\n"
        "Predictions stand in ml_learning.predictions. Without a model in production, or with MLflow away, nothing is predicted.",
        kinds={"mlflow", "postgres"},
        group_name=view.group,
        owners=["team:ml-platform"],
        tags={"detektor/layer": "shadow"},
    )
    def shadow(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.MaterializeResult[Any]]:
        from detektor_pipelines.training.shadow import shadow as run

        try:
            found = platform.ask(run, view.agent)
        except UserError as error:
            nothing = f"Nothing is predicted: {error}"
            context.log.warning(nothing)
            check = dg.AssetCheckResult(check_name=CHECK, passed=True, severity=dg.AssetCheckSeverity.WARN, description=nothing)
            yield dg.MaterializeResult(metadata={"skipped": str(error)}, check_results=[check])
            return
        if found.problem:
            context.log.warning(found.problem)
        yield dg.MaterializeResult(metadata=of_shadow(found), check_results=[_check(found)])

    return shadow


def of_shadow(found: "Shadow") -> dict[str, Any]:
    """Return what a shadow run found, as metadata."""
    without = "\n".join(f"- {number:,}: {reason}" for reason, number in found.without.items()) or "none"
    said: dict[str, Any] = {
        "summary": found.summary(),
        "model_version": found.version,
        "label": found.label,
        "mlflow_run_id": found.run_id,
        "decisions": found.decisions,
        "predicted": found.predicted,
        "written": found.written,
        "pending": found.pending,
        "no_outcome": found.no_value,
        "gone": found.gone,
        "without_prediction": dg.MetadataValue.md(without),
    }
    if found.problem:
        said["problem"] = found.problem
    for judged in (found.ahead, found.retrospective):
        if judged.figures is not None:
            figures = {"outcomes": judged.figures.count, "agreement": judged.figures.agreement, "log_loss": judged.figures.log_loss}
            said |= {f"{judged.kind}_{name}": value for name, value in figures.items()}
    return said | ({"weeks": _table(found.weeks)} if found.weeks else {})


def _table(weeks: "Sequence[Week]") -> dg.MetadataValue[Any]:
    head = "| week from | predicted | outcomes | agreement | log loss | foretold | came true |\n|---|---|---:|---:|---:|---:|---:|"
    rows = [(f"| {each.monday} | {each.kind}", each.figures) for each in weeks]
    lines = [
        f"{begin} | {found.count:,} | {found.agreement:.0%} ({found.baseline_agreement:.0%})"
        f" | {found.log_loss:.3f} ({found.baseline_log_loss:.3f}) | {found.predicted:.0%} | {found.observed:.0%} |"
        for begin, found in rows
    ]
    return dg.MetadataValue.md("\n".join([head, *lines]))


def _check(found: "Shadow") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not found.ahead.behind,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.ahead.summary(),
        metadata={f"{name} against the prior rate": str(each) for name, each in found.ahead.gained.items()},
    )
