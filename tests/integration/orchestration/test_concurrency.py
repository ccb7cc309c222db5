"""Who computes when: the run queue of dagster.yaml on a real PostgreSQL, driven by the daemon's own iterations."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

BACKFILL = {"dagster/backfill": "abcdefgh"}
COMMAND_LINE_BACKFILL = {"detektor/reason": "backfill"}
HOURLY = {"detektor/reason": "hourly", "dagster/priority": "10"}
LATE_DATA = {"detektor/reason": "late data", "dagster/priority": "5"}


@pytest.fixture
def instance(database: Settings) -> Iterator[Any]:
    """Open the instance of dagster.yaml."""
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(database) as instance:
        yield instance


class Queue:
    """Dagster's run queue with a launcher that only remembers."""

    def __init__(self, instance: Any) -> None:
        from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
        from dagster._core.test_utils import MockedRunLauncher

        from detektor_pipelines.orchestration.build import build_definitions
        from detektor_pipelines.orchestration.keys import features_key, online_key

        self.instance = instance
        self.launcher: Any = MockedRunLauncher()
        instance._run_launcher = self.launcher
        keys = [key for view in VIEWS for key in (features_key(view), online_key(view))]
        self.job = build_definitions().get_repository_def().get_implicit_job_def_for_assets(keys)
        assert self.job
        server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=4000, location_name="detektor_pipelines")
        self.origin = RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), self.job.name)
        self.names: dict[str, str] = {}
        self.start_what_may_start()  # the first pass after an installation is when the pools get their limits
        self.add("first", {})
        self.start_what_may_start()
        self.end("first")

    def add(self, name: str, tags: dict[str, str]) -> None:
        from dagster import DagsterRunStatus

        run = self.instance.create_run_for_job(self.job, tags=tags, status=DagsterRunStatus.QUEUED, remote_job_origin=self.origin)
        assert run.run_op_concurrency.all_pools == {"compute", "online"}
        self.names[run.run_id] = name

    def start_what_may_start(self) -> set[str]:
        """Let the daemon look at the queue once; returns the names of what it started."""
        from dagster._core.test_utils import create_test_daemon_workspace_context
        from dagster._core.workspace.load_target import EmptyWorkspaceTarget
        from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

        before = len(self.launcher.queue())
        with (
            create_test_daemon_workspace_context(EmptyWorkspaceTarget(), self.instance) as workspace,
            QueuedRunCoordinatorDaemon(interval_seconds=self.instance.run_coordinator.dequeue_interval_seconds) as daemon,
        ):
            list(daemon.run_iteration(workspace))
        return {self.names[run.run_id] for run in self.launcher.queue()[before:]}

    def end(self, name: str) -> None:
        (run_id,) = (number for number, given in self.names.items() if given == name)
        self.instance.report_run_failed(self.instance.get_run_by_id(run_id))


@pytest.fixture
def queue(instance: Any, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-01")
    get_settings.cache_clear()
    return Queue(instance)


def test_the_hourly_run_starts_beside_a_backfill_however_long_its_queue(queue: Queue) -> None:
    for number in range(20):
        queue.add(f"backfill {number}", BACKFILL)
    queue.add("hourly", HOURLY)
    assert queue.start_what_may_start() == {"hourly", "backfill 0"}
    assert queue.start_what_may_start() == set()  # one run of the backfill at a time
    queue.end("hourly")
    assert queue.start_what_may_start() == set()
    queue.add("hourly, an hour later", HOURLY)
    assert queue.start_what_may_start() == {"hourly, an hour later"}
    queue.end("backfill 0")
    assert queue.start_what_may_start() == {"backfill 1"}


def test_two_backfills_take_turns(queue: Queue) -> None:
    queue.add("of the page", BACKFILL)
    queue.add("of another page", {"dagster/backfill": "ijklmnop"})
    assert queue.start_what_may_start() == {"of the page"}
    queue.end("of the page")
    assert queue.start_what_may_start() == {"of another page"}


def test_backfills_of_the_command_line_take_turns(queue: Queue) -> None:
    queue.add("one", COMMAND_LINE_BACKFILL)
    queue.add("two", COMMAND_LINE_BACKFILL)
    assert queue.start_what_may_start() == {"one"}


def test_when_both_places_are_taken_the_most_urgent_run_is_next(queue: Queue) -> None:
    queue.add("backfill", BACKFILL)
    queue.add("a person's", {})
    assert queue.start_what_may_start() == {"backfill", "a person's"}
    queue.add("late data", LATE_DATA)
    queue.add("hourly", HOURLY)
    assert queue.start_what_may_start() == set()
    queue.end("a person's")
    assert queue.start_what_may_start() == {"hourly"}
    queue.end("backfill")
    assert queue.start_what_may_start() == {"late data"}


def test_a_step_does_not_wait_for_its_pool_since_its_run_has_a_place(queue: Queue) -> None:
    """With places for steps the waiting executor would spin: its interval to the next look is never above zero."""
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

    storage = queue.instance.event_log_storage
    for number in range(2):
        storage.claim_concurrency_slot("compute", f"other {number}", "step")
    queue.add("hourly", HOURLY)
    (run,) = queue.instance.get_runs(limit=1)
    with InstanceConcurrencyContext(queue.instance, run) as context:
        assert context.claim("compute", "step")
        assert not context.has_pending_claims()


# The end of a run's process ---------------------------------------------------------------------------------------------------


def started(instance: Any, process: int, host: str = "127.0.0.1", *, machine: str | None = None) -> Any:
    """Return a run that `process` of a code server at `host`, or of a command on `machine`, has started."""
    from dagster import DagsterRunStatus
    from dagster._core.storage.tags import GRPC_INFO_TAG
    from dagster._core.test_utils import create_run_for_test

    from detektor_pipelines.orchestration.launcher import HOST_TAG

    tags = {GRPC_INFO_TAG: json.dumps({"host": host, "port": 4000})} if machine is None else {HOST_TAG: machine}
    run = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags=tags)
    instance.report_engine_event("Executing steps", run)
    instance.report_engine_event(f"Started process for run (pid: {process}).", run)
    return run


def watch(instance: Any) -> None:
    """Let the run monitor look once."""
    from dagster._core.test_utils import create_test_daemon_workspace_context
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster._daemon.monitoring import execute_run_monitoring_iteration

    with create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as workspace:
        assert [problem for problem in execute_run_monitoring_iteration(workspace, logging.getLogger("watch")) if problem] == []


def status(instance: Any, run: Any) -> str:
    return str(instance.get_run_by_id(run.run_id).status.value)


def test_a_run_whose_process_is_gone_is_ended_and_one_that_lives_is_not(instance: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as worker:
        lives = started(instance, worker.pid)
        watch(instance)
        assert status(instance, lives) == "STARTED"
        worker.kill()
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
        watch(instance)
    assert status(instance, lives) == "FAILURE"
    logged = [record.event_log_entry.message for record in instance.get_records_for_run(lives.run_id).records]
    assert any(f"Its process {worker.pid} is gone." in (message or "") for message in logged)


def test_a_clock_that_is_put_forward_ends_no_run(instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells when a process began by the clock as it is now: the run's first event seems to be older than its process."""
    from psutil import _pslinux

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as worker:
        run = started(instance, worker.pid)
        boot_time = _pslinux.boot_time
        monkeypatch.setattr(_pslinux, "boot_time", lambda: boot_time() + 30)
        watch(instance)
        worker.kill()
    assert status(instance, run) == "STARTED"


def test_a_later_process_of_the_same_number_is_another_one(instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.orchestration import launcher

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as worker:
        run = started(instance, worker.pid)
        monkeypatch.setattr(launcher, "_CLOCK_SECONDS", -3600.0)  # as if the run had begun an hour before the process
        watch(instance)
        worker.kill()
    assert status(instance, run) == "FAILURE"


def test_a_run_on_another_machine_is_left_alone(instance: Any) -> None:
    run = started(instance, 2**22 + 1, host="code.example.org")
    by_command = started(instance, 2**22 + 1, machine="worker.example.org")
    watch(instance)
    assert {status(instance, each) for each in (run, by_command)} == {"STARTED"}


def test_a_dead_or_cancelled_run_gives_its_place_free_within_a_minute(instance: Any) -> None:
    noticed = instance.run_monitoring_poll_interval_seconds
    dequeued = instance.run_coordinator.dequeue_interval_seconds
    assert noticed + dequeued <= 15
    assert noticed + instance.run_monitoring_cancel_timeout_seconds + dequeued <= 45
    assert noticed + instance.run_monitoring_settings["free_slots_after_run_end_seconds"] <= 20


# Dagster's storage under several threads and processes ------------------------------------------------------------------------


def test_a_free_place_goes_to_the_waiting_step_of_highest_priority(instance: Any) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("pool", 1)
    assert storage.claim_concurrency_slot("pool", "late", "step", 5).is_claimed
    assert not storage.claim_concurrency_slot("pool", "backfill", "step", 0).is_claimed
    assert not storage.claim_concurrency_slot("pool", "hourly", "step", 10).is_claimed
    storage.free_concurrency_slots_for_run("late")
    assert not storage.claim_concurrency_slot("pool", "backfill", "step", 0).is_claimed
    assert storage.claim_concurrency_slot("pool", "hourly", "step", 10).is_claimed


def test_threads_never_hold_more_places_than_there_are(instance: Any) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("pool", 3)

    def claim(number: int) -> bool:
        return bool(storage.claim_concurrency_slot("pool", f"run {number}", "step", number).is_claimed)

    with ThreadPoolExecutor(12) as threads:
        claimed = sum(threads.map(claim, range(12)))
    assert 1 <= claimed <= 3
    assert len(storage.get_concurrency_info("pool").claimed_slots) == claimed


def test_many_threads_write_and_read_whole_events(instance: Any) -> None:
    from dagster._core.test_utils import create_run_for_test

    runs = [create_run_for_test(instance) for _ in range(8)]

    def report(run: Any) -> list[str]:
        for number in range(25):
            instance.report_engine_event(f"{run.run_id} {number}", run)
        records = instance.get_records_for_run(run.run_id).records
        return [record.event_log_entry.dagster_event.message for record in records if record.event_log_entry.dagster_event]

    with ThreadPoolExecutor(8) as threads:
        for run, messages in zip(runs, threads.map(report, runs), strict=True):
            assert messages[-25:] == [f"{run.run_id} {number}" for number in range(25)]


def test_a_forked_process_has_connections_of_its_own(instance: Any) -> None:
    from dagster._core.test_utils import create_run_for_test

    run = create_run_for_test(instance)
    instance.report_engine_event("before", run)  # leaves a connection in the pool, which both have after the fork

    def child() -> None:
        for number in range(50):
            instance.report_engine_event(f"child {number}", run)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    for number in range(50):
        instance.report_engine_event(f"parent {number}", run)
    process.join(60)
    assert process.exitcode == 0
    messages = {record.event_log_entry.dagster_event.message for record in instance.get_records_for_run(run.run_id).records}
    assert {f"{who} {number}" for who in ("child", "parent") for number in range(50)} <= messages
