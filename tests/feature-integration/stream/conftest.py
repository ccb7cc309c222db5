"""Real workers as processes of their own, on servers that a test may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from detektor_pipelines import stack
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.schema import migrate
from detektor_pipelines.stream.run import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

AGENT = "code-reviewer"
_INSERT = """
INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at, ingested_at,
    derived, simulated, retracted, source, reader_revision, verdict, issues_found, duration_ms, task_id, review_round)
VALUES (%s, 1, 'code-reviewer', 'test', %s, 'review', clock_timestamp() - %s::interval, clock_timestamp(), clock_timestamp(),
    false, true, false, 'test', 1, 'rejected', 2, 60000, %s, 1)
"""


@dataclass
class Live:
    """Servers, workers and a writer. `written` counts the events of the agent."""

    settings: Settings
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    written: int = 0

    def start_worker(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start one; it is not awaited."""
        command = [str(Path(sys.executable).with_name("detektor")), "stream", "--quiet"]
        log = self.settings.home / f"worker-{len(self.processes)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=self.environment | variables, stdout=output, stderr=output, start_new_session=True)
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(20)
        self.processes.remove(process)

    def write(self, connection: psycopg.Connection, count: int = 1, *, ago: str = "0 s") -> None:
        """Insert events in the connection's transaction, over three projects."""
        for _ in range(count):
            connection.execute(_INSERT, (f"e{self.written}", f"p{self.written % 3}", ago, f"t{self.written % 7}"))
            self.written += 1

    def write_now(self, count: int = 1, *, ago: str = "0 s") -> None:
        """Insert and commit events one by one."""
        with psycopg.connect(self.settings.postgres_dsn, autocommit=True) as connection:
            for _ in range(count):
                self.write(connection, ago=ago)

    def count_online(self) -> int | None:
        """Return the agent's reviews of the last day, as online."""
        client = online.redis_client(self.settings)
        try:
            row = online.read(client, self.settings.project, VIEWS[0], [AGENT])[0]
        finally:
            client.close()
        return None if row is None else int(row.values["recent_reviews_count"] or 0)

    def wait_for_all(self, seconds: float = 40) -> None:
        """Wait until every event written is online."""
        self.wait_for(lambda: self.count_online() == self.written, seconds, lambda: f"{self.count_online()} of {self.written} are online")

    def wait_for(self, condition: Callable[[], object], seconds: float = 40, what: Callable[[], str] = lambda: "") -> None:
        deadline = time.monotonic() + seconds
        while not _holds(condition):
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-1500:] for path in sorted(self.settings.home.glob("worker-*.log")))
                pytest.fail(f"not within {seconds} s: {what()}\n{logs}")
            time.sleep(0.02)

    def assert_parity(self) -> None:
        """Every value online is what batch computes for its instant and knowledge, and some were compared."""
        found = check(self.settings, VIEWS[:1], 20)
        assert [each.mismatches for each in found] == [[]]
        assert found[0].compared >= 4

    def reports(self) -> list[dict[str, Any]]:
        return workers(self.settings)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except Exception:  # noqa: BLE001  a server that is away answers no question
        return False


@pytest.fixture
def live(
    tmp_path: Path, postgres_server: embedded.PostgresServer, template_database: str, redis_server: embedded.RedisServer, redis_db: Settings
) -> Iterator[Live]:
    """Workers on the session's servers, in a database of their own."""
    del redis_db  # empties Redis
    name = f"live_{abs(hash(tmp_path))}"
    postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    try:
        with _living(tmp_path / "home", postgres_server.dsn(name), redis_server.url()) as living:
            yield living
    finally:
        postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class OwnServers:
    """A PostgreSQL that comes back when it is killed, and a Redis to start and stop."""

    live: Live
    stack: Settings
    redis_directory: Path
    redis_port: int

    def redis(self) -> AbstractContextManager[embedded.RedisServer]:
        """Run Redis, empty, on the same port each time."""
        return embedded.start_redis(self.redis_directory, self.redis_port)

    def kill_postgres(self) -> None:
        """Kill -9 the postmaster and all that belongs to it; the process manager starts it again."""
        pid = stack.status(self.stack)["postgres"].pid
        assert pid is not None
        for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.live.wait_for(lambda: stack.status(self.stack)["postgres"].pid not in {None, pid})


@pytest.fixture
def own_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServers]:
    home = tmp_path / "stack"
    monkeypatch.setenv("DETEKTOR_HOME", str(home))
    settings = stack.up(Settings(home=home), ("postgres",), free_ports=True).settings
    try:
        migrate(settings)
        port = ports.free_port()
        url = f"redis://:{embedded.PASSWORD}@127.0.0.1:{port}/0"
        with _living(tmp_path / "home", settings.postgres_dsn, url) as living:
            yield OwnServers(living, settings, tmp_path / "redis", port)
    finally:
        stack.down(settings)


@contextmanager
def _living(home: Path, postgres_url: str, redis_url: str) -> Iterator[Live]:
    settings = Settings(home=home, external_postgres_url=postgres_url, external_redis_url=redis_url)
    with connect(settings) as connection:  # the events of these tests are of now and of yesterday
        connection.execute("CREATE TABLE ml_learning.agent_events_all PARTITION OF ml_learning.agent_events DEFAULT")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DETEKTOR_")} | {
        "DETEKTOR_HOME": str(home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": postgres_url,
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_url,
    }
    living = Live(settings, environment)
    try:
        yield living
    finally:
        for process in list(living.processes):
            living.kill(process)
