"""`detektor up` on the home directory of a release before: its data, its passwords and its ports are still there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKE_DUMP = Path(__file__).with_name("make_dump.py")
TABLES = "SELECT version_num || ':' || (SELECT count(*) FROM ml_learning.agent_events) FROM ml_learning.alembic_version"


def has_history() -> bool:
    """Tell whether the code of 0.1.0 can be taken from Git; a shallow clone does not have it."""
    done = subprocess.run(["git", "cat-file", "-e", "188f6c6^{commit}"], cwd=MAKE_DUMP.parent, check=False, capture_output=True)
    return done.returncode == 0


def detektor(home: Path, *words: str, code: Path | None = None) -> str:
    """Run the command line, of the code in a directory when one is given."""
    environment = {**os.environ, "DETEKTOR_HOME": str(home)} | ({"PYTHONPATH": str(code)} if code else {})
    words = (sys.executable, "-c", "from detektor_pipelines.cli import main; main()", *words)
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, cwd=code)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not has_history(), reason="the code of 0.1.0 is not in this clone: git fetch --unshallow")
def test_up_brings_an_old_home_up_to_date(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_dump", MAKE_DUMP)
    assert spec is not None
    assert spec.loader is not None
    make_dump = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_dump)
    home, code = tmp_path / "home", tmp_path / "code"
    code.mkdir()
    make_dump.unpack(code)

    try:
        detektor(home, "up", "postgres", "redis", "--free-ports", code=code)
        detektor(home, "simulate", "--days", "2", code=code)
        detektor(home, "down", code=code)
        secrets = (home / "secrets.env").read_text()
        detektor(home, "up", "postgres", "redis", "--free-ports")
        assert (home / "secrets.env").read_text() == secrets
        found = json.loads(detektor(home, "status", "--json"))
        assert found["servers"]["postgres"]["state"] == "running"
        variables = json.loads(detektor(home, "env", "--json"))
        from detektor_pipelines.stack import binaries

        asked = subprocess.run(
            [binaries.postgres("psql"), "-AtXc", TABLES], env={**os.environ, **variables}, capture_output=True, text=True, check=True
        )
        revision, events = asked.stdout.strip().split(":")
        assert revision > "0001"
        assert int(events) > 100
    finally:
        detektor(home, "down")
