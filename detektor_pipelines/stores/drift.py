"""References of drift and what was found against them, beside the rows they are about.

Belongs here: the tables `ml_learning.drift_references` and `drift_results`. Does not belong here: what is found, and how (`quality.drift`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detektor_pipelines import clock
from detektor_pipelines.language.hashes import data_hash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView


class ReferenceRow(NamedTuple):
    """One pinned reference, without its profiles."""

    view: str
    data_hash: str
    number: int
    first: date
    last: date
    rows_hash: str
    pinned_at: datetime
    pinned_by: str


class ResultRow(NamedTuple):
    """One result, in the order of the table's columns after data_hash, reference and day."""

    view: str
    reference: int
    day: date
    feature: str
    method: str
    score: float
    observed: float
    high: float
    p_value: float
    n_reference: int
    n_current: int
    level: str
    note: str


_REFERENCES: Final = """
SELECT view, data_hash, number, first_day, last_day, rows_hash, pinned_at, pinned_by FROM ml_learning.drift_references
WHERE view = %s AND data_hash = %s ORDER BY number
"""
_PROFILES: Final = "SELECT profiles FROM ml_learning.drift_references WHERE view = %s AND data_hash = %s AND number = %s"
_PIN: Final = """
INSERT INTO ml_learning.drift_references (view, data_hash, number, first_day, last_day, rows_hash, pinned_at, pinned_by, profiles)
SELECT %(view)s, %(hash)s, coalesce(max(number), 0) + 1, %(first)s, %(last)s, %(rows)s, %(at)s, %(by)s, %(profiles)s
FROM ml_learning.drift_references WHERE view = %(view)s AND data_hash = %(hash)s
RETURNING view, data_hash, number, first_day, last_day, rows_hash, pinned_at, pinned_by
"""
_KEEP: Final = """
INSERT INTO ml_learning.drift_results (view, reference, day, feature, method, score, observed, high, p_value, n_reference, n_current, level,
    note, data_hash, computed_at)
SELECT given.*, %s, %s FROM unnest(%s::text[], %s::int[], %s::date[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::float8[],
    %s::float8[], %s::int[], %s::int[], %s::text[], %s::text[]) AS given
ON CONFLICT (view, data_hash, reference, day, feature, method) DO UPDATE SET score = EXCLUDED.score, observed = EXCLUDED.observed,
    high = EXCLUDED.high, p_value = EXCLUDED.p_value, n_reference = EXCLUDED.n_reference, n_current = EXCLUDED.n_current,
    level = EXCLUDED.level, note = EXCLUDED.note, computed_at = EXCLUDED.computed_at
"""
_LATEST: Final = """
SELECT view, reference, day, feature, method, score, observed, high, p_value, n_reference, n_current, level, note
FROM ml_learning.drift_results AS r
WHERE view = %(view)s AND data_hash = %(hash)s
  AND reference = (SELECT max(number) FROM ml_learning.drift_references WHERE view = %(view)s AND data_hash = %(hash)s)
  AND day = (SELECT max(day) FROM ml_learning.drift_results AS n
             WHERE n.view = r.view AND n.data_hash = r.data_hash AND n.reference = r.reference)
"""


def references(connection: psycopg.Connection, view: FeatureView) -> list[ReferenceRow]:
    """Return the references of the view's present definition, the oldest first."""
    return [ReferenceRow(*row) for row in connection.execute(_REFERENCES, (view.name, data_hash(view)))]


def profiles(connection: psycopg.Connection, reference: ReferenceRow) -> dict[str, Any]:
    """Return what a reference is compared by."""
    row = connection.execute(_PROFILES, (reference.view, reference.data_hash, reference.number)).fetchone()
    found: dict[str, Any] = row[0] if row else {}
    return found


def pin(
    connection: psycopg.Connection, view: FeatureView, days: tuple[date, date], rows_hash: str, kept: dict[str, Any], by: str
) -> ReferenceRow:
    """Write a further reference; whoever pins the same view at once waits, and gets the next number."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 4))", (view.name,))
    given = {
        "view": view.name,
        "hash": data_hash(view),
        "first": days[0],
        "last": days[1],
        "rows": rows_hash,
        "at": clock.from_us(clock.now_us()),
        "by": by,
        "profiles": json.dumps(kept),
    }
    row = connection.execute(_PIN, given).fetchone()
    return ReferenceRow(*row) if row else references(connection, view)[-1]


def keep(connection: psycopg.Connection, view: FeatureView, results: Sequence[ResultRow]) -> None:
    """Write results of the view's present definition; those of the same day again replace the earlier ones."""
    columns = [list(column) for column in zip(*results, strict=True)]
    if columns:
        connection.execute(_KEEP, (data_hash(view), clock.from_us(clock.now_us()), *columns))


def latest(connection: psycopg.Connection, view: FeatureView) -> list[ResultRow]:
    """Return what was last found of the view's present definition against its newest reference."""
    return [ResultRow(*row) for row in connection.execute(_LATEST, {"view": view.name, "hash": data_hash(view)})]
