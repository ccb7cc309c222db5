"""Feast over real servers: row tables as the offline store lays them out, and a store with the definitions applied."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.automation import publish

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.offline import rows as offline
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore
    from redis import Redis

    from detektor_pipelines.stack.servers import embedded


@pytest.fixture
def row_tables(servers: Settings) -> Settings:
    """Make the row table of each view, empty, in a database of the test's own."""
    return with_row_tables(servers)


@pytest.fixture
def own_store(row_tables: Settings) -> Iterator[FeatureStore]:
    """Return a Feast store whose registry and configuration a test may change."""
    with applied(row_tables) as store:
        yield store


@pytest.fixture(scope="module")
def module_store(module_database: Settings, redis_server: embedded.RedisServer) -> Iterator[tuple[FeatureStore, Settings]]:
    settings = module_database.model_copy(
        update=Settings(home=module_database.home, external_redis_url=redis_server.url()).model_dump(
            include={"external_redis_url", "redis_host", "redis_port", "redis_password"},
        ),
    )
    with applied(with_row_tables(settings)) as store:
        yield store, settings


@pytest.fixture
def store(module_store: tuple[FeatureStore, Settings], redis_db: Settings) -> FeatureStore:
    """Return a Feast store with the definitions applied; row tables and Redis are empty, the registry is the module's."""
    del redis_db  # empties Redis
    store, settings = module_store
    with psycopg.connect(settings.postgres_dsn) as connection:
        connection.execute("TRUNCATE " + ", ".join(f"feast.{offline.row_table(view)}" for view in VIEWS))
    return store


@pytest.fixture
def client(redis_db: Settings) -> Iterator[Redis]:
    with online.redis_client(redis_db) as client:
        yield client


class Rows:
    """Writes rows of code_review_features: recent_reviews_count and avg_issues_per_review, all else null."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def add(self, agent_id: str, at: str, count: int | None, *, created: str | None = None, written: str = "2026-01-01") -> None:
        with psycopg.connect(self._dsn) as connection:
            connection.execute(
                "INSERT INTO feast.code_review_features (agent_id, event_timestamp, created_at, written_at, recent_reviews_count,"
                " avg_issues_per_review) VALUES (%s, %s, %s, %s, %s, %s)",
                (agent_id, at, created or at, written, count, None if count is None else count / 2),
            )


@pytest.fixture
def rows(store: FeatureStore) -> Rows:
    return Rows(store.config.offline_store.dsn)


@contextmanager
def applied(settings: Settings) -> Iterator[FeatureStore]:
    feast_repo.apply(settings)
    with feast_repo.closing_store(settings) as store:
        yield store


def with_row_tables(settings: Settings) -> Settings:
    """Make the tables, and have it that a day of each was published: a version that nobody ever computed is not read."""
    offline.ensure_tables(settings, VIEWS)
    for view in VIEWS:
        publish(settings, view, [date(2026, 3, 1)])
    return settings
