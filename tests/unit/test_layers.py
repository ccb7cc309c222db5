"""Who may import whom, and what may not be loaded early."""

from __future__ import annotations

import ast
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


def test_ingest_writes_without_arrow_and_alembic() -> None:
    """They take a second and a hundred megabytes, which a small directory of logs would wait for."""
    loaded = loaded_by(
        "import detektor_pipelines.cli as cli; cli.build_app([cli.ALONE['ingest']])\n"
        "import detektor_pipelines.ingest.run, detektor_pipelines.ingest.readers.transcripts, detektor_pipelines.stores.schema"
    )
    assert not loaded & {*HEAVY, "adbc_driver_postgresql", "detektor_pipelines.stack.lifecycle", "detektor_pipelines.cli_commands.demo"}


@pytest.mark.slow
def test_definitions_load_without_mlflow_and_feast() -> None:
    loaded = loaded_by("import detektor_pipelines.definitions")
    assert not loaded & {"feast", "mlflow", "dagster_mlflow", "pandas"}


def packages() -> list[Path]:
    return [each.parent for each in sorted((ROOT / "detektor_pipelines").rglob("__init__.py"))]


@pytest.mark.parametrize("package", packages(), ids=lambda package: str(package.relative_to(ROOT)))
def test_each_room_says_what_belongs_in_it_and_is_no_hall(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert "Belongs here" in said
    assert "Does not belong here" in " ".join(said.split())
    modules = [each for each in package.glob("*.py") if each.name != "__init__.py"]
    assert len(modules) <= 15 or "more than fifteen" in said
