"""A program that is several processes: all of them end before it starts anew, and one that answers in its place is told from it.

A stand-in shows what MLflow does, whose first process starts the one that listens.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.waiting import eventually

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import lifecycle, ports, remembered, supervisor, survivors
from detektor_pipelines.stack.program import Program
from detektor_pipelines.stack.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHILD = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {CHILD!r}, sys.argv[1]])"
SILENT = "import time; time.sleep(600)"


def stand_in(code: str) -> Program:
    return Program(
        name="stand-in",
        title="Stand-in",
        port_field="mlflow_port",
        command=lambda settings: [sys.executable, "-S", "-c", code, str(settings.mlflow_port)],
        ready=lambda settings: ports.answers(settings.mlflow_port),
        start_seconds=1,
    )


@pytest.fixture
def home(isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return settings in whose home only a stand-in runs."""
    settings = Settings(home=isolated_environment, mlflow_port=ports.free_port())
    remembered.make_home(settings)
    monkeypatch.setattr(lifecycle, "PROGRAMS", {"stand-in": stand_in(PARENT)})
    monkeypatch.setitem(PROGRAMS, "stand-in", stand_in(PARENT))
    yield settings
    supervisor.shutdown(settings)
    assert survivors.end(settings) == []


def begin(settings: Settings, code: str) -> None:
    program = stand_in(code)
    program.directory(settings).mkdir(parents=True)
    supervisor.ensure(settings, [program])
    supervisor.start(settings, program.name)


def pid_of(settings: Settings) -> int:
    return int(supervisor.states(settings)["stand-in"]["pid"])


def state(settings: Settings) -> str:
    return lifecycle.status(settings)["stand-in"].state


def test_a_program_whose_first_process_was_killed_runs_again_whole(home: Settings) -> None:
    begin(home, PARENT)
    assert eventually(lambda: state(home) == "running")
    first = pid_of(home)
    (child,) = psutil.Process(first).children()
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not child.is_running())
    assert eventually(lambda: pid_of(home) not in {0, first} and state(home) == "running")
    assert survivors.listens(pid_of(home), home.mlflow_port)


def test_a_program_that_is_stopped_leaves_nobody(home: Settings) -> None:
    begin(home, PARENT)
    assert eventually(lambda: state(home) == "running")
    supervisor.stop(home, "stand-in")
    assert eventually(lambda: ports.is_free(home.mlflow_port))
    assert state(home) == "stopped"


def test_who_answers_in_its_place_is_not_it(home: Settings) -> None:
    with socket.create_server((ports.LOOPBACK, home.mlflow_port)):
        begin(home, SILENT)
        assert eventually(lambda: state(home) == "foreign")
        with pytest.raises(UserError, match=f"Not Stand-in but process {os.getpid()} "):
            lifecycle._wait(home, ("stand-in",), lambda _: None)
