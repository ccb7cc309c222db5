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

_STOP_SECONDS = 20
_RENAMED = {"postgres", "redis-server", "valkey-server"}  # they show their state in `ps` by overwriting their environment


def find(settings: Settings) -> list[int]:
    """Return the process ids that belong to this home directory's stack, supervisord included.

    They are known by the mark in their environment; servers that overwrite theirs, by their working directory.
    """
    home = os.path.realpath(settings.home)
    return [process.pid for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, home)]


def end(settings: Settings) -> list[int]:
    """End what `find` finds, cleanly if it obeys, and return the process ids; nobody else's process is touched."""
    found = find(settings)
    for pid in found:
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            os.kill(pid, signal.SIGINT if _program(psutil.Process(pid)) == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while left := find(settings):
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            break
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
