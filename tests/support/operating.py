"""A whole installation for tests of operating it: servers, a simulated history, Dagster's three programs.

`operating_stack` in tests/feature-integration/conftest.py gives one to a module's tests.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from detektor_pipelines import stack
from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack import ports, survivors
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

PROGRAMS = ("postgres", "redis", "dagster-code", "dagster", "dagster-daemon")
DAYS = 184

_AUTOMATION = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    sensors { sensorState { id } } schedules { scheduleState { id } } } } } }"""
_STOP_SENSOR = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
_STOP_SCHEDULE = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }"


@dataclass(frozen=True)
class OperatingStack:
    """A running installation; ended, with all that it started, when the module's tests are through.

    Attributes:
        settings: Where everything is; pass it on, the environment of a test does not know it.
        first: The first day of the simulated history, and of the partitions.
        last: The day after the last event: today, the open one.

    """

    settings: Settings
    first: date
    last: date

    @property
    def url(self) -> str:
        """The address of Dagster's pages."""
        return f"http://127.0.0.1:{self.settings.dagster_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a command (`detektor`, `dagster`) finds this installation; for `subprocess` or `monkeypatch.setenv`."""
        return {
            "DETEKTOR_HOME": str(self.settings.home),
            "DETEKTOR_MLFLOW_TRACKING_URI": self.settings.mlflow_uri,
            "DAGSTER_HOME": str(self.settings.dagster_home),
        }

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the webserver; returns `data`. An error in the answer fails the test, one in a union is for the caller to look at."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310  loopback
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def pause_automation(self) -> None:
        """Turn schedules and sensors off, for a test that wants no runs but its own."""
        for repository in self.graphql(_AUTOMATION)["repositoriesOrError"]["nodes"]:
            for sensor in repository["sensors"]:
                answer = self.graphql(_STOP_SENSOR, {"id": sensor["sensorState"]["id"]})["stopSensor"]
                assert answer["__typename"] == "StopSensorMutationResult", answer
            for schedule in repository["schedules"]:
                answer = self.graphql(_STOP_SCHEDULE, {"id": schedule["scheduleState"]["id"]})["stopRunningSchedule"]
                assert answer["__typename"] == "ScheduleStateResult", answer

    def pid(self, program: str) -> int:
        """Return the process id of a program (`postgres`, `redis`, `dagster-code`, `dagster`, `dagster-daemon`) that runs."""
        pid = stack.status(self.settings)[program].pid
        assert pid, f"{program} does not run"
        return pid

    def run_workers(self) -> list[int]:
        """Return the process ids of the runs under way, also of those whose code server was killed."""
        return [pid for pid in survivors.find(self.settings) if "spawn_main" in _command_line(pid)]

    def kill(self, program: str, *, whole_group: bool = False) -> int:
        """Kill a program (SIGKILL) and return the process id that it had; supervisor starts it again.

        `whole_group` kills its children too: with `dagster-code`, the runs.
        """
        pid = self.pid(program)
        if whole_group:
            os.killpg(os.getpgid(pid), signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """Return the first true value of `condition`; fail when there is none in time."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not so within {seconds} s"
            time.sleep(0.2)
        return value

    def wait_until_ready(self, *programs: str) -> None:
        """Wait until the named programs, by default all, answer (again)."""
        stack.wait(self.settings, *(programs or PROGRAMS))


@contextmanager
def operating(home: Path, *, events: int = 20_000) -> Iterator[OperatingStack]:
    """Start an installation in `home` with a history of six months of `events` events; ends it, and checks that nothing is left."""
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DETEKTOR_") and name != "DETEKTOR_SHARED_DATA"]:
            patch.delenv(name)
        get_settings.cache_clear()
        settings = _own_ports(home)
        try:
            settings = stack.up(settings, ("postgres", "redis")).settings
            migrate(settings)
            end = from_us(now_us()).date()
            table = simulate_table(days=DAYS, projects=2, seed=1, end=end, events=events)
            append_table(settings, table)
            settings = stack.up(settings, PROGRAMS).settings
            yield OperatingStack(settings, _owner(table), end)
        finally:
            stack.down(settings)
            get_settings.cache_clear()
    assert survivors.find(settings) == []


def _command_line(pid: int) -> str:
    """Return what a process was called with; empty when it has just ended."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _owner(table: pa.Table) -> date:
    """Return the day whose partition owns the oldest event: D owns (D 00:00, D+1 00:00]."""
    import pyarrow.compute as pc

    oldest: datetime = pc.min(table["occurred_at"]).as_py()
    return (oldest.astimezone(UTC) - timedelta(microseconds=1)).date()


def _own_ports(home: Path) -> Settings:
    """Return settings with ports that nobody has: the default ones are wanted by other test processes too. MLflow's stays silent."""
    fields = ("postgres_port", "redis_port", "dagster_code_port", "dagster_port", "mlflow_port")
    chosen: dict[str, int] = {}
    for name in fields:
        chosen[name] = ports.free_port(frozenset(chosen.values()))
    silent = f"http://127.0.0.1:{chosen.pop('mlflow_port')}"
    return Settings.model_validate({"home": home, "mlflow_tracking_uri": silent, **chosen})
