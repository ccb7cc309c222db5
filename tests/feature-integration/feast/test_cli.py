"""The stock Feast commands, as somebody types them in `feature_repo/`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # five processes that import Feast

REPOSITORY = Path(__file__).parents[3] / "feature_repo"
AVERAGE = "code_review_features:avg_issues_per_review"


def test_apply_list_materialize_and_read(row_tables: Settings, client: Redis) -> None:
    def feast(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("feast")), *words]
        variables = os.environ | feast_repo.environment(row_tables) | {"PYTHONWARNINGS": "ignore"}
        answer = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    with psycopg.connect(row_tables.postgres_dsn) as connection:
        for project in range(10):
            connection.execute(
                "INSERT INTO feast.code_review_features (agent_id, event_timestamp, created_at, written_at, avg_issues_per_review)"
                " SELECT %s, now() - interval '1 hour', now() - interval '1 hour', now(), 1.25",
                (f"code-reviewer@p{project}" if project else "code-reviewer",),
            )

    feast("apply")
    assert feast_repo.outdated(row_tables) == feast_repo.Applied()  # the command and our own apply register the same
    listed = re.findall(r"^(\w+)\s+\{'agent_id'\}", feast("feature-views", "list"), re.MULTILINE)
    assert sorted(listed) == sorted(view.name for view in VIEWS)
    feast("materialize-incremental", "2030-01-01T00:00:00")
    assert len(list(client.scan_iter("feast:*:code-reviewer*"))) == 10
    assert json.loads(feast("get-online-features", "-e", "agent_id=code-reviewer", "-f", AVERAGE)) == {
        "agent_id": ["code-reviewer"],
        "avg_issues_per_review": [1.25],
    }
    labels = json.dumps([{"agent_id": "code-reviewer", "event_timestamp": "2030-01-01T00:00:00"}])
    assert json.loads(feast("get-historical-features", "-d", labels, "-f", AVERAGE))[0]["avg_issues_per_review"] == 1.25
    (row,) = online.read(client, "detektor", VIEWS[0], ["code-reviewer"])
    assert row is not None
    assert row.values["avg_issues_per_review"] == 1.25
