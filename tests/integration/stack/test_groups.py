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
from detektor_pipelines.stack.programs import PROGRAMS, WATCHDOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHILD = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {CHILD!r}, sys.argv[1]])"
READ_AT_ONCE = 128 * 1024
"""supervisord looks at the size after each read."""

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


CHATTY = (
    "import os, subprocess, sys, time; "
    "subprocess.run([sys.executable, '-S', '-c', 'for _ in range(2000): print(100 * chr(120))']); "
    "[os.write(each, 100 * b'y' + b'.') for each in 2000 * (1, 2)]; "
    "print('the end', flush=True); time.sleep(600)"
)
"""Writes 600 KB: by a child, as bytes, and to standard error."""


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
    assert lifecycle.answers_itself(home, "stand-in")


def test_the_logs_of_a_program_and_of_what_it_starts_are_bounded(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whichever descriptor they are written, and whoever inherited it; what was said last is kept."""
    monkeypatch.setattr(supervisor, "LOG_BYTES", 4096)
    begin(home, CHATTY)
    log = stand_in(CHATTY).log(home)
    assert eventually(lambda: any("the end" in each.read_text() for each in (log, log.with_name("stand-in.log.1")) if each.is_file()))
    files = sorted(log.parent.glob("stand-in.log*"))
    assert [each.name for each in files] == ["stand-in.log", "stand-in.log.1", "stand-in.log.2"]
    assert sum(each.stat().st_size for each in files) <= 3 * (4096 + READ_AT_ONCE)


def test_every_program_writes_where_its_log_is_bounded() -> None:
    """None is told of a log file of its own, which nobody would bound."""
    settings = Settings()
    for program in (*PROGRAMS.values(), WATCHDOG):
        entry = supervisor._entry(settings, program, 0)
        assert (entry["stdout_logfile_maxbytes"], entry["stdout_logfile_backups"]) == (20 * 1024**2, 2)
        assert entry["redirect_stderr"] == "true"
        assert not [word for word in program.command(settings) if "log" in word and "--log-format" not in word and "log_" not in word]


def test_a_program_that_is_stopped_leaves_nobody(home: Settings) -> None:
    begin(home, PARENT)
    assert eventually(lambda: state(home) == "running")
    supervisor.stop(home, "stand-in")
    assert eventually(lambda: ports.is_free(home.mlflow_port))
    assert state(home) == "stopped"
    with socket.create_server((ports.LOOPBACK, home.mlflow_port)):
        assert not lifecycle.answers_itself(home, "stand-in")


def test_who_answers_in_its_place_is_not_it(home: Settings) -> None:
    with socket.create_server((ports.LOOPBACK, home.mlflow_port)):
        begin(home, SILENT)
        assert eventually(lambda: state(home) == "foreign")
        assert not lifecycle.answers_itself(home, "stand-in")
        with pytest.raises(UserError, match=f"Not Stand-in but process {os.getpid()} "):
            lifecycle._wait(home, ("stand-in",), lambda _: None)
