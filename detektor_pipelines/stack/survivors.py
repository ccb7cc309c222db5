"""Processes of a stack that its process manager no longer knows, found by what they carry, and their end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from detektor_pipelines.stack.supervisor import MARK

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

_BEGUN = "DETEKTOR_BEGUN"  # `web.handover` counts in it
_STOP_SECONDS = 20
_GONE_SECONDS = 10
"""In which a process that was killed is gone, and what it had just started is killed too."""
_RENAMED = {"postgres", "redis-server", "valkey-server"}  # they show their state in `ps` by overwriting their environment


def find(settings: Settings) -> list[int]:
    """Return the process ids that belong to this home directory's stack, supervisord included.

    They are known by the mark in their environment; servers that overwrite theirs, by their working directory.
    """
    home = os.path.realpath(settings.home)
    return [process.pid for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, home)]


def listener(port: int) -> psutil.Process | None:
    """Return the process that listens at a loopback port, None when there is none, or it cannot be seen."""
    with suppress(psutil.Error, OSError):
        for found in psutil.net_connections(kind="tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and found.pid:
                return psutil.Process(found.pid)
    return None


def listens(pid: int, port: int) -> bool:
    """Tell whether a process, or one that it started, listens at a port."""
    with suppress(psutil.Error, OSError):
        leader = psutil.Process(pid)
        return any(_has_listener(each, port) for each in (leader, *leader.children(recursive=True)))
    return False


def _has_listener(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.Error, OSError):
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections(kind="tcp"))
    return False


def is_of(process: psutil.Process, pid: int) -> bool:
    """Tell whether a process is that with the id, one that it started, or another of its group."""
    try:
        return process.pid == pid or os.getpgid(process.pid) == pid or any(parent.pid == pid for parent in process.parents())
    except (psutil.Error, OSError):
        return False


def stands_in(process: psutil.Process, settings: Settings, command: list[str]) -> bool:
    """Tell whether a process is the spare of one that died (`web.spare`): of this stack, by the same command."""
    try:
        return process.cmdline()[-len(command) + 1 :] == command[1:] and _belongs(process, os.path.realpath(settings.home))
    except psutil.Error:
        return False


def times_begun(pid: int) -> int | None:
    """Return how often a process has restarted in place, None when it is gone."""
    try:
        return int(psutil.Process(pid).environ().get(_BEGUN, "0"))
    except psutil.NoSuchProcess:
        return None


def is_stopped(pid: int | None) -> bool:
    """Tell whether somebody has stopped a process (SIGSTOP)."""
    with suppress(psutil.Error):
        return bool(pid and psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def go_on(settings: Settings) -> list[int]:
    """Let the processes of this stack go on that somebody stopped (SIGSTOP), and return their ids."""
    home = os.path.realpath(settings.home)
    found = [each.pid for each in psutil.process_iter() if is_stopped(each.pid) and _belongs(each, home)]
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return found


def end(settings: Settings) -> list[int]:
    """End what `find` finds, cleanly if it obeys, and return the process ids; nobody else's process is touched.

    One that was stopped (SIGSTOP) goes on first, or it could not obey.
    """
    found = find(settings)
    for pid in found:
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            os.kill(pid, signal.SIGINT if _program(psutil.Process(pid)) == "postgres" else signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + _STOP_SECONDS
    while left := find(settings):
        if time.monotonic() > deadline + _GONE_SECONDS:
            break
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return found


def _belongs(process: psutil.Process, home: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        mark: str | None = process.environ().get(MARK)
        if mark is not None:
            return os.path.realpath(mark) == home
        return _program(process) in _RENAMED and Path(process.cwd()).is_relative_to(home)
    except (psutil.Error, OSError):
        return False  # ended meanwhile, or somebody else's


def _program(process: psutil.Process) -> str:
    return Path(str(process.exe())).name
