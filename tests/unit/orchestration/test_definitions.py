from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = pytest.mark.slow

SNAPSHOT = Path(__file__).with_name("asset_graph.json")
SLOW_IMPORTS = ("mlflow", "feast", "pandas", "duckdb", "pyarrow", "pandera", "sqlalchemy", "dagster_mlflow")


def asset_graph() -> dict[str, object]:
    """Return keys, dependencies, groups, partitions, checks, policies: what a person would call the graph."""
    from detektor_pipelines.orchestration.build import build_definitions

    definitions = build_definitions(settings=Settings(start_date=date(2026, 5, 1)))
    graph = definitions.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "group": graph.get(key).group_name,
            "partitions": describe(graph.get(key).partitions_def),
            "checks": {check.name: {"blocking": graph.get_check_spec(check).blocking} for check in sorted(graph.get(key).check_keys)},
            "backfill": graph.get(key).backfill_policy.policy_type.name if graph.get(key).backfill_policy else None,
            "kinds": sorted(graph.get(key).kinds),
            "owners": list(graph.get(key).owners),
            "tags": {name: value for name, value in sorted(graph.get(key).tags.items()) if not name.startswith("dagster/kind/")},
            "description": graph.get(key).description,
            "columns": columns(graph.get(key).metadata),
            "metadata": sorted(graph.get(key).metadata),
            "observable": graph.get(key).is_observable,
            "executable": graph.get(key).is_executable,
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    repository = definitions.get_repository_def()
    sensors = {
        sensor.name: {
            "default": sensor.default_status.name,
            "targets": sorted(key.to_user_string() for key in sensor.asset_selection.resolve(graph))
            if sensor.asset_selection
            else sorted(target.job_name for target in sensor.targets),
        }
        for sensor in repository.sensor_defs
    }
    return {"assets": assets, "sensors": sensors, "schedules": [each.name for each in repository.schedule_defs]}


def columns(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return each column's type and what it is made from: `float ← agent_events: issues_found, occurred_at`."""
    lineage = metadata.get("dagster/column_lineage")
    made_from = lineage.deps_by_column if lineage else {}
    return {
        column.name: column.type + "".join(f" ← {asset}: {', '.join(names)}" for asset, names in grouped(made_from.get(column.name, ())))
        for column in (metadata["dagster/column_schema"].columns if "dagster/column_schema" in metadata else ())
    }


def grouped(deps: Sequence[Any]) -> list[tuple[str, list[str]]]:
    assets = dict.fromkeys(dep.asset_key.to_user_string() for dep in deps)
    return [(asset, [dep.column_name for dep in deps if dep.asset_key.to_user_string() == asset]) for asset in assets]


def describe(partitions: object) -> str | None:
    if partitions is None:
        return None
    from dagster import DailyPartitionsDefinition

    assert isinstance(partitions, DailyPartitionsDefinition)
    return f"daily from {partitions.start:%Y-%m-%d} UTC, today included: {partitions.end_offset == 1}"


def test_the_asset_graph_is_as_written_down() -> None:
    found = json.dumps(asset_graph(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(found, encoding="utf-8")
        pytest.fail(f"{SNAPSHOT.name} was missing and is written: look at it, then commit it")
    assert found == SNAPSHOT.read_text(encoding="utf-8"), f"the graph changed: if that is meant, delete {SNAPSHOT} and run again"


def test_each_call_builds_fresh_definitions() -> None:
    from detektor_pipelines.orchestration.build import build_definitions

    settings = Settings(start_date=date(2026, 5, 1))
    mine = build_definitions({"engine": "mine"}, settings=settings)
    assert mine.resources is not None
    assert mine.resources["engine"] == "mine"
    assert build_definitions(settings=settings).resources["engine"] != "mine"


def test_definitions_load_without_what_is_slow_and_without_a_server() -> None:
    program = (
        "import sys, warnings; warnings.simplefilter('error'); import detektor_pipelines.definitions as d; d.defs.get_repository_def();"
        f"print([name for name in {SLOW_IMPORTS!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    assert "oldest event is not known" in done.stderr
