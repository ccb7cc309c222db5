"""The feature server while clients ask all the time: Redis is killed and hangs, everything is published again, the process is replaced.

Nothing here may fail one request.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.serving_client import DETEKTOR, Server, running
from support.serving_load import load

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from detektor_pipelines.language.views import FeatureView

pytestmark = pytest.mark.slow

AGENTS = [view.agent for view in VIEWS]
FEATURES = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
BACK_S = 2
"""Within which answers are live again after Redis has returned."""


def publish(settings: Settings, number: int) -> None:
    """Publish all views, every value of theirs the same number."""
    now = clock.now_us()
    with online.redis_client(settings) as client:
        for view in VIEWS:
            values: dict[str, Any] = {each.name: number * (1_000_000 if each.value_type == "instant" else 1) for each in view.features}
            rows = [online.OnlineRow(view.agent, now, now, now, None, values)]
            online.write_values(client, settings.project, view, rows, valid_through_us=now)


def values_of(answer: Any, view: FeatureView) -> tuple[Any, ...]:
    """Return one agent's values of its view out of an answer, in the view's order."""
    names, position = answer["metadata"]["feature_names"], AGENTS.index(view.agent)
    return tuple(answer["results"][names.index(f"{view.name}__{each.name}")]["values"][position] for each in view.features)


def whole(answer: Any) -> None:
    """Require that an agent's values are of one publication."""
    for view in VIEWS:
        assert len(set(values_of(answer, view))) == 1, f"torn: {view.name} {values_of(answer, view)}"


def until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_redis_is_killed(tmp_path: Path) -> None:
    port = ports.free_port()
    with embedded.start_redis(tmp_path / "first", port) as redis:
        settings = Settings(home=tmp_path / "home", external_redis_url=redis.url())
        publish(settings, 1)
        with running(tmp_path, "serve", environment=_environment(settings)) as server:
            until((settings.home / "static-features.json").exists)
            with load(server.port, FEATURES, AGENTS, look=whole) as asking:
                asking.awaits(100, "redis")
                os.kill(redis.pid, signal.SIGKILL)
                asking.awaits(300, "fallback")
                with embedded.start_redis(tmp_path / "second", port):
                    publish(settings, 2)
                    asking.awaits(1, "redis", seconds=BACK_S)
                    asking.awaits(100, "redis")
                    before = asking.sources["fallback"]
                    asking.awaits(50)
                    assert asking.sources["fallback"] == before, "it is back for good"
            assert asking.failures == []
            assert "Traceback" not in server.log


def test_redis_hangs(tmp_path: Path) -> None:
    with embedded.start_redis(tmp_path / "redis", ports.free_port()) as redis:
        settings = Settings(home=tmp_path / "home", external_redis_url=redis.url())
        publish(settings, 1)
        with running(tmp_path, "serve", environment=_environment(settings)) as server:
            until((settings.home / "static-features.json").exists)
            with load(server.port, FEATURES, AGENTS, look=whole) as asking:
                asking.awaits(100, "redis")
                os.kill(redis.pid, signal.SIGSTOP)
                try:
                    asking.awaits(200, "fallback")
                finally:
                    os.kill(redis.pid, signal.SIGCONT)
                asking.awaits(1, "redis", seconds=BACK_S)
                asking.awaits(50, "redis")
            assert asking.failures == []
            late = float(server.get("/metrics").body.partition(b"\nfeast_online_late_total ")[2].split()[0])
            assert late > 0, "those under way when it began to hang did not wait for the time-out"


@pytest.mark.long
def test_everything_is_applied_computed_and_published(servers: Settings) -> None:
    from detektor_pipelines.engine.materialize import materialize
    from detektor_pipelines.engine.online import publish_online
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    today = clock.from_us(clock.now_us()).date()
    days = [today - timedelta(days=number) for number in range(10, 0, -1)]
    append_table(servers, simulate_table(days=10, projects=2, seed=1, end=today, events=4_000))
    published: dict[str, set[tuple[Any, ...]]] = {view.name: set() for view in VIEWS}

    def publish_days(some: list[date]) -> None:
        for view in VIEWS:
            assert not materialize(servers, view, some).failed
            publish_online(servers, view)
            with online.redis_client(servers) as client:
                (row,) = online.read(client, servers.project, view, [view.agent])
            assert row is not None, view.name
            published[view.name].add(_as_answered(view, row))

    seen: list[tuple[str, tuple[Any, ...]]] = []

    def note(answer: Any) -> None:
        seen.extend((view.name, values_of(answer, view)) for view in VIEWS)

    publish_days(days[:8])
    home = {"DETEKTOR_HOME": str(servers.home)}
    with (
        running(servers.home.parent, "serve", environment=home) as server,
        load(server.port, FEATURES, AGENTS, each_s=0.1, look=note) as asking,
    ):
        asking.awaits(20)
        applying = subprocess.Popen(
            [str(Path(sys.executable).with_name("feast")), "--chdir", str(Path(__file__).parents[3] / "feature_repo"), "apply"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | feast_repo.environment(servers),
        )
        for day in days[8:]:
            publish_days([day])
        _, said = applying.communicate(timeout=120)
        assert applying.returncode == 0, said[-2_000:]
        asking.awaits(20)
    assert asking.failures == []
    assert {(name, values) for name, values in seen if values not in published[name]} == set(), "torn: no publication holds these"
    assert len({values for name, values in seen if name == VIEWS[0].name}) > 1, "it was seen to change"


def test_workers_are_replaced(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, 1)
    with running(tmp_path, "serve", "--workers", "2", environment=_environment(redis_db)) as server:
        before = _children(server)
        with load(server.port, FEATURES, AGENTS, look=whole) as asking:
            asking.awaits(50)
            os.kill(server.process.pid, signal.SIGHUP)
            until(lambda: len(_children(server)) == 2 and not _children(server) & before, seconds=60)
            asking.awaits(50)
        assert asking.failures == []


def test_the_process_begins_anew(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, 1)
    with running(tmp_path, "serve", environment=_environment(redis_db)) as server:
        with load(server.port, FEATURES, AGENTS, look=whole) as asking:
            for _ in range(2):
                asking.awaits(50)
                started = _started(server)
                os.kill(server.process.pid, signal.SIGHUP)
                until(lambda started=started: _started(server) > started)
                asking.awaits(50)
        assert asking.failures == []
        assert server.get("/health").json["status"] == "OK"


def test_another_process_takes_the_socket_over(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        first = _started_on(listener, port, redis_db, tmp_path / "first.log")
        try:
            with load(port, FEATURES, AGENTS, look=whole) as asking:
                asking.awaits(50)
                second = _started_on(listener, port, redis_db, tmp_path / "second.log")
                until(lambda: "Listening" in (tmp_path / "second.log").read_text())
                os.killpg(first.pid, signal.SIGTERM)
                assert first.wait(20) == 0
                asking.awaits(100)
            assert asking.failures == []
        finally:
            for each in (first, second):
                with suppress(ProcessLookupError):
                    os.killpg(each.pid, signal.SIGTERM)
                each.wait(20)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_REDIS_URL": settings.redis_url,
        "DETEKTOR_SERVE_FALLBACK_SECONDS": "1",
    }


def _as_answered(view: FeatureView, row: online.OnlineRow) -> tuple[Any, ...]:
    """Return a stored row's values as the HTTP answer has them: instants in seconds."""
    values = [(row.values[each.name], each.value_type == "instant") for each in view.features]
    return tuple(int(value) // 1_000_000 if instant and value is not None else value for value, instant in values)


def _children(server: Server) -> set[int]:
    found = set()
    for each in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "resource_tracker" not in " ".join(each.cmdline()):
                found.add(each.pid)
    return found


def _started(server: Server) -> int:
    """Return how often the process has begun."""
    return server.log.count("Listening:")


def _started_on(listener: socket.socket, port: int, settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """Start a server on a socket of ours, as systemd would."""
    become = "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
    move = f"import os, sys; os.dup2({listener.fileno()}, 3); {become}"
    command = [sys.executable, "-c", move, DETEKTOR, "serve", "--port", str(port)]
    environment = os.environ | _environment(settings) | {"LISTEN_FDS": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            command, pass_fds=[listener.fileno()], stdout=output, stderr=output, start_new_session=True, env=environment
        )
