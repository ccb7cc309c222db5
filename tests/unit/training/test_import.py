"""What a program that uses a model has to import beside scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = "import sys; before = set(sys.modules); {}; print(*sorted(set(sys.modules) - before))"


def imported(statement: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", MODULES.format(statement)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_a_model_costs_little_beside_scikit_learn() -> None:
    learning = imported("import sklearn.linear_model, sklearn.ensemble, sklearn.pipeline")
    model = imported("import sklearn.linear_model, sklearn.ensemble, sklearn.pipeline, detektor_pipelines.training.model")
    more = model - learning
    assert "detektor_pipelines.training.model" in more
    roots = {name.partition(".")[0] for name in more}
    assert not roots & {"pandas", "mlflow", "feast", "dagster", "pyarrow", "pydantic", "psycopg", "redis", "shap", "matplotlib", "duckdb"}
    assert len(more) < len(learning) / 10
