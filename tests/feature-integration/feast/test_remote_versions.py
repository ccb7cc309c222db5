"""`view@v1:feature` over our feature server: the same as Feast's SDK over Redis, for any mixture of versions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.serving_client import Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language import Feature, count, days
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.offline import rows as offline
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.versions import drop_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.servers import embedded

pytestmark = pytest.mark.slow

NOW = view_named("code_review_features")
ADDED = Feature("all_events_count", count(), over=days(1), description="Everything the reviewer did.", unit="events")
FEWER = tuple(each for each in NOW.features if each.name != "last_rejection_at")
THEN = replace(NOW, version="0.9.0", features=(*FEWER, ADDED))
NEVER = replace(NOW, version="0.9.1", features=(*FEWER, replace(ADDED, over=days(7))))
AGENTS = ["code-reviewer", "nobody", "code-reviewer@a"]


def publish(settings: Settings, view: FeatureView, offset: int) -> None:
    now = clock.now_us()
    values: dict[str, Any] = {}
    for number, each in enumerate(view.features):
        value = {"int64": offset + number, "float64": (offset + number) / 7, "instant": now - 1_500_000}
        values[each.name] = None if each.nullable and number % 3 == 0 else value[each.value_type]
    rows = [online.OnlineRow(agent, now, now, now - 1_000_001, None, values) for agent in ("code-reviewer", "code-reviewer@a")]
    with online.redis_client(settings) as client:
        online.write_values(client, settings.project, view, rows, valid_through_us=now)


@pytest.fixture(scope="module")
def served(
    module_database: Settings, redis_server: embedded.RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FeatureStore, Server, Settings]]:
    """Register THEN (v0), NEVER (v1, nothing was ever written) and NOW (v2), the one that the server was started with."""
    settings = module_database.model_copy(update={"external_redis_url": redis_server.url()})
    settings = type(settings).model_validate(settings.model_dump() | {"external_redis_url": redis_server.url()})
    for view in (THEN, NEVER, NOW):
        views = [view if each is NOW else each for each in VIEWS]
        offline.ensure_tables(settings, views)
        feast_repo.apply(settings, views)
    directory = tmp_path_factory.mktemp("serve")
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(settings.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
    }
    with feast_repo.closing_store(settings) as store, running(directory, "serve", environment=named) as server:
        yield store, server, settings


REFERENCES = [
    *(f"{NOW.name}{version}:{each.name}" for version in ("", "@v2", "@latest") for each in NOW.features),
    *(f"{NOW.name}@v0:{each.name}" for each in THEN.features),
    "deployment_features:deployment_success_rate",
    "deployment_features@V0:deployment_success_rate",
]


@pytest.fixture
def values(served: tuple[FeatureStore, Server, Settings], redis_db: Settings) -> tuple[FeatureStore, Server]:
    del redis_db  # empties Redis
    store, server, settings = served
    publish(settings, THEN, 100)
    publish(settings, NOW, 200)
    return store, server


def by_name(names: list[str], results: list[Any]) -> dict[str, Any]:
    return dict(zip(names, results, strict=True))


@given(
    references=st.lists(st.sampled_from(REFERENCES), min_size=1, max_size=8, unique=True),
    agents=st.lists(st.sampled_from(AGENTS), min_size=1, max_size=4),
    full_names=st.booleans(),
    numbers=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_as_the_sdk(
    values: tuple[FeatureStore, Server], references: list[str], agents: list[str], full_names: Any, numbers: Any
) -> None:
    from feast.errors import FeatureNameCollisionError

    store, server = values
    more = {"full_feature_names": full_names, "include_feature_view_version_metadata": numbers}
    answer = server.read(references, agents, **more)
    try:
        direct = store.get_online_features(references, [{"agent_id": each} for each in agents], **more)
    except FeatureNameCollisionError:
        assert answer.status == 422
        return
    if answer.status == 422 and "can only be null" in answer.json["detail"]:  # of a deployer nothing is published: Feast says NOT_FOUND
        assert any(each.startswith("deployment_features") for each in references)
        assert set(agents) != {"nobody"}
        return
    if answer.status == 422:  # Feast sees no collision between view and view@latest, and answers each twice
        assert any("@latest" in each for each in references)
        return
    assert answer.status == 200, answer.body
    proto, metadata = direct.proto, answer.json["metadata"]
    found = by_name(metadata["feature_names"], [(each["values"], each["statuses"]) for each in answer.json["results"]])
    wanted = by_name(
        list(proto.metadata.feature_names.val),
        [([_plain(value) for value in each.values], [_STATUSES[status] for status in each.statuses]) for each in proto.results],
    )
    assert found == wanted
    if numbers:
        assert [(each["name"], each["version"]) for each in metadata["feature_view_metadata"]] == [
            (each.name, each.version) for each in proto.metadata.feature_view_metadata
        ]


def test_what_is_not_there_is_said(values: tuple[FeatureStore, Server], served: tuple[FeatureStore, Server, Settings]) -> None:
    server = values[1]

    def refused(reference: str) -> tuple[int, str]:
        answer = server.read([reference], ["code-reviewer"])
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status, answer.json["detail"]

    assert refused(f"{NOW.name}@v3:recent_reviews_count") == (
        404,
        f"There is no version v3 of {NOW.name}. Registered are: v0, v1, v2.",
    )
    assert refused(f"{NOW.name}@v0:last_rejection_at")[0] == 422, "it had no such feature"
    assert refused(f"{NOW.name}@two:recent_reviews_count")[0] == 422
    assert refused(f"{NOW.name}@v1:{ADDED.name}")[0] == 410
    assert refused("nope@v0:a")[0] == 404
    assert server.ask("POST", "/get-online-features", b'{"feature_service": "mine", "entities": {"agent_id": ["a"]}}').status == 404
    with online.redis_client(served[2]) as client:
        drop_version(client, "detektor", THEN)
    assert server.read([f"{NOW.name}@v0:{ADDED.name}"], ["code-reviewer"]).json["results"][1]["statuses"] == ["NOT_FOUND"]


_STATUSES = {1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}


def _plain(value: Any) -> Any:
    which = value.WhichOneof("val")
    return None if which is None else getattr(value, which)
