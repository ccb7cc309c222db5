"""What the feature server answers about versions when Redis is away; on a real Redis it is tested elsewhere."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.serving.feature_services import FeatureServices
from detektor_pipelines.serving.online_request import Pin, Version
from detektor_pipelines.serving.server import _Server
from detektor_pipelines.serving.server_metrics import ServerMetrics
from detektor_pipelines.serving.values.last_known import LastKnown
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import StoredView, keys_of, stored_view
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
OLD = StoredView(VIEW.name, "0" * 12, Layout.of([("recent_reviews_count", "int64")]), None)


class Sources:
    """Answers that nothing was found, as from `source`."""

    live = None

    def __init__(self, source: str) -> None:
        self.source = source

    async def get(self, lookups: Any) -> tuple[list[None], str]:
        return [None] * len(keys_of(lookups)), self.source


class Versions:
    """Knows v0, an older one, and v1, the current one."""

    async def of(self, pins: Any, _: Any) -> dict[Pin, Version]:
        return {pin: Version(OLD if pin.number == 0 else stored_view(VIEW), pin.number) for pin in pins}


def statuses(settings: Settings, number: int, source: str) -> list[str]:
    server = _Server(settings, ServerMetrics(), LastKnown(settings), Versions(), FeatureServices(settings), Sources(source))  # type: ignore[arg-type]
    asked = {"features": [f"{VIEW.name}@v{number}:recent_reviews_count"], "entities": {"agent_id": ["a"]}}
    content, _ = asyncio.run(server.read(json.dumps(asked).encode()))
    return list(json.loads(content)["results"][1]["statuses"])


def test_an_older_version_is_not_said_to_be_missing_because_redis_is_away(settings: Settings) -> None:
    """Only the current versions are kept for that."""
    assert [statuses(settings, number, "redis") for number in (0, 1)] == [["NOT_FOUND"], ["NOT_FOUND"]]
    assert statuses(settings, 1, "fallback") == ["NOT_FOUND"]
    with pytest.raises(ProblemError) as found:
        statuses(settings, 0, "fallback")
    assert found.value.status == 503
