from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from detektor_pipelines.orchestration import daemon

pytestmark = pytest.mark.slow


def test_it_waits_as_long_as_it_says_between_two_looks_at_the_backfills(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._daemon import backfill, controller

    waited: list[float] = []

    class Told(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            raise InterruptedError

    monkeypatch.setattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS", controller.DEFAULT_DAEMON_INTERVAL_SECONDS)
    monkeypatch.setattr(backfill, "execute_backfill_iteration", lambda *_, **__: iter(()))
    daemon.shorten()
    with pytest.raises(InterruptedError):
        list(backfill.execute_backfill_iteration_loop(None, None, Told()))  # type: ignore[arg-type]

    assert [0 < seconds <= daemon.LOOK_SECONDS for seconds in waited] == [True]


def test_it_takes_dagsters_words() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", daemon.__name__, "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "Run any daemons configured on the DagsterInstance." in done.stdout
