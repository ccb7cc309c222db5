"""Rows on real stores: an empty installation fails them, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.acceptance import online, run, servers, stored
from detektor_pipelines.acceptance.findings import Part
from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


def quiet(*_: object) -> None:
    """Tell nobody what is under way."""


def parts(check, settings) -> list[Part]:
    return list(check(settings, quiet))


def test_an_empty_log_fails_and_one_with_an_event_passes(servers: Settings) -> None:
    assert [part.state for part in parts(raw_log, servers)] == ["passed", "failed"]
    assert [part.text for part in parts(stored.history, servers)] == ["the raw log holds no event"]
    with LiveWriter(servers) as writer:
        writer.write([AgentEvent("a", "code-reviewer", "code-reviewer", "review", now_us() - 1_000_000, "test")])
    assert {part.state for part in parts(raw_log, servers)} == {"passed"}
    (found,) = run.run(servers, run.chosen("T9"), quiet)
    assert "code_review_features lacks 1" in found.parts[0].text
    assert [part.state for part in found.parts] == ["failed", "failed"], "no day is published, and there is no table yet"


def test_too_few_keys_online(servers: Settings) -> None:
    from detektor_pipelines.stores.connections_redis import redis_client

    assert [part.text for part in parts(online_keys, servers)] == ["0 keys feast:*"]
    with redis_client(servers) as client:
        client.mset({f"feast:{number}": b"" for number in range(9)} | {"other:1": b""})
        assert [part.state for part in parts(online_keys, servers)] == ["failed"]
        client.set("feast:9", b"")
        assert parts(online_keys, servers)[0] == Part("passed", "10 keys feast:*")


def test_a_registry_that_is_elsewhere(servers: Settings) -> None:
    found = parts(registry, servers)
    assert found[0].state == "failed", "no definitions were applied"
    assert found[1].state == "failed", "the test's database is not called detektor"


@pytest.mark.parametrize("name", ["T2", "T5", "T8", "T11"])
def test_servers_that_do_not_run(servers: Settings, name: str) -> None:
    nobody = ports.free_port()
    away = servers.model_copy(update={"serve_port": nobody, "registry_port": nobody, "exporter_port": nobody})
    (found,) = run.run(away, run.chosen(name), quiet)
    assert found.state == "failed"
    assert found.parts[-1].fix.startswith("detektor up")


def test_nothing_was_kept_for_when_redis_is_gone(servers: Settings) -> None:
    (part,) = parts(online.fallback, servers)
    assert part.state == "failed"
    assert "static-features.json" in part.text


raw_log, registry, online_keys = servers.raw_log, servers.registry, servers.online_keys
"""By names of their own: tests know `servers` as a fixture."""
