"""Dagster's three programs as `detektor up` runs them: found by everybody, back after a death, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.operating import OperatingStack, operating

from detektor_pipelines import stack
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports, supervisor, survivors, watchdog
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

DETEKTOR = Path(sys.executable).parent / "detektor"
LOCATION = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
PARTITIONS = '{ assetNodes(assetKeys: [{path: ["code_reviewer", "features"]}]) { partitionKeys } }'
LAUNCH = """mutation($days: [String!]) { launchPartitionBackfill(backfillParams:
    {partitionNames: $days, assetSelection: [{path: ["code_reviewer", "features"]}]}) { __typename } }"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatingStack]:
    with operating(tmp_path_factory.mktemp("dagster") / "home", events=2_000) as installation:
        yield installation


def loaded(running: OperatingStack) -> bool:
    entries = running.graphql(LOCATION)["workspaceOrError"]["locationEntries"]
    return entries == [{"name": dagster_servers.LOCATION, "locationOrLoadError": {"__typename": "RepositoryLocation"}}]


def partitions(running: OperatingStack) -> list[str]:
    assets = running.wait_for(lambda: running.graphql(PARTITIONS)["assetNodes"])  # none while the webserver turns to a new loader
    return assets[0]["partitionKeys"]


def loader(running: OperatingStack) -> psutil.Process:
    return max(psutil.Process(running.pid("dagster-code")).children(), key=lambda child: child.create_time())


def call(running: OperatingStack, *words: str) -> Any:
    done = subprocess.run([DETEKTOR, *words, "--json"], env=os.environ | running.environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_definitions_are_in_the_code_server_and_begin_with_the_log(running: OperatingStack) -> None:
    assert loaded(running)
    assert (partitions(running)[0], partitions(running)[-1]) == (running.first.isoformat(), running.last.isoformat())


def test_status_env_and_doctor_know_the_programs(running: OperatingStack) -> None:
    servers = call(running, "status")["servers"]
    assert {servers[name]["state"] for name in ("dagster-code", "dagster", "dagster-daemon")} == {"running"}
    assert servers["dagster"]["address"] == f"127.0.0.1:{running.settings.dagster_port}"
    assert call(running, "env")["DETEKTOR_DAGSTER_CODE_PORT"] == str(running.settings.dagster_code_port)


def test_no_password_is_on_a_command_line(running: OperatingStack) -> None:
    secret = running.settings.postgres_password
    assert secret
    for pid in survivors.find(running.settings):
        assert secret.get_secret_value() not in " ".join(psutil.Process(pid).cmdline())


@pytest.mark.parametrize("program", ["dagster-daemon", pytest.param("dagster", marks=pytest.mark.long), "dagster-code"])
def test_a_killed_program_comes_back(running: OperatingStack, program: str) -> None:
    before = running.kill(program)
    running.wait_for(lambda: stack.status(running.settings)[program].pid not in {None, before})
    running.wait_until_ready(program)
    assert running.wait_for(lambda: loaded(running))


@pytest.mark.long
def test_a_code_server_without_its_loader_gets_another(running: OperatingStack) -> None:
    loader(running).kill()
    running.wait_for(lambda: not stack.status(running.settings)["dagster-code"].ready)
    running.wait_until_ready("dagster-code")
    assert running.wait_for(lambda: loaded(running))


@pytest.mark.long
def test_a_program_that_grew_is_started_afresh(running: OperatingStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_GROWING_SECONDS", 0)
    before = running.pid("dagster-daemon")
    strict = Watchdog(running.settings.model_copy(update={"dagster_memory_mb": 16}))
    assert strict.look()
    assert strict.restarted == ["dagster", "dagster-daemon"]
    running.wait_until_ready("dagster-daemon", "dagster", "dagster-code")
    assert running.pid("dagster-daemon") != before


def test_killed_postgres_is_survived_by_all(running: OperatingStack) -> None:
    running.kill("postgres", whole_group=True)
    running.wait_until_ready()
    running.wait_for(lambda: loaded(running))


def test_another_up_restarts_nothing(running: OperatingStack, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {program: running.pid(program) for program in ("dagster-code", "dagster", "dagster-daemon")}
    monkeypatch.setenv("DETEKTOR_NOW", "2026-01-01T00:00:00Z")
    monkeypatch.setenv("PATH", f"/somewhere/else{os.pathsep}{os.environ['PATH']}")
    stack.up(running.settings, ("postgres", "redis", "dagster-code", "dagster", "dagster-daemon"))
    assert before == {program: running.pid(program) for program in before}


def test_definitions_that_load_before_postgres_is_back_wait_for_it(running: OperatingStack) -> None:
    """The process manager may start both again at once, and the code server may be the first."""
    before = partitions(running)
    supervisor.stop(running.settings, "postgres")
    old = loader(running).pid
    with ThreadPoolExecutor(1) as pool:
        reloaded = pool.submit(dagster_servers.reload_definitions, running.settings)
        running.wait_for(lambda: loader(running).pid != old)
        time.sleep(3)  # by then it asks for its storage; when it does not yet, the test is only easier
        supervisor.start(running.settings, "postgres")
        assert reloaded.result()
    running.wait_until_ready()
    running.wait_for(lambda: loaded(running))
    assert partitions(running) == before


def test_a_running_code_server_hears_of_older_events(running: OperatingStack) -> None:
    before = partitions(running)
    older = subprocess.run(
        [DETEKTOR, "simulate", "--days", "200", "--projects", "1", "--seed", "5"],
        env=os.environ | running.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "partitions begin on" in older.stderr
    running.wait_for(lambda: partitions(running)[0] < before[0])
    again = subprocess.run(
        [DETEKTOR, "simulate", "--days", "200", "--projects", "1", "--seed", "5"],
        env=os.environ | running.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "partitions begin on" not in again.stderr


@pytest.mark.long
def test_automation_can_be_paused(running: OperatingStack) -> None:
    running.pause_automation()
    states = running.graphql("{ repositoriesOrError { ... on RepositoryConnection { nodes { sensors { sensorState { status } } } } } }")
    assert all(
        sensor["sensorState"]["status"] == "STOPPED" for each in states["repositoriesOrError"]["nodes"] for sensor in each["sensors"]
    )


@pytest.mark.long  # a second stack
def test_up_starts_the_ui_with_the_daemon_and_says_where(tmp_path: Path) -> None:
    chosen = [ports.free_port() for _ in range(3)]
    fields = ("POSTGRES", "DAGSTER", "DAGSTER_CODE")
    environment = os.environ | {f"DETEKTOR_{name}_PORT": str(port) for name, port in zip(fields, chosen, strict=True)}
    environment["DETEKTOR_HOME"] = str(tmp_path / "home")

    def run(*words: str) -> str:
        return subprocess.run([DETEKTOR, *words], env=environment, capture_output=True, text=True, check=True).stdout

    try:
        shown = run("up", "dagster", "dagster-daemon")
        assert f"Dagster UI: http://127.0.0.1:{chosen[1]}" in shown
        assert shown.count("running") == 4
    finally:
        ended = run("down")
    assert "Dagster daemon" in ended
    assert survivors.find(Settings(home=tmp_path / "home")) == []


@pytest.mark.long
def test_killed_with_its_runs_the_code_server_comes_back(running: OperatingStack) -> None:
    os.killpg(os.getpgid(running.pid("dagster-code")), signal.SIGKILL)
    running.wait_for(lambda: not stack.status(running.settings)["dagster-code"].ready)
    running.wait_until_ready("dagster-code")
    assert running.wait_for(lambda: loaded(running))


@pytest.mark.long
def test_down_in_the_middle_of_a_run_leaves_nothing(running: OperatingStack) -> None:
    """The last test of this file: it ends what the others share."""
    days = partitions(running)
    assert running.graphql(LAUNCH, {"days": days})["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"
    workers = running.wait_for(running.run_workers, 120)
    pids = survivors.find(running.settings)
    assert set(workers) <= set(pids)
    temporary = dagster_servers.temporary_directory(running.settings)
    assert any(temporary.iterdir())
    stack.down(running.settings)
    assert survivors.find(running.settings) == []
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    for port in (running.settings.dagster_port, running.settings.dagster_code_port):
        assert ports.is_free(port)
    assert not temporary.exists()
