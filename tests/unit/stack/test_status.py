"""Asking how the servers are: all of them at once, and nobody who was stopped and could not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from detektor_pipelines.cli_commands import status as command
from detektor_pipelines.stack import lifecycle, supervisor
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.versions import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have a process manager whose programs are all one process, which somebody stopped."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                pass
            row = {"statename": "RUNNING", "pid": process.pid, "start": 0, "now": 1_000}
            monkeypatch.setattr(supervisor, "states", lambda *_, **__: dict.fromkeys(PROGRAMS, row))
            monkeypatch.setattr(supervisor, "running_pid", lambda _: None)
            yield process.pid
        finally:
            process.kill()


def asked(*_: object) -> bool:
    raise AssertionError


def test_all_are_asked_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(len(PROGRAMS), timeout=20)

    def external(program: Program) -> Program:
        return replace(
            program, external=lambda _: "http://127.0.0.1:1", refusal=lambda _: None, ready=lambda _: together.wait() < len(PROGRAMS)
        )

    monkeypatch.setattr(supervisor, "running_pid", lambda _: None)
    monkeypatch.setattr(lifecycle, "PROGRAMS", {name: external(program) for name, program in PROGRAMS.items()})
    found = lifecycle.status(settings)
    assert [(each.name, each.state) for each in found.services] == [(name, "external") for name in PROGRAMS]


@pytest.mark.usefixtures("stopped")
def test_what_was_stopped_hangs_without_being_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "PROGRAMS", {name: replace(program, ready=asked, alive=asked) for name, program in PROGRAMS.items()})
    assert {each.state for each in lifecycle.status(settings).services} == {"hung"}


@pytest.mark.usefixtures("stopped")
def test_what_was_stopped_is_not_asked_for_its_definitions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    monkeypatch.setattr(processes, "_asked", lambda url, *_: urls.append(url))
    for server in ("postgres", "redis"):
        monkeypatch.setitem(PROGRAMS, server, replace(PROGRAMS[server], ready=lambda _: False))
    monkeypatch.setattr("detektor_pipelines.stream.run.workers", asked)
    monkeypatch.setattr("detektor_pipelines.stores.feast.registry.is_used", asked)
    assert processes.processes(settings) == []
    assert processes.server_health(settings) is None
    assert urls == [f"http://127.0.0.1:{settings.collector_port}/healthz"]  # nobody knows its process


def test_what_a_silent_server_would_be_asked_is_left_out_and_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    services = tuple(
        lifecycle.ServiceStatus(name, program.title, "hung" if name in {"postgres", "redis"} else "stopped", "", log=settings.home / "log")
        for name, program in PROGRAMS.items()
    )
    monkeypatch.setattr("detektor_pipelines.stack.status", lambda settings: lifecycle.StackStatus(settings, None, services))
    monkeypatch.setattr("detektor_pipelines.stores.connections.connect", asked)
    monkeypatch.setattr("detektor_pipelines.stores.connections_redis.redis_client", asked)
    command.status(as_json=False)
    said = capsys.readouterr().out
    assert "Not asked, as PostgreSQL is hung: views, rejected, log" in said
    assert "Not asked, as Redis is hung: online" in said
