"""Reads the raw log as somebody knew it, for many agent_ids with a knowledge of their own in one query.

`reader` reads one agent's events as one snapshot knew them; here each project's events are those that its own snapshots saw. It is how
values that were written by different ticks and runs are held against the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.language.calendar import owner_number_sql
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.raw_log.columns import arrow_type, selected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.windows import Window

_SNAPSHOT: Final = re.compile(r"\d+:\d+:(\d+(,\d+)*)?")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Which transactions of the log somebody has seen: those of any of its parts.

    Attributes:
        snapshots: PostgreSQL's texts of some; two at most.
        until: Beside them what had arrived (`ingested_at`) by this instant, µs UTC; of it only what `among` has seen too, if given.
        everything: All that can be read now.

    """

    snapshots: tuple[str, ...] = ()
    until: int | None = None
    among: str | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        for each in (*self.snapshots, *([self.among] if self.among else [])):
            if not is_snapshot(each):
                message = f"{each!r} is not a snapshot"
                raise ValueError(message)


EVERYTHING: Final = Knowledge(everything=True)


@dataclass(frozen=True, slots=True)
class Excepted:
    """Days (numbers since 1970) whose staleness is known, so that what reaches them is not taken for known by its arrival alone.

    An event reaches the days from its own to the one of its leave of `longest`.
    """

    days: tuple[int, ...]
    longest: Window

    def condition(self, table: str) -> str:
        """Return what an event of `table` must fulfil not to reach one of the days."""
        if not self.days:
            return "TRUE"
        ts, hop = f"(EXTRACT(EPOCH FROM {table}.occurred_at) * 1000000)::bigint", self.longest.hop
        leave = f"{ts} + MOD({hop} - MOD({ts}, {hop}), {hop}) + {self.longest.size}"
        days = ", ".join(map(str, self.days))
        reach = f"{owner_number_sql(ts)} AND {owner_number_sql(leave)}"
        return f"NOT EXISTS (SELECT FROM unnest(ARRAY[{days}]::bigint[]) d WHERE d BETWEEN {reach})"


def is_snapshot(text: str) -> bool:
    """Whether a text is PostgreSQL's of a snapshot."""
    return _SNAPSHOT.fullmatch(text) is not None


def read_known(
    connection: Connection,
    agent: str,
    columns: Sequence[str],
    start: int,
    end: int,
    known: Knowledge | Mapping[str, Knowledge],
    excepted: Excepted | None = None,
) -> pa.Table:
    """Return one agent's events with occurred_at in (start, end] (µs) in the layout of `engine.compute.event_schema`, unordered.

    It is for values as known to somebody, so a superseded revision does not count and `until` is null.

    `known`: one knowledge of all events, or project → its own, and then only events of those projects. `excepted` bounds `Knowledge.until`.
    """
    import pyarrow as pa

    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT true FROM ml_learning.agent_events WHERE revision > 1 ORDER BY event_id LIMIT 1) IS NOT NULL")
        revised = cursor.fetchone() == (True,)
        cursor.execute(_statement(agent, columns, (start, end), known, excepted, revised=revised))
        table = cursor.fetch_arrow_table()
    types = {"ts": pa.int64(), "known": pa.int64(), "until": pa.int64(), "live": pa.bool_()}
    names = ["ts", "known", "until", "event_id", "live", "project", *columns]
    wanted = pa.schema([(name, types.get(name) or arrow_type(name)) for name in names])
    return table.select(names).cast(wanted)


def projects_by_agent(connection: Connection, agents: Sequence[str], start: int, end: int) -> dict[str, set[str | None]]:
    """Return which projects each agent has events of with occurred_at in (start, end] (µs); None for events without one."""
    listed = ", ".join(f"'{agent}'" for agent in agents)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT agent_type, project FROM ml_learning.agent_events"
            f" WHERE agent_type IN ({listed}) AND occurred_at > {_instant(start)} AND occurred_at <= {_instant(end)}"
        )
        rows = cursor.fetch_arrow_table()
    found: dict[str, set[str | None]] = {agent: set() for agent in agents}
    for agent, project in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        found[agent].add(project)
    return found


def current_snapshot(connection: Connection) -> str:
    """Return the text of what is visible now, in the log's own numbers."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {cluster.SNAPSHOT}::text")
        row = cursor.fetchone()
    if row is None:
        message = "PostgreSQL gave no snapshot"
        raise RuntimeError(message)
    return str(row[0])


def _statement(
    agent: str,
    columns: Sequence[str],
    span: tuple[int, int],
    known: Knowledge | Mapping[str, Knowledge],
    excepted: Excepted | None,
    *,
    revised: bool,
) -> str:
    by_project = {} if isinstance(known, Knowledge) else known
    rows = [known] if isinstance(known, Knowledge) else list(known.values())
    seen, newer = (_seen(table, excepted if any(each.until is not None for each in rows) else None) for table in ("e", "newer"))
    superseded = f""" AND NOT EXISTS (
            SELECT FROM ml_learning.agent_events newer
            WHERE newer.revision > 1 AND newer.event_id = e.event_id AND newer.revision > e.revision AND {newer}
        )"""
    chosen = selected(columns, "e")
    join = "USING (project)" if by_project else "ON TRUE"
    return f"""
        WITH k AS MATERIALIZED ({_rows(by_project, rows)})
        SELECT (EXTRACT(EPOCH FROM e.occurred_at) * 1000000)::bigint AS ts, (EXTRACT(EPOCH FROM e.known_at) * 1000000)::bigint AS known,
               NULL::bigint AS until, e.event_id, {"project" if by_project else "e.project"}{chosen},
               NOT e.retracted{superseded if revised else ""} AS live
        FROM ml_learning.agent_events e JOIN k {join}
        WHERE e.agent_type = '{agent}' AND e.occurred_at > {_instant(span[0])} AND e.occurred_at <= {_instant(span[1])} AND {seen}
    """


def _rows(by_project: Mapping[str, Knowledge], rows: Sequence[Knowledge]) -> str:
    """Return a SELECT of (project,) own, also, among, until, everything: a row for each knowledge."""
    from psycopg import sql

    lists: list[tuple[str, str, list[str | None]]] = [] if not by_project else [("project", "text", list(by_project))]
    for position, name in enumerate(("own", "also")):
        lists.append((name, "pg_snapshot", [each.snapshots[position] if len(each.snapshots) > position else None for each in rows]))
    lists.append(("among", "pg_snapshot", [each.among for each in rows]))
    lists.append(("until", "timestamptz", [None if each.until is None else clock.from_us(each.until).isoformat() for each in rows]))
    lists.append(("everything", "boolean", ["true" if each.everything else None for each in rows]))
    arrays = ", ".join(f"{sql.Literal(values).as_string()}::text[]::{kind}[]" for _, kind, values in lists)
    return f"SELECT * FROM unnest({arrays}) AS k ({', '.join(name for name, _, _ in lists)})"


def _seen(table: str, excepted: Excepted | None) -> str:
    """Return the condition that k has seen a row of the log."""
    arrived = f"({table}.ingested_at <= k.until AND pg_visible_in_snapshot({table}.xid, k.among) IS NOT FALSE)"
    if excepted is not None:
        arrived = f"({arrived} AND {excepted.condition(table)})"
    snapshots = f"pg_visible_in_snapshot({table}.xid, k.own) OR pg_visible_in_snapshot({table}.xid, k.also)"
    return f"(k.everything OR {snapshots} OR {arrived})"


def _instant(us: int) -> str:
    return f"'{clock.from_us(us).isoformat()}'::timestamptz"
