"""`create_saved_dataset` and `get_saved_dataset`, and pushing rows to both stores, by Feast's own API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource, SavedDatasetPostgreSQLStorage

from detektor_pipelines.catalog import view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.feast.labels import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is an experimental feature:RuntimeWarning")]

COUNT = "code_review_features:recent_reviews_count"
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def labels() -> pd.DataFrame:
    """Two labels of one instant, which Feast's own reading would make one, and one before everything."""
    rows = [
        ("a", "2026-03-06", True, "t1"),
        ("b", "2026-03-06", False, "t2"),
        ("a", "2026-03-06", False, "t3"),
        ("a", "2020-01-01", None, "t4"),
    ]
    frame = pd.DataFrame(rows, columns=["agent_id", "event_timestamp", "rejected", "task_id"])
    return frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True))


def save(store: FeatureStore, name: str, table: str, frame: pd.DataFrame | None = None, **options: Any) -> Any:
    job = store.get_historical_features(labels() if frame is None else frame, [COUNT])
    return store.create_saved_dataset(job, name, SavedDatasetPostgreSQLStorage(table_ref=table), **options)


@pytest.mark.parametrize("table", ["reviews_march", "feast.reviews_dotted", "public.elsewhere", '"Quoted"', 'feast."with space"'])
def test_what_was_saved_is_read_back_whole(store: FeatureStore, rows: Any, table: str) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    rows.add("b", "2026-03-05 08:00Z", 2)
    asked = store.get_historical_features(labels(), [COUNT]).to_df()
    made = save(store, f"set_{len(table)}", table, tags={"of": "a test"})
    found = store.get_saved_dataset(f"set_{len(table)}")
    assert found.tags == {"of": "a test"}
    assert found.min_event_timestamp == datetime(2020, 1, 1)  # noqa: DTZ001 - Feast gives it so
    for each in (made.to_df(), found.to_df()):
        assert each["recent_reviews_count"].tolist()[:3] == [1, 2, 1]
        assert each["task_id"].tolist() == ["t1", "t2", "t3", "t4"]
        pd.testing.assert_frame_equal(each[asked.columns], asked, check_dtype=False)


def test_it_is_overwritten_when_that_is_wanted_only(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    save(store, "again", "again")
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        save(store, "again", "again")
    rows.add("a", "2026-03-05 09:00Z", 5)
    save(store, "again", "again", allow_overwrite=True)
    assert store.get_saved_dataset("again").to_df()["recent_reviews_count"].tolist()[0] == 5


def test_no_other_table_is_ever_overwritten(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    view = store.get_feature_view("code_review_features")
    for table in ("code_review_features", view.batch_source.get_table_query_string(), "ml_learning.partition_state"):
        with pytest.raises(UserError, match="no saved dataset"):
            save(store, "bad", table, allow_overwrite=True)


@pytest.mark.parametrize(
    ("table", "frame", "said"),
    [
        ("nowhere.table", None, "no schema"),
        ("a.b.c", None, "no table's name"),
        ("", None, "no table's name"),
        ("empty", labels().iloc[:0], "no rows"),
        ("renamed", labels().rename(columns={"event_timestamp": "decided_at"}), "no column event_timestamp"),
    ],
)
def test_what_cannot_be_saved(store: FeatureStore, rows: Any, table: str, frame: pd.DataFrame | None, said: str) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    with pytest.raises(UserError, match=said):
        save(store, "bad", table, frame)


@pytest.fixture
def trips(store: FeatureStore) -> Iterator[FeatureStore]:
    """Apply a view of somebody's own with a push source and a table."""
    from feast import Entity, FeatureView, Field, PushSource, ValueType
    from feast.types import Float64, Int64

    with psycopg.connect(store.config.offline_store.dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS feast.trips")
        connection.execute(
            "CREATE TABLE feast.trips (driver bigint, rating double precision, event_timestamp timestamptz, created timestamptz)"
        )
    driver = Entity(name="driver", value_type=ValueType.INT64)
    source = PostgreSQLSource(name="trip_rows", table="feast.trips", timestamp_field="event_timestamp", created_timestamp_column="created")
    push = PushSource(name="trips_push", batch_source=source)
    schema = [Field(name="driver", dtype=Int64), Field(name="rating", dtype=Float64)]
    view = FeatureView(name="trips", entities=[driver], schema=schema, source=push)
    store.apply([driver, push, view])
    yield store
    store.apply([], objects_to_delete=[store.get_feature_view("trips")], partial=False)


def test_a_view_of_ones_own_is_pushed_to_both_stores(trips: FeatureStore) -> None:
    from feast.data_source import PushMode

    frame = pd.DataFrame({"driver": [7], "rating": [4.5], "event_timestamp": [pd.Timestamp(NOON)], "created": [pd.Timestamp(NOON)]})
    trips.push("trips_push", frame, to=PushMode.ONLINE_AND_OFFLINE)
    online = trips.get_online_features(["trips:rating"], [{"driver": 7}]).to_dict()
    assert online["rating"] == [4.5]
    asked = pd.DataFrame({"driver": [7, 8], "event_timestamp": pd.to_datetime(["2026-03-06", "2026-03-06"], utc=True)})
    offline = trips.get_historical_features(asked, ["trips:rating"]).to_df()
    assert offline["rating"].tolist()[0] == 4.5
    assert offline["rating"].isna().tolist() == [False, True]


def test_history_that_no_event_explains_is_refused(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    view = view_named("code_review_features")
    frame = fetch(store.config.offline_store.dsn, "SELECT * FROM feast.code_review_features").to_pandas()
    with pytest.raises(UserError, match="computed from the log") as refused:
        store.write_to_offline_store(view.name, frame)
    assert "detektor emit" in str(refused.value.fix)
    assert store.get_historical_features(labels()[:1], [COUNT]).to_df()["recent_reviews_count"].tolist() == [1]
