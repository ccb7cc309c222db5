"""What a read is answered from: Redis or what was kept, and never a mixture. Redis is played here."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.server_metrics import ServerMetrics
from detektor_pipelines.serving.values import sources
from detektor_pipelines.serving.values.last_known import LastKnown
from detektor_pipelines.serving.values.live_values import OnlineStoreLateError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online.values import Lookup, keys_of, stored_view

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detektor_pipelines.stores.online import values as online

VIEW, OTHER = (stored_view(view) for view in VIEWS[:2])


class Live:
    """Redis: `values` by key, or an error."""

    def __init__(self, _: Settings) -> None:
        self.values: dict[str, bytes] = {}
        self.error: OnlineStoreDownError | None = None
        self.asked: list[list[str]] = []
        self.patient: list[bool] = []
        self.sent: list[tuple[Any, ...]] = []

    async def get(self, keys: Sequence[str], *, patient: bool) -> list[bytes | None]:
        self.asked.append(list(keys))
        self.patient.append(patient)
        if self.error:
            raise self.error
        return [self.values.get(key) for key in keys]

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        self.sent += commands


class World:
    """A `Sources` over a played Redis."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.setattr(sources, "LiveValues", Live)
        self.settings = Settings(home=tmp_path, serve_read_sample=settings.pop("serve_read_sample", 0), **settings)
        self.last, self.metrics = LastKnown(self.settings), ServerMetrics()
        self.sources = sources.Sources(self.settings, self.last, self.metrics)

    @property
    def redis(self) -> Live:
        return self.sources.live  # type: ignore[return-value]

    def get(self, *lookups: Lookup) -> tuple[list[bytes | None], str]:
        return asyncio.run(self.sources.get(lookups))

    def keep(self, *lookups: Lookup) -> None:
        self.last._values = dict.fromkeys(keys_of(lookups), b"kept")
        self.last._kept_at = time.monotonic()


def lookup(*agents: str, view: online.StoredView = VIEW) -> Lookup:
    return Lookup("detektor", view, agents)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def filled(world: World, *lookups: Lookup, text: str = "") -> None:
    world.redis.values |= {key: f"{key}{text}".encode() for key in keys_of(lookups)}


def test_redis_answers(world: World) -> None:
    filled(world, lookup("a"))
    keys = keys_of([lookup("a", "b")])
    assert world.get(lookup("a", "b")) == ([keys[0].encode(), None, keys[2].encode()], "redis")
    assert world.redis.asked == [keys]
    world.get(lookup("a", "b"))
    assert len(world.redis.asked) == 2, "each read asks Redis"


def test_what_was_kept_answers_while_it_is_away(world: World) -> None:
    world.redis.error = OnlineStoreDownError("away")
    with pytest.raises(OnlineStoreDownError, match="away"):
        world.get(lookup("a"))
    world.keep(lookup("a"))
    assert world.get(lookup("a", "b")) == ([b"kept", None, b"kept"], "fallback")
    assert b"feast_online_fallback_total 1.0" in world.metrics.exposition()[0]
    assert b"feast_online_late_total 0.0" in world.metrics.exposition()[0]


def test_only_who_finds_all_of_it_kept_recently_is_impatient(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.get(lookup("a"))
    world.keep(lookup("a"))
    world.get(lookup("a"))
    world.get(lookup("a", "never-published"))
    world.get(lookup("a"), lookup("a", view=OTHER))
    world.keep(lookup("a"), lookup("b", view=OTHER))
    world.get(lookup("a", "b"), lookup("a", "b", view=OTHER))
    world.last._kept_at -= 2 * world.settings.serve_fallback_seconds + 1  # type: ignore[operator]
    world.get(lookup("a"))
    assert world.redis.patient == [True, False, True, True, False, True], "each in one of the views is enough"
    world.redis.error = OnlineStoreLateError("late")
    assert world.get(lookup("a"))[1] == "fallback"
    assert b"feast_online_late_total 1.0" in world.metrics.exposition()[0]


def test_what_is_read_of_redis_is_sampled_and_what_was_kept_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch, serve_read_sample=1)
    filled(world, lookup("a"))
    world.get(lookup("a"))
    assert len(world.redis.sent) == 1
    world.keep(lookup("a"))
    world.redis.error = OnlineStoreDownError("away")
    world.get(lookup("a"))
    assert len(world.redis.sent) == 1, "parity judges what Redis holds"
