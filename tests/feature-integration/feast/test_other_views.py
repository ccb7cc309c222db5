"""Feast's views that are not ours, in our store: beside ours, on every kind of Redis."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from support.redis_servers import redis_cluster, watched_redis

from detektor_pipelines.catalog import view_named
from detektor_pipelines.stores.connections_redis import client_of
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feast import FeatureStore

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
VIEW = view_named("code_review_features")
REFERENCES = ["trips:rating", "trips:tags", "trips:count"]


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_NOW", NOON.isoformat())


@pytest.fixture(scope="module")
def servers_of_each_kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster, watched_redis(tmp_path_factory.mktemp("watched")) as watched:
        yield {"cluster": cluster.url, "sentinel": watched.url}


@pytest.fixture(params=["server", "cluster", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "server":
        return str(request.getfixturevalue("redis_db").redis_url)
    found: str = request.getfixturevalue("servers_of_each_kind")[request.param]
    with client_of(found) as client:
        client.flushall()
    return found


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[FeatureStore]:
    """Return a store with a view by driver and city, one by driver, one without an entity, and one of ours."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Array, Float32, Int64, String

    from detektor_pipelines.compile.feast import entity, feature_view

    driver, city = Entity(name="driver", value_type=ValueType.INT64), Entity(name="city", value_type=ValueType.STRING)
    source = FileSource(path=str(tmp_path / "none.parquet"), timestamp_field="at", created_timestamp_column="created")
    features = [Field(name="rating", dtype=Float32), Field(name="tags", dtype=Array(String)), Field(name="count", dtype=Int64)]
    keys = [Field(name="driver", dtype=Int64), Field(name="city", dtype=String)]
    trips = FeatureView(name="trips", entities=[driver, city], schema=[*keys, *features], source=source, ttl=timedelta(days=1))
    alone = FeatureView(name="alone", entities=[driver], schema=[keys[0], features[2]], source=source)
    world = FeatureView(name="world", entities=[], schema=[Field(name="total", dtype=Int64)], source=source)
    config = RepoConfig(
        project="detektor",
        provider="local",
        registry=str(tmp_path / "registry.db"),
        online_store={"type": "detektor_pipelines.stores.feast_online.DetektorOnlineStore", "connection_string": url},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([driver, city, entity(), trips, alone, world, feature_view(VIEW)])
    yield store
    asyncio.run(store.close())


def write(store: FeatureStore, at: datetime = NOON, count: int | None = 3, created: datetime | None = None) -> None:
    row = {"driver": 7, "city": "Bern", "rating": 0.5, "tags": ["a", "b"], "count": count, "at": at, "created": created or at}
    store.write_to_online_store("trips", pd.DataFrame([row]).astype({"count": "Int64"}))


def read(store: FeatureStore, references: list[str] = REFERENCES, **entities: list[Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    response = store.get_online_features(references, entities or {"driver": [7, 8], "city": ["Bern", "Bern"]})
    names = response.proto.metadata.feature_names.val
    statuses = {
        name: [FieldStatus.Name(each) for each in result.statuses] for name, result in zip(names, response.proto.results, strict=True)
    }
    return response.to_dict(), statuses


def test_any_entities_and_types_and_what_was_never_written_is_not_found(store: FeatureStore) -> None:
    write(store)
    values, statuses = read(store)
    assert (values["rating"], values["tags"], values["count"]) == ([0.5, None], [["a", "b"], None], [3, None])
    assert statuses["rating"] == ["PRESENT", "NOT_FOUND"]


def test_a_null_is_told_from_a_value(store: FeatureStore) -> None:
    write(store, count=None)
    values, statuses = read(store)
    assert values["count"] == [None, None]
    assert (statuses["count"], statuses["rating"]) == (["NULL_VALUE", "NOT_FOUND"], ["PRESENT", "NOT_FOUND"])


def test_past_its_ttl_a_value_says_so(store: FeatureStore) -> None:
    write(store, at=NOON - timedelta(days=1))
    assert read(store)[1]["count"] == ["PRESENT", "NOT_FOUND"]
    write(store, at=NOON - timedelta(days=1, seconds=1), created=NOON)
    with client_of(store.config.online_store.connection_string) as client:
        client.unlink(*client.scan_iter("feast:*"))
    write(store, at=NOON - timedelta(days=1, seconds=1))
    values, statuses = read(store)
    assert (values["count"], statuses["count"]) == ([3, None], ["OUTSIDE_MAX_AGE", "NOT_FOUND"])


def test_only_what_is_newer_replaces_and_a_correction_of_the_same_instant_does(store: FeatureStore) -> None:
    write(store, count=1)
    write(store, count=2, at=NOON - timedelta(seconds=1), created=NOON + timedelta(seconds=1))
    assert read(store)[0]["count"][0] == 1
    write(store, count=3, created=NOON + timedelta(seconds=1))
    assert read(store)[0]["count"][0] == 3
    write(store, count=4, created=NOON)
    assert read(store)[0]["count"][0] == 3
    write(store, count=5, created=NOON + timedelta(seconds=1))
    assert read(store)[0]["count"][0] == 5


def test_with_and_without_entities_beside_a_view_of_ours(store: FeatureStore, url: str) -> None:
    with client_of(url) as client:
        row = online.OnlineRow("code-reviewer", 0, 0, 0, "1:1:", {"recent_reviews_count": 9})
        us = int(NOON.timestamp()) * 1_000_000
        online.write_values(client, "detektor", VIEW, [row], valid_through_us=us)
    store.write_to_online_store("alone", pd.DataFrame([{"driver": 7, "count": 11, "at": NOON, "created": NOON}]))
    store.write_to_online_store("world", pd.DataFrame([{"total": 12, "at": NOON, "created": NOON}]))
    references = ["world:total", f"{VIEW.name}:recent_reviews_count", "alone:count"]
    values, statuses = read(store, references, driver=[7], agent_id=["code-reviewer"])
    assert {name: values[name] for name in ("total", "recent_reviews_count", "count")} == {
        "total": [12],
        "recent_reviews_count": [9],
        "count": [11],
    }
    assert {status for name, (status,) in statuses.items()} == {"PRESENT"}


def test_an_event_loop_writes_and_reads_the_same(store: FeatureStore) -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=["driver"], entity_values=[Value(int64_val=7)])
    view, own = store.get_feature_view("alone"), store._get_provider().online_store

    async def written_and_read() -> Any:
        await own.online_write_batch_async(store.config, view, [(key, {"count": Value(int64_val=5)}, NOON, None)], None)
        (row,) = await own.online_read_async(store.config, view, [key], None)
        response = await store.get_online_features_async(["alone:count"], {"driver": [7]})
        await store.close()
        return row, response.to_dict()["count"]

    (at, features), counts = asyncio.run(written_and_read())
    assert (at, features["count"].int64_val, counts) == (NOON, 5, [5])
    assert own.online_read(store.config, view, [key], ["count"])[0][1]["count"].int64_val == 5


def test_a_view_that_is_taken_out_takes_its_values_along(store: FeatureStore, url: str) -> None:
    write(store)
    store.write_to_online_store("world", pd.DataFrame([{"total": 12, "at": NOON, "created": NOON}]))
    with client_of(url) as client:
        assert {each.version for each in online_versions.held(client, "detektor")} == {"trips@feast", "world@feast"}
        store.apply([], objects_to_delete=[store.get_feature_view("trips")], partial=False)
        assert {each.version for each in online_versions.held(client, "detektor")} == {"world@feast"}
        store.teardown()
        assert list(client.scan_iter("feast:detektor:*")) == []


def test_a_damaged_value_is_told_and_not_found(store: FeatureStore, url: str, caplog: pytest.LogCaptureFixture) -> None:
    write(store)
    with client_of(url) as client:
        (key,) = client.scan_iter("feast:detektor:trips@feast:*")
        client.set(key, client.get(key)[:28] + b"\xff")
    assert read(store)[1]["count"] == ["NOT_FOUND", "NOT_FOUND"]
    assert "trips@feast:" in caplog.text
    write(store, at=NOON + timedelta(seconds=1))
    assert read(store)[1]["count"] == ["PRESENT", "NOT_FOUND"]
