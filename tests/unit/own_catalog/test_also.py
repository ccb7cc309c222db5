"""The ninth view: there when it is switched on, and nowhere when it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from detektor_pipelines import own_catalog

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ASKED = """
import json
from detektor_pipelines import own_catalog
own_catalog.find()
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.ingest.readers.names import AgentNames
print(json.dumps({"views": [view.name for view in VIEWS], "main": AgentNames.load().agent_type("main")}))
"""


def ask(home: Path, **variables: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        env={**os.environ, "DETEKTOR_HOME": str(home), own_catalog.ALSO_VARIABLE: "", **variables},
        cwd=home,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_there_are_eight_views_unless_it_is_switched_on(tmp_path: Path) -> None:
    asked = ask(tmp_path)
    assert (len(asked["views"]), asked["main"]) == (8, "unmapped")


def test_it_is_switched_on_for_one_process(tmp_path: Path) -> None:
    asked = ask(tmp_path, **{own_catalog.ALSO_VARIABLE: "usage"})
    assert (asked["views"][8:], asked["main"]) == (["usage_features"], "main")


def test_it_is_switched_on_for_a_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own_catalog.ALSO_VARIABLE, "")
    own_catalog.switch_on("usage", tmp_path)
    own_catalog.switch_on("usage", tmp_path)
    assert os.environ[own_catalog.ALSO_VARIABLE] == "usage"
    assert ask(tmp_path)["views"][8:] == ["usage_features"]
