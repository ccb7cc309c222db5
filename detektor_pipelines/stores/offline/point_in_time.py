"""The SQL of a point-in-time join: for each label row, the row of each feature relation that was true, and known, at its instant.

Belongs here: text, no connection. One index look-up a label and relation: LATERAL … LIMIT 1 over (key, event time, knowledge, writing),
newest first. Label rows carry a number of their own, so that equal labels stay two rows and keys are never glued into one text.

Our own rows come in two forms. The one of `created = event time` is the value as it was served then; a later `created` is what is known now
of that instant. A read with the label's knowledge takes the former alone: when somebody published is nothing that it can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.stores.offline import newest
from detektor_pipelines.stores.offline.newest import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.stores.offline.gaps import Version

ROW: Final = "detektor_row"
"""Number of a label row: the order in which labels came and results go."""

AT: Final = "detektor_at"
"""A label's instant."""

GAPS: Final = "detektor_gaps"
"""The temporary table of what was not published: columns relation, key, number, starts, speaks_after; after `starts` a row of the key
may be missing from the relation of that number in the query, and only one of after `speaks_after` counts."""

_FOUND: Final = "detektor_found"

UNKNOWN: Final = "detektor_unknown"
"""Result columns, one a relation with a `version`: UNKNOWN and the relation's number; the gap that hides the label's row, null for none."""


@dataclass(frozen=True)
class Relation:
    """A table or view of rows, and what of it is wanted.

    `text`: as it stands after FROM. `keys`: (its column, the label's column). `columns`: (its column, name in the result). Of rows with
    one event time the greatest `created` counts, then the greatest `written`. `max_age_s`: rows older than that at the label's instant
    do not count, 0 for no limit. `version`: of one of our own views, whose rows come in two forms and may be missing in GAPS.
    """

    text: str
    keys: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    timestamp: str
    created: str | None = None
    written: str | None = None
    max_age_s: int = 0
    version: Version | None = None

    @property
    def order(self) -> list[str]:
        """Columns of which the greatest counts among a key's rows, from left to right."""
        return [name for name in (self.timestamp, self.created, self.written) if name]


def join(labels: str, label_columns: Sequence[str], relations: Sequence[Relation], *, known_at_label: bool) -> str:
    """Return the query: `label_columns` and every relation's columns, one row a label, in the labels' order.

    `labels` is a relation with columns ROW and AT. With `known_at_label` a row counts only when its `created` is not after the label; of a
    relation with two forms, only as it was served. A row from before a gap counts for no label after it (or in it), and the columns
    UNKNOWN say so.
    """
    selected = [f"l.{quoted(name)}" for name in label_columns]
    joins = []
    for number, relation in enumerate(relations):
        selected += [f"r{number}.{quoted(name)}" for _, name in relation.columns]
        gap = ""
        if relation.version:
            gap = f"g{number}.speaks_after"
            joins.append(f"LEFT JOIN LATERAL ({_newest_gap(relation, relation.version.grain, number)}) AS g{number} ON TRUE")
            selected.append(f"CASE WHEN r{number}.{_FOUND} IS NULL THEN g{number}.number END AS {UNKNOWN}{number}")
        joins.append(f"LEFT JOIN LATERAL ({_newest(relation, gap, known_at_label=known_at_label)}) AS r{number} ON TRUE")
    return f"SELECT {', '.join(selected)} FROM {labels} AS l {' '.join(joins)} ORDER BY l.{quoted(ROW)}"


def newest_of_each(relation: Relation, start: str, end: str) -> str:
    """Return the query for each key's newest row with an event time in [start, end], ISO instants."""
    keys = [column for column, _ in relation.keys]
    return newest.newest_of_each(_wanted(relation), _between(relation, start, end), keys, relation.order)


def newest_writing_of_each(relation: Relation, start: str | None, end: str | None) -> str:
    """Return the query for every (key, event time, knowledge) in the range, of each the row that was written last."""
    if not relation.written:
        return f"SELECT {_wanted(relation)} FROM {_between(relation, start, end)}"
    identity = [*(column for column, _ in relation.keys), *(name for name in (relation.timestamp, relation.created) if name)]
    return newest.newest_of_each(_wanted(relation), _between(relation, start, end), identity, [relation.written])


def instants_of(relations: Sequence[Relation], at: str, start: str, end: str, *, known_at_label: bool) -> str:
    """Return the query for labels where none are given: every key and instant in the range at which any relation has a row."""
    parts = []
    for relation in relations:
        keys = ", ".join(f"{quoted(column)} AS {quoted(label)}" for column, label in relation.keys)
        sign = "=" if relation.version else "<="
        known = f" AND {quoted(relation.created)} {sign} {quoted(relation.timestamp)}" if known_at_label and relation.created else ""
        parts.append(f"SELECT {keys}, {quoted(relation.timestamp)} AS {quoted(at)} FROM {_between(relation, start, end)}{known}")
    order = ", ".join(quoted(label) for _, label in relations[0].keys)
    return f"SELECT * FROM ({' UNION '.join(parts)}) AS every ORDER BY {quoted(at)}, {order}"


def _newest_gap(relation: Relation, grain: int, number: int) -> str:
    """The last gap of the label's key that begins before the label's instant of the grain."""
    ((_, key),) = relation.keys
    instant = f"DATE_BIN(INTERVAL '{grain} microseconds', l.{quoted(AT)}, TIMESTAMPTZ '1970-01-01 00:00:00Z')"
    return (
        f"SELECT g.number, g.speaks_after FROM {GAPS} AS g WHERE g.relation = {number} AND g.key = l.{quoted(key)} AND g.starts < {instant}"
        " ORDER BY g.starts DESC LIMIT 1"
    )


def _newest(relation: Relation, gap: str, *, known_at_label: bool) -> str:
    timestamp = f"s.{quoted(relation.timestamp)}"
    conditions = [f"s.{quoted(column)} = l.{quoted(label)}" for column, label in relation.keys]
    conditions.append(f"{timestamp} <= l.{quoted(AT)}")
    if relation.max_age_s:
        conditions.append(f"{timestamp} >= l.{quoted(AT)} - {relation.max_age_s} * INTERVAL '1 second'")
    if gap:
        conditions.append(f"{timestamp} > COALESCE({gap}, '-infinity')")
    if known_at_label and relation.created:
        conditions.append(f"s.{quoted(relation.created)} " + (f"= {timestamp}" if relation.version else f"<= l.{quoted(AT)}"))
    columns = ", ".join([*(f"s.{quoted(column)} AS {quoted(name)}" for column, name in relation.columns), f"TRUE AS {_FOUND}"])
    order = newest.newest_first(relation.order, "s")
    return f"SELECT {columns} FROM {relation.text} AS s WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT 1"


def _wanted(relation: Relation) -> str:
    """All columns where none are named, which is how Feast asks for them."""
    return ", ".join(f"{quoted(column)} AS {quoted(name)}" for column, name in relation.columns) or "s.*"


def _between(relation: Relation, start: str | None, end: str | None) -> str:
    timestamp = quoted(relation.timestamp)
    bounds = [f"{timestamp} {sign} '{instant}'::timestamptz" for sign, instant in ((">=", start), ("<=", end)) if instant]
    return f"{relation.text} AS s WHERE {' AND '.join(bounds) or 'TRUE'}"
