"""Runs of MLflow as they are searched and read: what each says in tags and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.stores.mlflow.rest import Rest

_MOST: Final = 10_000


@dataclass(frozen=True)
class MlflowRun:
    """One run; `said` are its parameters and tags, a tag before a parameter of the same name."""

    run_id: str
    name: str
    status: str
    page: str
    said: Mapping[str, str]


def run_of(rest: Rest, run_id: str) -> MlflowRun | None:
    """Return a run, None when there is none.

    Raises:
        TrackingUnavailableError: MLflow does not answer.

    """
    answer = rest.call("GET", "runs/get", {"run_id": run_id}, absent_is_none=True)
    return _run(rest, answer["run"]) if answer else None


def runs_where(rest: Rest, where: str) -> list[MlflowRun]:
    """Return the runs of all experiments that MLflow's filter `where` finds, the newest first, 10,000 at most.

    Raises:
        TrackingUnavailableError: MLflow does not answer.

    """
    experiments = [each["experiment_id"] for each in rest.pages("POST", "experiments/search", "experiments", {}, most=_MOST)]
    question = {"experiment_ids": experiments, "filter": where, "order_by": ["attributes.start_time DESC"]}
    return [_run(rest, each) for each in rest.pages("POST", "runs/search", "runs", question, most=_MOST)] if experiments else []


def _run(rest: Rest, run: dict[str, Any]) -> MlflowRun:
    info, data = run["info"], run.get("data", {})
    said = {each["key"]: each["value"] for kind in ("params", "tags") for each in data.get(kind, [])}
    page = f"{rest.page}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}"
    return MlflowRun(str(info["run_id"]), str(info.get("run_name", "")), str(info.get("status", "")), page, said)
