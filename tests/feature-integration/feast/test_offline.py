from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest
from feast.errors import EntityTimestampInferenceException, FeastEntityDFMissingColumnsError

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.feast.offline_store import DetektorOfflineStoreConfig

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = pytest.mark.slow

COUNT = "code_review_features:recent_reviews_count"
AVERAGE = "code_review_features:avg_issues_per_review"
REJECTED = "code_review_features:last_rejection_at"
DEPLOYED = "deployment_features:deployment_success_rate"


def labels(*pairs: tuple[str, str], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["agent_id", "event_timestamp"])
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True, format="ISO8601")
    return frame.assign(**columns)


def counts(store: FeatureStore, frame: pd.DataFrame | str, **options: Any) -> list[int | None]:
    table = store.get_historical_features(frame, [COUNT], **options).to_arrow()
    return table.column("recent_reviews_count").to_pylist()


def test_the_newest_row_at_the_label_or_before(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    rows.add("a", "2026-03-05 10:00Z", 2)
    asked = ["2026-03-05 07:59:59.999999", "2026-03-05 08:00", "2026-03-05 09:59:59.999999", "2026-03-05 10:00", "2027-01-01"]
    assert counts(store, labels(*(("a", at) for at in asked))) == [None, 1, 1, 2, 2]


def test_what_was_learnt_later_is_not_seen_by_default(store: FeatureStore, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.add("a", "2026-03-05 10:00Z", 1)
    rows.add("a", "2026-03-05 10:00Z", 2, created="2026-03-06 09:30Z")
    rows.add("a", "2026-03-05 11:00Z", 3, created="2026-03-06 09:30Z")  # an instant that only the late event made
    frame = labels(("a", "2026-03-05 12:00"), ("a", "2026-03-06 09:29:59"), ("a", "2026-03-06 09:30"))
    assert counts(store, frame) == [1, 1, 1]  # what it changed is seen from the next row on that was served with it
    monkeypatch.setattr(store.config.offline_store, "as_known_now", True)
    assert counts(store, frame) == [3, 3, 3]
    assert counts(store, frame, filter_by_created_timestamp=True) == [1, 1, 1]


def test_as_known_now_the_latest_knowledge_then_the_latest_writing(store: FeatureStore, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    at, late = "2026-03-05 10:00Z", "2026-03-05 10:30Z"
    rows.add("a", at, 1, written="2026-02-01")
    rows.add("a", at, 9, written="2026-01-31")
    rows.add("a", at, 2, created=late, written="2026-01-01")
    rows.add("a", at, 3, created=late, written="2026-01-03")
    rows.add("a", at, 4, created=late, written="2026-01-02")
    frame = labels(("a", "2026-03-05 10:00"), ("a", "2026-03-06"))
    assert counts(store, frame) == [1, 1]
    monkeypatch.setattr(store.config.offline_store, "as_known_now", True)
    assert counts(store, frame) == [3, 3]


def test_each_label_row_gives_one_row_in_its_place(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    rows.add("b", "2026-03-05 08:00Z", 2)
    twice = labels(("b", "2026-03-06"), ("a", "2026-03-06"), ("b", "2026-03-06"), ("nobody", "2026-03-06"), ("a", "2020-01-01"))
    assert counts(store, twice) == [2, 1, 2, None, None]


def test_keys_that_look_alike_when_glued_together_stay_apart(store: FeatureStore, rows: Any) -> None:
    """Stock Feast joins on the concatenation of key and instant."""
    rows.add("a1", "2026-03-05 08:00Z", 1)
    rows.add("a", "2026-03-05 08:00Z", 2)
    rows.add("a\x1f'\";--", "2026-03-05 08:00Z", 3)
    assert counts(store, labels(("a", "2026-03-06"), ("a1", "2026-03-06"), ("a\x1f'\";--", "2026-03-06"))) == [2, 1, 3]


def test_the_labels_own_columns_come_back_as_they_were(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    frame = labels(("a", "2026-03-06"), ("a", "2026-03-07"), y=[True, False], weight=[0.5, None], note=["x", None])
    frame.index = pd.Index([7, 3])
    result = store.get_historical_features(frame, [COUNT, AVERAGE]).to_df()
    assert list(result.columns) == ["agent_id", "event_timestamp", "y", "weight", "note", "recent_reviews_count", "avg_issues_per_review"]
    pd.testing.assert_frame_equal(result[frame.columns], frame.reset_index(drop=True))
    assert result["recent_reviews_count"].tolist() == [1, 1]


def test_types_are_exact(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 2**63 - 1)
    with psycopg.connect(store.config.offline_store.dsn) as connection:
        connection.execute("UPDATE feast.code_review_features SET last_rejection_at = '2026-01-02 03:04:05.678901Z'")
    table = store.get_historical_features(labels(("a", "2026-03-06"), ("b", "2026-03-06")), [COUNT, REJECTED]).to_arrow()
    assert [str(table.schema.field(name).type) for name in ("recent_reviews_count", "last_rejection_at")] == [
        "int64",
        "timestamp[us, tz=UTC]",
    ]
    assert table.column("recent_reviews_count").to_pylist() == [2**63 - 1, None]
    assert table.column("last_rejection_at")[0].as_py() == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def test_several_views_and_full_names(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    table = store.get_historical_features(labels(("a", "2026-03-06")), [COUNT, DEPLOYED], full_feature_names=True).to_arrow()
    assert table.to_pylist() == [
        {
            "agent_id": "a",
            "event_timestamp": datetime(2026, 3, 6, tzinfo=UTC),
            "code_review_features__recent_reviews_count": 1,
            "deployment_features__deployment_success_rate": None,
        },
    ]


@pytest.mark.parametrize("instants", [["2026-03-06T00:00:00", "2026-03-04"], [datetime(2026, 3, 6), datetime(2026, 3, 4)]])  # noqa: DTZ001
def test_labels_without_a_time_zone_are_utc(store: FeatureStore, rows: Any, instants: list[Any]) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    frame = pd.DataFrame({"agent_id": ["a", "a"], "event_timestamp": instants})
    assert counts(store, frame) == [1, None]


def test_no_labels_give_no_rows(store: FeatureStore) -> None:
    assert counts(store, labels(("a", "2026-03-06")).iloc[:0]) == []


@pytest.mark.parametrize("kind", ["float64", "object", "int64", "string", "category", "bool", "datetime64[us, UTC]"])
@pytest.mark.parametrize("instants", ["float64", "object", "int64", "string", "datetime64[us]", "datetime64[ns, UTC]"])
def test_no_labels_of_whatever_types_give_no_rows_with_all_columns(store: FeatureStore, kind: str, instants: str) -> None:
    """What pandas makes of nothing is float64 or object, whatever the columns would hold."""
    frame = pd.DataFrame({"agent_id": pd.Series(dtype=kind), "event_timestamp": pd.Series(dtype=instants), "y": []})
    job = store.get_historical_features(frame, [COUNT, REJECTED, DEPLOYED])

    assert job.metadata.min_event_timestamp is None
    table = job.to_arrow()
    assert table.num_rows == 0
    features = ["recent_reviews_count", "last_rejection_at", "deployment_success_rate"]
    assert table.column_names == ["agent_id", "event_timestamp", "y", *features]
    assert [str(table.schema.field(name).type) for name in features] == ["int64", "timestamp[us, tz=UTC]", "double"]
    assert list(job.to_df().columns) == table.column_names


def test_labels_that_know_no_agent_or_no_instant_give_nulls(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    nobody = pd.DataFrame({"agent_id": [None, float("nan")], "event_timestamp": pd.to_datetime(["2026-03-06"] * 2, utc=True)})
    never = pd.DataFrame({"agent_id": ["a", "a"], "event_timestamp": [None, float("nan")]})

    assert counts(store, nobody) == counts(store, never) == [None, None]


def test_a_category_is_an_agent(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    frame = labels(("a", "2026-03-06"), ("b", "2026-03-06")).astype({"agent_id": "category"})

    assert counts(store, frame) == [1, None]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'a' AS agent_id, now() AS event_timestamp WHERE FALSE",
        "SELECT NULL AS agent_id, NULL AS event_timestamp WHERE FALSE",
        "SELECT agent_id, event_timestamp FROM feast.code_review_features WHERE agent_id = 'nobody'",
    ],
)
def test_a_query_of_no_labels_gives_no_rows_with_all_columns(store: FeatureStore, query: str) -> None:
    job = store.get_historical_features(query, [COUNT])

    assert job.to_arrow().num_rows == 0
    assert job.to_arrow().column_names == ["agent_id", "event_timestamp", "recent_reviews_count"]
    assert job.metadata.max_event_timestamp is None


@pytest.mark.parametrize("given", [pd.DataFrame({"event_timestamp": []}), "SELECT now() AS event_timestamp"])
def test_labels_without_an_agent_are_told_which_column_is_missing(store: FeatureStore, given: pd.DataFrame | str) -> None:
    with pytest.raises(FeastEntityDFMissingColumnsError, match=r"must contain columns .*agent_id.*\{'agent_id'\} were missing"):
        store.get_historical_features(given, [COUNT])


@pytest.mark.parametrize("given", [pd.DataFrame({"agent_id": []}), "SELECT 'a' AS agent_id"])
def test_labels_without_an_instant_are_told_which_column_is_missing(store: FeatureStore, given: pd.DataFrame | str) -> None:
    with pytest.raises(EntityTimestampInferenceException, match="event_timestamp"):
        store.get_historical_features(given, [COUNT])


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (pd.DataFrame({"agent_id": [5], "event_timestamp": ["2026-03-06"]}), "int64"),
        (pd.DataFrame({"agent_id": [0.5], "event_timestamp": ["2026-03-06"]}), "double"),
        ("SELECT 5 AS agent_id, now() AS event_timestamp", "int32"),
        ("SELECT NULL::float8 AS agent_id, now() AS event_timestamp WHERE FALSE", "double"),
    ],
)
def test_an_agent_that_is_a_number_is_refused_in_words(store: FeatureStore, given: pd.DataFrame | str, kind: str) -> None:
    with pytest.raises(UserError, match=f"The column agent_id of the labels holds {kind}, but agent_id is a text"):
        counts(store, given)


def test_agents_of_several_types_are_refused_in_words(store: FeatureStore) -> None:
    frame = pd.DataFrame({"agent_id": ["a", 5], "event_timestamp": ["2026-03-06", "2026-03-06"]})

    with pytest.raises(UserError, match="The column agent_id of the labels holds values of several types"):
        counts(store, frame)


def test_labels_from_a_query(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    query = """SELECT * FROM (VALUES ('b', timestamp '2026-03-06', 1.5::numeric), ('a', '2026-03-06', 2), ('a', '2026-03-04', NULL))
               AS given(agent_id, event_timestamp, weight)"""
    job = store.get_historical_features(query, [COUNT])
    assert job.to_arrow().to_pylist() == [
        {"agent_id": "b", "event_timestamp": datetime(2026, 3, 6), "weight": 1.5, "recent_reviews_count": None},  # noqa: DTZ001
        {"agent_id": "a", "event_timestamp": datetime(2026, 3, 6), "weight": 2.0, "recent_reviews_count": 1},  # noqa: DTZ001
        {"agent_id": "a", "event_timestamp": datetime(2026, 3, 4), "weight": None, "recent_reviews_count": None},  # noqa: DTZ001
    ]
    assert job.metadata.max_event_timestamp == datetime(2026, 3, 6, tzinfo=UTC)


def test_without_labels_every_instant_of_the_range(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    rows.add("b", "2026-03-05 09:00Z", 2)
    rows.add("a", "2026-03-05 10:00Z", 3)
    rows.add("a", "2026-03-05 10:00Z", 4, created="2026-03-07")
    rows.add("a", "2026-03-07 10:00Z", 5)
    job = store.get_historical_features(
        None, [COUNT], start_date=datetime(2026, 3, 5, 9, tzinfo=UTC), end_date=datetime(2026, 3, 6, tzinfo=UTC)
    )
    table = job.to_arrow().to_pylist()
    assert [(row["agent_id"], row["event_timestamp"].hour, row["recent_reviews_count"]) for row in table] == [("b", 9, 2), ("a", 10, 3)]


def test_pulling_everything_gives_the_last_writing_of_each_row(store: FeatureStore, rows: Any) -> None:
    rows.add("a", "2026-03-05 08:00Z", 1)
    rows.add("a", "2026-03-05 08:00Z", 2, written="2026-01-02")
    rows.add("a", "2026-03-05 08:00Z", 3, created="2026-03-06")
    rows.add("a", "2026-03-09 08:00Z", 4)
    view = store.get_feature_view("code_review_features")
    job = store._get_provider().offline_store.pull_all_from_table_or_query(  # type: ignore[attr-defined]
        store.config,
        view.batch_source,
        ["agent_id"],
        ["recent_reviews_count"],
        "event_timestamp",
        "created_at",
        datetime(2026, 3, 5, tzinfo=UTC),
        datetime(2026, 3, 6, tzinfo=UTC),
    )
    assert job.to_arrow().column("recent_reviews_count").to_pylist() == [2, 3]


def test_the_fields_of_feasts_own_store_follow_from_the_url() -> None:
    config = DetektorOfflineStoreConfig(dsn="postgresql://me%40x:p%2C%27%22@db.example:6543/features")
    assert (config.host, config.port, config.user, config.password, config.database, config.sslmode) == (
        "db.example",
        6543,
        "me@x",
        "p,'\"",
        "features",
        "prefer",
    )
