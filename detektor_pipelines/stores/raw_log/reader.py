"""Reads the raw log for the engine: one agent's events of a range, as Arrow, and the snapshot that they were read under."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import between, owner, start_us
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED
from detektor_pipelines.stores import retention
from detektor_pipelines.stores.raw_log.columns import arrow_type, selected

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

_SNAPSHOT: Final = re.compile(r"\d+:\d+:(\d+(,\d+)*)?")


def events_sql(agent: str, columns: Sequence[str], start: int, end: int, *, revised: bool = True, snapshot: str | None = None) -> str:
    """Return the SELECT of one agent's events with occurred_at in (start, end] (µs), instants still timestamptz.

    `live` is false for a retraction and for a revision that a higher one superseded; `until` is when the platform learnt better of the
    latter (the least `known_at` of the higher ones), null for all others. Looking for those is dear, and needless where the log holds no
    second revision (`revised` false). With a `snapshot` the log is read as it was then.
    """
    chosen = selected(columns, "e")
    # The range of a revision says nothing of where its successors stand: they may have another instant, agent or project.
    superseded = f"""LEFT JOIN (
            WITH newer AS MATERIALIZED (
                SELECT event_id, revision, known_at FROM ml_learning.agent_events r WHERE revision > 1{_visible("r", snapshot)}
            ), older AS (SELECT event_id, 1 AS revision FROM newer UNION SELECT event_id, revision FROM newer)
            SELECT older.event_id, older.revision, MIN(newer.known_at) AS until
            FROM older JOIN newer ON newer.event_id = older.event_id AND newer.revision > older.revision
            GROUP BY older.event_id, older.revision
        ) superseded ON superseded.event_id = e.event_id AND superseded.revision = e.revision"""
    until = "CASE WHEN NOT e.retracted THEN superseded.until END" if revised else "NULL::timestamptz"
    return f"""
        SELECT e.occurred_at AS ts, e.known_at AS known, {until} AS until, e.event_id, e.project{chosen},
               NOT e.retracted{" AND superseded.until IS NULL" if revised else ""} AS live
        FROM ml_learning.agent_events e {superseded if revised else ""}
        WHERE e.agent_type = '{agent}' AND e.occurred_at > {_instant(start)} AND e.occurred_at <= {_instant(end)}{_visible("e", snapshot)}
    """


def integer_events_sql(
    agent: str, columns: Sequence[str], start: int, end: int, *, revised: bool = True, snapshot: str | None = None
) -> str:
    """Return the same events as the compiled SQL wants them in place: instants as bigint µs."""
    chosen = "".join(f", {name}" for name in columns)
    instants = ", ".join(f"(EXTRACT(EPOCH FROM {name}) * 1000000)::bigint AS {name}" for name in ("ts", "known", "until"))
    return f"""
        SELECT {instants}, event_id, project{chosen}, live
        FROM ({events_sql(agent, columns, start, end, revised=revised, snapshot=snapshot)}) raw
    """


def begin_snapshot(connection: Connection) -> str:
    """Begin the connection's next transaction as REPEATABLE READ; return its snapshot in the log's numbers, `xmin:xmax:in progress`."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT ml_learning.log_snapshot()::text")
        row = cursor.fetchone()
    if row is None:
        message = "PostgreSQL gave no snapshot"
        raise RuntimeError(message)
    return str(row[0])


def any_revised(connection: Connection) -> bool:
    """Whether the log holds a second revision of any event."""
    with connection.cursor() as cursor:
        # The order makes it a look-up in the partial index, also before PostgreSQL has statistics: EXISTS scans the log then
        cursor.execute("SELECT (SELECT true FROM ml_learning.agent_events WHERE revision > 1 ORDER BY event_id LIMIT 1) IS NOT NULL")
        return bool(cursor.fetchone() == (True,))


def read_events(  # noqa: PLR0913  what is read, and how much of it
    connection: Connection,
    agent: str,
    columns: Sequence[str],
    start: int,
    end: int,
    *,
    snapshot: str | None = None,
    where: str | None = None,
    identified: Sequence[Collection[str]] | None = None,
) -> pa.Table:
    """Return one agent's events with occurred_at in (start, end] (µs) in the layout of `engine.compute.event_schema`, unordered.

    With a `snapshot`, PostgreSQL's text of one, the log is read as it was then. With `where`, only the revisions for which that SQL
    condition on `columns` is true. With `identified`, sets of columns, an event_id is null unless the event has all columns of one of them:
    it is the widest of all, and only for the order of what is picked.

    Raises:
        UserError: Events of the range went by retention: what is left would give wrong values.

    """
    import pyarrow as pa
    import pyarrow.compute as pc

    refuse_what_is_not_whole(connection, start)
    revised = any_revised(connection)
    names = ["ts", "known", "until", "event_id", "live", "project", *columns]
    # Most events were known at once and are live: a null is sent and read sooner than the same value again.
    sparse = {"known": "NULLIF(known, ts) AS known", "live": "NULLIF(live, true) AS live"}
    absent = {"until": pa.int64()} if not revised else {}  # a whole column of nulls costs as much as any other
    if identified is not None:
        having = [" AND ".join(f"{name} IS NOT NULL" for name in sorted(each)) or "true" for each in identified]
        sparse["event_id"] = f"CASE WHEN {' OR '.join(having)} THEN event_id END AS event_id"
        absent |= {} if having else {"event_id": pa.string()}
    read = [sparse.get(name, name) for name in names if name not in absent]
    text = events_sql(agent, columns, start, end, revised=revised, snapshot=snapshot)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(read)} FROM ({text}) raw{'' if where is None else f' WHERE {where}'}")
        table = cursor.fetch_arrow_table()
    for name, kind in absent.items():
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    for name, instead in (("known", table["ts"]), ("live", True)):
        table = table.set_column(table.column_names.index(name), name, pc.fill_null(table[name], instead))
    types = {"ts": pa.int64(), "known": pa.int64(), "until": pa.int64(), "live": pa.bool_()}
    wanted = pa.schema([(name, types.get(name) or arrow_type(name)) for name in names])
    return table.select(names).cast(wanted)


def refuse_what_is_not_whole(connection: Connection, start: int) -> None:
    """Refuse to compute of events from `start` (µs) on.

    Raises:
        UserError: Some of them went by retention: what is left would give wrong values.

    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT (EXTRACT(EPOCH FROM floor) * 1000000)::bigint FROM ml_learning.retention WHERE name = '{retention.EVENTS}'")
        row = cursor.fetchone()
    if row and row[0] is not None and start < row[0]:
        raise UserError(
            f"This takes events from {clock.to_text(start)} on, and those before {clock.to_text(row[0])} went by retention.",
            where="ml_learning.agent_events",
            fix="Ask for later instants. What was published of earlier ones stays readable through Feast.",
        )


def unchanged(connection: Connection, agent: str, start: int, end: int, since: str) -> bool:
    """Whether one agent's events with occurred_at in (start, end] (µs) are what an earlier snapshot saw.

    A revision of any event may have superseded one of them, and what is erased is theirs perhaps: either makes the answer no.
    """
    appended = f"xid >= pg_snapshot_xmin('{since}') AND NOT pg_visible_in_snapshot(xid, '{since}')"
    with connection.cursor() as cursor:
        # The order makes it a look-up in the index, also before PostgreSQL has statistics
        cursor.execute(
            f"SELECT (SELECT true FROM ml_learning.agent_events WHERE {appended} AND (revision > 1 OR (agent_type = '{agent}'"
            f" AND occurred_at > {_instant(start)} AND occurred_at <= {_instant(end)})) ORDER BY xid LIMIT 1) IS NULL"
            f" AND NOT EXISTS (SELECT FROM ml_learning.erasures WHERE {appended})"
        )
        return bool(cursor.fetchone() == (True,))


def newest_instant(connection: Connection, snapshot: str | None = None) -> int | None:
    """Return the greatest occurred_at (µs) of all events, of those that a snapshot saw if one is given; None for an empty log."""
    each = ", ".join(
        f"(SELECT MAX(e.occurred_at) FROM ml_learning.agent_events e WHERE e.agent_type = '{agent}'{_visible('e', snapshot)})"
        for agent in (*AGENT_TYPES, UNMAPPED)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT (EXTRACT(EPOCH FROM GREATEST({each})) * 1000000)::bigint")
        row = cursor.fetchone()
    return None if row is None or row[0] is None else int(row[0])


def first_by_project(connection: Connection, agent: str, snapshot: str | None = None) -> dict[str | None, int]:
    """Return project (or None) → the instant (µs) from which one agent's first event there had happened and was known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT project, (EXTRACT(EPOCH FROM MIN(GREATEST(occurred_at, known_at))) * 1000000)::bigint FROM ml_learning.agent_events e"
            f" WHERE agent_type = '{agent}'{_visible('e', snapshot)} GROUP BY project"
        )
        return {project: int(at) for project, at in cursor.fetchall()}


def any_event(connection: Connection, agent_id: str, instant: int, known: int) -> bool:
    """Return whether anything of an agent_id with occurred_at up to `instant` was known at `known` (both µs), however long ago."""
    agent, _, project = agent_id.partition("@")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM ml_learning.agent_events WHERE agent_type = $1 AND ($2 = '' OR project = $2)"
            " AND occurred_at <= $3 AND known_at <= $4)",
            (agent, project, clock.from_us(instant), clock.from_us(known)),
        )
        return bool(cursor.fetchone() == (True,))


def events_by_day(connection: Connection, agent: str, start: int, end: int) -> dict[date, int]:
    """Return how many of one agent's events with occurred_at in (start, end] (µs) each UTC day owns; days without any are absent.

    Each day is counted by itself, from the index alone if it can be: grouping the events by their day takes three times as long.
    """
    if start >= end:
        return {}
    days = between(owner(start + 1), owner(end))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT place - 1, counted FROM generate_series({_instant(start_us(days[0]))}, {_instant(start_us(days[-1]))},"
            " interval '24 hours') WITH ORDINALITY AS days(midnight, place), LATERAL (SELECT count(*) AS counted"
            f" FROM ml_learning.agent_events WHERE agent_type = '{agent}' AND occurred_at > GREATEST(midnight, {_instant(start)})"
            f" AND occurred_at <= LEAST(midnight + interval '24 hours', {_instant(end)})) AS day WHERE counted > 0"
        )
        return {days[place]: counted for place, counted in cursor.fetchall()}


def newest_by_project(connection: Connection, agent: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str | None, int]]:
    """Return (project, newest occurred_at in µs) of one agent's events in spans (start, end] (µs), superseded and retracted ones too."""
    wanted = [f"(occurred_at > {_instant(start)} AND occurred_at <= {_instant(end)})" for start, end in spans if start < end]
    if not wanted:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT project, (EXTRACT(EPOCH FROM max(occurred_at)) * 1000000)::bigint FROM ml_learning.agent_events"
            f" WHERE agent_type = '{agent}' AND ({' OR '.join(wanted)}) GROUP BY project"
        )
        return [(project, int(at)) for project, at in cursor.fetchall()]


def _visible(table: str, snapshot: str | None) -> str:
    if snapshot is None:
        return ""
    if not _SNAPSHOT.fullmatch(snapshot):
        message = f"{snapshot!r} is not a snapshot"
        raise ValueError(message)
    return f" AND pg_visible_in_snapshot({table}.xid, '{snapshot}')"


def _instant(us: int) -> str:
    return f"'{clock.from_us(us).isoformat()}'::timestamptz"
