"""Bringing the programs that run our code to the code that is on disk now: one after the other, but for two that wait for imports together.

    feature server, registry server   SIGHUP: restart in place and keep their port; who connects meanwhile waits
    code server                       loads the definitions again; runs under way end in the process that they were started in
    the others                        are ended cleanly and started: the log is the stream worker's queue, Dagster's is in PostgreSQL

Nothing is touched before the code on disk has proved to load. The databases and MLflow run no code of ours.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import remembered, supervisor, survivors
from detektor_pipelines.stack.programs import PROGRAMS, WATCHDOG
from detektor_pipelines.stack.servers import dagster as dagster_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program

RESTARTABLE: Final = ("stream", "serve", "registry", "dagster-code", "dagster", "dagster-daemon")
"""In this order: what a new definition computes is there before it is served."""

HOLDING: Final = ("stream", "serve", "registry", "dagster-code")
"""Of these, what has definitions loaded: Dagster's pages and daemon ask the code server."""

_TOGETHER: Final = ("registry", "dagster-code")
_IN_PLACE: Final = ("serve", "registry")
_HANG_UP_SECONDS: Final = 30
"""In which a server has answered what it had begun, ten seconds at most, and has started again."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """What became of one program: `done` in words; `problem` is None when it answers again, and took `seconds`."""

    name: str
    title: str
    done: str
    problem: str | None
    seconds: float


def chosen(settings: Settings, names: tuple[str, ...], among: tuple[str, ...] = RESTARTABLE) -> list[Program]:
    """Return the programs to restart: those named, or all `among` these that run.

    Raises:
        UserError: One that is named has no code of ours, or does not run; or none runs.

    """
    running = set(supervisor.alive(settings))
    for name in names:
        if name not in RESTARTABLE:
            raise UserError(
                f"{name} runs no code of ours, or is not one of the stack's programs.", fix=f"Choose from: {', '.join(RESTARTABLE)}."
            )
        if name not in running:
            raise UserError(f"{PROGRAMS[name].title} does not run.", where=str(settings.home), fix=f"detektor up {name}")
    found = [PROGRAMS[name] for name in RESTARTABLE if name in (names or among) and name in running]
    if not found:
        raise UserError("None of the programs with our code runs.", where=str(settings.home), fix="detektor up")
    return found


def restart(settings: Settings, programs: list[Program], tell: Callable[[str], None]) -> Iterator[Restarted]:
    """Restart the programs in their order, and wait until each answers; what did not come back is said, and the next one's turn comes.

    The registry server and the code server, which nobody's reads wait for, are restarted at the same time.
    """
    with remembered.locked(settings):
        for group in _groups(programs):
            for program in group:
                tell(f"Restarting {program.title}")
            with ThreadPoolExecutor(len(group)) as pool:
                yield from pool.map(lambda program: _timed(settings, program), group)
        if any(program.name == "dagster-code" for program in programs):
            supervisor.stop(settings, WATCHDOG.name)
            supervisor.start(settings, WATCHDOG.name)


def _groups(programs: list[Program]) -> list[list[Program]]:
    """Return the programs in their order, those that may be restarted together in one group."""
    found: list[list[Program]] = []
    for program in programs:
        if found and program.name in _TOGETHER and found[-1][0].name in _TOGETHER:
            found[-1].append(program)
        else:
            found.append([program])
    return found


def _timed(settings: Settings, program: Program) -> Restarted:
    started = time.monotonic()
    done, problem = _restart(settings, program)
    return Restarted(program.name, program.title, done, problem, time.monotonic() - started)


def _restart(settings: Settings, program: Program) -> tuple[str, str | None]:
    try:
        if program.name in _IN_PLACE:
            return "restarted in place", _start_again(settings, program)
        if program.name == "dagster-code":
            done = dagster_servers.reload_definitions(settings)
            return "loaded the definitions again", None if done and _answers(settings, program) else _silent(settings, program)
        supervisor.stop(settings, program.name)
        supervisor.start(settings, program.name)
        return "ended and started", None if _answers(settings, program) else _silent(settings, program)
    except UserError as error:
        return "not restarted", error.what


def _start_again(settings: Settings, program: Program) -> str | None:
    """Let a server replace itself; return what is wrong when it did not."""
    pid = int(supervisor.states(settings)[program.name]["pid"])
    before = survivors.times_begun(pid)
    supervisor.signal(settings, program.name, "HUP")
    deadline = time.monotonic() + _HANG_UP_SECONDS
    while survivors.times_begun(pid) == before:
        if time.monotonic() > deadline:
            return f"process {pid} has not started again within {_HANG_UP_SECONDS} s; `detektor down`, then `detektor up`"
        time.sleep(0.02)
    # It may have ended instead: then the process manager starts it, as after any death.
    return None if _answers(settings, program) else _silent(settings, program)


def _answers(settings: Settings, program: Program) -> bool:
    """Wait until a program answers, as long as it may take to start."""
    deadline = time.monotonic() + program.start_seconds
    while not program.ready(settings):
        if time.monotonic() > deadline or program.name not in supervisor.alive(settings):
            return False
        time.sleep(0.1)
    return True


def _silent(settings: Settings, program: Program) -> str:
    return f"it does not answer; its log file is {program.log(settings)}"
