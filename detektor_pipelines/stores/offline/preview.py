"""A few rows of a view's day, for a person to look at."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table

if TYPE_CHECKING:
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


def newest_rows(settings: Settings, view: FeatureView, day: date, *, limit: int) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return the column names (agent_id, event_timestamp, the features) and the newest rows of the partition `day`.

    The partition owns the instants in (day 00:00, next day 00:00].

    Raises:
        UserError: The server does not answer, or the view has no table yet.

    """
    from psycopg import sql

    columns = ["agent_id", "event_timestamp", *(each.name for each in view.features)]
    start = datetime.combine(day, time(), UTC)
    query = sql.SQL(
        "SELECT {columns} FROM {table} WHERE event_timestamp > {start} AND event_timestamp <= {end}"
        " ORDER BY event_timestamp DESC, agent_id, created_at DESC LIMIT {limit}"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier(SCHEMA, row_table(view)),
        start=sql.Literal(start),
        end=sql.Literal(start + timedelta(days=1)),
        limit=sql.Literal(limit),
    )
    with connect(settings) as connection:
        return columns, connection.execute(query).fetchall()
