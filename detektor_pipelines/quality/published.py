"""What the row tables hold, asked in few statements: counts by day, and the very rows that are wrong where there are such."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.calendar import end, owner_sql, start
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.quality.findings import SHOWN
from detektor_pipelines.stores.offline.newest import INSTANT, oldest_first
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.views import Feature, FeatureView
    from detektor_pipelines.quality.findings import Case

_KEY: Final = ", ".join(INSTANT)
_DAY: Final = owner_sql("event_timestamp")
_BY_VERSION: Final = f"(PARTITION BY {_KEY} ORDER BY {oldest_first()})"
_ENDLESS: Final = "IN ('NaN', 'Infinity', '-Infinity')"
"""A rule of its own: what NaN is to a bound differs from step to step and from library to library (findings/pointblank-nan.sh)."""


@dataclass(frozen=True, slots=True)
class DayState:
    """What was recorded when a day was published; `published_at` is the clock's instant that its rows were cut off at."""

    rows: int
    published_at: datetime


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What a day's rows in the table are.

    `rows`: newest versions. `repeated`: versions at a created_at that another version has too. `wrong`: newest versions that break a
    bound. `nulls`: newest versions without a value, by nullable feature.
    """

    rows: int
    repeated: int
    wrong: int
    nulls: Mapping[str, int]


def day_states(connection: psycopg.Connection, view: FeatureView) -> dict[date, DayState]:
    """Return the published days of the view's current version, the oldest first."""
    found = connection.execute(
        "SELECT partition, rows, published_at FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s ORDER BY partition",
        (view.name, data_hash(view)),
    )
    return {day: DayState(rows, at) for day, rows, at in found}


def day_facts(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> dict[date, DayFacts]:
    """Return the facts of those `days` that have rows, in one pass over them."""
    nullable = [each.name for each in view.features if each.nullable]
    nulls = "".join(f', count(*) FILTER (WHERE _newest AND "{name}" IS NULL)' for name in nullable)
    found = connection.execute(
        f"""
        SELECT _day, count(*) FILTER (WHERE _newest), count(*) FILTER (WHERE _repeated),
               count(*) FILTER (WHERE _newest AND ({" OR ".join(f"({wrong})" for wrong, *_ in _rules(view))})){nulls}
        FROM ({_versions(view, days)}) AS version GROUP BY _day
        """
    )
    return {day: DayFacts(rows, again, wrong, dict(zip(nullable, counts, strict=True))) for day, rows, again, wrong, *counts in found}


def repeated_rows(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> list[Case]:
    """Return versions that are there twice, or that say again what the one before them said at the same created_at."""
    values = (", ".join(f'{side}."{each.name}"' for each in view.features) for side in ("before", "again"))
    ours, theirs = (f"ROW({names})" for names in values)
    found = connection.execute(
        f"""
        WITH version AS ({_versions(view, days)})
        SELECT again._day, agent_id, event_timestamp, again.created_at, again.written_at, again.written_at = before.written_at
        FROM version AS before JOIN version AS again USING ({_KEY})
        WHERE again._number = before._number + 1 AND again.created_at = before.created_at
          AND (again.written_at = before.written_at OR {ours} IS NOT DISTINCT FROM {theirs})
        ORDER BY event_timestamp, agent_id, again._number LIMIT {SHOWN}
        """
    )
    return [
        {
            "day": str(day),
            "agent_id": agent,
            "event_timestamp": _instant(at),
            "created_at": _instant(known),
            "written_at": _instant(written),
            "what": "the same version twice" if same else "the same values again",
        }
        for day, agent, at, known, written, same in found
    ]


def wrong_values(connection: psycopg.Connection, view: FeatureView, days: Sequence[date]) -> list[Case]:
    """Return the newest versions' values that break a bound, and which."""
    tests = ", ".join(
        f"({_text(column)}, {column_sql}::text, ({wrong}), {_text(rule)})" for wrong, column, column_sql, rule in _rules(view)
    )
    found = connection.execute(
        f"""
        SELECT _day, agent_id, event_timestamp, test.name, test.value, test.rule
        FROM ({_versions(view, days)}) AS version CROSS JOIN LATERAL (VALUES {tests}) AS test (name, value, fails, rule)
        WHERE _newest AND test.fails ORDER BY event_timestamp, agent_id, test.name LIMIT {SHOWN}
        """
    )
    return [
        {
            "day": str(day),
            "agent_id": agent,
            "event_timestamp": _instant(at),
            "column": column,
            "value": "null" if value is None else value,
            "rule": rule,
        }
        for day, agent, at, column, value, rule in found
    ]


def keys_of(connection: psycopg.Connection, view: FeatureView, day: date) -> set[tuple[str, datetime]]:
    """Return agent_id and event_timestamp of each row of the day."""
    rows = f'SELECT DISTINCT {_KEY} FROM {SCHEMA}."{row_table(view)}" WHERE {_within([day])}'
    return {(agent, at.astimezone(UTC)) for agent, at in connection.execute(rows)}


def _versions(view: FeatureView, days: Sequence[date]) -> str:
    """Return the SELECT of the days' rows: each with its day, its number among its key's versions, whether it is newest or repeated.

    These begin with an underscore, which no feature's name does.
    """
    return f"""
        SELECT *, {_DAY} AS _day, row_number() OVER version AS _number, lead(written_at) OVER version IS NULL AS _newest,
               coalesce(lag(created_at) OVER version = created_at, false) AS _repeated
        FROM {SCHEMA}."{row_table(view)}" WHERE {_within(days)} WINDOW version AS {_BY_VERSION}
    """


def _within(days: Sequence[date]) -> str:
    """Return the condition that event_timestamp is in one of `days`, as few ranges."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(days):
        if ranges and day == ranges[-1][1] + timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    spans = (f"(event_timestamp > '{start(first)}' AND event_timestamp <= '{end(last)}')" for first, last in ranges)
    return "(" + " OR ".join(spans) + ")" if ranges else "false"


def _rules(view: FeatureView) -> list[tuple[str, str, str, str]]:
    """Return what must not be: an SQL condition, the column's name, the column in SQL, and the rule in words."""
    pattern = f"^{view.agent}(@[a-z0-9._-]+)?$"
    return [
        (f"agent_id !~ {_text(pattern)}", "agent_id", "agent_id", f"is {view.agent} or {view.agent}@<project>"),
        ("created_at < event_timestamp", "created_at", "created_at", "is not before event_timestamp"),
        *(rule for each in view.features for rule in _rules_of(each)),
    ]


def _rules_of(feature: Feature) -> list[tuple[str, str, str, str]]:
    name, column = feature.name, f'"{feature.name}"'
    low, high = feature.within
    rules = []
    if not feature.nullable:
        rules.append((f"{column} IS NULL", name, column, "is never null"))
    if feature.value_type == "float64":
        rules.append((f"coalesce({column} {_ENDLESS}, false)", name, column, "is finite"))
    if low is not None:
        rules.append((f"coalesce({column} < {low!r}, false)", name, column, f">= {low}"))
    if high is not None:
        rules.append((f"coalesce({column} > {high!r}, false)", name, column, f"<= {high}"))
    return rules


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".")
