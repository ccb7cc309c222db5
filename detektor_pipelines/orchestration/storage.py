"""Dagster's own storage on our PostgreSQL: addresses from the settings, pooled connections, what a run plans written in few statements.

The stock classes open a connection for each call and write planned partitions and checks one by one: a command-line range of 184 days over
eight views spends two minutes on that, with these 5 s. They lean on private parts of dagster-postgres (`_engine`, `_store_asset_event`),
which is pinned; `tests/integration/orchestration/test_storage.py` holds what they rely on. They can go when dagster-postgres pools
connections, batches all that a run plans, and plans a check without partitions once.

`dagster_home/dagster.yaml` names them. They need no configuration: the address and the password come from `settings`.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakSet

from dagster import Field, StringSource
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from detektor_pipelines import log_lines, refusals, sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dagster import EventLogEntry
    from dagster._config.config_schema import UserConfigSchema
    from dagster._serdes import ConfigurableClassData
    from dagster._utils.concurrency import ConcurrencyClaimStatus
    from sqlalchemy import Connection, Engine

SCHEMA: Final = "dagster"
BATCH_VARIABLE: Final = "DAGSTER_EVENT_BATCH_SIZE"
_BATCH: Final = "200"
_DAEMON_OF_DEV: Final = ("_daemon", "__main__.py")
"""How the program ends that `dagster dev` starts as `python -m dagster._daemon`; a stack's own is `orchestration.daemon`."""

_AGAIN_SECONDS: Final = 0.5
_SILENT: Final = refusals.Refusal("PostgreSQL does not answer.", "Run `detektor up`, or correct DETEKTOR_EXTERNAL_POSTGRES_URL.")


class _Pooled:
    """What the three have in common: stands before the stock class."""

    _engine: Engine
    postgres_url: str

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        if _is_dagsters_process():
            log_lines.set_up_beside(Path(sys.argv[0]).name)
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

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Have an engine as the webserver wants it; the stock one gives out connections that PostgreSQL has closed, as an HTTP 500."""
        self._engine.dispose()
        url = sessions.changed(self.postgres_url, {"statement_timeout": str(statement_timeout)})
        self._engine = _pooled(url, max_overflow=max_overflow, pool_recycle=pool_recycle)

    def dispose(self) -> None:
        """Close the kept connections."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Runs, with connections kept open."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Ticks of sensors and schedules, with connections kept open."""

    def delete_instigator_state(self, origin_id: str, selector_id: str) -> None:
        """Forget a schedule's or a sensor's state, but for the daemon of `dagster dev`.

        That forgets those that its own code location lacks: each minute all schedules of a stack that runs beside it, whose location has
        another name, and after twelve hours that somebody has turned one off.
        """
        if Path(sys.argv[0]).parts[-2:] != _DAEMON_OF_DEV:
            super().delete_instigator_state(origin_id, selector_id)


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events, with connections kept open and planned materializations written many at once."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data)
        os.environ.setdefault(BATCH_VARIABLE, _BATCH)  # Dagster reads it at each event; without it no batch reaches this class

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write planned and done materializations, observations and planned checks, with all that hangs on them, in one transaction."""
        from dagster import DagsterEventType as Kind

        events = [each for each in events if each.dagster_event_type != Kind.ASSET_FAILED_TO_MATERIALIZE]  # as the stock class: not kept
        if not events:
            return
        with self.index_transaction() as connection:
            numbered = list(zip(events, self._insert(connection, events), strict=True))
            checks = [(event, number) for event, number in numbered if event.dagster_event_type == Kind.ASSET_CHECK_EVALUATION_PLANNED]
            assets = [(event, number) for event, number in numbered if event.get_dagster_event().asset_key]
            self._store_asset_event_tags(connection, *([list(each) for each in zip(*assets, strict=True)] or [[], []]))
            newest = {(event.get_dagster_event().asset_key, event.dagster_event_type): (event, number) for event, number in assets}
            for event, number in newest.values():
                self._store_asset_event(connection, event, number)
            if checks:
                self._insert_planned_checks(connection, checks)

    def _insert(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        from dagster._core.storage.event_log import SqlEventLogStorageTable as Table

        # Compiled once for any number of rows; the stock VALUES list is compiled again for each batch
        statement = Table.insert().returning(Table.c.id, sort_by_parameter_order=True)
        return [cast("int", row[0]) for row in connection.execute(statement, [self._event_to_row(event) for event in events])]

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        with self.index_transaction() as connection:
            self._insert_planned_checks(connection, [(event, event_id)])

    def _insert_planned_checks(self, connection: Connection, checks: Sequence[tuple[EventLogEntry, int | None]]) -> None:
        """Write one row for each planned check, which its evaluation then completes.

        Our checks speak of all days of a run together. In a backfill's run the stock class writes a row for each day nevertheless: with 184
        days and 48 checks nine thousand rows that nothing completes, each on its check's page as one that never ran.
        """
        from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
        from dagster._serdes import serialize_value

        rows = [
            {
                "asset_key": planned.asset_key.to_string(),
                "check_name": planned.check_name,
                "partition": None,
                "run_id": event.run_id,
                "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                "evaluation_event": serialize_value(event),
                "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None),
                "evaluation_event_storage_id": number,
            }
            for event, number in checks
            for planned in [event.get_dagster_event().asset_check_planned_data]
        ]
        connection.execute(AssetCheckExecutionsTable.insert(), rows)

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Claim a place of a pool for a step, one claim at a time: the stock class gives one place to several that ask at once."""
        with self._alone_in([concurrency_key]):
            return super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)

    def assign_pending_steps(self, concurrency_keys: Sequence[str]) -> None:
        """Give free places to waiting steps, the same way."""
        with self._alone_in(concurrency_keys):
            super().assign_pending_steps(concurrency_keys)

    @contextmanager
    def _alone_in(self, pools: Sequence[str]) -> Iterator[None]:
        """Keep others, of any process, from the pools' places: the stock row locks end with their statement, which commits by itself."""
        with self.index_transaction() as connection:
            for pool in sorted(set(pools)):
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:pool, 0))"), {"pool": f"dagster pool {pool}"})
            yield


def _pooled(url: str, *, max_overflow: int = 30, pool_recycle: int = 1800) -> Engine:
    """Return an engine as dagster-postgres makes it, but for the pool.

    A connection that the server closed is replaced unnoticed. Threads beyond two get connections that are closed after use: each of
    Dagster's processes has three of these pools, and a server a few hundred places.
    """
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=2, max_overflow=max_overflow, pool_pre_ping=True, pool_recycle=pool_recycle
    )
    _engines.add(engine)
    return engine


def _forget_inherited() -> None:
    """Let a forked child open connections of its own: two processes on one socket would read each other's answers."""
    for engine in _engines:
        engine.dispose(close=False)


_engines: WeakSet[Engine] = WeakSet()
os.register_at_fork(after_in_child=_forget_inherited)


def _is_dagsters_process() -> bool:
    """Tell Dagster's servers and runs, whose lines go to a log file, from a command of ours, whose terminal is a person's."""
    return any(part.startswith("dagster") for part in Path(sys.argv[0]).parts[-2:])


@cache
def _prepare(url: str) -> None:
    """Make the schema, and say plainly when there is no server (the stock class tries six times, then shows its stack).

    Dagster's servers wait for PostgreSQL, which may be starting again (`postgres_wait_seconds`): a code server that gave up would go on
    answering with that error until somebody reloads it.

    Raises:
        UserError: PostgreSQL does not answer.

    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    deadline = time.monotonic() + get_settings().postgres_wait_seconds
    try:
        with _connected(engine, deadline) as connection:
            _check_path(connection, url)
            if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    except OperationalError as error:
        told = refusals.of_text(str(error.orig)) or _SILENT
        raise UserError(
            f"Dagster's storage cannot be opened: {told.what}",
            where=f"{engine.url.host}:{engine.url.port}, database {engine.url.database}: {str(error.orig).partition(chr(10))[0][:300]}",
            fix=told.fix.format(user=engine.url.username, database=engine.url.database),
        ) from error


def _check_path(connection: Connection, url: str) -> None:
    """Check that the tables will land where they belong: a pooler may drop what the URL asks for.

    Raises:
        UserError: They would not.

    """
    wanted = sessions.set_in(url).get("search_path")
    if wanted is not None and connection.scalar(text("SHOW search_path")) != wanted:
        raise UserError(
            f"Dagster's storage cannot be opened: {refusals.POOLER}",
            where=f"{connection.engine.url.host}:{connection.engine.url.port}, database {connection.engine.url.database}",
            fix=refusals.POOLER_FIX,
        )


def _connected(engine: Engine, deadline: float) -> Connection:
    """Connect, trying until `deadline` (of the monotonic clock)."""
    again = Retrying(
        retry=retry_if_exception_type(OperationalError),
        stop=lambda _: time.monotonic() >= deadline,
        wait=wait_fixed(_AGAIN_SECONDS),
        reraise=True,
    )
    return again(engine.connect)
