from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore
    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")
NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
COUNT = "code_review_features:recent_reviews_count"
AVERAGE = "code_review_features:avg_issues_per_review"
REJECTED = "code_review_features:last_rejection_at"
DEPLOYED = "deployment_features:deployment_success_rate"


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")


def table(*agents: str, count: int | None = 4, average: float | None = 0.5) -> pa.Table:
    instant = pa.timestamp("us", tz="UTC")
    kinds = {"int64": pa.int64(), "float64": pa.float64(), "instant": instant}
    columns = {each.name: pa.nulls(len(agents), kinds[each.value_type]) for each in VIEW.features}
    times = pa.array([NOON - 3_600_000_001] * len(agents), pa.int64()).cast(instant)
    columns |= {
        "agent_id": pa.array(agents),
        "event_timestamp": times,
        "created_at": times,
        "recent_reviews_count": pa.array([count] * len(agents), pa.int64()),
        "avg_issues_per_review": pa.array([average] * len(agents), pa.float64()),
        "last_rejection_at": pa.array([NOON - 7_200_000_000] * len(agents), pa.int64()).cast(instant),
    }
    return pa.table(columns)


def publish(client: Redis, rows: pa.Table, as_of: int = NOON) -> None:
    online.write_rows(client, "detektor", VIEW, rows, as_of_us=as_of, valid_through_us=as_of, snapshot="1:2:")


def ask(store: FeatureStore, features: list[str], *agents: str) -> dict[str, list[tuple[Any, str]]]:
    """Values and statuses by feature."""
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    response = store.get_online_features(features, [{"agent_id": agent} for agent in agents])
    statuses = [[FieldStatus.Name(each) for each in vector.statuses] for vector in response.proto.results]
    values = response.to_dict()
    names = response.proto.metadata.feature_names.val
    return {name: list(zip(values[name], statuses[number], strict=True)) for number, name in enumerate(names)}


@contextmanager
def served(store: FeatureStore) -> Iterator[str]:
    """Run Feast's own feature server in a thread."""
    import uvicorn
    from feast.feature_server import get_app

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(get_app(store), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def post(address: str, body: object) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
        return json.load(answer)


def test_values_and_statuses_through_the_sdk(store: FeatureStore, client: Redis) -> None:
    publish(client, table("code-reviewer"))
    answer = ask(store, [COUNT, AVERAGE, "code_review_features:rejection_rate", DEPLOYED], "code-reviewer", "nobody")
    assert answer == {
        "agent_id": [("code-reviewer", "PRESENT"), ("nobody", "PRESENT")],
        "recent_reviews_count": [(4, "PRESENT"), (None, "NOT_FOUND")],
        "avg_issues_per_review": [(0.5, "PRESENT"), (None, "NOT_FOUND")],
        "rejection_rate": [(None, "NULL_VALUE"), (None, "NOT_FOUND")],
        "deployment_success_rate": [(None, "NOT_FOUND"), (None, "NOT_FOUND")],
    }


def test_too_old_by_valid_through_not_by_the_rows_time(store: FeatureStore, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(client, table("code-reviewer"))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T14:00:00.000001Z")
    assert ask(store, [COUNT], "code-reviewer")["recent_reviews_count"] == [(4, "OUTSIDE_MAX_AGE")]
    online.move_valid_through(client, "detektor", VIEW, NOON + 3_600_000_000)
    assert ask(store, [COUNT], "code-reviewer")["recent_reviews_count"] == [(4, "PRESENT")]


def test_the_event_timestamp_is_the_rows_own(store: FeatureStore, client: Redis) -> None:
    publish(client, table("code-reviewer"))
    vector = store.get_online_features([COUNT], [{"agent_id": "code-reviewer"}]).proto.results[1]
    assert vector.event_timestamps[0].ToMicroseconds() == NOON - 3_600_000_001


def test_repeated_and_many_agents_keep_their_places(store: FeatureStore, client: Redis) -> None:
    for number, agent in enumerate(["b", "a", "c"]):
        publish(client, table(agent, count=number))
    answer = ask(store, [COUNT], "c", "a", "x", "c", "b")
    assert [value for value, _ in answer["recent_reviews_count"]] == [2, 1, None, 2, 0]


def test_the_async_path_answers_the_same(store: FeatureStore, client: Redis) -> None:
    publish(client, table("code-reviewer"))
    features, entities = [COUNT, "code_review_features:rejection_rate", DEPLOYED], [{"agent_id": "code-reviewer"}, {"agent_id": "x"}]

    async def answer() -> Any:
        await store.initialize()
        try:
            return await store.get_online_features_async(features, entities)
        finally:
            await store.close()

    assert asyncio.run(answer()).proto.results == store.get_online_features(features, entities).proto.results


def test_feast_writes_through_the_same_guard(store: FeatureStore, client: Redis) -> None:
    frame = table("code-reviewer", "other", count=9).to_pandas()
    publish(client, table("code-reviewer"))
    store.write_to_online_store("code_review_features", frame)
    row, other = online.read(client, "detektor", VIEW, ["code-reviewer", "other"])
    assert row is not None
    assert other is not None
    assert (row.values["recent_reviews_count"], row.as_of, row.snapshot) == (4, NOON, "1:2:")
    assert (other.values["recent_reviews_count"], other.as_of, other.snapshot) == (9, NOON - 3_600_000_001, None)
    assert other.values["last_rejection_at"] == NOON - 7_200_000_000


def test_the_http_server_gives_the_same_statuses(store: FeatureStore, client: Redis) -> None:
    publish(client, table("code-reviewer"))
    body = {"features": [COUNT, "code_review_features:rejection_rate"], "entities": {"agent_id": ["code-reviewer", "nobody"]}}
    with served(store) as address:
        answer = post(f"{address}/get-online-features", body)
    found = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))  # Feast's order of features is not stable
    assert {name: vector["statuses"] for name, vector in found.items()} == {
        "agent_id": ["PRESENT", "PRESENT"],
        "recent_reviews_count": ["PRESENT", "NOT_FOUND"],
        "rejection_rate": ["NULL_VALUE", "NOT_FOUND"],
    }
    assert found["recent_reviews_count"]["values"] == [4, None]


def test_redis_down_is_an_error_that_says_what_to_do(own_store: FeatureStore) -> None:
    own_store.config.online_store.connection_string = "redis://127.0.0.1:1/0"
    with pytest.raises(online.OnlineStoreDownError, match=re.compile("does not answer.*detektor up", re.DOTALL)):
        ask(own_store, [COUNT], "code-reviewer")


def test_materialize_writes_each_agents_newest_row(store: FeatureStore, client: Redis, rows: Any) -> None:
    from datetime import UTC, datetime

    rows.add("code-reviewer", "2026-03-05 08:00Z", 1)
    rows.add("code-reviewer", "2026-03-05 09:00Z", 2)
    rows.add("code-reviewer", "2026-03-05 09:00Z", 3, created="2026-03-05 11:00Z")
    rows.add("code-reviewer", "2026-03-05 09:00Z", 5, created="2026-03-05 11:00Z", written="2026-01-02")
    rows.add("code-reviewer@p", "2026-03-05 10:00Z", None)
    store.materialize(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 6, tzinfo=UTC), ["code_review_features"])
    both = online.read(client, "detektor", VIEW, ["code-reviewer", "code-reviewer@p"])
    assert [row and row.values["recent_reviews_count"] for row in both] == [5, None]
    assert [row and (row.snapshot, row.as_of, row.valid_through) for row in both] == [
        (None, NOON - 3 * 3_600_000_000, None),  # what Feast writes says nothing of other rows
        (None, NOON - 2 * 3_600_000_000, None),
    ]


def test_a_push_of_one_agent_makes_no_other_fresh(store: FeatureStore, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    publish(client, table("code-reviewer@a", "code-reviewer@b"))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T12:00:00Z")
    row = {name: [None] for name in table("x").column_names} | {"agent_id": ["code-reviewer@a"], "recent_reviews_count": [0]}
    row |= {name: [pd.Timestamp("2026-03-08T12:00:00Z")] for name in ("event_timestamp", "created_at")}

    store.write_to_online_store("code_review_features", pd.DataFrame(row))

    assert ask(store, [COUNT], "code-reviewer@a", "code-reviewer@b")["recent_reviews_count"] == [(0, "PRESENT"), (4, "OUTSIDE_MAX_AGE")]
    assert online.valid_through(client, "detektor", VIEW) == NOON


def test_what_was_computed_takes_the_place_of_what_was_pushed(store: FeatureStore, client: Redis) -> None:
    import pandas as pd

    row = {name: [None] for name in table("x").column_names} | {"agent_id": ["code-reviewer"], "recent_reviews_count": [9]}
    row |= {name: [pd.Timestamp("2026-03-05T12:00:00Z")] for name in ("event_timestamp", "created_at")}
    store.write_to_online_store("code_review_features", pd.DataFrame(row))
    assert ask(store, [COUNT], "code-reviewer")["recent_reviews_count"] == [(9, "PRESENT")]
    publish(client, table("code-reviewer"), NOON - 1)
    assert ask(store, [COUNT], "code-reviewer")["recent_reviews_count"] == [(4, "PRESENT")]


def test_materialize_again_leaves_newer_values(store: FeatureStore, client: Redis, rows: Any) -> None:
    from datetime import UTC, datetime

    rows.add("code-reviewer", "2026-03-05 08:00Z", 1)
    publish(client, table("code-reviewer"))
    store.materialize_incremental(datetime(2026, 3, 6, tzinfo=UTC), ["code_review_features"])
    assert ask(store, [COUNT], "code-reviewer")["recent_reviews_count"] == [(4, "PRESENT")]


def test_a_removed_view_leaves_registry_and_online_store(row_tables: Settings, client: Redis) -> None:
    feast_repo.apply(row_tables)
    publish(client, table("code-reviewer"))
    applied = feast_repo.apply(row_tables, [view_named("deployment_features")])
    assert "code_review_features" in applied.removed
    with feast_repo.closing_store(row_tables) as store:
        assert [view.name for view in store.list_feature_views()] == ["deployment_features"]
    assert list(client.scan_iter("feast:*")) == []


def test_teardown_empties_the_online_store_of_this_project_only(own_store: FeatureStore, client: Redis) -> None:
    publish(client, table("code-reviewer"))
    online.write_rows(client, "other", VIEW, table("a"), as_of_us=NOON, valid_through_us=NOON)
    own_store.teardown()
    assert online_versions.versions(client, "detektor") == []
    assert len(online_versions.versions(client, "other")) == 1


def test_a_view_that_is_not_of_the_catalogue_is_refused_with_words() -> None:
    from feast import FeatureView, Field
    from feast.types import Bool, Int64, String

    from detektor_pipelines.compile import feast as compiled
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stores.feast.online_store import DetektorOnlineStore

    schema = [Field(name="agent_id", dtype=String), Field(name="x", dtype=Int64)]
    foreign = FeatureView(name="foreign", entities=[compiled.entity()], schema=schema, source=compiled.source(VIEW))
    with pytest.raises(UserError, match="cannot hold feature view foreign: it has no tag data_hash"):
        DetektorOnlineStore().stored_view(foreign)
    foreign = FeatureView(
        name="foreign",
        entities=[compiled.entity()],
        schema=[*schema, Field(name="t", dtype=Bool)],
        source=compiled.source(VIEW),
        tags={"data_hash": "0" * 64},
    )
    with pytest.raises(UserError, match="feature t is BOOL"):
        DetektorOnlineStore().stored_view(foreign)


def test_what_was_read_is_kept_in_part_for_parity(store: FeatureStore, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(client, table("code-reviewer", "code-reviewer@p"))
    monkeypatch.setattr(store.config.online_store, "read_sample", 1.0)
    ask(store, [COUNT, DEPLOYED], "code-reviewer", "nobody", "code-reviewer@p")
    version = online.stored_view(VIEW).version
    kept = read_log.newest(client, "detektor", 10)
    assert {(each, agent) for each, agent, _ in kept} == {(version, "code-reviewer"), (version, "code-reviewer@p")}
    assert all(packed == client.get(online.value_key("detektor", VIEW, agent)) for _, agent, packed in kept)

    async def ask_without_blocking() -> None:
        await store.get_online_features_async([COUNT], [{"agent_id": "code-reviewer"}])
        await store._get_provider().online_store.close()

    asyncio.run(ask_without_blocking())
    assert len(read_log.newest(client, "detektor", 10)) == 3
    monkeypatch.setattr(store.config.online_store, "read_sample", 0.0)
    ask(store, [COUNT], "code-reviewer")
    assert len(read_log.newest(client, "detektor", 10)) == 3
