"""Offline → online: the newest row of each agent_id of a view goes to Redis."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import values_at, values_of_nothing
from detektor_pipelines.engine.compute import row_schema
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.engine.materialize import midnight
from detektor_pipelines.language.windows import DAY, floor_to
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.log_reader import read_events
from detektor_pipelines.stores.offline import SCHEMA, published_days, row_table
from detektor_pipelines.stores.staleness import stale_days

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.offline import PublishedDay

_NEVER: Final = 2**62


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
    of the grain that could have a row: what happened since is in none of them. Between an agent_id's newest row and that instant a day may
    not be published (it failed the gate, say), and what left the windows on it is in no row: such a value is computed from the log; one
    that does not pass the gate is true up to that day only. While the log holds events that the published days do not know, the values
    name no snapshot: they are none's.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached, or the online store is another copy's of the log.

    """
    from detektor_pipelines.stores import online_life
    from detektor_pipelines.stores.online import redis_client, write_rows

    started = time.perf_counter()
    with connect_arrow(settings, writes=True) as connection:
        days = published_days(connection, view)
        if not days:
            return OnlinePublication(0, 0, None, time.perf_counter() - started)
        newest = days[-1]
        end = datetime.combine(newest.day, datetime.min.time(), UTC) + timedelta(days=1)
        as_of = min(end, clock.from_us(floor_to(clock.to_us(newest.published_at), view.grain)))
        instant = clock.to_us(as_of)
        parts = _true_parts(connection, view, newest_rows(connection, view, as_of), days, instant)
    with connect(settings) as plain:
        snapshot, life = None if stale_days(plain, view) else newest.snapshot, cluster.life(plain)
    written = keys = 0
    client = redis_client(settings)
    try:
        online_life.claim(client, settings.project, life)
        for through, rows in parts:  # ascending: the view is complete up to the last when the last is down
            counts = write_rows(client, settings.project, view, rows, as_of_us=through, valid_through_us=through, snapshot=snapshot)
            written, keys = written + counts.written, keys + rows.num_rows
    finally:
        client.close()
    return OnlinePublication(keys, written, as_of, time.perf_counter() - started)


def _true_parts(
    connection: Connection, view: FeatureView, rows: pa.Table, days: Sequence[PublishedDay], instant: int
) -> list[tuple[int, pa.Table]]:
    """Return the newest rows in parts, each with the instant (µs UTC) up to which its values are true, ascending; the last is `instant`."""
    import numpy as np
    import pyarrow as pa

    gaps = _gap_after_each(view, rows, days)
    behind = gaps < instant
    if not behind.any():
        return [(instant, rows)]
    whole, broken = rows.filter(~behind), rows.filter(behind)
    mended = _values_from_log(connection, view, broken["agent_id"].to_pylist(), instant, days[-1].snapshot)
    if not failures_by_day(view, mended):
        return [(instant, pa.concat_tables([whole, mended]))]
    gaps = gaps[behind]
    return [*((int(gap), broken.filter(gaps == gap)) for gap in np.unique(gaps)), (instant, whole)]


def _gap_after_each(view: FeatureView, rows: pa.Table, days: Sequence[PublishedDay]) -> NDArray[np.int64]:
    """Return for each row where the first day after it begins that is not published and on which something may leave its windows."""
    import numpy as np

    published = {midnight(each.day) for each in days}
    missing = [begin for begin in range(min(published), max(published), DAY) if begin not in published]
    begins = np.array([*missing, _NEVER], dtype=np.int64)
    instants = rows["event_timestamp"].cast("int64").to_numpy()
    gaps = begins[np.searchsorted(begins, instants)]
    return np.where(gaps < instants + reach_back(plan(view)), gaps, _NEVER)


def _values_from_log(connection: Connection, view: FeatureView, agent_ids: Sequence[str], instant: int, snapshot: str) -> pa.Table:
    """Return rows at `instant` as the log of that snapshot gives them, layout `row_schema`."""
    import pyarrow as pa

    compiled = plan(view)
    events = read_events(connection, view.agent, compiled.columns, instant - reach_back(compiled), instant, snapshot=snapshot)
    found, nothing = values_at(view, events, instant), values_of_nothing(view)
    values = zip(*(found.get(agent_id, nothing) for agent_id in agent_ids), strict=True)
    columns = [agent_ids, [instant] * len(agent_ids), [instant] * len(agent_ids), *map(list, values)]
    schema = row_schema(view)
    return pa.table([pa.array(column, each.type) for column, each in zip(columns, schema, strict=True)], schema=schema)


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
