"""Feast over real servers: row tables as the offline store lays them out, and a store with the definitions applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.stores import feast_repo, online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
SQL_TYPES = {"int64": "bigint", "float64": "double precision", "instant": "timestamptz"}


@pytest.fixture
def row_tables(servers: Settings) -> Settings:
    """Make the row table of each view, empty, and the SQL view of the plain name on top."""
    with psycopg.connect(servers.postgres_dsn) as connection:
        for view in VIEWS:
            make_row_table(connection, view)
    return servers


@pytest.fixture
def store(row_tables: Settings) -> Iterator[FeatureStore]:
    """Apply the definitions and return Feast's store over them."""
    feast_repo.apply(row_tables)
    with feast_repo.closing_store(row_tables) as store:
        yield store


@pytest.fixture
def client(servers: Settings) -> Iterator[Redis]:
    with online.redis_client(servers) as client:
        yield client


class Rows:
    """Writes rows of code_review_features: recent_reviews_count and avg_issues_per_review, all else null."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def add(self, agent_id: str, at: str, count: int | None, *, created: str | None = None, written: str = "2026-01-01") -> None:
        with psycopg.connect(self._settings.postgres_dsn) as connection:
            connection.execute(
                "INSERT INTO feast.code_review_features (agent_id, event_timestamp, created_at, written_at, recent_reviews_count,"
                " avg_issues_per_review) VALUES (%s, %s, %s, %s, %s, %s)",
                (agent_id, at, created or at, written, count, None if count is None else count / 2),
            )


@pytest.fixture
def rows(row_tables: Settings) -> Rows:
    return Rows(row_tables)


def make_row_table(connection: psycopg.Connection, view: FeatureView) -> None:
    columns = ", ".join(f"{each.name} {SQL_TYPES[each.value_type]}" for each in view.features)
    table = f"feast.{view.name}__{short_hash(view)}"
    connection.execute(
        f"CREATE TABLE {table} (agent_id text, event_timestamp timestamptz, created_at timestamptz, written_at timestamptz, {columns},"
        " PRIMARY KEY (agent_id, event_timestamp, created_at, written_at))",
    )
    connection.execute(f"CREATE OR REPLACE VIEW feast.{view.name} AS SELECT * FROM {table}")
