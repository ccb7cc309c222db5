"""What each role may do in Redis, through the code that its programs run, and what it may not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers.access import REDIS
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VIEW = view_named("code_review_features")
PAGE = Path(__file__).parents[3] / "docs" / "roles.md"


@pytest.fixture
def as_role(servers: Settings) -> Iterator[Callable[[str], Settings]]:
    """Return settings that log in to Redis as one role; a day is published."""
    instant = parse_instant("2026-03-05T10:00:00Z")
    append(
        servers, [AgentEvent("e", "code-reviewer", "r", "review", instant, "test", known_at=instant, categories={"verdict": "approved"})]
    )
    materialize(servers, VIEW, [date(2026, 3, 5)])
    publish_online(servers, VIEW)
    owner = redis_client(servers)

    def settings(role: str) -> Settings:
        owner.execute_command("ACL", "SETUSER", f"detektor_{role}", "reset", "on", ">throw-away", *REDIS[role].split())
        parts = urlsplit(servers.redis_url)
        address = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"detektor_{role}:throw-away@{address}"))
        return Settings(home=servers.home, external_postgres_url=servers.external_postgres_url, external_redis_url=url)

    yield settings
    owner.execute_command("ACL", "DELUSER", *(f"detektor_{role}" for role in REDIS))
    owner.close()


def allowed(settings: Settings, *commands: str) -> list[str]:
    """Those of the commands that the role may carry out after all."""
    client, found = redis_client(settings), []
    for command in commands:
        try:
            client.execute_command(*command.split())
        except redis.exceptions.NoPermissionError:
            continue
        found.append(command)
    client.close()
    return found


NOBODYS = ("FLUSHALL", "KEYS *", "GET other", "SET other 1", "ACL LIST", "SHUTDOWN", "CONFIG SET maxmemory 1")


@pytest.mark.parametrize("role", ["read", "serve"])
def test_who_serves_reads_and_writes_no_value(as_role: Callable[[str], Settings], role: str) -> None:
    settings = as_role(role)
    client = redis_client(settings)
    (row,) = online.read(client, settings.project, VIEW, ["code-reviewer"])
    assert row is not None
    sample = read_log.commands(settings.project, [("v", "a", b"p")])[0]
    if role == "serve":
        client.execute_command(*sample)
    else:
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*sample)
    client.close()
    key = online.value_key(settings.project, VIEW, "code-reviewer")
    assert allowed(settings, *NOBODYS, f"SET {key} x", f"DEL {key}", "EVAL return(1) 0") == []


def test_who_computes_publishes_and_reaches_no_others_keys(as_role: Callable[[str], Settings]) -> None:
    settings = as_role("compute")
    client = redis_client(settings)
    client.delete(online.value_key(settings.project, VIEW, "code-reviewer"))
    assert publish_online(settings, VIEW).written == 1
    client.close()
    assert allowed(settings, *NOBODYS, "CONFIG GET save", "BGSAVE") == []


def test_the_page_shows_the_rules() -> None:
    assert [role for role, rules in REDIS.items() if rules not in PAGE.read_text()] == []
