"""Processes that no manager knows any more, of whatever state, are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.waiting import eventually

from detektor_pipelines.stack import survivors
from detektor_pipelines.stack.supervisor import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
OBEDIENT = "import time; print(1, flush=True); time.sleep(600)"


@pytest.fixture(params=[OBEDIENT, STUBBORN])
def left(settings: Settings, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", request.param]
    with subprocess.Popen(command, env={**os.environ, MARK: str(settings.home)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_one_that_was_stopped_is_ended_too(left: subprocess.Popen[bytes], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survivors, "_STOP_SECONDS", 3)
    left.send_signal(signal.SIGSTOP)
    assert survivors.end(settings) == [left.pid]
    assert survivors.find(settings) == []
    assert eventually(lambda: left.poll() is not None)
    assert left.returncode == -(signal.SIGKILL if STUBBORN in left.args else signal.SIGTERM)


def test_what_somebody_stopped_goes_on_and_nobody_elses(left: subprocess.Popen[bytes], settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", OBEDIENT], stdout=subprocess.PIPE) as stranger:
        for each in (left, stranger):
            each.send_signal(signal.SIGSTOP)
            assert eventually(lambda each=each: survivors.is_stopped(each.pid))  # type: ignore[misc]
        assert survivors.go_on(settings) == [left.pid]
        assert eventually(lambda: not survivors.is_stopped(left.pid))
        assert survivors.is_stopped(stranger.pid)
        assert survivors.go_on(settings) == []
        stranger.kill()
