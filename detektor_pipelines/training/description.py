"""What a run of MLflow says of an experiment: its name, its description for people, tags, parameters and metrics. Text only."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.mlflow.tracking import code_revision
from detektor_pipelines.training.experiment import MODEL, PRIOR
from detektor_pipelines.training.learning.metrics import calibration_error
from detektor_pipelines.training.record import packages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.experiment import Experiment

PRIOR_RATE: Final = "prior_rate"
"""The parameter that says the share of true labels among those that were learnt from."""

_LONGEST_TAG: Final = 7_500
"""Characters; MLflow cuts at 8,000, and JSON that is cut is none."""


def title(made: Experiment) -> str:
    """Return the run's name."""
    return f"{made.found.label_name} v{made.own_view.version} {made.chosen}"


def note(settings: Settings, made: Experiment, dagster: Mapping[str, Sequence[str]]) -> str:
    """Return the run's description, in Markdown."""
    found, rows, parts = made.found, made.rows, made.parts
    figures = "\n".join(
        f"| {who} | {each['auc']} | {each['average_precision']} | {each['log_loss']} | {each['brier']} |"
        for who, each in made.metrics.items()
    )
    dropped = "; ".join(f"{number:,} {reason}" for reason, number in found.dropped.items()) or "none"
    views = ", ".join(f"{each.name} v{each.version} ({each.data_hash[:12]})" for each in found.views)
    described = "" if made.label is None else f" {made.label.description}"
    return (
        f"**{found.agent}: {found.label_name}.**{described}\n\n{made.summary()}\n\n"
        f"| forecast | AUC | average precision | log loss | Brier |\n|---|---|---|---|---|\n{figures}\n\n"
        "In brackets: 95 % intervals, by drawing days again.\n\n"
        f"Decisions from {clock.to_text(int(rows.decided_at[0]))} to {clock.to_text(int(rows.decided_at[-1]))}: "
        f"{len(parts.refit):,} learnt from, {len(parts.test):,} judged by, {parts.embargoed:,} between left out. "
        f"Labels not in the set: {dropped}.\n\n"
        f"Features: {views}. {_links(settings, dagster)}\n\n"
        f"Again: `detektor reproduce RUN_ID`."
    )


def _links(settings: Settings, dagster: Mapping[str, Sequence[str]]) -> str:
    newest = list(dict.fromkeys(run for runs in dagster.values() for run in runs[:3]))
    if not newest:
        return "No Dagster run has materialized them."
    return "Materialized by " + ", ".join(f"[{run[:8]}]({settings.dagster_url}/runs/{run})" for run in newest) + "."


def tags(made: Experiment, dagster: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what a run is found by; `dagster`: the Dagster runs by view, the newest first."""
    found, view = made.found, made.own_view
    return {
        "agent": found.agent,
        "feature_version": f"v{view.version}",
        "feast_feature_hash": data_hash(view),
        "training_set_hash": found.set_hash,
        "label": found.label_name,
        "label_hash": found.label_hash,
        "snapshot": found.snapshot,
        "code_revision": code_revision(),
        "mlflow.source.git.commit": code_revision().removesuffix("-dirty"),
        "mlflow.source.type": "JOB",
        "mlflow.source.name": "detektor experiment",
        "views": _short([{"name": each.name, "version": each.version, "data_hash": each.data_hash} for each in found.views]),
        "dagster_runs": _dagster_tag(dagster),
        **_references_tag(found.references),
        "model_parameters_hash": made.digests["parameters"],
        "model_predictions_hash": made.digests["predictions"],
        "verdict": made.verdict,
    }


def _references_tag(references: Sequence[str]) -> dict[str, str]:
    """Return the features by name where they fit into a tag, which MLflow would cut; all of them are in experiment.json."""
    text = json.dumps(list(references), separators=(",", ":"))
    return {"references": text} if len(text) <= _LONGEST_TAG else {}


def _short(content: object) -> str:
    text = json.dumps(content, separators=(",", ":"))
    assert len(text) <= _LONGEST_TAG, text  # noqa: S101  as many views as there are agents
    return text


def _dagster_tag(dagster: Mapping[str, Sequence[str]]) -> str:
    """Return the newest runs of each view, as many as fit into a tag; all of them are in dagster_runs.json."""
    for number in range(max(map(len, dagster.values()), default=0), 0, -1):
        text = json.dumps({view: list(runs[:number]) for view, runs in dagster.items()}, separators=(",", ":"))
        if len(text) <= _LONGEST_TAG:
            return text
    return "{}"


def params(made: Experiment) -> dict[str, str]:
    """Return ranges, the split, and the model's settings."""
    found, rows, parts = made.found, made.rows, made.parts
    events = {"first_event": found.first_event, "last_event": found.last_event, "until": found.until}
    return {
        "model": made.chosen,
        "seed": str(made.seed),
        "features": str(len(rows.inputs)),
        "labels": str(len(rows.labels)),
        "labels_true": str(int(rows.labels.sum())),
        "first_decision": clock.to_text(int(rows.decided_at[0])),
        "last_decision": clock.to_text(int(rows.decided_at[-1])),
        **{name: instant.isoformat() for name, instant in events.items() if instant is not None},
        "validation_from": clock.to_text(parts.validation_from),
        "test_from": clock.to_text(parts.test_from),
        "embargo_days": f"{parts.embargo / 86_400_000_000:g}",
        "rows_train": str(len(parts.train)),
        "rows_validation": str(len(parts.validation)),
        "rows_refit": str(len(parts.refit)),
        "rows_test": str(len(parts.test)),
        "rows_embargoed": str(parts.embargoed),
        PRIOR_RATE: repr(float(made.predicted[PRIOR][0])),
        **{f"version_{name}": version for name, version in packages().items()},
        **_settings_of(made.model.estimator),
    }


def _settings_of(estimator: Any) -> dict[str, str]:
    """Return the settings of the estimator that learns."""
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    return {f"model_{name}": str(value) for name, value in last.get_params(deep=False).items() if value is not None}


def metrics(made: Experiment) -> dict[str, float]:
    """Return every figure with its interval (`auc`, `auc_low`, `auc_high`), and those of the baselines (`prior_rate_auc`, …)."""
    found = {f"validation_log_loss_{name}": value for name, value in made.validation.items()}
    found["calibration_error"] = calibration_error(made.bins)
    named = {"" if who == MODEL else f"{who.replace(' ', '_')}_": each for who, each in made.metrics.items()}
    named |= {f"against_{who.replace(' ', '_')}_": each for who, each in made.gained.items()}
    for prefix, estimates in named.items():
        for name, each in estimates.items():
            found |= {f"{prefix}{name}": each.value, f"{prefix}{name}_low": each.low, f"{prefix}{name}_high": each.high}
    return {name: value for name, value in found.items() if math.isfinite(value)}  # MLflow gives back another number for infinity
