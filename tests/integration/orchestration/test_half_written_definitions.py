"""A file of the definitions that cannot be loaded while Dagster's queue has something to start: the run waits, it does not fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.package_copy import PackageCopy

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow


def test_a_run_goes_back_to_the_queue_until_the_file_is_whole(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg
    from dagster._core.launcher import DefaultRunLauncher
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.stack import code_on_disk

    copy = PackageCopy(tmp_path)
    monkeypatch.setenv("PYTHONPATH", copy.environment["PYTHONPATH"])
    monkeypatch.setattr(code_on_disk, "_PACKAGE", copy.package)
    started: list[str] = []
    monkeypatch.setattr(DefaultRunLauncher, "launch_run", lambda _, context: started.append(context.dagster_run.run_id))
    server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=4000, location_name="detektor_pipelines")
    with persistent_instance(database) as instance:
        run = create_run_for_test(
            instance,
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "a_job"),
        )
        instance.report_dagster_event(dg.DagsterEvent.job_enqueue(run), run_id=run.run_id)

        def look() -> Any:
            """Let the daemon look at the queue once, as if it had begun just now; returns the run."""
            with (
                create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as workspace,
                QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon,
            ):
                list(daemon.run_iteration(workspace))
            return instance.get_run_by_id(run.run_id)

        whole = copy.read()
        copy.write(whole[:1500])
        for _ in range(2):
            assert look().status == dg.DagsterRunStatus.QUEUED
        assert started == []
        events = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records
        told = events[-1].event_log_entry.dagster_event.engine_event_data.error.message
        assert "code_reviewer.py, line " in told
        assert "The run waits in the queue" in told

        copy.write(whole)
        look()
        assert started == [run.run_id]
