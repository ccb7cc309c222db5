"""The SDK's read answered in bulk gives what Feast's general way gives over the same store."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language import Feature, count, days
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Callable

    from feast import FeatureStore
    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
REVIEWS, DEPLOYMENTS, CODING, EMPTY = VIEWS[:4]
COUNT = "code_review_features:recent_reviews_count"
STALE_US = 27 * 3_600_000_000
PUBLISHED = ["code-reviewer", "a", "b", "łódź", "c d", ""]
REFERENCES = [f"{view.name}:{each.name}" for view in VIEWS[:4] for each in view.features]
ODD = [
    "code_review_features:nothing",
    "no_view:recent_reviews_count",
    "recent_reviews_count",
    "code_review_features@v0:rejection_rate",
    "code_review_features@latest:rejection_rate",
    "code_review_features@v7:rejection_rate",
]


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")


def publish(client: Redis) -> None:
    """Values in three views: every other one null, those of DEPLOYMENTS too old, one key of CODING damaged; EMPTY was never published."""
    for view, through in ((REVIEWS, NOON), (DEPLOYMENTS, NOON - STALE_US), (CODING, NOON)):
        rows = []
        for number, agent in enumerate(PUBLISHED):
            values = {each.name: None if (number + place) % 2 else _value(each, number) for place, each in enumerate(view.features)}
            rows.append(online.OnlineRow(agent, NOON, NOON, NOON - 3_600_000_001 - number, None, values))
        online.write_values(client, "detektor", view, rows, valid_through_us=through)
    client.set(online.value_key("detektor", CODING, "b"), b"damaged")


def _value(feature: Feature, number: int) -> float:
    if feature.value_type == "instant":
        return NOON - 1 - number * 1_000_000_007
    return number / 7 if feature.value_type == "float64" else number * 10**15


class Ways:
    """Both ways to an answer: ours, and the one that Feast takes with any store."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.online_store = store._get_provider().online_store

    def bulk(self, features: Any, entities: Any, **more: Any) -> Any:
        return self.store.get_online_features(features, entities, **more)

    def general(self, features: Any, entities: Any, **more: Any) -> Any:
        from feast.infra.online_stores.redis import RedisOnlineStore

        return RedisOnlineStore.get_online_features(
            self.online_store, self.store.config, features, entities, self.store.registry, self.store.project, **more
        )

    def is_bulk(self, features: Any, entities: Any) -> bool:
        from detektor_pipelines.stores.feast.read import RowsResponse

        return isinstance(self.bulk(features, entities), RowsResponse)


@pytest.fixture
def ways(store: FeatureStore, client: Redis) -> Ways:
    publish(client)
    return Ways(store)


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """All that can be seen of an answer or an error."""
    try:
        response = call()
    except Exception as error:  # noqa: BLE001 - whatever Feast raises
        return type(error), str(error)
    return response.to_dict(), response.to_dict(include_event_timestamps=True), response._feature_types, response.proto, response.to_dict()


agents = st.lists(st.sampled_from([*PUBLISHED, "nobody", "a"]), min_size=1, max_size=6)
odd_agents = st.lists(st.one_of(st.text(max_size=3), st.integers(0, 3), st.none(), st.booleans()), max_size=3)
entities = st.one_of(
    agents.map(lambda names: [{"agent_id": name} for name in names]),
    agents.map(lambda names: {"agent_id": names}),
    agents.map(lambda names: {"agent_id": tuple(names)}),
    agents.map(lambda names: [{"agent_id": name, "more": 1} for name in names]),
    odd_agents.map(lambda names: [{"agent_id": name} for name in names]),
    odd_agents.map(lambda names: {"agent_id": names}),
    st.sampled_from(
        [
            [{"agent": "a"}],
            {"agent": ["a"]},
            {"agent_id": {"a"}},
            {"agent_id": "ab"},
            [{"agent_id": "a"}, {"agent_id": "b", "more": 1}],
            [{"agent_id": "a"}, {}],
            {"agent_id": ["a"], "more": [1, 2]},
            {"agent_id": ["\ud800"]},
            {},
            None,
            "a",
        ]
    ),
)
references = st.one_of(
    st.lists(st.sampled_from(REFERENCES), min_size=1, max_size=12, unique=True),
    st.lists(st.sampled_from([*REFERENCES[:5], *ODD]), max_size=3),
)


@hypothesis_settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(features=references, rows=entities, full_feature_names=st.booleans(), versions=st.booleans())
def test_both_ways_give_the_same(ways: Ways, features: Any, rows: Any, full_feature_names: Any, versions: Any) -> None:
    more = {"full_feature_names": full_feature_names, "include_feature_view_version_metadata": versions}
    assert outcome(lambda: ways.bulk(features, rows, **more)) == outcome(lambda: ways.general(features, rows, **more))


def test_all_features_of_all_views_go_in_bulk(ways: Ways) -> None:
    everything = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
    rows = [{"agent_id": agent} for agent in [*PUBLISHED, "nobody"]]
    assert ways.is_bulk(REFERENCES[:1], rows)
    found = outcome(lambda: ways.bulk(everything, rows, full_feature_names=True))
    assert found == outcome(lambda: ways.general(everything, rows, full_feature_names=True))
    assert len(found[0]) == 1 + len(everything)


@pytest.mark.parametrize("full_feature_names", [False, True])
def test_a_feature_service(ways: Ways, full_feature_names: Any) -> None:
    from feast import FeatureService

    views = [ways.store.get_feature_view(view.name) for view in (REVIEWS, DEPLOYMENTS)]
    service = FeatureService(name="two", features=[views[0][["recent_reviews_count", "last_rejection_at"]], views[1].with_name("renamed")])
    ways.store.apply([service])
    ways.store.refresh_registry()
    rows = {"agent_id": ["a", "nobody", "a"]}
    more = {"full_feature_names": full_feature_names, "include_feature_view_version_metadata": True}
    assert ways.is_bulk(service, rows)
    found = outcome(lambda: ways.bulk(service, rows, **more))
    assert found == outcome(lambda: ways.general(service, rows, **more))
    assert [each.name for each in found[3].metadata.feature_view_metadata] == [REVIEWS.name, "renamed"]
    assert len(found[0]) == 1 + 2 + len(DEPLOYMENTS.features)


def test_a_service_that_was_never_applied_is_refused_as_by_feast(ways: Ways) -> None:
    from feast import FeatureService

    service = FeatureService(name="unknown", features=[ways.store.get_feature_view(REVIEWS.name)])
    found = outcome(lambda: ways.bulk(service, {"agent_id": ["a"]}))
    assert found == outcome(lambda: ways.general(service, {"agent_id": ["a"]}))
    assert found[0].__name__ == "FeatureServiceNotFoundException"


def test_the_async_way_gives_the_same(ways: Ways) -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore

    from detektor_pipelines.stores.feast.read import RowsResponse

    rows = [{"agent_id": agent} for agent in ("a", "nobody")]

    async def both() -> tuple[Any, Any, Any]:
        ours = await ways.store.get_online_features_async(REFERENCES, rows, full_feature_names=True)
        arguments = (ways.store.config, REFERENCES, rows, ways.store.registry, ways.store.project, True)
        general = await RedisOnlineStore.get_online_features_async(ways.online_store, *arguments)
        other = await ways.store.get_online_features_async([COUNT], {"agent_id": ["a"], "more": [1]})
        await ways.online_store.close()
        return ours, general, other

    ours, general, other = asyncio.run(both())
    assert outcome(lambda: ours) == outcome(lambda: general)
    assert isinstance(ours, RowsResponse)
    assert not isinstance(other, RowsResponse)
    assert other.to_dict() == {"agent_id": ["a"], "recent_reviews_count": [None]}


def test_a_changed_proto_is_the_answer(ways: Ways) -> None:
    response = ways.bulk([COUNT], {"agent_id": ["code-reviewer"]})
    assert response.to_dict()["recent_reviews_count"] == [0]
    response.proto.results[1].values[0].int64_val = 99
    assert response.to_dict()["recent_reviews_count"] == [99]


def test_an_answer_is_copied_and_put_into_frames_as_any_other(ways: Ways) -> None:
    rows = {"agent_id": PUBLISHED}
    response, general = ways.bulk(REFERENCES[:12], rows), ways.general(REFERENCES[:12], rows)
    assert copy.deepcopy(response).to_dict() == copy.copy(response).to_dict() == general.to_dict()
    assert response.to_arrow() == general.to_arrow()
    assert response.to_df().equals(general.to_df())


def test_an_answer_may_be_changed_without_changing_another(ways: Ways) -> None:
    names = ["a"]
    response = ways.bulk([COUNT], {"agent_id": names})
    names.append("b")
    response.to_dict()["agent_id"].append("b")
    response._feature_types.clear()
    assert response.to_dict() == {"agent_id": ["a"], "recent_reviews_count": [None]}
    assert ways.bulk([COUNT], {"agent_id": ["a"]})._feature_types != {}


def test_where_feast_decides_or_counts_it_does_so(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import metrics

    request = ([COUNT], {"agent_id": ["a"]})
    assert ways.is_bulk(*request)
    monkeypatch.setattr(metrics, "_config", replace(metrics._config, online_features=True))
    assert not ways.is_bulk(*request)
    monkeypatch.undo()
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    monkeypatch.setattr(ways.store.config, "_auth", SimpleNamespace(type="oidc"))
    assert not ways.is_bulk(*request)


def test_a_new_definition_is_seen_when_feast_sees_it(
    own_store: FeatureStore, row_tables: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(client)
    added = Feature("all_events_count", count(), over=days(1), description="Everything the reviewer did.", unit="events")
    new = replace(view_named("code_review_features"), version="2.0.0", features=(*REVIEWS.features, added))
    online.write_values(
        client, "detektor", new, [online.OnlineRow("a", NOON, NOON, NOON, None, {"recent_reviews_count": 77})], valid_through_us=NOON
    )

    def read() -> Any:
        return own_store.get_online_features([COUNT], [{"agent_id": "a"}]).to_dict()["recent_reviews_count"]

    assert read() == [None]
    feast_repo.apply(row_tables, [new, *VIEWS[1:]])
    assert read() == [None]  # as long as Feast keeps what it read
    with monkeypatch.context() as patched:
        patched.setattr(own_store.registry, "cached_registry_proto_ttl", timedelta(microseconds=1))
        assert read() == [77]
    both = [COUNT, "code_review_features@v0:rejection_rate"]
    more = {"full_feature_names": True, "include_feature_view_version_metadata": True}
    ways, agents = Ways(own_store), {"agent_id": ["a"]}
    for features in (both, both[::-1]):
        assert outcome(lambda: ways.bulk(features, agents, **more)) == outcome(lambda: ways.general(features, agents, **more))  # noqa: B023
        assert ways.is_bulk(features, agents)
    feast_repo.apply(row_tables, VIEWS)
    assert read() == [77]
    own_store.refresh_registry()
    assert read() == [None]
