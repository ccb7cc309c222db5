"""Starts runs as Dagster's default launcher does, and knows whether a run's process is still alive.

Dagster's code server notices within a second when a run's process dies, but not when it died with it: after a crash of the machine or of
the code server such a run would stay "started" for ever and keep its place in the pool. Dagster's run monitor asks a launcher that can
tell; the default one cannot. `dagster_home/dagster.yaml` names this one.

A run is a process of its own, which loads the code from disk. While a file there cannot be loaded (an editor is half through, a definition
is wrong) a run would fail, then the next, until whoever asked for them gives up. So none is started then: it goes back to the queue.
"""

from __future__ import annotations

import json
import re
from socket import gethostname
from typing import TYPE_CHECKING, Final

from dagster import DagsterEventType
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import code_on_disk

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.launcher import LaunchRunContext

HOST_TAG: Final = "detektor/host"
"""Run tag: the machine of a run that no code server started, such as one of `detektor backfill`."""

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_STARTED: Final = re.compile(r"Started process for run \(pid: (\d+)\)")
_FIRST_EVENTS: Final = 20
_CLOCK_SECONDS: Final = 60.0
"""A process is older than its first event, but when the machine's clock is put forward the kernel dates the process later, the event not.
A number is given again after all others were, which takes longer than this."""


class WatchedRunLauncher(DefaultRunLauncher):
    """The default launcher, with a health check for runs on this machine, and none started from code that cannot be loaded."""

    _whole: frozenset[tuple[str, int, int]] = frozenset()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's process, once the code on disk can be loaded; files that have not changed since are not looked into again.

        Raises:
            DagsterUserCodeUnreachableError: It cannot, and why: the daemon puts the run back into the queue.

        """
        present = code_on_disk.fingerprint()
        if present != self._whole:
            try:
                code_on_disk.definitions()
            except UserError as error:
                message = f"{error}\nThe run waits in the queue and is tried again each minute."
                raise DagsterUserCodeUnreachableError(message) from None
            self._whole = present
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Say to the run monitor that it may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Look for the process that the run's first events name.

        On another machine (the code server has an address there) nothing can be seen; such a run counts as running.
        """
        if not _is_here(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "on another machine")
        records = self._instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ENGINE_EVENT, limit=_FIRST_EVENTS).records
        for entry in (record.event_log_entry for record in records):
            started = _STARTED.search(entry.message or "")
            if started:
                number = int(started[1])
                if _lives(number, entry.timestamp):
                    return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(number))
                return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"Its process {number} is gone.", run_worker_id=str(number))
        return CheckRunHealthResult(WorkerStatus.RUNNING, "no process is recorded: not started by this launcher")


def _is_here(run: DagsterRun) -> bool:
    """Tell whether the run's process is on this machine: as the run says itself, or as the code server that started it is."""
    if HOST_TAG in run.tags:
        return run.tags[HOST_TAG] == gethostname()
    server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    return "socket" in server or server.get("host") in _LOOPBACK


def _lives(number: int, seen: float) -> bool:
    """Tell whether process `number` lives and existed at instant `seen` (seconds); a later process has only inherited the number."""
    import psutil

    try:
        process = psutil.Process(number)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= seen + _CLOCK_SECONDS)
    except psutil.NoSuchProcess:
        return False
