"""How long earlier materializations took, as MLflow was told: what an estimate of the next one is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.stores.mlflow.rest import Rest
from detektor_pipelines.stores.mlflow.tracking import EXPERIMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.settings import Settings

_RUNS: Final = 50


def rows_per_second(settings: Settings, views: Sequence[str]) -> dict[str, float]:
    """Return by view how many rows a second its last materializations computed; a view that has had none is left out.

    Raises:
        TrackingUnavailableError: MLflow does not answer.

    """
    rest = Rest.of(settings)
    try:
        experiment = rest.call("GET", "experiments/get-by-name", {"experiment_name": EXPERIMENT}, absent_is_none=True)
        if experiment is None:
            return {}
        rates = {view: _rate(rest, str(experiment["experiment"]["experiment_id"]), view) for view in views}
    finally:
        rest.close()
    return {view: rate for view, rate in rates.items() if rate}


def _rate(rest: Rest, experiment: str, view: str) -> float:
    question = {
        "experiment_ids": [experiment],
        "filter": f"tags.view = '{view}' AND metrics.rows > 0 AND metrics.seconds > 0",
        "order_by": ["attributes.start_time DESC"],
        "max_results": _RUNS,
    }
    rows = seconds = 0.0
    for run in rest.answer("POST", "runs/search", question).get("runs", []):
        metrics = {each["key"]: float(each["value"]) for each in run["data"].get("metrics", [])}
        rows, seconds = rows + metrics["rows"], seconds + metrics["seconds"]
    return rows / seconds if seconds else 0.0
