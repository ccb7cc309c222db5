"""What a read is answered from: the cache, Redis, or what was kept, and never a mixture with the last. Redis is played here."""

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
    from collections.abc import Callable, Sequence
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
        self.takes: Callable[[], None] = lambda: None

    async def get(self, keys: Sequence[str], *, patient: bool) -> list[bytes | None]:
        self.asked.append(list(keys))
        self.patient.append(patient)
        self.takes()
        if self.error:
            raise self.error
        return [self.values.get(key) for key in keys]

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        self.sent += commands


class World:
    """A `Sources` over a played Redis and clock."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.setattr(sources, "LiveValues", Live)
        self.settings = Settings(home=tmp_path, serve_read_sample=settings.pop("serve_read_sample", 0), **settings)
        self.last, self.metrics = LastKnown(self.settings), ServerMetrics()
        self.sources = sources.Sources(self.settings, self.last, self.metrics)
        self.now = 0.0
        self.sources._hot.timer = lambda: self.now

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


@pytest.fixture
def caching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, serve_cache_ms=1_000, serve_read_sample=1)


def filled(world: World, *lookups: Lookup, text: str = "") -> None:
    world.redis.values |= {key: f"{key}{text}".encode() for key in keys_of(lookups)}


def test_redis_answers(world: World) -> None:
    filled(world, lookup("a"))
    keys = keys_of([lookup("a", "b")])
    assert world.get(lookup("a", "b")) == ([keys[0].encode(), None, keys[2].encode()], "redis")
    assert world.redis.asked == [keys]
    world.get(lookup("a", "b"))
    assert len(world.redis.asked) == 2, "nothing is cached by default"


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


def test_the_cache_answers_until_it_is_too_old(caching: World) -> None:
    filled(caching, lookup("a", "b"))
    first = caching.get(lookup("a", "b"))
    filled(caching, lookup("a", "b"), text="new")
    caching.now = 1.0
    assert caching.get(lookup("a", "b")) == (first[0], "cache")
    assert len(caching.redis.asked) == 1
    caching.now = 1.001
    again = caching.get(lookup("a", "b"))
    assert again[1] == "redis"
    assert again[0] != first[0]
    assert b"feast_online_cached_total 2.0" in caching.metrics.exposition()[0]


def test_a_value_is_as_old_as_the_question(caching: World) -> None:
    def a_second_passes() -> None:
        caching.now += 1

    caching.redis.takes = a_second_passes
    caching.get(lookup("a"))
    assert caching.get(lookup("a"))[1] == "cache"
    caching.now += 0.001
    assert caching.get(lookup("a"))[1] == "redis", "it may have changed while the answer was under way"


def test_only_the_views_that_are_not_cached_are_read(caching: World) -> None:
    one, other = lookup("a"), lookup("a", "b", view=OTHER)
    filled(caching, one, other)
    caching.get(one)
    found, source = caching.get(other, one, other)
    assert source == "redis"
    assert caching.redis.asked[1] == keys_of([other, other])
    third, fourth = (lookup("a", view=stored_view(view)) for view in VIEWS[2:4])
    filled(caching, third, fourth)
    assert caching.get(third, one, fourth)[0] == [key.encode() for key in keys_of([third, one, fourth])]
    assert found == [key.encode() for key in keys_of([other, one, other])]
    assert caching.get(other, one) == ([key.encode() for key in keys_of([other, one])], "cache")


def test_with_redis_away_the_cache_goes_on_but_is_not_mixed_with_what_was_kept(caching: World) -> None:
    filled(caching, lookup("a"))
    caching.get(lookup("a"))
    caching.keep(lookup("a"), lookup("b"))
    caching.redis.error = OnlineStoreDownError("away")
    assert caching.get(lookup("a"))[1] == "cache"
    assert caching.get(lookup("a"), lookup("b")) == ([b"kept"] * 4, "fallback")


def test_reads_from_the_cache_are_sampled_like_others(caching: World) -> None:
    filled(caching, lookup("a"))
    caching.get(lookup("a"))
    caching.get(lookup("a"))
    assert len(caching.redis.sent) == 2
    assert caching.redis.sent[0] == caching.redis.sent[1], "what was read, with its own instant"
