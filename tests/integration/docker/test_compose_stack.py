"""The whole of docker/compose.yml, by `docker compose` itself: up, used, hurt, and accepted by `detektor acceptance`.

DETEKTOR_TEST_STANDINS=1 makes images of others from Debian's packages where none can be pulled; Grafana is left out then.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from support.container_engine import ROOT, build_standins, docker, standins_wanted

from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES: Final = ("docker/features/feast.yml", "docker/compose.yml")
ROWS: Final = "T1,T2,T3,T4,T7,T8,T9,T10,T17,T18"
"""Rows that a few weeks of one project are enough for; others want months, a checkout or a Prometheus of one's own."""

HISTORY: Final = ("simulate", "--days", "40", "--projects", "2")
PROJECT: Final = "detektor-test"
STACK: Final = ("docker/compose.yml", "docker/override.yml")
_UNITS: Final = {"m": 2**20, "g": 2**30}

_KILL: Final = """
import os, pathlib, signal
for status in pathlib.Path("/proc").glob("[0-9]*/status"):
    if "PPid:\\t1\\n" in status.read_text() and int(status.parent.name) != os.getpid():
        os.kill(int(status.parent.name), signal.SIGKILL)
"""
_LAUNCH: Final = """
mutation ($job: String!, $tags: [ExecutionTag!]!, $selection: [AssetKeyInput!]!) {
  launchPipelineExecution(executionParams: {
    selector: {
      repositoryLocationName: "detektor_pipelines", repositoryName: "__repository__", pipelineName: $job, assetSelection: $selection
    },
    executionMetadata: {tags: $tags}, mode: "default"
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_000)]


class Stack:
    """A copy of the checkout, whose compose file is up."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        # Grafana has no stand-in
        files = [yaml.safe_load((checkout / name).read_text()) for name in FILES]
        self.services: dict[str, dict[str, Any]] = {name: each for file in files for name, each in file["services"].items()}
        self.kept_up = {name for name, each in self.services.items() if "profiles" not in each} - {"migrate"}
        if standins_wanted():
            self.kept_up -= {"grafana"}

        self.ports: dict[int, int] = {}
        """Published port by the container's: free ones, for a stack of yours may be up."""
        self._write_override()

    def _write_override(self) -> None:
        lines = ["services:"]
        for name, service in self.services.items():
            published = []
            for inside in (int(each.split(":")[2]) for each in service.get("ports", [])):
                here = ports.free_port(frozenset(self.ports.values()))
                self.ports |= {inside if name != "grafana" else 0: here}
                published.append(f'"127.0.0.1:{here}:{inside}"')
            lines += [f"  {name}: {{ ports: !override [{', '.join(published)}] }}"] if published else []
        (self.checkout / "docker/override.yml").write_text("\n".join(lines) + "\n")

    def compose(self, *words: str, check: bool = True) -> str:
        return docker("compose", "-p", PROJECT, *(f"-f={each}" for each in STACK), *words, check=check, cwd=self.checkout)

    def up(self) -> None:
        self.compose("up", "-d", "--wait", "--wait-timeout", "900", *sorted(self.kept_up))

    def detektor(self, *words: str) -> str:
        return self.compose("exec", "-T", "dagster-code", "detektor", *words)

    def inspected(self, service: str) -> dict[str, Any]:
        (found,) = json.loads(docker("inspect", self.compose("ps", "-aq", service)))
        return dict(found)

    def secret(self, name: str) -> str:
        return (self.checkout / "docker/secrets" / name).read_text()

    def ask(self, port: int, path: str, body: object, token: str | None = None) -> dict[str, Any]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {self.secret(token)}"} if token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[port]}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return dict(json.load(answer))

    def count(self) -> int:
        feature = "code_review_features:recent_reviews_count"
        answer = self.ask(
            6566, "/get-online-features", {"features": [feature], "entities": {"agent_id": ["code-reviewer"]}}, "reader-token"
        )
        place = answer["metadata"]["feature_names"].index("recent_reviews_count")
        return int(answer["results"][place]["values"][0] or 0)


def until(true: Callable[[], bool], what: str, seconds: float = 180) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not docker("compose", "version", check=False):
        pytest.skip("no docker compose here")
    build_standins()
    checkout = tmp_path_factory.mktemp("compose") / "checkout"
    left = shutil.ignore_patterns(".git", ".venv", ".detektor", "__pycache__", "secrets", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, checkout, ignore=left, symlinks=True)
    subprocess.run(["sh", checkout / "docker/make-secrets.sh"], check=True, capture_output=True)
    stack = Stack(checkout)
    try:
        stack.up()
        stack.detektor(*HISTORY)
        stack.detektor("backfill")
        stack.detektor("apply", "--yes")
        yield stack
    finally:
        stack.compose("down", "-v", "--timeout", "10", check=False)


def test_all_are_healthy_and_the_tables_came_first(stack: Stack) -> None:
    states = {name: stack.inspected(name)["State"] for name in stack.kept_up}
    assert {name for name, state in states.items() if state["Health"]["Status"] == "healthy"} == stack.kept_up
    migrated = stack.inspected("migrate")["State"]
    assert migrated["ExitCode"] == 0
    later = {name for name in stack.kept_up if "migrate" in stack.services[name].get("depends_on", {})}
    assert {name for name in later if states[name]["StartedAt"] < migrated["FinishedAt"]} == set()


def test_containers_may_do_what_the_files_say(stack: Stack) -> None:
    for name in stack.kept_up:
        said, found = stack.services[name], stack.inspected(name)
        assert found["HostConfig"]["Memory"] == int(said["mem_limit"][:-1]) * _UNITS[said["mem_limit"][-1]], name
        assert found["HostConfig"]["ReadonlyRootfs"] is said.get("read_only", False), name
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", name
        assert (found["HostConfig"]["CapDrop"] or []) == said.get("cap_drop", []), name
        assert found["Config"]["User"] == said.get("user", found["Config"]["User"]), name
        assert "\nUid:\t0\t" not in stack.compose("exec", "-T", name, "cat", "/proc/1/status"), "root"


def test_no_secret_is_seen(stack: Stack) -> None:
    images = {each["image"] for each in stack.services.values() if each["image"].startswith("detektor")}
    said = "".join(docker("inspect", stack.compose("ps", "-aq", name)) for name in stack.kept_up | {"migrate"})
    said += "".join(docker("history", "--no-trunc", image) for image in images)
    for file in (stack.checkout / "docker/secrets").iterdir():
        if not file.name.endswith("tokens"):
            assert file.read_text() not in said, file.name


def test_an_event_goes_in_by_http_and_comes_out_as_a_feature(stack: Stack) -> None:
    now = datetime.now(UTC)
    event = {
        "agent": "code-reviewer",
        "operation": "review",
        "occurred_at": now.isoformat(),
        "event_id": uuid.uuid4().hex,
        "simulated": True,
    }
    with pytest.raises(urllib.error.HTTPError) as refused:
        stack.ask(4318, "/v1/events", event, "reader-token")
    with refused.value:
        assert refused.value.code == 401
    before = stack.count()
    assert stack.ask(4318, "/v1/events", event, "writer-token")["accepted"] == 1
    until(lambda: stack.count() > before, "the event is not online")


def test_dagster_materializes_a_partition_by_the_code_location(stack: Stack) -> None:
    day = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%d")
    variables = {
        "job": "__ASSET_JOB",
        "tags": [{"key": "dagster/partition", "value": day}],
        "selection": [{"path": ["code_reviewer", "features"]}],
    }
    launched = stack.ask(3000, "/graphql", {"query": _LAUNCH, "variables": variables})["data"]["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]
    query = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"

    def status() -> str:
        return str(stack.ask(3000, "/graphql", {"query": query, "variables": {"run": run}})["data"]["runOrError"]["status"])

    until(lambda: status() in {"SUCCESS", "FAILURE", "CANCELED"}, "the run does not end", 300)
    assert status() == "SUCCESS"


@pytest.mark.parametrize("name", ["feast-serving", "stream", "collect", "dagster-code"])
def test_what_dies_starts_anew(stack: Stack, name: str) -> None:
    before = stack.inspected(name)["RestartCount"]
    stack.compose("exec", "-T", name, "python", "-c", _KILL, check=False)
    until(lambda: stack.inspected(name)["RestartCount"] > before, f"{name} is not started again")
    until(lambda: stack.inspected(name)["State"]["Health"]["Status"] == "healthy", f"{name} is not well again", 300)


def test_acceptance_passes(stack: Stack) -> None:
    kept = ["exec", "-T", "feast-serving", "test", "-s", "/var/lib/detektor/static-features.json"]
    until(
        lambda: subprocess.run(["docker", "compose", "-p", "detektor-test", *kept], check=False, cwd=stack.checkout).returncode == 0, "kept"
    )
    said = json.loads(stack.compose("run", "--rm", "-T", "acceptance", "--json", "--only", ROWS))
    assert {row["row"]: row for row in said["rows"] if row["state"] == "failed"} == {}
    assert said["passed"]
