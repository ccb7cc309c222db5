"""Hot agents answered without Redis, on a real server: within the bound, with the value's own age, and as they were for parity."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from support.serving_client import running

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
COUNT = f"{VIEW.name}:recent_reviews_count"


def publish(settings: Settings, count: int) -> None:
    now = clock.now_us()
    values: dict[str, Any] = {each.name: count if each.value_type == "int64" else None for each in VIEW.features}
    with online.redis_client(settings) as client:
        row = online.OnlineRow("code-reviewer", now, now, now, f"{count}:{count}:", values)
        online.write_values(client, settings.project, VIEW, [row], valid_through_us=now)


def test_hot_agents(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, 4)
    named = {"DETEKTOR_SERVE_CACHE_MS": "2000", "DETEKTOR_SERVE_READ_SAMPLE": "1", "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000"}
    with running(tmp_path, "serve", environment=named) as server:
        first = server.read([COUNT], ["code-reviewer"])
        publish(redis_db, 5)
        second = server.read([COUNT], ["code-reviewer"])
        sources = [each.headers["x-feature-source"] for each in (first, second)]
        assert sources in (["redis", "cache"], ["redis", "redis"]), "two seconds pass on a busy machine"
        if sources[1] == "cache":
            assert second.json["results"][1]["values"] == [4]
            assert float(second.headers["x-feature-age-seconds"]) > float(first.headers["x-feature-age-seconds"])
        deadline = time.monotonic() + 10
        while (answer := server.read([COUNT], ["code-reviewer"])).json["results"][1]["values"] != [5]:
            assert answer.headers["x-feature-source"] == "cache"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with online.redis_client(redis_db) as client:
            kept = [unpack(online.stored_view(VIEW).layout, packed) for _, _, packed in read_log.newest(client, redis_db.project, 1_000)]
    assert {(each.snapshot, each.values["recent_reviews_count"]) for each in kept} <= {("4:4:", 4), ("5:5:", 5)}
    assert len(kept) >= 2
