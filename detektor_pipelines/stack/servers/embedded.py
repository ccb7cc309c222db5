"""Throw-away servers: real PostgreSQL and Redis, or what `running` is given; each in its own process group, gone afterwards.

For tests, benchmarks, and for looking at a stack that runs.
What a person's data lives in is started by `lifecycle`; these give up durability for speed, unless a benchmark wants what people get.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import postgres
from detektor_pipelines.stack.servers import redis as redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PASSWORD = "throw-away"  # noqa: S105  protects nothing: the server lives as long as a test
_START_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(frozen=True)
class PostgresServer:
    """A running throw-away cluster with the superuser `detektor`."""

    login: postgres.Login
    pid: int

    def dsn(self, database: str = "postgres") -> str:
        """Return the libpq URL of `database`."""
        return self.login.dsn(database)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run `statement` and return psql's unaligned output."""
        return postgres.run_sql(self.dsn(database), statement)


@dataclass(frozen=True)
class RedisServer:
    """A running throw-away Redis."""

    port: int
    password: str
    pid: int
    host: str = ports.LOOPBACK

    def url(self, database: int = 0) -> str:
        """Return the `redis://` URL of a database."""
        return f"redis://:{quote(self.password, safe='')}@{self.host}:{self.port}/{database}"


@contextmanager
def start_postgres(directory: Path, port: int | None = None, *, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a PostgreSQL cluster in `directory` (made, and removed at the end) on `port`, by default a free one.

    `durable`: with the settings and the fsync of a person's cluster.

    Raises:
        UserError: It did not start; the end of its log file is in the message.

    """
    login = postgres.Login("detektor", PASSWORD, port or ports.free_port())
    data = directory / "data"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        postgres.initialise(data, login, durable=durable)
        words = postgres.command(data, login.port, durable=durable)
        with running(words, directory, signal.SIGINT, lambda: postgres.is_ready(login)) as pid:
            yield PostgresServer(login, pid)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def start_redis(directory: Path, port: int | None = None, *, lines: Sequence[str] = (), words: Sequence[str] = ()) -> Iterator[RedisServer]:
    """Run a Redis in `directory` (made, and removed at the end) on `port`, by default a free one.

    Args:
        directory: Where it keeps its files.
        port: Where it listens.
        lines: Further lines of its configuration, as for a node of a cluster.
        words: Further words of its command line, as `--sentinel`.

    Raises:
        UserError: It did not start; the end of its log file is in the message.

    """
    port = port or ports.free_port()
    try:
        configuration = redis_server.write_configuration(directory, port, PASSWORD, durable=False)
        with configuration.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        command = [*redis_server.command(configuration), *words]
        with running(command, directory, signal.SIGTERM, lambda: redis_server.is_ready(port, PASSWORD)) as pid:
            yield RedisServer(port, PASSWORD, pid)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(
    words: list[str],
    directory: Path,
    stop: signal.Signals,
    ready: Callable[[], bool],
    *,
    environment: Mapping[str, str] | None = None,
    seconds: float = _START_SECONDS,
    fix: str | None = None,
) -> Iterator[int]:
    """Run a program in a process group of its own until the block ends; yields its process id once it is ready.

    Args:
        words: Its command line.
        directory: Where it runs, and writes server.log.
        stop: What ends it; SIGKILL follows when it does not.
        ready: Whether it answers.
        environment: Its variables, by default ours.
        seconds: How long it may take to be ready.
        fix: What to do when it is not.

    Raises:
        UserError: It did not start; the end of its log file is in the message.

    """
    log = directory / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _ended_with_us(words, stop),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=directory,
            env=environment,
        )
    try:
        _wait_until(ready, process, log, seconds, fix)
        yield process.pid
    finally:
        _end(process, stop)


def _ended_with_us(words: list[str], stop: signal.Signals) -> list[str]:
    """Have the kernel send `stop` to the server when this process dies, however it dies."""
    if shutil.which("setpriv") is None:
        return words
    guard = ["setpriv", f"--pdeathsig={stop.name.removeprefix('SIG')}"]
    # Inside the user namespace: entering one clears the request.
    position = words.index("--") + 1 if "--" in words else 0
    return [*words[:position], *guard, *words[position:]]


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float, fix: str | None) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
            raise UserError(
                f"A throw-away server did not start: {tail or 'it wrote nothing'}",
                where=shlex.join(cast("list[str]", process.args)),
                fix=fix,
            )
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, stop)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
