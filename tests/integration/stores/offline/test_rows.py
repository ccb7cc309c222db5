"""The offline store's tables: one a version, a plain name on top, all views in one relation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import to_us
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.language import data_hash, days
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.row_tables import first_seen
from detektor_pipelines.stores.offline.rows import ensure_tables, row_table
from detektor_pipelines.stores.raw_log.bulk import append

REVIEWS, DEPLOYS = VIEWS[:2]
DAY = date(2026, 3, 5)


@pytest.fixture
def published(database):
    """One review, published; the deployments have tables and no rows."""
    at = to_us(datetime(2026, 3, 5, 10, tzinfo=UTC))
    event = AgentEvent("e", "code-reviewer", "r", "review", at, "test", project="shop", known_at=at, categories={"verdict": "approved"})
    append(database, [event])
    ensure_tables(database, (REVIEWS, DEPLOYS))
    materialize(database, REVIEWS, [DAY])
    return database


def rows(settings, statement: str) -> list[tuple[object, ...]]:
    with connect(settings) as connection:
        return connection.execute(statement).fetchall()


def test_all_views_rows_in_one_relation(published):
    found = rows(published, "SELECT feature_view, agent_type, agent_id, features FROM feast.agent_features_historical ORDER BY agent_id")
    assert [row[:3] for row in found] == [
        ("code_review_features", "code-reviewer", "code-reviewer"),
        ("code_review_features", "code-reviewer", "code-reviewer@shop"),
    ]
    assert set(found[0][3]) == {each.name for each in REVIEWS.features}
    assert found[0][3]["recent_reviews_count"] == 1


def test_tables_are_made_once(published):
    before = rows(published, "SELECT oid FROM pg_class WHERE relnamespace = 'feast'::regnamespace ORDER BY 1")
    ensure_tables(published, (REVIEWS, DEPLOYS))
    assert rows(published, "SELECT oid FROM pg_class WHERE relnamespace = 'feast'::regnamespace ORDER BY 1") == before


def test_new_version_leaves_the_old_ones_rows(published):
    newer = replace(REVIEWS, features=REVIEWS.features[:3], version="2.0.0")
    materialize(published, newer, [DAY])
    assert row_table(newer) != row_table(REVIEWS)
    assert rows(published, f'SELECT count(*) FROM feast."{row_table(REVIEWS)}"') == [(2,)]
    columns = rows(published, "SELECT column_name FROM information_schema.columns WHERE table_name = 'code_review_features'")
    assert {name for (name,) in columns} == {
        "agent_id",
        "event_timestamp",
        "created_at",
        "written_at",
        *(each.name for each in newer.features),
    }
    assert rows(published, "SELECT count(*) FROM feast.agent_features_historical") == [(2,)]


def test_editing_a_text_recomputes_nothing(published):
    reworded = replace(REVIEWS, description="Other words.", owner="somebody else")
    again = materialize(published, reworded, [DAY])
    assert [day.status for day in again.days] == ["unchanged"]


def test_a_later_run_of_an_older_version_leaves_the_plain_names_where_they_are(published):
    newer = replace(REVIEWS, features=REVIEWS.features[:3], version="2.0.0")
    materialize(published, newer, [DAY])
    materialize(published, REVIEWS, [DAY])
    shown = "SELECT obj_description('feast.code_review_features'::regclass, 'pg_class')"
    assert rows(published, shown) == [(f"detektor: code-reviewer {data_hash(newer)}",)]
    (values,) = rows(published, "SELECT features FROM feast.agent_features_historical WHERE agent_id = 'code-reviewer'")[0]
    assert set(values) == {each.name for each in newer.features}


def test_the_versions_say_when_they_were_made(published):
    newer = replace(REVIEWS, features=REVIEWS.features[:3], version="2.0.0")
    ensure_tables(published, (newer,))
    with connect(published) as connection:
        made = first_seen(connection, "code_review_features")
    assert made[short_hash(REVIEWS)] < made[short_hash(newer)]


@pytest.mark.parametrize("newer_features", [slice(0, 3), slice(0, None)], ids=["a column goes", "the columns stay"])
def test_sql_views_that_people_made_on_top_stay(published, newer_features):
    statements = (
        "CREATE VIEW feast.mine AS SELECT agent_id, recent_reviews_count FROM feast.code_review_features",
        "GRANT SELECT ON feast.mine TO PUBLIC",
    )
    with connect(published) as connection:
        for statement in statements:
            connection.execute(statement)
    wider = (replace(REVIEWS.features[0], over=days(2)), *REVIEWS.features[1:])
    for version in (wider[newer_features], wider[:1], wider):  # back and forth
        materialize(published, replace(REVIEWS, features=version, version="2.0.0"), [DAY])
    assert rows(published, "SELECT count(*) FROM feast.mine") == [(2,)]
    assert rows(published, "SELECT count(*) FROM feast.code_review_features") == [(2,)]
    assert rows(published, "SELECT count(*) FROM feast.agent_features_historical") == [(2,)]
