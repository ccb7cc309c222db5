"""What `detektor doctor` says of the servers behind the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.cli_commands import doctor
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers.access import REDIS
from detektor_pipelines.stores.connections_redis import redis_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.checks import Check


def of_redis(settings: Settings) -> dict[str, Check]:
    return {each.name: each for each in doctor._redis(settings)}


@pytest.fixture
def restored(redis_db: Settings) -> Iterator[Settings]:
    yield redis_db
    with redis_client(redis_db) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("save", "")
        client.acl_deluser("reader")


def test_a_redis_that_keeps_nothing_or_drops_values_is_named(restored: Settings) -> None:
    assert of_redis(restored)["Redis persistence"].result == "warning"
    assert of_redis(restored)["Redis eviction"].result == "ok"
    with redis_client(restored) as client:
        client.config_set("save", "300 1")
        client.config_set("maxmemory-policy", "allkeys-random")
    found = of_redis(restored)
    assert found["Redis persistence"].result == "ok"
    assert found["Redis eviction"].result == "warning"
    assert "allkeys-random" in found["Redis eviction"].found
    assert found["Redis release"].result in {"ok", "warning"}
    with redis_client(restored) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
    assert of_redis(restored)["Redis eviction"].result == "ok"


def test_a_user_who_may_not_ask_is_told_what_can_be_told(restored: Settings) -> None:
    with redis_client(restored) as client:
        client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">throw-away", *REDIS["read"].split())
    url = f"redis://reader:throw-away@{restored.redis_host}:{restored.redis_port}/0"
    found = of_redis(Settings(home=restored.home, external_redis_url=url))
    assert found["Redis persistence"].found == "does not say to this user"
    assert "Redis release" in found


def test_a_limit_that_ours_cannot_go_before_is_named(database: Settings) -> None:
    assert [each.name for each in doctor._postgres(database)] == ["PostgreSQL release"]
    with psycopg.connect(database.postgres_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.postgres_database} SET transaction_timeout = '60s'")
    found = {each.name: each for each in doctor._postgres(database)}
    assert found["PostgreSQL limits"].fix == "ALTER ROLE detektor SET transaction_timeout = 0"
