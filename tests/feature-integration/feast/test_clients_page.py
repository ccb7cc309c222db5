"""The examples of docs/clients.md, run as they stand there over real servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import running

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
VIEW = view_named("code_review_features")
REJECTED_AT = 1_772_704_800_000_000  # 2026-03-05 10:00 UTC
ADDRESS = "localhost:6566"


def publish(client: Redis) -> None:
    now = clock.now_us()
    values: dict[str, Any] = {each.name: 4 if each.value_type == "int64" else None for each in VIEW.features}
    values |= {"last_rejection_at": REJECTED_AT, "avg_issues_per_review": 0.5}
    rows = [online.OnlineRow(agent, now, now, now, None, values) for agent in ("code-reviewer", "code-reviewer@shop")]
    online.write_values(client, "detektor", VIEW, rows, valid_through_us=now)


def test_every_example_runs(row_tables: Settings, client: Redis, tmp_path: Path) -> None:
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```(python|sh)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^```", page, flags=re.MULTILINE)) == 2 * len(examples)
    feast_repo.apply(row_tables)
    publish(client)
    with running(tmp_path, "serve") as server:
        serving = {"DETEKTOR_SERVE_URL": f"http://127.0.0.1:{server.port}", "COLUMNS": "200"}
        paths = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
        variables = os.environ | feast_repo.environment(row_tables) | serving | paths

        def run(kind: str, text: str) -> str:
            program = [sys.executable, "-c"] if kind == "python" else ["bash", "-euo", "pipefail", "-c"]
            command = [*program, text.replace(ADDRESS, f"127.0.0.1:{server.port}")]
            done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            return done.stdout

        typed, more, wrong, http, command_line, sdk = [run(*each) for each in examples]
    assert typed.startswith("4 0.5 PRESENT 0:0")
    assert "lean on" not in typed
    assert more.splitlines()[0].startswith("CodeReviewFeatures(agent_id='code-reviewer@shop', status='PRESENT'")
    assert more.splitlines()[1:] == ["code-reviewer code-reviewer@shop", "2026-03-05 10:00:00+00:00"]
    assert "cannot be reached: Connection refused. http://localhost:1 Start it with `detektor up`" in wrong
    columns = dict(zip(json.loads(http)["metadata"]["feature_names"], json.loads(http)["results"], strict=True))
    assert columns["recent_reviews_count"]["values"] == [4, 4]
    assert columns["rejection_rate"]["statuses"] == ["NULL_VALUE", "NULL_VALUE"]
    table, _, others = command_line.partition("\n{")
    as_json, _, served = others.partition("\n}")
    assert "recent_reviews_count" in table
    assert json.loads("{" + as_json + "}")["agent_id"] == "code-reviewer@shop"
    assert f"code-reviewer, http://127.0.0.1:{server.port} (redis)" in served
    assert "True up to" in served
    assert "'recent_reviews_count': [4, 4]" in sdk
    assert "datetime.datetime(2026, 3, 5, 10, 0" in sdk
