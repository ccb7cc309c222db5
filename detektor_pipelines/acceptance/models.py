"""T12, T13, T14 and T19: what MLflow holds of features, experiments and models."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import failed, judged, passed
from detektor_pipelines.stores.mlflow.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.mlflow.runs import MlflowRun

AGENT: Final = "code-reviewer"
MODEL: Final = "models:/code-reviewer@production"
GUIDE: Final = "docs/self-learning-agents/feature-guide.md"

_TRAIN: Final = f"detektor experiment --agent {AGENT} --promote"
_URL: Final = "DETEKTOR_SERVE_URL"
_HASH: Final = 64


def versions(settings: Settings, _: Say) -> Iterator[Part]:
    """T12: runs carry feature_version and feast_feature_hash; every version that was released can be read and computed still."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.language.hashes import data_hash
    from detektor_pipelines.versions.lock import History

    runs = _runs(settings, "tags.feature_version LIKE 'v%'")
    said = {(run.said["feature_version"], run.said.get("feast_feature_hash", "")) for run in runs}
    whole = [each for each in said if len(each[0].split(".")) == 3 and len(each[1]) == _HASH]  # noqa: PLR2004 - v1.2.0
    numbers = ", ".join(sorted({version for version, _ in said})) or "none"
    text = f"{len(runs)} runs carry a version ({numbers}) and a hash"
    yield judged(runs and len(whole) == len(said), text, "detektor backfill writes one for each view")
    present = {(f"v{view.version}", data_hash(view)) for view in VIEWS}
    absent = sorted(version for version, digest in present if (version, digest) not in said)
    of_now = f"{len(present) - len(absent)} of {len(present)} present definitions are in MLflow"
    yield judged(not absent, of_now, "detektor backfill, with MLflow running")
    released = History().released
    for each in released:
        each.view()  # raises and says which cannot be computed
    yield passed(f"all {len(released)} released versions can be read and computed")


def experiment(settings: Settings, _: Say) -> Iterator[Part]:
    """T13: there is an experiment on point-in-time features, its run says which features, and its set is kept with a hash."""
    run = _newest(settings)
    if run is None:
        yield failed(f"MLflow has no experiment of {AGENT}", f"detektor experiment --agent {AGENT}; its labels need some months of history")
        return
    text = f"run {run.run_id[:8]}: {run.said.get('feature_version')}, hash {run.said.get('feast_feature_hash', '')[:12]}"
    yield judged(run.said.get("feature_version", "").startswith("v") and run.said.get("feast_feature_hash"), text, _TRAIN)
    yield judged(run.said.get("training_set_hash"), f"on point-in-time set {run.said.get('training_set_hash', '')[:12]}", _TRAIN)
    names = _artifacts(settings, run.run_id)
    yield judged("experiment.json" in names, "with what it takes to make it again: detektor reproduce", _TRAIN)


def inference(settings: Settings, say: Say) -> Iterator[Part]:
    """T14: the model in production returns for an agent the features that are served online."""
    from detektor_pipelines.stores.mlflow.model_versions import version_with_alias
    from detektor_pipelines.training.tracking import PRODUCTION, client

    if version_with_alias(settings, AGENT, PRODUCTION) is None:
        yield failed(f"there is no {MODEL}", _TRAIN)
        return
    say(f"mlflow.sklearn.load_model({MODEL!r})")
    with client(settings) as mlflow, _served_from(settings):
        model = mlflow.sklearn.load_model(MODEL)
        row = model.get_features_for_prediction({"agent_id": AGENT})
        columns = {f"{each['view']}:{each['feature']}": each["column"] for each in model.inputs if each["agent"] == AGENT}
        served = _read(settings, list(columns))
        differing = [name for name, value in served.items() if row[columns[name]] != value]
    some = f"get_features_for_prediction gives {len(row)} features, {len(served)} compared online"
    yield judged(served and not differing, some + (f": {', '.join(differing)} differ" if differing else ""), "detektor parity")


def explained(settings: Settings, _: Say) -> Iterator[Part]:
    """T19: the guide to the features is what the definitions give, and the experiment's SHAP values are in MLflow."""
    from detektor_pipelines.compile import docs

    file = commands.REPOSITORY / GUIDE
    written = file.read_text(encoding="utf-8") if file.is_file() else None
    text = f"{GUIDE} {'is not there' if written is None else f'has {len(written.splitlines())} lines, as the definitions give'}"
    yield judged(written == docs.render()[GUIDE], text, "detektor generate")
    run = _newest(settings)
    if run is None:
        yield failed(f"no experiment of {AGENT} has SHAP values", f"detektor experiment --agent {AGENT}")
        return
    names = sorted(name for name in _artifacts(settings, run.run_id) if name.startswith("shap"))
    yield judged(names, f"run {run.run_id[:8]} has {', '.join(names) or 'no SHAP values'}", _TRAIN)


def _runs(settings: Settings, where: str) -> list[MlflowRun]:
    from detektor_pipelines.stores.mlflow.runs import runs_where

    rest = Rest.of(settings)
    try:
        return runs_where(rest, where)
    finally:
        rest.close()


def _newest(settings: Settings) -> MlflowRun | None:
    """Return the newest experiment of AGENT that ended well."""
    found = _runs(settings, f"tags.agent = '{AGENT}' AND tags.label_hash != '' AND attributes.status = 'FINISHED'")
    return found[0] if found else None


def _artifacts(settings: Settings, run_id: str) -> set[str]:
    rest = Rest.of(settings)
    try:
        answer = rest.call("GET", "artifacts/list", {"run_id": run_id}) or {}
    finally:
        rest.close()
    return {str(each["path"]) for each in answer.get("files", [])}


@contextmanager
def _served_from(settings: Settings) -> Iterator[None]:
    """Have models read from this stack's feature server."""
    before = os.environ.get(_URL)
    os.environ[_URL] = before or settings.serve_url
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_URL)


def _read(settings: Settings, references: list[str]) -> dict[str, Any]:
    from detektor_pipelines.client.agents import AgentFeatures

    return dict(AgentFeatures(AGENT, url=settings.serve_url).read(references))
