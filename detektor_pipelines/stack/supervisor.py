"""The process manager: supervisord's configuration, its start, and its XML-RPC over a Unix socket.

All programs are in its configuration but start on request only (`autostart=false`): supervisord knows no dependencies, `lifecycle` does.
"""

from __future__ import annotations

import configparser
import hashlib
import http.client
import os
import shlex
import socket
import subprocess
import time
import xmlrpc.client
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.program import Program

MARK = "DETEKTOR_STACK"  # in the environment of every process of a stack: its home directory

# A Unix socket's path has 107 characters at most, and supervisord first makes one whose name is longer by its process id.
_LONGEST_SOCKET = 95
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_SHUTTING_DOWN = 6
ALIVE = frozenset({"STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED"})
"""supervisord's states of a program that runs, or will again by itself: one that exited is started again within a second."""

LOG_BYTES = 20 * 1024**2
LOG_BACKUPS = 2
"""Of each program: its log file is begun anew at so many bytes, and so many earlier ones are kept. Each program, and what it starts, writes
into a pipe, which supervisord reads; none opens a log file of its own."""

_START_SECONDS = 20
_SHUTDOWN_SECONDS = 90
_CALL_SECONDS = 60.0
_ANSWER_SECONDS = 10.0
"""In which it says how its programs are: it has nothing to look up."""


def socket_path(settings: Settings) -> Path:
    """Return the control socket: in the home directory, or below /tmp when that path would be too long."""
    inside = settings.home / "supervisor.sock"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET:
        return inside
    mark = hashlib.sha256(os.fsencode(settings.home)).hexdigest()[:12]
    return Path("/tmp") / f"detektor-{os.geteuid()}-{mark}" / "supervisor.sock"  # noqa: S108  made with mode 0700 and its owner checked


def running_pid(settings: Settings) -> int | None:
    """Return supervisord's process id, or None when it does not answer."""
    try:
        return cast("int", _call(settings, "supervisor.getPID", seconds=_ANSWER_SECONDS))
    except OSError:
        return None


def check_home(settings: Settings) -> None:
    """Look whether the running supervisord is one of this home directory, and not of where it was before somebody moved it.

    Raises:
        UserError: It is of another place: its programs look for their files there.

    """
    pid = running_pid(settings)
    if pid is None:
        return
    with suppress(psutil.Error, OSError):
        mark = psutil.Process(pid).environ().get(MARK)
        if mark and os.path.realpath(mark) != os.path.realpath(settings.home):
            raise UserError(
                f"This state directory was moved while its servers ran: they look for their files in {mark}.",
                where=str(settings.home),
                fix="Move it back; or `detektor down`, which ends them, then `detektor up`.",
            )


def states(settings: Settings, *, or_say_so: bool = False) -> dict[str, dict[str, Any]]:
    """Return supervisord's view of each program (`statename`, `pid`, `start`, `now`, …); empty when it does not run.

    Args:
        settings: Whose.
        or_say_so: Raise instead of returning nothing when it is there and does not answer.

    Raises:
        UserError: As `or_say_so` has it.

    """
    try:
        rows = cast("list[dict[str, Any]]", _call(settings, "supervisor.getAllProcessInfo", seconds=_ANSWER_SECONDS))
    except TimeoutError:
        if not or_say_so:
            return {}
        raise UserError(
            "The process manager is there and does not answer: somebody may have stopped its process (SIGSTOP).",
            where=str(socket_path(settings)),
            fix="`detektor up` lets it go on, and its servers; `detektor down` ends them all.",
        ) from None
    except OSError:
        return {}
    return {row["name"]: row for row in rows}


def alive(settings: Settings) -> list[str]:
    """Return which programs run, or will again by themselves (`ALIVE`); none when supervisord does not run or does not answer."""
    return [name for name, row in states(settings).items() if row["statename"] in ALIVE]


def ensure(settings: Settings, programs: list[Program]) -> None:
    """Write the configuration and have a running supervisord that knows it; running programs whose entry did not change keep running.

    A running program's environment stays as it was when it was started: another shell with other variables must not restart it.

    Raises:
        UserError: supervisord did not start.

    """
    running = set(alive(settings))
    _write_configuration(settings, programs, running)
    if running_pid(settings) is None:
        _start(settings)
        return
    added, altered, removed = cast("list[list[list[str]]]", _call(settings, "supervisor.reloadConfig"))[0]
    for name in [*altered, *removed]:
        _call(settings, "supervisor.stopProcessGroup", name)
        _call(settings, "supervisor.removeProcessGroup", name)
    for name in [*altered, *added]:
        _call(settings, "supervisor.addProcessGroup", name)


def start(settings: Settings, name: str) -> None:
    """Start a program unless it runs; does not wait until it is ready."""
    try:
        _call(settings, "supervisor.startProcess", name, False)  # noqa: FBT003  XML-RPC has no keyword arguments
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != _ALREADY_STARTED:
            raise UserError(f"{name} could not be started: {fault.faultString}", where=str(_configuration(settings))) from None


def stop(settings: Settings, name: str, *, wait: bool = True) -> None:
    """Stop a program and, but for `wait=False`, wait until it is gone."""
    try:
        _call(settings, "supervisor.stopProcess", name, wait)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != _NOT_RUNNING:
            raise


def signal(settings: Settings, name: str, signal_name: str) -> None:
    """Send a program's process a signal, such as `HUP`.

    Raises:
        UserError: It does not run.

    """
    try:
        _call(settings, "supervisor.signalProcess", name, signal_name)
    except xmlrpc.client.Fault as fault:
        raise UserError(f"{name} did not get {signal_name}: {fault.faultString}", fix=f"detektor up {name}") from None


def shutdown(settings: Settings) -> None:
    """End all programs in reverse order, then supervisord itself; returns when it is gone, or after `_SHUTDOWN_SECONDS`."""
    pid = running_pid(settings)
    if pid is None:
        return
    with suppress(OSError):
        _call(settings, "supervisor.shutdown")
    # It looks after one program a turn, stopped ones too, and a turn is a second unless somebody knocks.
    _wait_until(lambda: not _listens(settings) and not _alive(pid))
    if (path := socket_path(settings)).parent != settings.home:
        with suppress(OSError):  # another command may just be starting
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _start(settings: Settings) -> None:
    path = socket_path(settings)
    if path.parent != settings.home:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.parent.stat().st_uid != os.geteuid():
            raise UserError(
                "The directory of the control socket belongs to somebody else.",
                where=str(path.parent),
                fix="Remove it, or use a shorter DETEKTOR_HOME.",
            )
    path.unlink(missing_ok=True)
    words = [binaries.script("supervisord"), "-c", str(_configuration(settings))]
    environment = os.environ | {MARK: str(settings.home), "DETEKTOR_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONWARNINGS"] = "ignore"  # supervisord's own deprecations say nothing to the person who runs `detektor up`
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + _START_SECONDS
    while running_pid(settings) is None:
        if done.returncode != 0 or time.monotonic() > deadline:
            raise UserError(
                f"The process manager did not start: {(done.stderr or done.stdout).strip() or 'it said nothing'}",
                where=str(settings.home / "logs" / "supervisord.log"),
                fix="`detektor down` ends what a broken start left behind; then try again.",
            )
        time.sleep(0.02)


def _write_configuration(settings: Settings, programs: list[Program], running: Collection[str] = ()) -> None:
    home = settings.home
    before = configparser.RawConfigParser()
    before.read(_configuration(settings), encoding="utf-8")
    manager: dict[str, object] = {
        "directory": home,
        "logfile": home / "logs" / "supervisord.log",
        "pidfile": home / "supervisord.pid",
        "childlogdir": home / "logs",
        "logfile_maxbytes": "5MB",
        "logfile_backups": "1",
        "umask": "077",
        "identifier": "detektor",
    }
    if os.geteuid() == 0:
        manager["user"] = "root"  # said on purpose: without it supervisord warns about it at each start
    sections: list[tuple[str, dict[str, object]]] = [
        ("supervisord", manager),
        ("unix_http_server", {"file": socket_path(settings), "chmod": "0700"}),
        ("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}),
        ("rpcinterface:left_behind", {"supervisor.rpcinterface_factory": "detektor_pipelines.left_behind:follow"}),
    ]
    for place, program in enumerate(programs):
        title = f"program:{program.name}"
        entry = _entry(settings, program, place)
        if program.name in running and before.has_option(title, "environment"):
            entry["environment"] = before.get(title, "environment").replace("%%", "%")
        sections.append((title, entry))
    text = "\n".join(_section(title, body, home) for title, body in sections)
    file = _configuration(settings)
    file.touch(mode=0o600)  # environments hold passwords
    file.write_text(text, encoding="utf-8")


def _entry(settings: Settings, program: Program, place: int) -> dict[str, object]:
    environment = {**_given(), **program.environment(settings), MARK: str(settings.home)}
    return {
        "command": shlex.join(program.command(settings)),
        "directory": program.directory(settings),
        "environment": ",".join(f"{name}={_quoted(name, value)}" for name, value in environment.items()),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "3",  # six seconds: a killed PostgreSQL needs a moment until its last process has let go
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "stopasgroup": "true",  # MLflow's and Feast's children outlive their parent's SIGTERM
        "killasgroup": "true",
        "priority": place,  # ended in reverse: PostgreSQL last
        "redirect_stderr": "true",
        "stdout_logfile": program.log(settings),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }


def _given() -> dict[str, str]:
    """Return the settings of this command's environment: supervisord may have been started with others, or none.

    Ports are left out: the chosen ones are remembered.
    """
    given = {name: value for name, value in os.environ.items() if name.startswith("DETEKTOR_") and value}
    return {name: value for name, value in given.items() if name not in {MARK, "DETEKTOR_HOME"} and not name.endswith("_PORT")}


def _quoted(name: str, value: str) -> str:
    """Quote a variable's value as supervisord reads it: no character is escaped inside quotes.

    Raises:
        UserError: It cannot be written down.

    """
    quote = '"' if '"' not in value else "'"
    if quote in value or "\n" in value:
        raise UserError(f"{name} holds characters that the process manager cannot write down.", fix="Leave out quotes and line breaks.")
    return f"{quote}{value}{quote}"


def _section(title: str, body: dict[str, object], home: Path) -> str:
    return f"[{title}]\n" + "".join(f"{key} = {_value(str(value), home)}\n" for key, value in body.items())


def _value(text: str, home: Path) -> str:
    """Escape for supervisord's ini dialect, in which `%` interpolates (in paths twice) and ` ;` and ` #` begin a comment."""
    if any(mark in str(home) for mark in (" ;", " #", "\n", '"', "%")):
        raise UserError(
            "The state directory's path holds characters that the process manager cannot write down.",
            where=str(home),
            fix="Set DETEKTOR_HOME to a plainer path.",
        )
    return text.replace("%", "%%")


def _configuration(settings: Settings) -> Path:
    return settings.home / "supervisord.conf"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = seconds

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._seconds)
        self._connection = host, connection  # what the base class closes at the end
        return connection


def _call(settings: Settings, method: str, *arguments: object, seconds: float = _CALL_SECONDS) -> object:
    """Call supervisord; OSError when it does not answer, or was about to end and has ended now."""
    transport = _Transport(socket_path(settings), seconds)
    with xmlrpc.client.ServerProxy("http://localhost", transport=transport, allow_none=True) as server:
        try:
            return cast("object", getattr(server, method)(*arguments))
        except (http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(str(error)) from error
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _SHUTTING_DOWN:
                raise
    _wait_until(lambda: not _listens(settings))
    raise ConnectionRefusedError


def _listens(settings: Settings) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fsencode(socket_path(settings))) == 0


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SHUTDOWN_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
