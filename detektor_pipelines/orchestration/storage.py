"""Dagster's own storage on our PostgreSQL: addresses from the settings, pooled connections, planned partitions written in one statement.

The stock classes open a connection for each call and write one event for each planned partition: a command-line range of 184 days over
eight views spends 25 s on that, with these 5 s. They lean on private parts of dagster-postgres (`_engine`, `_store_asset_event`), which is
pinned; `tests/integration/orchestration/test_storage.py` holds what they rely on. They can go when dagster-postgres pools connections and
batches ASSET_MATERIALIZATION_PLANNED by itself.

`dagster_home/dagster.yaml` names them. They need no configuration: the address and the password come from `settings`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakSet

from dagster import DagsterEventType, Field, StringSource
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagster import EventLogEntry
    from dagster._config.config_schema import UserConfigSchema
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Engine

SCHEMA: Final = "dagster"
BATCH_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"
_BATCH: Final = "200"


class _Pooled:
    """What the three have in common: stands before the stock class."""

    _engine: Engine

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        _prepare(postgres_url)
        super().__init__(postgres_url, inst_data=inst_data)  # type: ignore[call-arg]
        self._engine = _pooled(postgres_url)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return Dagster's schema of the configuration in dagster.yaml."""
        description = "SQLAlchemy URL with the search path of the schema; by default that of the platform's settings."
        return {"postgres_url": Field(StringSource, is_required=False, description=description)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Build the storage from dagster.yaml."""
        return cls(config_value.get("postgres_url") or get_settings().sqlalchemy_url(SCHEMA), inst_data)

    def dispose(self) -> None:
        """Close the kept connections."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Runs, with connections kept open."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Ticks of sensors and schedules, with connections kept open."""


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events, with connections kept open and planned materializations written many at once."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data)
        os.environ.setdefault(BATCH_VARIABLE, _BATCH)  # Dagster reads it at each event; without it no batch reaches this class

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of one kind in one statement, also the planned materializations that Dagster would write one by one."""
        planned = [each for each in events if each.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION_PLANNED]
        if planned:
            self._store_planned(planned)
        others = [each for each in events if each.dagster_event_type != DagsterEventType.ASSET_MATERIALIZATION_PLANNED]
        if others:
            super().store_event_batch(others)

    def _store_planned(self, events: Sequence[EventLogEntry]) -> None:
        from dagster._core.storage.event_log import SqlEventLogStorageTable

        with self.index_transaction() as connection:
            insert = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
            numbers = [cast("int", row[0]) for row in connection.execute(insert)]
            newest = {each.get_dagster_event().asset_key: (each, number) for each, number in zip(events, numbers, strict=True)}
            for event, number in newest.values():
                self._store_asset_event(connection, event, number)


def _pooled(url: str) -> Engine:
    """Return an engine as dagster-postgres makes it, but for the pool.

    A connection that the server closed is replaced unnoticed. Threads beyond two get connections that are closed after use: each of
    Dagster's processes has three of these pools, and a server a few hundred places.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=30, pool_pre_ping=True, pool_recycle=1800)
    _engines.add(engine)
    return engine


def _forget_inherited() -> None:
    """Let a forked child open connections of its own: two processes on one socket would read each other's answers."""
    for engine in _engines:
        engine.dispose(close=False)


_engines: WeakSet[Engine] = WeakSet()
os.register_at_fork(after_in_child=_forget_inherited)


@cache
def _prepare(url: str) -> None:
    """Make the schema, and say plainly when there is no server (the stock class tries six times, then shows its stack).

    Raises:
        UserError: PostgreSQL does not answer.

    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    except OperationalError as error:
        raise UserError(
            "Dagster's storage cannot be opened: PostgreSQL does not answer or refuses the login.",
            where=f"{engine.url.host}:{engine.url.port}, database {engine.url.database}",
            fix="Run `detektor up`, or correct DETEKTOR_EXTERNAL_POSTGRES_URL.",
        ) from error
