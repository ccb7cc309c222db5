"""The log and the rows computed of it: one transaction in which the events go, and with them all that knew of them.

A row knows of an event from when it happened until it has left the view's longest window, so the shared rows of that time go too (those of
`code-reviewer`, in which all projects have a share), and so does the state of their days: a day without state is covered by nothing,
readers are not given an older row for it, and it is computed again. Of a version of which there is no definition here any more, all rows
from the event on go, and the days stay gaps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.language.calendar import owner_sql
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores.offline.rows import SCHEMA, publication_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.erasure.record import Record
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.language.views import FeatureView

_STILL: Final = "LOCK TABLE ml_learning.agent_events IN SHARE ROW EXCLUSIVE MODE"
_GOING: Final = """
CREATE TEMPORARY TABLE going ON COMMIT DROP AS
SELECT event_id, agent_type, project, task_id, occurred_at FROM ml_learning.agent_events
WHERE event_id IN (SELECT e.event_id FROM ml_learning.agent_events AS e WHERE {condition})
"""
_TOUCHED: Final = "SELECT agent_type, project, min(occurred_at), max(occurred_at) FROM going GROUP BY 1, 2"
_DELETE_EVENTS: Final = """
DELETE FROM ml_learning.agent_events AS e USING (SELECT DISTINCT event_id, occurred_at FROM going) AS g
WHERE e.event_id = g.event_id AND e.occurred_at = g.occurred_at
"""
_DELETE_IDS: Final = "DELETE FROM ml_learning.event_ids WHERE event_id IN (SELECT event_id FROM going)"
_DELETE_REJECTED: Final = """
DELETE FROM ml_learning.rejected_events WHERE event_id IN (SELECT event_id FROM going)
   OR (%(pattern)s::text IS NOT NULL AND concat_ws(E'\\n', source, reason, excerpt, event_id) ~ %(pattern)s)
"""
_DELETE_PREDICTIONS: Final = """
DELETE FROM ml_learning.predictions WHERE agent_id = ANY(%(own)s) OR (agent_id = ANY(%(touched)s) AND task_id IN (
    SELECT task_id FROM going WHERE task_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM ml_learning.agent_events AS left_over WHERE left_over.task_id = going.task_id)
))
"""
_LEFT: Final = "SELECT EXISTS (SELECT FROM ml_learning.agent_events WHERE agent_type = %s AND (%s = '' OR project = %s))"
_ROW_TABLES: Final = f"""
SELECT relname, split_part(obj_description(oid, 'pg_class'), ' ', 2), split_part(obj_description(oid, 'pg_class'), ' ', 3)
FROM pg_class WHERE relnamespace = to_regnamespace('{SCHEMA}') AND relkind = 'r'
  AND obj_description(oid, 'pg_class') ~ '^detektor: \\S+ [0-9a-f]{{64}}' ORDER BY relname
"""
_OTHERS_OWN: Final = "SELECT DISTINCT agent_id FROM {}"


@dataclass
class Touched:
    """Whose values knew of what goes. `spans`: agent_id → its first and last event that goes; `own`: agent_ids of which all goes."""

    spans: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    @property
    def shared(self) -> list[str]:
        """The agent_ids that stay, with other values."""
        return sorted(self.spans.keys() - self.own)


def count(connection: psycopg.Connection, subject: Subject) -> dict[str, int]:
    """Count what there is of it in the log."""
    condition, parameters = subject.condition
    connection.execute(_GOING.format(condition=condition), parameters)
    events = connection.execute("SELECT count(*) FROM going").fetchone()
    rejected = connection.execute(
        _DELETE_REJECTED.replace("DELETE FROM", "SELECT count(*) FROM", 1), {"pattern": subject.pattern}
    ).fetchone()
    connection.execute("DROP TABLE going")
    return {"events": events[0] if events else 0, "rejected events": rejected[0] if rejected else 0}


def remove(connection: psycopg.Connection, subject: Subject, record: Record, views: Sequence[FeatureView]) -> Touched:
    """Remove it from the log, the feature rows, the predictions and the references of drift; the caller commits.

    Args:
        connection: In a transaction.
        subject: What.
        record: Takes what went, and what has to be computed again.
        views: The definitions there are.

    """
    condition, parameters = subject.condition
    connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL detektor.removes = 'on'")
    for (name,) in connection.execute("SELECT DISTINCT view FROM ml_learning.partition_state ORDER BY view").fetchall():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (publication_lock(name),))
    connection.execute(_STILL)
    connection.execute(_GOING.format(condition=condition), parameters)
    touched = _touched(connection, subject)
    record.number(connection)
    record.went("events", connection.execute(_DELETE_EVENTS).rowcount)
    connection.execute(_DELETE_IDS)
    record.went("rejected events", connection.execute(_DELETE_REJECTED, {"pattern": subject.pattern}).rowcount)
    touched.own |= {agent_id for agent_id in touched.spans if not _is_left(connection, agent_id)}
    for table in row_tables(connection):
        _remove_rows(connection, table, subject, touched, record, views)
    _remove_predictions(connection, subject, touched, record)
    _remove_from_references(connection, subject, touched, record)
    connection.execute("DROP TABLE going")
    _remember(record, subject, touched)
    record.save(connection)
    return touched


def recalled(record: Record) -> Touched:
    """Return what an erasure that was interrupted, or has run a step twice, has touched."""
    spans = {agent_id: (_instant(first), _instant(last)) for agent_id, (first, last) in record.todo.get("spans", {}).items()}
    return Touched(spans, set(record.todo.get("gone", ())))


@dataclass(frozen=True, slots=True)
class RowTable:
    """The rows of one version of a view."""

    name: str
    agent: str
    data_hash: str

    @property
    def view(self) -> str:
        """The view's name."""
        return self.name.rpartition("__")[0]


def row_tables(connection: psycopg.Connection) -> list[RowTable]:
    """Return the row tables of all versions there ever were."""
    return [RowTable(*row) for row in connection.execute(_ROW_TABLES).fetchall()]


def _touched(connection: psycopg.Connection, subject: Subject) -> Touched:
    found = Touched()
    for agent, project, first, last in connection.execute(_TOUCHED).fetchall():
        for agent_id in (agent,) if project is None else (agent, f"{agent}@{project}"):
            known = found.spans.get(agent_id, (first, last))
            found.spans[agent_id] = min(known[0], first), max(known[1], last)
    found.own = {agent_id for agent_id in found.spans if subject.owns(agent_id)}
    return found


def _is_left(connection: psycopg.Connection, agent_id: str) -> bool:
    agent, _, project = agent_id.partition("@")
    return connection.execute(_LEFT, (agent, project, project)).fetchone() == (True,)


def _remove_rows(
    connection: psycopg.Connection,
    table: RowTable,
    subject: Subject,
    touched: Touched,
    record: Record,
    views: Sequence[FeatureView],
) -> None:
    from psycopg import sql

    where = sql.Identifier(SCHEMA, table.name)
    there = {agent_id for (agent_id,) in connection.execute(sql.SQL(_OTHERS_OWN).format(where)).fetchall()}
    own = sorted(agent_id for agent_id in there if subject.owns(agent_id) or agent_id in touched.own)
    view = next((each for each in views if data_hash(each) == table.data_hash), None)
    days: dict[date, int] = {}
    for condition, parameters in _conditions(own, touched, there, view):
        statement = sql.SQL("WITH gone AS (DELETE FROM {} WHERE {} RETURNING event_timestamp) SELECT {}, count(*) FROM gone GROUP BY 1")
        owner = sql.SQL(owner_sql("event_timestamp"))
        for day, number in connection.execute(statement.format(where, sql.SQL(condition), owner), parameters).fetchall():
            days[day] = days.get(day, 0) + number
    if not days:
        return
    record.went("feature rows", sum(days.values()))
    published = connection.execute(
        "DELETE FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s AND partition = ANY(%s) RETURNING partition",
        (table.view, table.data_hash, sorted(days)),
    ).fetchall()
    again = record.todo.setdefault("days" if view is not None else "gaps", {}).setdefault(f"{table.view} {table.data_hash[:SHORT]}", [])
    again.extend(sorted({day.isoformat() for (day,) in published} - set(again)))


def _conditions(own: Sequence[str], touched: Touched, there: set[str], view: FeatureView | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from datetime import timedelta

    if own:
        yield "agent_id = ANY(%(own)s)", {"own": list(own)}
    for agent_id in touched.shared:
        if agent_id not in there:
            continue
        first, last = touched.spans[agent_id]
        until = last + timedelta(microseconds=view.longest.size + view.longest.hop + view.grain) if view is not None else None
        yield (
            "agent_id = %(agent_id)s AND event_timestamp >= %(first)s AND event_timestamp <= coalesce(%(until)s, 'infinity'::timestamptz)",
            {"agent_id": agent_id, "first": first, "until": until},
        )


def _remove_predictions(connection: psycopg.Connection, subject: Subject, touched: Touched, record: Record) -> None:
    known = {agent_id for (agent_id,) in connection.execute("SELECT DISTINCT agent_id FROM ml_learning.predictions").fetchall()}
    own = sorted(agent_id for agent_id in known if subject.owns(agent_id) or agent_id in touched.own)
    record.went("predictions", connection.execute(_DELETE_PREDICTIONS, {"own": own, "touched": sorted(touched.spans)}).rowcount)


def _remove_from_references(connection: psycopg.Connection, subject: Subject, touched: Touched, record: Record) -> None:
    """Take the counts of agent_ids that go out of what drift is held against; of the others they are counts by week, and stay."""
    rows = connection.execute("SELECT view, data_hash, number, profiles FROM ml_learning.drift_references").fetchall()
    for view, version, number, profiles in rows:
        agents = profiles.get("agent_ids", [])
        stays = [place for place, agent_id in enumerate(agents) if not (subject.owns(agent_id) or agent_id in touched.own)]
        if len(stays) == len(agents):
            continue
        profiles["agent_ids"] = [agents[place] for place in stays]
        for feature in profiles.get("features", {}).values():
            feature["cells"] = [feature["cells"][place] for place in stays]
        connection.execute(
            "UPDATE ml_learning.drift_references SET profiles = %s WHERE view = %s AND data_hash = %s AND number = %s",
            (json.dumps(profiles), view, version, number),
        )
        record.went("agent_ids of drift references", len(agents) - len(stays))


def _remember(record: Record, subject: Subject, touched: Touched) -> None:
    """Keep for the steps after this one whose values changed; an agent_id that the subject owns follows from its name."""
    spans = record.todo.setdefault("spans", {})
    for agent_id, (first, last) in touched.spans.items():
        if not subject.owns(agent_id):
            known = spans.get(agent_id, [first.isoformat(), last.isoformat()])
            spans[agent_id] = [min(known[0], first.isoformat()), max(known[1], last.isoformat())]
    gone = {agent_id for agent_id in touched.own if not subject.owns(agent_id)}
    record.todo["gone"] = sorted(gone.union(record.todo.get("gone", ())))


def _instant(text: str) -> datetime:
    from datetime import datetime as instant

    return instant.fromisoformat(text)
