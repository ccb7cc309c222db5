"""What is kept of a real Redis for when it is away."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.values import last_known
from detektor_pipelines.serving.values.last_known import LastKnown
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = VIEWS[0]


def fill(client: Redis, project: str, number: int) -> list[str]:
    """Write so many values of a view and up to when they are complete; return the keys."""
    keys = [online.value_key(project, VIEW, f"a{each}") for each in range(number)] + [online.valid_through_key(project, VIEW)]
    client.mset({key: f"value of {key}" for key in keys})
    return keys


def keep_until(last: LastKnown, true: Callable[[], bool]) -> None:
    async def run() -> None:
        async with last.keeping():
            deadline = time.monotonic() + 20
            while not true():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.fixture
def often(redis_db: Settings) -> Settings:
    return redis_db.model_copy(update={"serve_fallback_seconds": 0.1})


def test_values_of_the_current_versions_are_kept_and_no_longer_when_they_are_gone(often: Settings) -> None:
    last = LastKnown(often)
    with online.redis_client(often) as client:
        keys = fill(client, often.project, 950)
        others = [f"feast:{often.project}:{VIEW.name}@0123456789ab:a1", "feast:another:a1", f"feast:{often.project}#reads"]
        client.mset(dict.fromkeys(others, b"-"))
        keep_until(last, lambda: last._file.exists() and len(last) == len(keys))
        assert last.get([*keys, *others]) == [f"value of {key}".encode() for key in keys] + [None] * 3
        assert last.knows([keys[0], keys[-1]], 1)
        assert not last.knows([others[0], keys[-1]], 1)
        client.delete(*keys[100:-1])
        client.set(keys[0], b"newer")
        keep_until(last, lambda: len(last) == 101)
        assert last.get(keys[:2]) == [b"newer", f"value of {keys[1]}".encode()]
        keep_until(last, lambda: len(LastKnown(often)) == 101)
        assert LastKnown(often).get(keys) == last.get(keys), "the file says the same"
        assert not LastKnown(often).knows([keys[0], keys[-1]], 1), "how old a file is nobody knows: it is not called recent"


def test_an_empty_redis_and_one_that_is_away_take_nothing(often: Settings) -> None:
    last = LastKnown(often)
    with online.redis_client(often) as client:
        keys = fill(client, often.project, 3)
        keep_until(last, lambda: last._file.exists() and len(last) == 4)
        client.flushall()
        kept_at = last._kept_at

        def has_looked() -> bool:
            return client.info("commandstats").get("cmdstat_scan", {}).get("calls", 0) > looked  # type: ignore[union-attr]

        looked = client.info("commandstats").get("cmdstat_scan", {}).get("calls", 0)
        keep_until(last, has_looked)
    away = often.model_copy(update={"external_redis_url": "redis://127.0.0.1:1"})
    assert (len(last), last._kept_at) == (4, kept_at)
    again = LastKnown(away)
    keep_until(again, lambda: True)
    assert again.get(keys) == last.get(keys)


def test_no_more_than_so_many(often: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(last_known, "VALUES_LIMIT", 400)
    last = LastKnown(often)
    with online.redis_client(often) as client:
        fill(client, often.project, 950)
        keep_until(last, last._file.exists)
    assert 400 <= len(last) <= 401
    assert "Only 400 values are kept" in caplog.text
