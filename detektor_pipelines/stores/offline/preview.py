"""A few rows of a view's day, for a person to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.language.calendar import end, start
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.newest import newest_of_each, quoted
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table

if TYPE_CHECKING:
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


def newest_rows(settings: Settings, view: FeatureView, day: date, *, limit: int) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return the column names (agent_id, event_timestamp, the features) and the newest rows of the partition `day`, each as known now.

    Raises:
        UserError: The server does not answer, or the view has no table yet.

    """
    columns = ["agent_id", "event_timestamp", *(each.name for each in view.features)]
    names = ", ".join(map(quoted, columns))
    source = f"{SCHEMA}.{quoted(row_table(view))} WHERE event_timestamp > %(start)s AND event_timestamp <= %(end)s"
    query = f"SELECT * FROM ({newest_of_each(names, source)}) AS newest ORDER BY event_timestamp DESC, agent_id LIMIT %(limit)s"
    with connect(settings) as connection:
        return columns, connection.execute(query, {"start": start(day), "end": end(day), "limit": limit}).fetchall()
