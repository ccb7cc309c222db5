"""What the feature server's Python keeps from one request to the next: nothing. It runs in this process, where allocations are counted."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.server import app
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web import request_log

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

READS = 600
KEPT_BYTES_A_READ = 16
"""A round's noise; a header or a key that stays would be fifty at least."""


def asked(features: list[str], agents: list[str]) -> bytes:
    return json.dumps({"features": features, "entities": {"agent_id": agents}, "full_feature_names": True}).encode()


REQUESTS = [
    (200, asked([f"{VIEWS[0].name}:{VIEWS[0].features[0].name}"], ["code-reviewer"])),
    (200, asked([f"{view.name}:{each.name}" for view in VIEWS for each in view.features], [view.agent for view in VIEWS])),
    (200, asked([f"{VIEWS[0].name}:{VIEWS[0].features[0].name}"], [f"nobody-{number}" for number in range(20)])),
    (404, asked(["nope:a"], ["code-reviewer"])),
    (400, b"{"),
]


@pytest.fixture
def no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lines of refused requests: pytest keeps them, which would count as the server's."""
    monkeypatch.setattr(logging.getLogger(request_log.__name__), "disabled", True)


@pytest.mark.usefixtures("no_lines")
@pytest.mark.long
def test_nothing_is_kept(redis_db: Settings) -> None:
    now = clock.now_us()
    with online.redis_client(redis_db) as client:
        for view in VIEWS:
            row = online.OnlineRow(view.agent, now, now, now, None, {each.name: 1 for each in view.features})
            online.write_values(client, redis_db.project, view, [row], valid_through_us=now)
    settings = redis_db.model_copy(update={"serve_redis_timeout_ms": 10_000, "serve_redis_late_ms": 0, "serve_fallback_seconds": 0.1})
    rounds = asyncio.run(sizes_after_rounds(settings))
    assert min(later - before for before, later in itertools.pairwise(rounds)) < KEPT_BYTES_A_READ * READS


async def sizes_after_rounds(settings: Settings) -> list[int]:
    """Return the bytes that are in use after each of some rounds of requests; the first ones fill caches."""
    application, sizes = app(settings), []
    async with application.router.lifespan_context(application):
        for number in range(5):
            for _ in range(READS // len(REQUESTS)):
                for status, body in REQUESTS:
                    assert await status_of(application, body) == status
            if number == 0:
                tracemalloc.start()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    return sizes[1:]


async def status_of(application: Any, body: bytes) -> int:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-length", b"%d" % len(body))]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/get-online-features",
        "raw_path": b"/get-online-features",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "state": {},
    }
    await application(scope, receive, send)
    return int(sent[0]["status"])
