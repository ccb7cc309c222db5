"""A label as one SQL text for PostgreSQL: which decisions there were, when each was made, what it came to, and from when that is known.

The text reads the agent's events from a SELECT that its caller gives, with the columns ``ts`` and ``known`` (bigint µs), ``event_id``,
``project``, ``live`` (false for a retraction and a superseded revision) and those of `Label.columns`. It returns a row a decision:

- ``occurred_at``, ``recorded_at`` (when the deciding event was known), ``decided_at``, ``known_at``: bigint µs
- ``project``, ``task_id``
- ``value``: boolean or bigint, null where the decision has none

Events of one task are those of the same agent, project and task_id.
"""

from detektor_pipelines.compile.expressions import condition, operand
from detektor_pipelines.language.expressions import Expression, Predicate
from detektor_pipelines.language.labels import Label


def labels_sql(label: Label, events: str) -> str:
    """Return the SELECT of a label's decisions, in no order.

    Args:
        label: the definition.
        events: a SELECT of the agent's events.

    """
    parts = [_decisions(label, events), _starts(events)]
    if label.within_next is not None:
        parts.append(_outcomes(label, events))
    return "WITH " + ",\n".join(parts) + "\n" + _final(label)


def _decisions(label: Label, events: str) -> str:
    value = "NULL" if label.within_next is not None else _value(label.value)
    previous = 'LAG(ts) OVER (PARTITION BY project, task_id ORDER BY ts, event_id COLLATE "C")'
    return (
        f"decisions AS MATERIALIZED (SELECT event_id, ts, known, project, task_id, {value} AS value, {operand(label.decided_at)} AS began,"
        f" {previous} AS previous FROM ({events}) e WHERE live AND {condition(label.where)})"
    )


def _starts(events: str) -> str:
    """Where the decision does not say when its work began: the task's first event after the decision before."""
    return (
        f"starts AS (SELECT d.event_id, MIN(e.ts) AS first FROM decisions d JOIN ({events}) e ON {_same_task('e')}"
        " AND e.ts <= d.ts AND (d.previous IS NULL OR e.ts > d.previous) WHERE d.began IS NULL AND e.live GROUP BY d.event_id)"
    )


def _outcomes(label: Label, events: str) -> str:
    """What later events of the task say; `learnt` is when enough of them was known to say so."""
    if label.later is None or label.within_next is None:
        raise AssertionError(label.name)
    if isinstance(label.value, Predicate):
        value = "bool_or(o.value)"
        learnt = "COALESCE(MIN(o.known) FILTER (WHERE o.value), MIN(o.known))"
    else:
        first = 'ORDER BY o.ts, o.event_id COLLATE "C"'
        value, learnt = (f"(array_agg(o.{name} {first}))[1]" for name in ("value", "known"))
    said = f"SELECT event_id, ts, known, project, task_id, {_value(label.value)} AS value"
    return (
        f"outcomes AS (SELECT d.event_id, {value} AS value, {learnt} AS learnt FROM decisions d"
        f" JOIN ({said} FROM ({events}) e WHERE live AND {condition(label.later)}) o ON {_same_task('o')}"
        f" AND o.ts > d.ts AND o.ts <= d.ts + {label.within_next.size} WHERE o.value IS NOT NULL GROUP BY d.event_id)"
    )


def _final(label: Label) -> str:
    value, known, join = "d.value", "d.known", ""
    if label.within_next is not None:
        value, join = "o.value", " LEFT JOIN outcomes o ON o.event_id = d.event_id"
        if label.otherwise is not None:
            value = f"CASE WHEN d.task_id IS NOT NULL THEN COALESCE(o.value, {'TRUE' if label.otherwise else 'FALSE'}) END"
        known = f"GREATEST(d.ts + {label.within_next.size}, d.known, o.learnt)"
    return (
        "SELECT d.ts AS occurred_at, d.known AS recorded_at, COALESCE(d.began, s.first, d.ts) AS decided_at,"
        f" {known} AS known_at, d.project, d.task_id, {value} AS value FROM decisions d LEFT JOIN starts s ON s.event_id = d.event_id{join}"
    )


def _same_task(other: str) -> str:
    return f"{other}.task_id = d.task_id AND {other}.project IS NOT DISTINCT FROM d.project"


def _value(expression: Expression) -> str:
    return condition(expression) if isinstance(expression, Predicate) else operand(expression)
