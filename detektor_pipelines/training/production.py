"""The model of an agent that is in production, with what it was trained on: what a shadow run needs of MLflow.

Loading takes seconds, so that MLflow is first asked over plain HTTP whether there is one.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.catalog import labels_of
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.mlflow.model_versions import version_with_alias
from detektor_pipelines.stores.predictions import Predictor
from detektor_pipelines.training.description import PRIOR_RATE
from detektor_pipelines.training.tracking import PRODUCTION, client, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.language.labels import Label
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.model import FeatureModel


class NoModelError(UserError):
    """There is no model in production that could predict the decisions of the log."""


@dataclass(frozen=True)
class Production:
    """A model in production.

    Attributes:
        agent: Whose decisions it predicts.
        predictor: Its version and run.
        model: What predicts.
        label: The definition of what it predicts, as it was then.
        prior: The share of true labels that it learnt from.
        until: Labels that were known by then (µs UTC) were in its training set.
        end: Decisions before then (µs UTC) were; None: to the last.

    """

    agent: str
    predictor: Predictor
    model: FeatureModel
    label: Label
    prior: float
    until: int
    end: int | None


def in_production(settings: Settings, agent: str) -> Production:
    """Load the model of an agent that has the alias `production`.

    Raises:
        NoModelError: There is none, or it learnt labels that no definition makes.
        UserError: There is no such agent, MLflow does not answer, or this release cannot read its record.

    """
    labels_of(agent)
    fix = f"`detektor experiment --agent {agent}` trains one; --promote puts it into production."
    version = version_with_alias(settings, agent, PRODUCTION)
    if version is None:
        raise NoModelError(f"No model of {agent} is in production.", where=settings.mlflow_uri, fix=fix)
    where = f"models:/{agent}/{version.version}"
    with tempfile.TemporaryDirectory() as directory:
        record, _ = read_record(settings, version.run_id, Path(directory))
    label = record.label()
    if label is None:
        what = "The model in production learnt labels that were given as a table: no definition says what becomes of later decisions."
        raise NoModelError(what, where=where, fix=fix)
    until, end = record.instant("until"), record.instant("end")
    with client(settings) as mlflow:
        model = mlflow.sklearn.load_model(where)
        prior = _prior(mlflow.MlflowClient().get_run(version.run_id).data.params)
    return Production(
        agent=agent,
        predictor=Predictor(agent, version.version, version.run_id),
        model=model,
        label=label,
        prior=prior,
        until=0 if until is None else clock.to_us(until),
        end=None if end is None else clock.to_us(end),
    )


def _prior(said: Mapping[str, str]) -> float:
    """Return the share of true labels that a run learnt from; of a run that does not say it, the share of true labels in its set."""
    return float(said[PRIOR_RATE]) if PRIOR_RATE in said else int(said["labels_true"]) / int(said["labels"])
