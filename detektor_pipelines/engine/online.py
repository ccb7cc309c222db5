"""Offline → online: the newest row of each agent_id of a view goes to Redis."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.engine.compute import row_schema
from detektor_pipelines.language.windows import floor_to
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.offline import SCHEMA, published_days, row_table

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class OnlinePublication:
    """What one publication did. `as_of`: up to when the values are true; None when nothing was ever published offline."""

    keys: int
    written: int
    as_of: datetime | None
    seconds: float


def publish_online(settings: Settings, view: FeatureView) -> OnlinePublication:
    """Write each agent_id's newest row to the online store; a key that already holds newer knowledge keeps it.

    The values are true up to the end of the newest published day, or, of one that was published while it was open, up to the last instant
    of the grain that could have a row: what happened since is in none of them.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    from detektor_pipelines.stores.online import redis_client, write_rows

    started = time.perf_counter()
    with connect_arrow(settings) as connection:
        days = published_days(connection, view)
        if not days:
            return OnlinePublication(0, 0, None, time.perf_counter() - started)
        newest = days[-1]
        end = datetime.combine(newest.day, datetime.min.time(), UTC) + timedelta(days=1)
        as_of = min(end, clock.from_us(floor_to(clock.to_us(newest.published_at), view.grain)))
        rows = newest_rows(connection, view, as_of)
    instant = clock.to_us(as_of)
    client = redis_client(settings)
    try:
        counts = write_rows(client, settings.project, view, rows, as_of_us=instant, valid_through_us=instant, snapshot=newest.snapshot)
    finally:
        client.close()
    return OnlinePublication(rows.num_rows, counts.written, as_of, time.perf_counter() - started)


def newest_rows(connection: Connection, view: FeatureView, at: datetime) -> pa.Table:
    """Return the newest version of each agent_id's last row with event_timestamp <= `at`, layout `row_schema`."""
    names = ", ".join(f'"{name}"' for name in row_schema(view).names)
    table = f'{SCHEMA}."{row_table(view)}"'
    # Keys by a loose index scan: one probe a key, however many rows a key has.
    statement = f"""
        WITH RECURSIVE keys AS (
            (SELECT agent_id FROM {table} ORDER BY agent_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.agent_id FROM {table} t WHERE t.agent_id > k.agent_id ORDER BY t.agent_id LIMIT 1)
            FROM keys k WHERE k.agent_id IS NOT NULL
        )
        SELECT newest.* FROM keys k CROSS JOIN LATERAL (
            SELECT {names} FROM {table} t WHERE t.agent_id = k.agent_id AND t.event_timestamp <= '{at.isoformat()}'
            ORDER BY t.event_timestamp DESC, t.created_at DESC, t.written_at DESC LIMIT 1
        ) newest
    """
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetch_arrow_table()
    return found.cast(row_schema(view))
