"""Watches what the process manager cannot see: programs that hang, Dagster's that grew, a code server that lost the process behind it.

A program that has answered and no longer does (`Program.alive`) is killed, with the processes that it started; the process manager starts
it anew. A stream worker that hangs holds the locks of its shards for ever: nobody else moves their values on.

Dagster's daemon leaks. The kernel's limits do not fit: one on the address space counts what is only reserved, a cgroup needs root. So a
program above `DETEKTOR_DAGSTER_MEMORY_MB` is ended cleanly here and started again; runs are other processes and go on.

The code server is two processes: one that listens, and a loader that holds the definitions and starts the runs. When the loader dies
(out of memory, for example) the other goes on listening and answers with errors for ever; a reload gives it a new loader.

Started by `lifecycle.up` beside what it watches, ended by `down`: `python -m detektor_pipelines.stack.watchdog`.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil

from detektor_pipelines import log_lines
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import supervisor, survivors
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import dagster as dagster_servers

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program

_SECONDS: Final = 2
_TRIES: Final = 5
_GROWING_SECONDS: Final = 600
"""A leak takes longer than this; and so nothing is started afresh more often."""

_MEGABYTE: Final = 1024**2
_GROWING: Final = ("dagster", "dagster-daemon")
_CODE_SERVER: Final = "dagster-code"

_logger = logging.getLogger(__name__)


@dataclass
class Watchdog:
    """What is remembered from one look to the next.

    Attributes:
        settings: Where the stack is.
        restarted: Programs in order, each time one was ended for its size.
        reloads: Reloads in a row that gave the code server no loader.
        killed: Programs in order, each time one was ended because it hung.

    """

    settings: Settings
    restarted: list[str] = field(default_factory=list)
    reloads: int = 0
    killed: list[str] = field(default_factory=list)
    _heard: dict[str, tuple[tuple[int, int | None], float]] = field(default_factory=dict)
    """By program its process, how often that had restarted in place, and when it last answered."""
    _lost: int | None = None
    _small_for: set[str] = field(default_factory=set)

    def look(self) -> bool:
        """Look once and fix what is found; False when the process manager has ended."""
        rows = supervisor.states(self.settings)
        if not rows:
            return False
        for program in PROGRAMS.values():
            if program.alive is not None and (process := _process(rows, program.name)):
                self._look_whether_alive(program, process.pid)
        for name in _GROWING:
            if (process := _process(rows, name)) and self._too_large(process, name):
                supervisor.stop(self.settings, name)
                supervisor.start(self.settings, name)
                self.restarted.append(name)
        if listener := _process(rows, _CODE_SERVER):
            self._look_at_loader(listener)
        return True

    def _look_whether_alive(self, program: Program, pid: int) -> None:
        now, life = time.monotonic(), (pid, survivors.times_begun(pid))
        if program.alive is not None and program.alive(self.settings):
            self._heard[program.name] = life, now
            return
        heard, at = self._heard.get(program.name, (None, now))
        if heard != life:  # it has not answered yet: however long its start takes, in place too, it is left to it
            return
        if now - at >= program.silent_seconds:
            _logger.error("%s (process %d) has not answered for %.0f s: it is ended, and starts anew", program.title, pid, now - at)
            self.killed.append(program.name)
            del self._heard[program.name]
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # the process manager makes each program the leader of a group

    def _look_at_loader(self, listener: psutil.Process) -> None:
        loaders = sorted(listener.children(), key=lambda child: float(child.create_time()))
        if loaders:
            self._lost, self.reloads = None, 0
            if self._too_large(loaders[-1], "the code server's loader"):
                dagster_servers.reload_definitions(self.settings)
        elif self._lost != listener.pid:  # it may be starting one just now: the next look decides
            self._lost = listener.pid
        elif self.reloads < _TRIES:
            self.reloads += 1
            _logger.warning("The code server's loader is gone: reloading the definitions, attempt %d of %d", self.reloads, _TRIES)
            dagster_servers.reload_definitions(self.settings)
        elif self.reloads == _TRIES:
            self.reloads += 1
            _logger.error(
                "The code server gets no loader. Read %s/logs/dagster-code.log, then: detektor down, detektor up", self.settings.home
            )

    def _too_large(self, process: psutil.Process, name: str) -> bool:
        """Tell whether the process grew above the limit; one that is above it from its start, where no new one helps, is named once."""
        used, limit = process.memory_info().rss // _MEGABYTE, self.settings.dagster_memory_mb
        if used <= limit:
            return False
        grew = bool(time.time() - process.create_time() >= _GROWING_SECONDS)
        if grew:
            _logger.warning("%s uses %d MB, DETEKTOR_DAGSTER_MEMORY_MB is %d: it is restarted", name, used, limit)
        elif name not in self._small_for:
            self._small_for.add(name)
            _logger.warning("%s uses %d MB soon after its start: DETEKTOR_DAGSTER_MEMORY_MB, %d, is too small for it", name, used, limit)
        return grew


def main() -> None:
    """Look every few seconds until the process manager ends."""
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    log_lines.set_up("watchdog", settings.log_level)
    watchdog = Watchdog(settings)
    going = True
    while going:
        time.sleep(_SECONDS)
        try:
            going = watchdog.look()
        except (psutil.Error, OSError, UserError) as problem:  # it ended while it was looked at: the process manager's business
            _logger.info("Looked in vain: %s", problem)


def _process(rows: dict[str, dict[str, Any]], name: str) -> psutil.Process | None:
    row = rows.get(name)
    return psutil.Process(row["pid"]) if row and row["statename"] == "RUNNING" and row["pid"] else None


if __name__ == "__main__":
    main()
