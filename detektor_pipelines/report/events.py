"""The period's events, read once and asked in memory: the report asks a dozen questions of all of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.language.calendar import end, number, owner_number_sql, start
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED, views_operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.report.contents import Period

_AT: Final = "(EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint"
_OWN: Final = " ".join(f"WHEN '{agent}' THEN '{views_operation(agent)}'" for agent in AGENT_TYPES)
_STATEMENT: Final = f"""
SELECT event_id, CASE WHEN agent_type = '{UNMAPPED}' THEN raw_name ELSE agent_type END AS who, agent_type <> '{UNMAPPED}' AS mapped,
       CASE agent_type {_OWN} END AS own, raw_name, project, session_id, task_id, operation, {_AT} AS at_us,
       ({owner_number_sql(_AT)} - {{first}})::bigint AS day, outcome, verdict, tool_name, error_type, duration_ms, input_tokens,
       output_tokens, cache_read_tokens, cache_creation_tokens, issues_found, score_milli, derived, source
FROM ml_learning.agent_events e
WHERE occurred_at > '{{start}}' AND occurred_at <= '{{end}}' AND NOT retracted AND NOT EXISTS (
    SELECT FROM ml_learning.agent_events newer
    WHERE newer.revision > 1 AND newer.event_id = e.event_id AND newer.revision > e.revision)
"""


class Events:
    """The events of a period as a table `live` that SQL is asked of.

    An event is there once, at its highest revision, and not if that retracts it. `who` is one of the eight agents, or the name in the
    logs of one that maps to none of them (`mapped` is false then); `own` the operation that is the agent's own work; `at_us` µs UTC;
    `day` the number of the owning day in the period, from 0.
    """

    def __init__(self, database: Any) -> None:
        self._database = database

    def ask(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT; parameters are named `$name`."""
        rows: list[tuple[Any, ...]] = self._database.execute(statement, parameters).fetchall()
        return rows


@contextmanager
def events_of(connection: Connection, period: Period) -> Iterator[Events]:
    """Read the period's events.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    import duckdb

    statement = _STATEMENT.format(first=number(period.first), start=start(period.first).isoformat(), end=end(period.last).isoformat())
    with connection.cursor() as cursor:
        cursor.execute(statement)
        table = cursor.fetch_arrow_table()
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"}) as database:
        database.register("events", table)
        database.execute("CREATE TABLE live AS SELECT * FROM events")
        yield Events(database)
