"""Which features registered models were made from, as a real MLflow tells it."""

from __future__ import annotations

import pytest

from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.mlflow.model_versions import model_versions
from detektor_pipelines.stores.mlflow.rest import Rest

pytestmark = pytest.mark.slow

HASH = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"


def test_a_version_is_found_by_its_runs_parameters_and_by_its_own_tags(mlflow_uri: str) -> None:
    rest = Rest(mlflow_uri)
    try:
        info = rest.answer("POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]
        run, artifacts = info["run_id"], info["artifact_uri"]
        rest.answer("POST", "runs/log-parameter", {"run_id": run, "key": "feast_feature_hash", "value": HASH})
        rest.answer("POST", "registered-models/create", {"name": "risk"})
        rest.answer("POST", "model-versions/create", {"name": "risk", "source": f"{artifacts}/model", "run_id": run})
        tags = [{"key": "features", "value": f"code_review_features@{'f' * 12}"}]
        rest.answer("POST", "model-versions/create", {"name": "risk", "source": "s3://models/risk", "tags": tags})
        found = model_versions(Settings(mlflow_tracking_uri=mlflow_uri))
        assert sorted((each.name, each.version, each.uses(HASH[:12]), each.uses("f" * 12)) for each in found) == [
            ("risk", "1", True, False),
            ("risk", "2", False, True),
        ]
        rest.answer("POST", "runs/delete", {"run_id": run})
        assert [each.uses(HASH[:12]) for each in model_versions(Settings(mlflow_tracking_uri=mlflow_uri)) if each.version == "1"] == [True]
    finally:
        rest.close()
