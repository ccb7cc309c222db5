"""The daemon is killed (SIGKILL) while it asks for a repair: in a later tick there is exactly one run, whatever point it had reached.

A code server of our own and the daemon's own iteration of sensors; runs are queued and nobody takes them out of the queue.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import append, publish, span
from support.log_rows import partition_log

from detektor_pipelines.catalog import view_named
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

REVIEWS = view_named("code_review_features")
ITERATIONS = """
import logging, sys, time
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.sensor import execute_sensor_iteration
from detektor_pipelines.orchestration.instance import persistent_instance
from detektor_pipelines.settings import get_settings

port, crash, *minutes = sys.argv[1:]
flags = {"repair_late_data": {crash: 9}} if crash != "nowhere" else None
target = GrpcServerTarget("127.0.0.1", int(port), None, "here")
with persistent_instance(get_settings()) as instance, WorkspaceProcessContext(instance, target) as workspace:
    for later in minutes:
        with freeze_time(time.time() + 60 * int(later)):
            list(execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None, debug_crash_flags=flags))
"""


@pytest.fixture
def log(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a log in which a late event reaches published days."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T12:00:00Z")
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-01")
    get_settings.cache_clear()
    partition_log(database)
    publish(database, REVIEWS, span(date(2026, 5, 1), date(2026, 5, 19)))
    append(database, REVIEWS, "2026-05-17 10:30")
    return get_settings()


@pytest.fixture
def code_server(log: Settings) -> Iterator[int]:
    """Serve the definitions; returns the port."""
    port = free_port()
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "detektor_pipelines.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_serving(port)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_until_serving(port: int) -> None:
    import time

    from dagster._grpc.client import DagsterGrpcClient

    client = DagsterGrpcClient(port=port, host="127.0.0.1")
    deadline = time.monotonic() + 60
    while client.health_check_query() != "SERVING":
        assert time.monotonic() < deadline, "the code server does not answer"
        time.sleep(0.2)


def iterate(port: int, *minutes: int, crash: str = "nowhere") -> int:
    """Let the daemon go over its sensors, once for each of `minutes` from now; returns how its process ended."""
    command = [sys.executable, "-c", ITERATIONS, str(port), crash, *map(str, minutes)]
    return subprocess.run(command, timeout=120, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def repairs(settings: Settings) -> list[Any]:
    import dagster as dg

    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(settings) as instance:
        return list(instance.get_runs(dg.RunsFilter(tags={"detektor/reason": "late data"})))


@pytest.mark.long
@pytest.mark.parametrize(
    ("crash", "made"),
    [
        ("TICK_HELD", 0),  # before the sensor was asked
        ("RUN_IDS_RESERVED", 0),  # the request is written down, no run made
        ("RUN_CREATED", 1),  # the run is made, not handed to the queue
        ("RUN_LAUNCHED", 1),  # it is in the queue, the tick does not know
    ],
)
def test_there_is_one_run_of_the_repair_in_the_end(log: Settings, code_server: int, crash: str, made: int) -> None:
    assert iterate(code_server, 0, crash=crash) == -signal.SIGKILL
    assert len(repairs(log)) == made
    assert iterate(code_server, 2, 4, 6) == 0
    (run,) = repairs(log)
    assert run.status.value == "QUEUED"
    assert run.tags["dagster/asset_partition_range_start"] == "2026-05-17"
    assert run.tags["dagster/asset_partition_range_end"] == "2026-05-19"
