"""From nothing to a value of an agent of one's own online: what the README of `detektor init` says is typed, and comes true."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import running

from detektor_pipelines.cli_commands.init import init
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

SCRIPTS = Path(sys.executable).parent
SECONDS = 120
"""How long a value may take to come online before it counts as not coming."""


class Project:
    """A directory that `detektor init` made, and a shell in it."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.environment = os.environ | variables | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "160"}

    def type(self, command: str) -> str:
        """Run a line as somebody types it there; returns what it printed."""
        words = ["bash", "-c", command]
        done = subprocess.run(words, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def commands(self) -> dict[str, list[str]]:
        """Return the README's commands by the sentence before them."""
        found: dict[str, list[str]] = {}
        said = ""
        for line in (self.directory / "README.md").read_text().splitlines():
            if line.startswith("       ") and line.strip():
                found[said].append(line.strip())
            elif line[:1].isdigit():
                said = line.partition(". ")[2]
                found[said] = []
        return found

    def values(self, command: str = "detektor features get release-scribe --json") -> dict[str, Any]:
        return {each["name"]: each["value"] for each in json.loads(self.type(command))["values"]}

    def wait_for(self, **wanted: float) -> None:
        """Wait until values are online."""
        deadline = time.monotonic() + SECONDS
        while (found := {name: value for name, value in self.values().items() if name in wanted}) != wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


def made(tmp_path: Path, **variables: str) -> Project:
    Project(tmp_path, **variables).type("detektor init my-agents")
    return Project(tmp_path / "my-agents", **variables)


def walk(project: Project, up: str) -> None:
    """Type the README's commands in their order, with `up` for the line that starts the servers."""
    steps = list(project.commands().values())
    in_memory, generate, servers, read, happened, asked, down = steps
    assert "0 wrong" in project.type(in_memory[0])
    assert "weekly_beta_entries" in project.type(in_memory[1])
    project.type(generate[0])
    assert "up to date" in project.type("detektor generate --check")
    try:
        assert servers[0] == "detektor up --free-ports"
        project.type(up)
        project.type(servers[1])
        for command in read:
            project.type(command)
        project.wait_for(weekly_notes_count=3, weekly_beta_entries=5, success_rate=2 / 3)
        project.type(happened[0])
        project.wait_for(weekly_notes_count=4, weekly_beta_entries=10)
        assert "weekly_notes_count" in project.type(happened[1])
        environment, feast, curl = asked
        assert [4] in json.loads(_json(project.type(f"{environment} && {feast}"))).values()
        answer = json.loads(project.type(f"{environment} && {curl}"))
        assert answer["results"][-1]["values"] == [4]
    finally:
        project.type(down[0])


def _json(text: str) -> str:
    return text[text.index("{") : text.rindex("}") + 1]


PUBLISH = """
import json
from detektor_pipelines.catalog import view_named
from detektor_pipelines.ingest.readers.names import agent_names
from detektor_pipelines.ingest.run import IngestOptions, ingest
from detektor_pipelines.orchestration.run import materialize_range
from detektor_pipelines.quality.freshness_report import history
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.feast import registry

settings, view = get_settings(), view_named("release-scribe")
ingest(settings, ["example.jsonl"], IngestOptions(names=agent_names(settings.home)))
run = materialize_range(settings, [view], *history(settings))
registry.apply(settings, [view])
with registry.closing_store(settings) as store:
    asked = {"features": ["release_features:weekly_beta_entries"], "entity_rows": [{"agent_id": "release-scribe"}]}
    feast = store.get_online_features(**asked).to_dict()["weekly_beta_entries"]
print("\\n" + json.dumps([run.succeeded, run.problems, len(run.materializations["release_features"].days), feast]))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_view_of_ones_own_goes_online_in_dagster_feast_and_http(tmp_path: Path, servers: Settings) -> None:
    mine = tmp_path / "my-agents"
    init(mine)
    variables = {"DETEKTOR_CATALOG": str(mine), "DETEKTOR_MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    project = Project(mine, **variables)
    with running(tmp_path, "serve", environment=variables) as server, following(project):
        published = json.loads(project.type(f"{shlex.quote(sys.executable)} -c {shlex.quote(PUBLISH)}").splitlines()[-1])
        assert published == [True, {}, 4, [5]]
        project.type("detektor emit --agent changelog-writer --action document --extra entries_written=5 --extra channel=beta")
        asked = {"features": ["release_features:weekly_beta_entries"], "entities": {"agent_id": ["release-scribe"]}}
        deadline = time.monotonic() + SECONDS
        while (found := server.ask("POST", "/get-online-features", json.dumps(asked).encode()).json["results"][-1]["values"]) != [10]:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
    with connect(servers) as connection:
        rows = connection.execute("SELECT raw_name, agent_type, extra FROM ml_learning.agent_events ORDER BY occurred_at").fetchall()
    assert rows[0] == ("changelog-writer", "release-scribe", {"channel": "stable", "entries_written": 12})
    assert {agent for _, agent, _ in rows} == {"release-scribe"}


@contextmanager
def following(project: Project) -> Iterator[None]:
    """Run the stream worker until the block ends."""
    worker = subprocess.Popen([SCRIPTS / "detektor", "stream", "--quiet"], cwd=project.directory, env=project.environment)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_readme_works_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETEKTOR_HOME")
    project = made(tmp_path)
    walk(project, "detektor up --free-ports")
    assert (project.directory / ".detektor").is_dir()
