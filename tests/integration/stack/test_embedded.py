"""The throw-away servers that all other tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings


def group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_postgres_runs_in_its_own_group_and_leaves_nothing(tmp_path: Path) -> None:
    with embedded.start_postgres(tmp_path / "pg") as server:
        assert server.sql("SELECT 6 * 7").strip() == "42"
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)
    assert not group_exists(server.pid)
    assert not (tmp_path / "pg").exists()
    assert ports.is_free(server.login.port)


def test_redis_runs_in_its_own_group_and_leaves_nothing(tmp_path: Path) -> None:
    with embedded.start_redis(tmp_path / "redis") as server, redis.Redis.from_url(server.url()) as client:
        assert client.ping()
        assert os.getpgid(server.pid) == server.pid
    assert not group_exists(server.pid)
    assert not (tmp_path / "redis").exists()
    assert ports.is_free(server.port)


def test_a_taken_port_is_named(tmp_path: Path, postgres_server: embedded.PostgresServer) -> None:
    taken = postgres_server.login.port
    with pytest.raises(UserError, match="did not start"), embedded.start_redis(tmp_path / "redis", taken):
        pass
    assert not (tmp_path / "redis").exists()


def test_servers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from detektor_pipelines.stack.servers import embedded
with embedded.start_postgres(Path({str(tmp_path / "pg")!r})) as pg, embedded.start_redis(Path({str(tmp_path / "redis")!r})) as redis:
    print(pg.pid, redis.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    deadline = time.monotonic() + 20
    while any(map(group_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(group_exists, pids))


def test_collation_is_the_same_everywhere(postgres_server: embedded.PostgresServer) -> None:
    row = postgres_server.sql("SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'detektor'")
    assert row.strip() == "b|C.UTF-8|UTF8"


def test_each_test_has_a_database_of_its_own(database: Settings) -> None:
    with psycopg.connect(database.postgres_dsn) as connection:
        connection.execute("CREATE TABLE ml_learning.only_here (x int)")
        schemas = {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}
    assert {"ml_learning", "feast", "dagster", "mlflow"} <= schemas


def test_and_the_next_one_does_not_see_it(database: Settings) -> None:
    with psycopg.connect(database.postgres_dsn) as connection:
        assert connection.execute("SELECT to_regclass('ml_learning.only_here')").fetchone() == (None,)


def test_redis_starts_empty(redis_db: Settings) -> None:
    with redis.Redis.from_url(redis_db.redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_emptied_between_tests(redis_db: Settings) -> None:
    with redis.Redis.from_url(redis_db.redis_url) as client:
        assert client.dbsize() == 0


def test_both_servers_are_in_one_settings_object(servers: Settings) -> None:
    assert servers.external_postgres_url
    assert servers.external_redis_url
