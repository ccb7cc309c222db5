"""An experiment in MLflow: a run with all that it takes to find, read and repeat it, and its model in the registry.

    tags         feature_version, feast_feature_hash, training_set_hash, label, label_hash, snapshot, code_revision, views, dagster_runs, …
    params       the range of decisions and events, the split, the model's settings and seed
    inputs       the parts of the training set, with its own hash: MLflow's digest sees neither instants nor rows after the 10,000th
    artifacts    experiment.json (`training.record`), plots, SHAP values, reliability and metrics as tables
    model        the estimator with its references (`training.model`), registered under the agent's name

Belongs here: what MLflow is told and asked by its own client, which takes seconds to import. Does not belong here: what a result means.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.mlflow.rest import Rest
from detektor_pipelines.stores.mlflow.tracking import EXPERIMENT as MATERIALIZATIONS
from detektor_pipelines.stores.mlflow.tracking import code_revision
from detektor_pipelines.training import description, plots
from detektor_pipelines.training.model import DECIDED_AT, ENTITY, TRUSTED
from detektor_pipelines.training.record import FILE, LABELS_FILE, Record, packages
from detektor_pipelines.training.references import OWN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.experiment import Experiment

PRODUCTION: Final = "production"
MODEL_NAME: Final = "model"
"""Of the logged model in its run."""

_DIGEST: Final = 36
"""Characters of a dataset's digest."""
_MANY: Final = 1_000
_logger = logging.getLogger(__name__)
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Logged:
    """Where an experiment went: run, its page, the registered version, and whether that is the one in production now."""

    run_id: str
    page: str
    model: str
    version: str
    production: bool


def check_tracking(settings: Settings) -> None:
    """Ask whether MLflow answers: its own client waits for minutes.

    Raises:
        TrackingUnavailableError: It does not.

    """
    rest = Rest.of(settings)
    try:
        rest.call("GET", "experiments/get-by-name", {"experiment_name": "Default"}, absent_is_none=True)
    finally:
        rest.close()


@contextmanager
def client(settings: Settings) -> Iterator[Any]:
    """Return MLflow's module for these settings, quiet; what it was set to before comes back afterwards."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    before, level = mlflow.get_tracking_uri(), logging.getLogger("mlflow").level
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(settings.mlflow_uri)
    try:
        yield mlflow
    finally:
        mlflow.set_tracking_uri(before)
        logging.getLogger("mlflow").setLevel(level)


def log(settings: Settings, made: Experiment, *, promote: bool = False) -> Logged:
    """Write an experiment to MLflow and register its model.

    Args:
        settings: Where MLflow is.
        made: The experiment.
        promote: Give the model the alias `production`; without, it gets it only when no version has it.

    Raises:
        TrackingUnavailableError: MLflow does not answer.
        UserError: An MLflow run is active in this process already.

    """
    check_tracking(settings)
    started = time.time_ns() // 1_000_000
    with client(settings) as mlflow:
        if mlflow.active_run() is not None:
            raise UserError("An MLflow run is active in this process.", fix="End it first: mlflow.end_run().")
        experiment = mlflow.set_experiment(f"training/{made.found.agent}")
        dagster = _dagster_runs(mlflow, made)
        with mlflow.start_run(
            experiment_id=experiment.experiment_id, run_name=description.title(made), description=description.note(settings, made, dagster)
        ):
            run_id = mlflow.active_run().info.run_id
            try:
                _log_facts(mlflow, made, dagster)
                _log_inputs(mlflow, made)
                _log_artifacts(mlflow, made, dagster)
                version = _log_model(mlflow, made)
            except Exception:
                _drop_models(mlflow, experiment.experiment_id, run_id)
                raise
        production = _promote(mlflow, made.found.agent, version, promote=promote)
        page = f"{settings.mlflow_uri.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs/{run_id}"
    logged = Logged(run_id, page, made.found.agent, version, production)
    _tell(settings, made, logged, started)
    return logged


def _tell(settings: Settings, made: Experiment, logged: Logged, started: int) -> None:
    """Tell OpenLineage of the run, where a URL is set; that it is away is no reason to fail what is logged."""
    from detektor_pipelines.stores.openlineage import LineageEvents, TrainingRun

    found, events = made.found, LineageEvents(settings)
    events.training(
        TrainingRun(
            run_id=logged.run_id,
            agent=found.agent,
            label=found.label_name,
            training_set_hash=found.set_hash,
            views={each.name: each.data_hash for each in found.views},
            started_ms=started,
            ended_ms=time.time_ns() // 1_000_000,
            references=found.references,
            snapshot=found.snapshot,
            model=logged.model,
        )
    )
    if problem := events.finish():
        _logger.warning("%s", problem)


def read_record(settings: Settings, run_id: str, directory: Path) -> tuple[Record, Path | None]:
    """Return a run's record, and the file with its labels where they were given.

    Raises:
        TrackingUnavailableError: MLflow does not answer.
        UserError: There is no such run, or it is of no experiment of ours.

    """
    check_tracking(settings)
    with client(settings) as mlflow:
        from mlflow.exceptions import MlflowException

        where = f"run {run_id} of {settings.mlflow_uri}"
        try:
            names = {each.path for each in mlflow.MlflowClient().list_artifacts(run_id)}
        except MlflowException as error:
            raise UserError(
                f"There is no such run: {error.message}", where=where, fix="`detektor experiment` prints its run's id."
            ) from None
        if FILE not in names:
            raise UserError(f"The run has no {FILE}.", where=where, fix="Give a run of `detektor experiment`.")

        def fetched(name: str) -> Path:
            from pathlib import Path

            return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(directory)))

        return Record.read(fetched(FILE).read_bytes(), where), fetched(LABELS_FILE) if LABELS_FILE in names else None


# The run ---------------------------------------------------------------------------------------------------------------------------


def _dagster_runs(mlflow: Any, made: Experiment) -> dict[str, list[str]]:
    """Return by view the Dagster runs that materialized its present numbers, the newest first."""
    tracking = mlflow.MlflowClient()
    experiment = tracking.get_experiment_by_name(MATERIALIZATIONS)
    if experiment is None:
        return {}
    found: dict[str, list[str]] = {}
    for view in made.definitions:
        where = f"tags.view = '{view.name}' AND tags.feast_feature_hash = '{data_hash(view)}'"
        runs = tracking.search_runs([experiment.experiment_id], where, max_results=_MANY, order_by=["attributes.start_time DESC"])
        ids = list(dict.fromkeys(run.data.tags["dagster_run_id"] for run in runs if "dagster_run_id" in run.data.tags))
        if ids:
            found[view.name] = ids
    return found


def _log_facts(mlflow: Any, made: Experiment, dagster: Mapping[str, Sequence[str]]) -> None:
    mlflow.set_tags(description.tags(made, dagster))
    mlflow.log_params(description.params(made))
    mlflow.log_metrics(description.metrics(made))


def _log_inputs(mlflow: Any, made: Experiment) -> None:
    """Name the parts of the training set as the run's datasets; two of one name and digest would be one to MLflow."""
    frame, found = _frame(made), made.found
    source = mlflow.data.code_dataset_source.CodeDatasetSource(
        {"made_by": "detektor training-set", "snapshot": found.snapshot, "training_set_hash": found.set_hash}
    )
    parts = {"training": made.parts.refit, "validation": made.parts.validation, "testing": made.parts.test}
    for context, rows in parts.items():
        dataset = mlflow.data.from_pandas(
            frame.iloc[rows],
            source=source,
            targets="label",
            name=f"{found.agent}/{found.label_name}/{context}",
            digest=found.set_hash[:_DIGEST],
        )
        mlflow.log_input(dataset, context=context)


def _log_artifacts(mlflow: Any, made: Experiment, dagster: Mapping[str, Sequence[str]]) -> None:
    mlflow.log_text(Record.of(made, code_revision()).text(), FILE)
    mlflow.log_dict(dict(dagster), "dagster_runs.json")
    mlflow.log_figure(plots.calibration(made), "calibration.png")
    mlflow.log_figure(plots.attributions(made), "shap.png")
    bins = [{"decisions": each.count, "predicted": each.predicted, "observed": each.observed} for each in made.bins]
    mlflow.log_dict({"bins": bins}, "calibration.json")
    importance = [{"input": name, "description": text, "mean_abs_shap": value} for name, text, value in made.importance]
    mlflow.log_dict({"unit": "log-odds", "base": made.attributions.base, "inputs": importance}, "shap.json")
    _log_files(mlflow, made)


def _log_files(mlflow: Any, made: Experiment) -> None:
    """Write tables that are no JSON: SHAP values of each explained decision, and labels that no definition makes again."""
    import tempfile
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = made.found.table
    key = table.select(["agent_id", "decided_at", "task_id", "label"]).take(pa.array(made.explained))
    with tempfile.TemporaryDirectory() as directory:
        values = {f"shap_{each['name']}": made.attributions.shap[:, place] for place, each in enumerate(made.rows.inputs)}
        columns = {name: key[name] for name in key.column_names}
        pq.write_table(pa.table(columns | values), Path(directory) / "shap.parquet")
        if made.label is None:
            pq.write_table(table.select(sorted(OWN_COLUMNS)), Path(directory) / LABELS_FILE)
        mlflow.log_artifacts(directory)


# The model -------------------------------------------------------------------------------------------------------------------------


def _log_model(mlflow: Any, made: Experiment) -> str:
    """Log and register the model; returns its version."""
    import numpy as np
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    names = [each["name"] for each in made.rows.inputs]
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string", ENTITY, required=False),
        *(ColSpec("double", name, required=False) for name in names),
    ]
    signature = ModelSignature(inputs=Schema(inputs), outputs=Schema([TensorSpec(np.dtype(np.float64), (-1, 2))]))
    if not signature.inputs.has_input_names():
        message = "MLflow does not take the model's inputs by their names"
        raise TypeError(message)
    found, view = made.found, made.own_view
    tags = {
        "feature_version": f"v{view.version}",
        "feast_feature_hash": data_hash(view),
        "training_set_hash": found.set_hash,
        "label": found.label_name,
        "verdict": made.verdict,
    }
    info = mlflow.sklearn.log_model(
        made.model,
        name=MODEL_NAME,
        signature=signature,
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[f"{name}=={version}" for name, version in packages().items() if name != "python"] + ["skops"],
        skops_trusted_types=_trusted(made.model),
        tags=tags,
        registered_model_name=found.agent,
    )
    version = str(info.registered_model_version)
    tracking = mlflow.MlflowClient()
    for name, value in tags.items():
        tracking.set_model_version_tag(found.agent, version, name, value)
    tracking.update_model_version(found.agent, version, description=made.summary())
    return version


def _trusted(model: Any) -> list[str]:
    """Return the classes that skops is to load: ours, and what of scikit-learn it does not know. Others are refused.

    Raises:
        TypeError: The model holds something else.

    """
    import skops.io

    found = sorted(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    strangers = [each for each in found if each not in {TRUSTED, "numpy.dtype"} and not each.startswith("sklearn.")]
    if strangers:
        message = f"the model holds {', '.join(strangers)}, which nobody has looked at"
        raise TypeError(message)
    return found


def _promote(mlflow: Any, name: str, version: str, *, promote: bool) -> bool:
    tracking = mlflow.MlflowClient()
    if not promote and PRODUCTION in tracking.get_registered_model(name).aliases:
        return False
    tracking.set_registered_model_alias(name, PRODUCTION, version)
    return True


def _drop_models(mlflow: Any, experiment_id: str, run_id: str) -> None:
    """Delete what a failed log left behind: it would be found as if it were a model."""
    tracking = mlflow.MlflowClient()
    for each in tracking.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'"):
        tracking.delete_logged_model(each.model_id)


def _frame(made: Experiment) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(made.rows.matrix, columns=[each["name"] for each in made.rows.inputs])
    frame.insert(0, ENTITY, made.rows.agent_ids)
    frame.insert(1, DECIDED_AT, pd.to_datetime(made.rows.decided_at, unit="us", utc=True))
    frame["label"] = made.rows.labels
    return frame
