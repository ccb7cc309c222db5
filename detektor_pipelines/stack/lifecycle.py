"""Starting, waiting for, asking after and ending the servers of one home directory."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import logins, ports, remembered, supervisor, survivors
from detektor_pipelines.stack.programs import PROGRAMS, WATCHDOG, chosen
from detektor_pipelines.stack.servers import dagster as dagster_servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program

DEFAULT_SERVICES = ("postgres", "redis", "mlflow", "stream", "serve", "registry", "exporter", "dagster-code", "dagster", "dagster-daemon")


@dataclass(frozen=True)
class ServiceStatus:
    """One server, as it is now.

    Attributes:
        name: What commands call it.
        title: What a person reads.
        state: `running`, `starting` (the process runs, it does not answer yet; a spare may, `web.spare`), `hung` (it has had time to and
            does not, or somebody stopped its process), `unwell` (it answers that it is not ready), `foreign` (another process than ours
            answers at its port), `failed`, `stopped`, `external` or `unreachable` (external, no answer).
        address: Host and port, without credentials.
        pid: Of our process, or None.
        seconds: Since its start, or None.
        log: The file that its output goes to, or None for an external one.
        why: For an unreachable one what is known of it.
        login: What PostgreSQL, or else Redis, calls it, None when it asks neither or does not run.

    """

    name: str
    title: str
    state: str
    address: str
    pid: int | None = None
    seconds: int | None = None
    log: Path | None = None
    login: str | None = None
    why: UserError | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.state in {"running", "external"}


@dataclass(frozen=True)
class StackStatus:
    """All servers, and the settings (ports, passwords) with which they are reached."""

    settings: Settings
    supervisor_pid: int | None
    services: tuple[ServiceStatus, ...]

    def __getitem__(self, name: str) -> ServiceStatus:
        """Return one server by name."""
        return next(service for service in self.services if service.name == name)


def up(
    settings: Settings,
    services: tuple[str, ...] = DEFAULT_SERVICES,
    *,
    free_ports: bool = False,
    on_progress: Callable[[str], None] | None = None,
    wait: tuple[str, ...] | None = None,
) -> StackStatus:
    """Start the servers that do not run, in order, and wait until those in `wait` (default: all of them) answer.

    Harmless when they run already. `free_ports` takes another port for one that is taken and says so; the status returned holds the
    settings that name the ports really used.

    Raises:
        UserError: A port is taken, a server did not start, or an external one does not answer.

    """
    try:
        return _up(settings, services, free_ports=free_ports, tell=on_progress or _silent, wait=wait)
    except BaseException:
        ports.release(settings.home)
        raise


def _up(
    settings: Settings, services: tuple[str, ...], *, free_ports: bool, tell: Callable[[str], None], wait: tuple[str, ...] | None
) -> StackStatus:
    programs = chosen(services)
    with remembered.locked(settings):
        if gone_on := survivors.go_on(settings):
            tell(f"{len(gone_on)} processes that somebody had stopped (SIGSTOP) go on")
        _check_external(settings, programs)
        settings = remembered.with_secrets(settings)
        supervisor.check_home(settings)
        running = supervisor.alive(settings)
        if not running and supervisor.running_pid(settings) is None:
            _end_survivors(settings, tell)  # they hold ports and data
        ours = [program for program in programs if not program.external(settings)]
        settings = _settle_ports(settings, ours, running, tell, free_ports=free_ports)
        remembered.remember(settings, tuple(program.port_field for program in PROGRAMS.values() if program.port_field))
        if ours:
            _prepare_directories(settings)
            logins.make_passwords(settings)
            supervisor.ensure(settings, [*(program for program in PROGRAMS.values() if not program.external(settings)), WATCHDOG])
        _start_in_order(settings, programs, tell)
    awaited = tuple(program.name for program in programs) if wait is None else wait
    _wait(settings, awaited, tell)
    return status(settings)


def wait(settings: Settings, *services: str, on_progress: Callable[[str], None] | None = None) -> StackStatus:
    """Wait until the named servers, started by `up`, answer.

    Raises:
        UserError: One ended, or took too long; the end of its log file is in the message.

    """
    _wait(settings, services, on_progress or _silent)
    return status(settings)


def status(settings: Settings) -> StackStatus:
    """Ask all servers at once how they are; takes as long as the slowest, seconds at most, and changes nothing.

    Raises:
        UserError: The process manager is there and does not answer, or the home directory was moved under its hands.

    """
    supervisor.check_home(settings)
    states = supervisor.states(settings, or_say_so=True)
    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        services = tuple(pool.map(lambda program: _service(settings, program, states), PROGRAMS.values()))
    return StackStatus(settings, supervisor.running_pid(settings), services)


def answers_itself(settings: Settings, name: str) -> bool:
    """Tell whether a program of this home listens at its port: another home's may, while this one's does not run."""
    row = supervisor.states(settings).get(name)
    port = PROGRAMS[name].port(settings)
    return bool(port and row and row["pid"] and survivors.listens(int(row["pid"]), port))


def down(settings: Settings, *, on_progress: Callable[[str], None] | None = None) -> tuple[str, ...]:
    """End all servers of this home directory and return the titles of those that ran; data and passwords stay.

    Raises:
        UserError: A process of it is left although it was killed.

    """
    tell = on_progress or _silent
    if not settings.home.is_dir():
        return ()
    with remembered.locked(settings):
        survivors.go_on(settings)  # one that somebody stopped cannot end cleanly
        running = supervisor.alive(settings)
        if running:
            tell("Ending " + ", ".join(PROGRAMS[name].title for name in running if name in PROGRAMS))
        for name in set(running) - {needed for program in PROGRAMS.values() for needed in program.needs}:
            supervisor.stop(settings, name, wait=False)  # all at once: the process manager itself ends one after another
        supervisor.shutdown(settings)
        _end_survivors(settings, tell)
        still = survivors.find(settings)
        if still:
            raise UserError(
                f"Processes {still} of the servers did not end.", where=str(settings.home), fix="Look at them with `ps`, stop them by hand."
            )
        shutil.rmtree(dagster_servers.temporary_directory(settings), ignore_errors=True)
        remembered.forget(settings)
        ports.release(settings.home)
    return tuple(PROGRAMS[name].title for name in running if name in PROGRAMS)


def _end_survivors(settings: Settings, tell: Callable[[str], None]) -> None:
    """End what a process manager left that was killed, or that was stopped and answers no more."""
    if left := survivors.end(settings):
        tell(f"Ended {len(left)} processes that no process manager knew any more")


def _silent(_: str) -> None:
    """Tell nobody."""


def _check_external(settings: Settings, programs: list[Program]) -> None:
    for program in programs:
        if program.external(settings) is not None and not program.ready(settings):
            raise _external_silent(program, settings)


def _settle_ports(
    settings: Settings, programs: list[Program], running: list[str], tell: Callable[[str], None], *, free_ports: bool
) -> Settings:
    """Return settings in which every program that will be started has a port of its own."""
    taken: set[int] = set()
    moved: dict[str, int] = {}
    chosen_now: dict[str, tuple[int, int]] = {}
    for program in programs:
        port = program.port(settings)
        if port is None or program.port_field is None:
            continue
        if program.name in running:
            port = moved[program.port_field] = _port_in_use(settings, program.port_field, program, port)
        elif (kept := _kept(settings, program, port, taken)) is not None:
            tell(f"{program.title} uses port {kept}, as before")
            port = moved[program.port_field] = kept
        elif port in taken or not _claim(settings, program, port):
            # A port set in the environment is what every later command will use: another one would not be found.
            if not free_ports or os.environ.get(program.port_variable):
                raise _port_taken(program, port)
            moved[program.port_field] = ports.free_port(frozenset(taken), program.second_port, settings.home)
            tell(f"Port {port} is taken: {program.title} uses {moved[program.port_field]}")
            chosen_now[program.port_field] = port, moved[program.port_field]
            port = moved[program.port_field]
        taken |= {port, port + (program.second_port or 0)}
    if PROGRAMS["registry"] in programs and "registry" not in running:
        _check_grpc(settings)
    remembered.keep_ports(settings, chosen_now)
    return remembered.changed(settings, **moved)


def _check_grpc(settings: Settings) -> None:
    """Refuse a gRPC port that was given by itself and is taken: the registry server would say so after minutes."""
    port = settings.registry_grpc_port
    if port is not None and not (ports.is_free(port) and ports.claim({port}, settings.home)):
        raise UserError(
            f"Port {port}, which the registry server wants for gRPC, is taken by another program.",
            where=f"{ports.LOOPBACK}:{port}, setting DETEKTOR_REGISTRY_GRPC_PORT",
            fix="Choose another one, or unset it: then it lies three above DETEKTOR_REGISTRY_PORT, and --free-ports settles both.",
        )


def _kept(settings: Settings, program: Program, port: int, taken: set[int]) -> int | None:
    """Return the port that an earlier start chose instead of this one, when it is free; a port that the environment names stays."""
    if program.port_field is None or os.environ.get(program.port_variable):
        return None
    kept = remembered.kept_port(settings, program.port_field, port)
    free = kept is not None and not {kept, kept + (program.second_port or 0)} & taken and _claim(settings, program, kept)
    return kept if free else None


def _ports_of(program: Program, settings: Settings) -> set[int]:
    port = program.port(settings)
    beside = {settings.registry_grpc} if program.name == "registry" else set()
    return set() if port is None else beside | {port, port + (program.second_port or 0)}


def _claim(settings: Settings, program: Program, port: int) -> bool:
    """Take a port, and the one beside it, for a program, unless somebody listens there or another command has just chosen it."""
    wanted = {port, port + (program.second_port or 0)}
    return all(map(ports.is_free, wanted)) and ports.claim(wanted, settings.home)


def _port_in_use(settings: Settings, field: str, program: Program, port: int) -> int:
    """Return the port on which a program runs: another command may have moved it since these settings were read."""
    used = remembered.port_of(settings, field) or port
    if used != port and os.environ.get(program.port_variable):
        raise UserError(
            f"{program.title} runs on port {used} already, but {program.port_variable} asks for {port}.",
            where=str(settings.home),
            fix="Run `detektor down` first, or unset the variable.",
        )
    return used


def _port_taken(program: Program, port: int) -> UserError:
    return UserError(
        f"Port {port}, which {program.title} wants, is taken by another program.",
        where=f"{ports.LOOPBACK}:{port}, setting {program.port_variable}",
        fix=f"Choose another port: {program.port_variable}={ports.free_port()} detektor up",
    )


def _prepare_directories(settings: Settings) -> None:
    for program in (*PROGRAMS.values(), WATCHDOG):
        program.directory(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    dagster_servers.temporary_directory(settings).mkdir(mode=0o700, exist_ok=True)


def _start_in_order(settings: Settings, programs: list[Program], tell: Callable[[str], None]) -> None:
    running = supervisor.alive(settings)
    for program in programs:
        _wait(settings, program.needs, tell)
        if program.external(settings) is None and program.name not in running:
            tell(f"Starting {program.title}" + (f" on port {program.port(settings)}" if program.port_field else ""))
            program.prepare(settings)
            supervisor.start(settings, program.name)
        if program.finish is not None:
            _wait(settings, (program.name,), tell)
            program.finish(settings)
    if any(program.alive for program in programs) or PROGRAMS["dagster-code"] in programs:
        supervisor.start(settings, WATCHDOG.name)


def _wait(settings: Settings, names: tuple[str, ...], tell: Callable[[str], None]) -> None:
    for program in chosen(names):
        started = time.monotonic()
        announced = False
        while not (program.ready(settings) and _ours_answers(program, settings)):
            seconds = time.monotonic() - started
            if program.external(settings) is not None:
                raise _external_silent(program, settings)
            row = supervisor.states(settings).get(program.name)
            if row is None or row["statename"] not in supervisor.ALIVE or seconds > program.start_seconds:
                raise _did_not_start(program, settings, seconds)
            if seconds > 1 and not announced:
                tell(f"Waiting for {program.title}")
                announced = True
            time.sleep(0.05 if seconds < 1 else 0.2)
        ports.release(settings.home, _ports_of(program, settings))


def _ours_answers(program: Program, settings: Settings) -> bool:
    """Tell whether it is our process that answers; what somebody else runs is not asked."""
    if program.external(settings) is not None:
        return True
    row = supervisor.states(settings).get(program.name)
    return row is None or _other(program, settings, int(row["pid"])) is None


def _other(program: Program, settings: Settings, pid: int | None) -> psutil.Process | None:
    """Return the process that listens at a program's port, None when it is ours or cannot be seen."""
    port = program.port(settings)
    if not port or (pid and survivors.listens(pid, port)):
        return None
    found = survivors.listener(port)
    return None if found is None or (pid and survivors.is_of(found, pid)) else found


def _named(process: psutil.Process) -> str:
    try:
        return f"process {process.pid} ({' '.join(process.cmdline())[:100]})"
    except psutil.Error:
        return f"process {process.pid}"


def _stands_in(process: psutil.Process, program: Program, settings: Settings) -> bool:
    return survivors.stands_in(process, settings, program.command(settings))


def _external_silent(program: Program, settings: Settings) -> UserError:
    return program.refusal(settings) or UserError(
        f"The {program.title} that you named does not answer.",
        where=program.address(settings),
        fix="Start it, or correct the address; `detektor doctor` shows where it comes from.",
    )


def _did_not_start(program: Program, settings: Settings, seconds: float) -> UserError:
    log = program.log(settings)
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:] if log.exists() else []
    pid = int(supervisor.states(settings).get(program.name, {}).get("pid", 0))
    other = _other(program, settings, pid)
    if other is not None and not _stands_in(other, program, settings):
        raise UserError(
            f"Not {program.title} but {_named(other)} answers at port {program.port(settings)}.",
            where=f"{ports.LOOPBACK}:{program.port(settings)}, setting {program.port_variable}",
            fix="End that process; then run `detektor down` and `detektor up`.",
        )
    return UserError(
        f"{program.title} did not start within {seconds:.0f} s. The end of its log file:\n" + "\n".join(f"    {line}" for line in tail),
        where=str(log),
        fix="Read the log; then run `detektor down` and `detektor up`.",
    )


def _service(settings: Settings, program: Program, states: dict[str, dict[str, object]]) -> ServiceStatus:
    address = program.address(settings)
    if program.external(settings) is not None:
        why = program.refusal(settings)
        state = "external" if why is None and program.ready(settings) else "unreachable"
        return ServiceStatus(program.name, program.title, state, address, why=why)
    row = states.get(program.name, {})
    name = str(row.get("statename", "STOPPED"))
    log = program.log(settings)
    if name in {"FATAL", "UNKNOWN"}:
        return ServiceStatus(program.name, program.title, "failed", address, log=log)
    if name not in supervisor.ALIVE:
        return ServiceStatus(program.name, program.title, "stopped", address, log=log)
    seconds = int(str(row["now"])) - int(str(row["start"]))
    pid = int(str(row["pid"])) or None
    state = _state(program, settings, seconds, pid) if name in {"STARTING", "RUNNING"} else "starting"
    return ServiceStatus(program.name, program.title, state, address, pid, seconds, log, logins.of_process(settings, program.name, pid))


def _state(program: Program, settings: Settings, seconds: int, pid: int | None) -> str:
    """Return the state of a program whose process runs since `seconds`; one that somebody stopped is not asked, it could not answer."""
    if survivors.is_stopped(pid):
        return "hung"
    if program.ready(settings):
        other = _other(program, settings, pid)
        return "running" if other is None else "starting" if _stands_in(other, program, settings) else "foreign"
    if seconds <= program.start_seconds:
        return "starting"
    return "unwell" if program.alive is None or program.alive(settings) else "hung"
