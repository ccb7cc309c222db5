from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest
from feast import FeatureStore
from feast.infra.registry import proto_registry_utils

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile.feast import SERVICES
from detektor_pipelines.language import Feature, count, days
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.offline import rows as offline
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.values import OnlineRow

if TYPE_CHECKING:
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

OLD = view_named("code_review_features")
ADDED = Feature("all_events_count", count(), over=days(1), description="Everything the reviewer did.", unit="events")
NEW = replace(OLD, version="2.0.0", features=(*OLD.features, ADDED))
NEW_VIEWS = [NEW if view is OLD else view for view in VIEWS]
NOON = 1_772_712_000_000_000


def publish(settings: Settings, client: Redis, view: FeatureView, value: int) -> None:
    """One row online and offline."""
    offline.ensure_tables(settings, [view])
    row = OnlineRow("a", NOON, NOON, NOON, "1:2:", {"recent_reviews_count": value})
    online.write_values(client, "detektor", view, [row], valid_through_us=NOON)
    with psycopg.connect(settings.postgres_dsn) as connection:
        connection.execute(
            f"INSERT INTO feast.{offline.row_table(view)} (agent_id, event_timestamp, created_at, written_at, recent_reviews_count)"
            " VALUES ('a', '2026-03-05', '2026-03-05', now(), %s)",
            (value,),
        )


@pytest.mark.parametrize("opened_by", ["us", "feast"])
def test_a_store_that_is_opened_later_reads_what_is_defined_then(
    database: Settings, redis_db: Settings, monkeypatch: pytest.MonkeyPatch, opened_by: str
) -> None:
    """All objects have one address here, as what is gone and what comes next may have."""
    del database
    monkeypatch.setattr(proto_registry_utils, "id", lambda _: 1, raising=False)
    with online.redis_client(redis_db) as client:
        for value, (view, views) in enumerate([(OLD, VIEWS), (NEW, NEW_VIEWS)]):
            feast_repo.apply(redis_db, views)
            publish(redis_db, client, view, value)
            with feast_repo.closing_store(redis_db) as ours:
                store = ours if opened_by == "us" else FeatureStore(config=ours.config)
                answer = store.get_online_features(["code_review_features:recent_reviews_count"], [{"agent_id": "a"}])
                assert answer.to_dict()["recent_reviews_count"] == [value]
                for engine in {store.registry.write_engine, store.registry.read_engine}:  # type: ignore[attr-defined]
                    engine.dispose()


def test_an_older_version_stays_readable_beside_the_new_one(database: Settings, redis_db: Settings) -> None:
    del database
    with online.redis_client(redis_db) as client:
        feast_repo.apply(redis_db)
        publish(redis_db, client, OLD, 1)
        assert feast_repo.apply(redis_db, NEW_VIEWS).changed == ("code_review_features",)
        publish(redis_db, client, NEW, 2)
    with feast_repo.closing_store(redis_db) as store:
        versions = [each["version"] for each in store.list_feature_view_versions("code_review_features")]
        refs = [f"code_review_features{suffix}:recent_reviews_count" for suffix in ("", "@v0", "@v1")]
        labels = pd.DataFrame({"agent_id": ["a"], "event_timestamp": pd.to_datetime(["2026-03-06"], utc=True)})

        def read(ref: str) -> tuple[Any, Any]:
            served = store.get_online_features([ref], [{"agent_id": "a"}]).to_dict()["recent_reviews_count"][0]
            (historical,) = store.get_historical_features(labels, [ref]).to_arrow()[-1].to_pylist()
            return served, historical

        assert versions == ["v0", "v1"]
        assert [read(ref) for ref in refs] == [(2, 2), (1, 1), (2, 2)]


def test_a_text_edited_makes_no_new_version_of_the_numbers(database: Settings, redis_db: Settings) -> None:
    del database
    edited = replace(OLD, description="Another text.")
    feast_repo.apply(redis_db)
    assert feast_repo.apply(redis_db, [edited if view is OLD else view for view in VIEWS]).changed == ("code_review_features",)
    with feast_repo.closing_store(redis_db) as store:
        assert len(store.list_feature_view_versions("code_review_features")) == 1
        assert store.get_feature_view("code_review_features").description == "Another text."


def test_applying_twice_changes_nothing_and_only_what_changed_is_applied(database: Settings, redis_db: Settings) -> None:
    del database
    assert feast_repo.outdated(redis_db) == feast_repo.Applied(tuple(view.name for view in VIEWS), services=tuple(SERVICES))
    assert len(feast_repo.apply(redis_db).changed) == 8
    assert feast_repo.apply(redis_db) == feast_repo.Applied()
    theirs = tuple(sorted(name for name in SERVICES if name.startswith("code_reviewer_")))
    assert feast_repo.outdated(redis_db, VIEWS[1:]) == feast_repo.Applied((), (VIEWS[0].name,), services_removed=theirs)


def test_processes_at_once_apply_once(database: Settings, redis_db: Settings) -> None:
    import threading

    del database
    results: list[feast_repo.Applied] = []
    threads = [threading.Thread(target=lambda: results.append(feast_repo.apply(redis_db))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each.changed) for each in results) == [0, 0, 8]
