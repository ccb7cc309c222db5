"""Which versions of features the registered models were made from, as far as MLflow can say.

A model version does not name the features' hashes in one agreed place: it may carry them as a tag, its run as a tag or a parameter. So
whatever either says is searched for a hash; a hash is 64 hexadecimal digits, and nothing else looks like the first twelve of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.stores.mlflow.rest import Rest

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model version, and all that it and its run say in tags and parameters."""

    name: str
    version: str
    said: str
    run_id: str = ""

    def uses(self, short_hash: str) -> bool:
        """Tell whether it names a version of features."""
        return short_hash in self.said


def model_versions(settings: Settings) -> list[ModelVersion]:
    """Return all registered model versions.

    Raises:
        TrackingUnavailableError: MLflow does not answer.

    """
    rest = Rest.of(settings)
    try:
        found = rest.pages("GET", "model-versions/search", "model_versions", {})
        runs = {run: _said_by_run(rest, run) for run in {str(each.get("run_id") or "") for each in found} if run}
    finally:
        rest.close()
    return [
        ModelVersion(
            each["name"],
            str(each["version"]),
            f"{_pairs(each.get('tags'))}\n{runs.get(str(each.get('run_id')), '')}",
            str(each.get("run_id") or ""),
        )
        for each in found
    ]


def version_with_alias(settings: Settings, name: str, alias: str) -> ModelVersion | None:
    """Return the version of a registered model that an alias means; None when there is no such model, or none with it.

    Raises:
        TrackingUnavailableError: MLflow does not answer.

    """
    rest = Rest.of(settings)
    try:
        answer = rest.call("GET", "registered-models/get", {"name": name}, absent_is_none=True) or {}
        aliases = answer.get("registered_model", {}).get("aliases", [])
        version = next((str(each["version"]) for each in aliases if each["alias"] == alias), None)
        if version is None:
            return None
        found = rest.answer("GET", "model-versions/get", {"name": name, "version": version})["model_version"]
        run = str(found.get("run_id") or "")
        return ModelVersion(name, version, f"{_pairs(found.get('tags'))}\n{_said_by_run(rest, run) if run else ''}", run)
    finally:
        rest.close()


def _said_by_run(rest: Rest, run: str) -> str:
    answer = rest.call("GET", "runs/get", {"run_id": run}, absent_is_none=True)
    data = answer["run"].get("data", {}) if answer else {}
    return f"{_pairs(data.get('tags'))}\n{_pairs(data.get('params'))}"


def _pairs(pairs: list[dict[str, str]] | None) -> str:
    return "\n".join(f"{each.get('key')}={each.get('value')}" for each in pairs or ())
