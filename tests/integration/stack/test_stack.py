"""The servers that hold a person's data: start, again, after a death, elsewhere, and no survivor after the end."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
import redis
from support.waiting import eventually

from detektor_pipelines import stack
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack import binaries, ports, supervisor, survivors
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack import StackStatus
    from detektor_pipelines.stack.servers.embedded import PostgresServer, RedisServer

STORES = ("postgres", "redis")
DETEKTOR = Path(sys.executable).parent / "detektor"


@pytest.fixture
def home(isolated_environment: Path) -> Iterator[Path]:
    """Return a home directory; whatever a test leaves running there is ended."""
    yield isolated_environment
    get_settings.cache_clear()
    stack.down(get_settings())
    assert survivors.find(get_settings()) == []


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the home directory of the stack that `running` gives; ended after the last test."""
    home = tmp_path_factory.mktemp("shared") / "home"
    yield home
    stack.down(Settings(home=home))
    assert survivors.find(Settings(home=home)) == []


@pytest.fixture
def running(shared_home: Path, isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> StackStatus:
    """Return a running PostgreSQL and Redis; what the test before ended or killed is started again."""
    del isolated_environment  # first: it sets another home
    monkeypatch.setenv("DETEKTOR_HOME", str(shared_home))
    get_settings.cache_clear()
    return stack.up(get_settings(), STORES, free_ports=True)


def one(settings: Settings, sql: str) -> object:
    with psycopg.connect(settings.postgres_dsn) as connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None


def test_up_makes_database_schemas_and_passwords(running: StackStatus) -> None:
    settings = running.settings
    assert one(settings, "SELECT current_database()") == "detektor"
    assert one(settings, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ml_learning', 'feast', 'dagster', 'mlflow')") == 4
    assert one(settings, "SHOW listen_addresses") == "127.0.0.1"
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.ping()
    with redis.Redis(port=settings.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert {service.name for service in running.services if service.ready} == set(STORES)


def test_state_is_private(running: StackStatus) -> None:
    home = running.settings.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("stack.json", "secrets.env", "supervisord.conf", "servers/redis/redis.conf"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name


def test_any_later_command_finds_the_servers(running: StackStatus) -> None:
    get_settings.cache_clear()
    assert get_settings() == running.settings
    done = subprocess.run([DETEKTOR, "status", "--json"], capture_output=True, text=True, check=True)
    servers = json.loads(done.stdout)["servers"]
    assert servers["postgres"]["state"] == "running"
    assert servers["postgres"]["address"] == f"127.0.0.1:{running.settings.postgres_port}"


def test_each_server_has_its_own_process_group(running: StackStatus) -> None:
    pids = [service.pid for service in running.services if service.pid]
    assert len(pids) == 2
    for pid in pids:
        assert os.getpgid(pid) == pid
    assert os.getpgid(0) not in pids


def test_down_leaves_no_process_port_or_socket_and_keeps_the_data(running: StackStatus) -> None:
    settings = running.settings
    with psycopg.connect(settings.postgres_dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS ml_learning.kept AS SELECT 42 AS answer")
    with redis.Redis.from_url(settings.redis_url) as client:
        client.set("kept", "too")
    before = survivors.find(settings)
    assert len(before) >= 4, "supervisord, PostgreSQL with its children, Redis"

    assert set(stack.down(settings)) == {"PostgreSQL", "Redis"}

    assert survivors.find(settings) == []
    assert not [pid for pid in before if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert ports.is_free(settings.postgres_port)
    assert ports.is_free(settings.redis_port)
    assert not supervisor.socket_path(settings).exists()
    assert not settings.state_file.exists()
    assert stack.down(settings) == (), "a second down is harmless"

    again = stack.up(Settings(home=settings.home), STORES, free_ports=True).settings
    assert one(again, "SELECT answer FROM ml_learning.kept") == 42
    with redis.Redis.from_url(again.redis_url) as client:
        assert client.get("kept") == b"too"


def test_a_second_up_changes_nothing(running: StackStatus) -> None:
    said: list[str] = []
    again = stack.up(get_settings(), STORES, on_progress=said.append)
    assert [service.pid for service in again.services] == [service.pid for service in running.services]
    assert again.supervisor_pid == running.supervisor_pid
    assert said == []


def test_two_at_once_start_one_stack(home: Path) -> None:
    def begin(_: int) -> StackStatus:
        return stack.up(Settings(home=home), STORES, free_ports=True)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(begin, range(2))
    first_pids, second_pids = ([service.pid for service in status.services] for status in (first, second))
    assert first_pids == second_pids
    assert len([pid for pid in survivors.find(first.settings) if psutil.Process(pid).name() == "redis-server"]) == 1


@pytest.mark.parametrize("name", STORES)
def test_a_server_that_died_is_started_again(running: StackStatus, name: str) -> None:
    pid = running[name].pid
    assert pid
    os.killpg(pid, signal.SIGKILL)
    again = stack.up(get_settings(), STORES)
    assert again[name].ready
    assert eventually(lambda: stack.status(get_settings())[name].state == "running")
    assert stack.status(get_settings())[name].pid != pid


def test_a_server_that_was_stopped_is_started_again(running: StackStatus) -> None:
    supervisor.stop(running.settings, "redis")
    assert stack.status(running.settings)["redis"].state == "stopped"
    assert stack.up(get_settings(), STORES)["redis"].state == "running"


def test_servers_that_lost_their_process_manager_are_replaced(running: StackStatus) -> None:
    assert running.supervisor_pid
    os.kill(running.supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: supervisor.running_pid(running.settings) is None)
    again = stack.up(get_settings(), STORES)
    assert again["postgres"].ready
    assert again.supervisor_pid != running.supervisor_pid
    masters = [process for process in map(psutil.Process, survivors.find(again.settings)) if process.name() == "supervisord"]
    assert len(masters) == 1


def test_what_somebody_stopped_is_said_and_goes_on_with_up(running: StackStatus) -> None:
    """Servers, and the process manager too; nothing is started anew."""
    pids = survivors.find(running.settings)
    for pid in pids:
        if pid != running.supervisor_pid:
            os.kill(pid, signal.SIGSTOP)
    assert {stack.status(running.settings)[name].state for name in STORES} == {"hung"}
    assert running.supervisor_pid
    os.kill(running.supervisor_pid, signal.SIGSTOP)
    said: list[str] = []
    again = stack.up(get_settings(), STORES, on_progress=said.append)
    assert said == [f"{len(pids)} processes that somebody had stopped (SIGSTOP) go on"]
    assert [service.pid for service in again.services] == [service.pid for service in running.services]
    assert {again[name].state for name in STORES} == {"running"}


def test_down_ends_what_lost_its_process_manager(running: StackStatus) -> None:
    assert running.supervisor_pid
    os.kill(running.supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: supervisor.running_pid(running.settings) is None)
    stack.down(running.settings)
    assert survivors.find(running.settings) == []
    assert ports.is_free(running.settings.redis_port)


def test_a_taken_port_names_port_and_setting(home: Path, redis_server: RedisServer) -> None:
    settings = Settings(home=home, redis_port=redis_server.port, postgres_port=ports.free_port())
    with pytest.raises(UserError, match=str(redis_server.port)) as caught:
        stack.up(settings, STORES)
    assert "DETEKTOR_REDIS_PORT" in str(caught.value)
    assert survivors.find(settings) == [], "nothing was started"


def test_free_ports_takes_another_and_says_which(home: Path, redis_server: RedisServer) -> None:
    said: list[str] = []
    settings = Settings(home=home, redis_port=redis_server.port)
    used = stack.up(settings, ("redis",), free_ports=True, on_progress=said.append).settings.redis_port
    assert used != redis_server.port
    assert f"Port {redis_server.port} is taken: Redis uses {used}" in said


def test_a_port_that_was_chosen_stays_where_it_is_free(home: Path, redis_server: RedisServer) -> None:
    """Also without the option, and although the usual one is to be had again; only where it is taken itself another is chosen."""
    settings = Settings(home=home, redis_port=redis_server.port)
    used = stack.up(settings, ("redis",), free_ports=True).settings.redis_port
    stack.down(settings)
    assert stack.up(settings, ("redis",)).settings.redis_port == used
    stack.down(settings)
    with socket.create_server((ports.LOOPBACK, used)):
        other = stack.up(settings, ("redis",), free_ports=True).settings.redis_port
        assert other not in {used, redis_server.port}


def test_a_taken_port_of_the_registrys_grpc_is_said_before_anything_starts(home: Path, redis_server: RedisServer) -> None:
    settings = Settings(home=home, registry_grpc_port=redis_server.port, registry_port=ports.free_port())
    with pytest.raises(UserError, match="wants for gRPC"):
        stack.up(settings, ("registry",), free_ports=True)
    assert survivors.find(settings) == []


def test_a_port_set_in_the_environment_is_never_changed(home: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_REDIS_PORT", str(redis_server.port))
    with pytest.raises(UserError, match="is taken by another program"):
        stack.up(Settings(home=home), ("redis",), free_ports=True)


def test_another_port_for_a_running_server_is_refused(running: StackStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_REDIS_PORT", str(ports.free_port()))
    get_settings.cache_clear()
    with pytest.raises(UserError, match=f"runs on port {running.settings.redis_port} already"):
        stack.up(get_settings(), STORES)


def test_servers_of_the_persons_own_are_used_instead(home: Path, postgres_server: PostgresServer, redis_server: RedisServer) -> None:
    postgres_server.sql("CREATE DATABASE of_their_own")
    try:
        settings = Settings(home=home, external_postgres_url=postgres_server.dsn("of_their_own"), external_redis_url=redis_server.url())
        status = stack.up(settings, STORES)
        assert {service.state for service in status.services if service.name in STORES} == {"external"}
        assert survivors.find(settings) == [], "nothing of ours was started"
        assert one(settings, "SELECT count(*) FROM pg_namespace WHERE nspname = 'ml_learning'") == 1
        assert stat.S_IMODE(settings.state_file.stat().st_mode) == 0o600, "it holds the address with its password"
        assert Settings(home=home).external_redis_url == redis_server.url(), "a later command finds it too"
    finally:
        postgres_server.sql("DROP DATABASE of_their_own WITH (FORCE)")


def test_a_silent_server_of_the_persons_own_is_named(home: Path) -> None:
    port = ports.free_port()
    with pytest.raises(UserError, match="Redis that you named does not answer") as caught:
        stack.up(Settings(home=home, external_redis_url=f"redis://:secret@127.0.0.1:{port}/0"), STORES, free_ports=True)
    assert str(port) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not (home / "stack.json").exists()


def test_a_server_that_does_not_start_shows_its_log(home: Path) -> None:
    settings = stack.up(Settings(home=home), ("redis",), free_ports=True).settings
    stack.down(settings)
    (home / "servers" / "redis" / "dump.rdb").write_text("no snapshot at all")
    with pytest.raises(UserError, match=r"(?s)Redis did not start.*DB") as caught:
        stack.up(Settings(home=home), ("redis",), free_ports=True)
    assert "redis.log" in str(caught.value)


def test_a_foreign_cluster_is_not_touched(home: Path) -> None:
    data = home / "servers" / "postgres" / "data"
    (data / "base" / "5").mkdir(parents=True)
    with pytest.raises(UserError, match="did not make"):
        stack.up(Settings(home=home), ("postgres",), free_ports=True)
    assert (data / "base" / "5").is_dir()


def test_an_interrupted_first_start_is_made_good(home: Path) -> None:
    data = home / "servers" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    assert stack.up(Settings(home=home), ("postgres",), free_ports=True)["postgres"].ready


def test_a_long_path_with_odd_characters(isolated_environment: Path) -> None:
    home = isolated_environment / ("long " * 30) / "ö"
    settings = Settings(home=home)
    assert len(str(home)) > 107
    try:
        status = stack.up(settings, STORES, free_ports=True)
        assert one(status.settings, "SELECT 1") == 1
    finally:
        stack.down(settings)
    assert survivors.find(settings) == []
    assert not supervisor.socket_path(settings).parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize(
    "become",
    [
        ("runuser", "-u", "nobody"),
        pytest.param(("unshare", "--user", "--map-user=1000", "--map-group=1000"), marks=pytest.mark.long),
    ],
    ids=lambda words: words[0],
)
def test_an_ordinary_user_can_do_it_too(become: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="detektor-user-") as directory:
        if become[0] == "runuser":
            os.chown(directory, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        if shutil.which(become[0]) is None or _as_somebody(become, directory, "version").returncode != 0:
            pytest.skip("cannot become this user, or it cannot read this checkout")
        chosen = {f"DETEKTOR_{name.upper()}_PORT": str(ports.free_port()) for name in STORES}
        try:
            done = _as_somebody(become, directory, "up", *STORES, "--json", **chosen)
            assert done.returncode == 0, done.stderr
            server = json.loads(done.stdout)["servers"]["postgres"]
            assert server["state"] == "running"
            assert "unshare" not in psutil.Process(server["pid"]).cmdline()
        finally:
            assert _as_somebody(become, directory, "down", **chosen).returncode == 0
        assert survivors.find(Settings(home=Path(directory) / "home")) == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("runuser") is None, reason="needs root without namespaces")
def test_root_without_user_namespaces_uses_an_os_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.stack.servers import privileges

    monkeypatch.setattr(privileges, "namespaces_work", lambda: False)
    with tempfile.TemporaryDirectory(prefix="detektor-root-") as directory:
        Path(directory).chmod(0o755)
        readable = subprocess.run(["runuser", "-u", "nobody", "--", "test", "-x", binaries.postgres("postgres")], check=False)
        if readable.returncode != 0:
            pytest.skip("this checkout is not readable for other users")
        data = Path(directory) / "data"
        login = postgres.Login("detektor", "secret", ports.free_port())
        postgres.initialise(data, login, durable=False)
        assert data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        words = postgres.command(data, login.port, durable=False)
        server = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL, cwd=data)
        try:
            assert eventually(lambda: postgres.is_ready(login))
            assert postgres.run_sql(login.dsn("postgres"), "SELECT 42").strip() == "42"
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(20)


@pytest.mark.slow
def test_mlflow_runs_on_that_postgres_and_ends_whole(home: Path) -> None:
    begun = stack.up(Settings(home=home), (*STORES, "mlflow"), free_ports=True, wait=STORES)
    assert begun["postgres"].ready, "up came back before MLflow was there"
    status = stack.wait(begun.settings, "mlflow")
    assert status["mlflow"].state == "running"
    assert one(status.settings, "SELECT count(*) FROM mlflow.experiments") == 1
    mlflow = status["mlflow"].pid
    assert mlflow
    children = psutil.Process(mlflow).children(recursive=True)
    secret = status.settings.postgres_password
    assert secret
    assert not any(secret.get_secret_value() in word for process in [psutil.Process(mlflow), *children] for word in process.cmdline())
    stack.down(status.settings)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert ports.is_free(status.settings.mlflow_port)
    assert PROGRAMS["mlflow"].log(status.settings).exists()


def _as_somebody(become: tuple[str, ...], directory: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": directory, "DETEKTOR_HOME": f"{directory}/home", "PYTHONDONTWRITEBYTECODE": "1"}
    line = [*become, "--", str(DETEKTOR), *words]
    return subprocess.run(line, env=kept | environment, cwd="/", capture_output=True, text=True, check=False, timeout=120)
