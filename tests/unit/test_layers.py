"""Who may import whom, and what may not be loaded early."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("feast", "mlflow", "dagster", "pandas", "duckdb", "sqlalchemy", "alembic", "psycopg", "redis", "pydantic", "numpy", "pyarrow")


def loaded_by(code: str) -> set[str]:
    words = [sys.executable, "-c", f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"]
    return set(json.loads(subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout))


def test_imports_only_go_downward() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("import detektor_pipelines.cli as cli; cli.build_app()")
    assert not loaded & set(HEAVY)


@pytest.mark.slow
def test_definitions_load_without_mlflow_and_feast() -> None:
    loaded = loaded_by("import detektor_pipelines.definitions")
    assert not loaded & {"feast", "mlflow", "dagster_mlflow", "pandas"}
