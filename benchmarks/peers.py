"""What the versions by hand share: the events they read, the SQL of a definition's parts, where their rows go.

Each peer computes the same windows of the same views as the engine, in its own library's idiom and on hourly rows, and none of them knows
late events, superseded revisions, versions of a row, the gate or what was published before (`pandas_peer` alone holds the gate).

Belongs here: what is the same text whoever computes. Does not belong here: how a window is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.derived import Combination, Number, Reference
from detektor_pipelines.language.expressions import Arithmetic, Column, Compare, Constant, IsNull, Logic, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import pyarrow as pa
    import redis
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.derived import Derived
    from detektor_pipelines.language.expressions import Expression, Predicate
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.language.windows import Window

HOUR: Final = 3_600_000_000
_PARTS: Final = {
    "count": ["one"],
    "total": ["value"],
    "mean": ["value", "present"],
    "rate": ["true", "present"],
    "std": ["value", "present", "square"],
}
Aggregated = tuple[str, Aggregation, "Window", "Predicate | None"]
"""Name, function, window and condition of a feature that is aggregated."""


# Data in and out ---------------------------------------------------------------------------------------------------------------


def events_query(view: FeatureView, start: datetime, end: datetime) -> str:
    """Return the query of the agent's events that reach into (start, end]."""
    columns = ", ".join(["occurred_at", "event_id", "project", *plan(view).columns])
    since = f"'{start}'::timestamptz - interval '{hours(view.longest) + 24} hours'"
    return (
        f"SELECT {columns} FROM ml_learning.agent_events"
        f" WHERE agent_type = '{view.agent}' AND occurred_at > {since} AND occurred_at <= '{end}'"
    )


def store(connection: Connection, client: redis.Redis, view: FeatureView, rows: pa.Table, target: str) -> None:
    """Append the rows to table `target`, and the newest of each agent_id to Redis, as a hash `<target>:<agent_id>` each."""
    import datetime as dt

    import pyarrow as pa

    stamp = pa.array([dt.datetime.now(dt.UTC)] * len(rows), pa.timestamp("us", "UTC"))
    with connection.cursor() as cursor:
        cursor.adbc_ingest(target, rows.append_column("written_at", stamp).combine_chunks(), mode="append", db_schema_name="feast")
    connection.commit()
    newest = {row["agent_id"]: row for row in rows.select(["agent_id", *(each.name for each in view.features)]).to_pylist()}
    pipeline = client.pipeline(transaction=False)
    for agent_id, row in newest.items():
        pipeline.hset(f"{target}:{agent_id}", mapping={name: str(value) for name, value in row.items() if value is not None})
    pipeline.execute()


# What a view is made of --------------------------------------------------------------------------------------------------------


def aggregated(view: FeatureView) -> list[Aggregated]:
    """Return the features that are aggregated over a window."""
    return [
        (each.name, each.value, each.over, each.where)
        for each in view.features
        if isinstance(each.value, Aggregation) and each.over is not None
    ]


def hours(window: Window) -> int:
    """Return a window's length in hours."""
    return int(window.size // HOUR)


def hop(window: Window) -> int:
    """Return the hop as hourly rows see it, in hours: five minutes make no difference to them."""
    return max(int(window.hop // HOUR), 1)


def tops(aggregation: Aggregation) -> list[int]:
    """Return the upper edges of a quantile's buckets; the last is the greatest value that is declared."""
    assert aggregation.operand is not None  # noqa: S101 - a quantile has one
    return sorted({*aggregation.edges, aggregation.operand.bounds[1]})


def parts(aggregation: Aggregation) -> list[str]:
    """Return the roles of the sums that a feature is made of; none where it is no sum."""
    if aggregation.function == "quantile":
        return [f"bucket {number}" for number in range(len(tops(aggregation)))]
    return _PARTS.get(aggregation.function, [])


# SQL that DuckDB and Spark both read -------------------------------------------------------------------------------------------


def sql(expression: Expression | None) -> str:
    """Write a definition's expression in standard SQL."""
    match expression:
        case Column():
            return expression.name
        case Constant():
            return f"'{expression.value}'" if isinstance(expression.value, str) else str(expression.value)
        case Arithmetic() | Compare() | Logic():
            return f"({sql(expression.left)} {expression.operator} {sql(expression.right)})"
        case Not():
            return f"(NOT {sql(expression.operand)})"
        case IsNull():
            return f"({sql(expression.operand)} IS NULL)"
    raise AssertionError(expression)


def cell_sql(role: str, aggregation: Aggregation, where: Predicate | None) -> str:
    """Write the aggregate of one role over the events of an hour; `max` and `min` are roles too."""
    condition, operand = sql(where) if where is not None else "TRUE", sql(aggregation.operand) if aggregation.operand is not None else "1"
    if role.startswith("bucket"):
        edges, number = tops(aggregation), int(role.removeprefix("bucket"))
        low = f"{operand} > {edges[number - 1]} AND " if number else ""
        return f"count(*) FILTER (WHERE {condition} AND {low}{operand} <= {edges[number]})"
    texts = {
        "one": f"count(*) FILTER (WHERE {condition})",
        "value": f"coalesce(sum({operand}) FILTER (WHERE {condition}), 0)",
        "square": f"coalesce(sum({operand} * {operand}) FILTER (WHERE {condition}), 0)",
        "present": f"count({operand}) FILTER (WHERE {condition})",
        "true": f"count(*) FILTER (WHERE {condition} AND {operand})",
        "max": f"max({operand}) FILTER (WHERE {condition})",
        "min": f"min({operand}) FILTER (WHERE {condition})",
    }
    return texts[role]


class Named:
    """Expressions that are columns of a step, each under a name of its own; features that need the same one share it."""

    def __init__(self, prefix: str) -> None:
        self._prefix, self._names = prefix, dict[str, str]()

    def name(self, text: str) -> str:
        """Return the column that holds this expression."""
        return self._names.setdefault(text, f"{self._prefix}{len(self._names)}")

    def select(self) -> str:
        """Write them as a SELECT list."""
        return ", ".join(f"{text} AS {name}" for text, name in self._names.items())


def quotient_sql(aggregation: Aggregation, sums: Sequence[str], greatest: str) -> str:
    """Write the feature of a window's sums, each a SQL expression; `greatest` is that of the greatest value in the window."""
    match aggregation.function:
        case "count" | "total":
            return f"CAST({sums[0]} AS BIGINT)"
        case "mean" | "rate":
            return f"CAST({sums[0]} AS DOUBLE) / nullif({sums[1]}, 0)"
        case "std":
            total, n, squares = (f"CAST({each} AS DOUBLE)" for each in sums)
            return f"CASE WHEN {n} > 1 THEN sqrt(greatest({n} * {squares} - {total} * {total}, 0) / ({n} * ({n} - 1))) END"
        case "quantile":
            running = [" + ".join(sums[: number + 1]) for number in range(len(sums))]
            q = aggregation.q
            assert q is not None  # noqa: S101 - a quantile has one
            rank = f"ceil(CAST({q.numerator} * ({running[-1]}) AS DOUBLE) / {q.denominator})"
            cases = " ".join(
                f"WHEN {count} >= {rank} THEN least({edge}, {greatest})" for count, edge in zip(running, tops(aggregation), strict=True)
            )
            return f"CASE WHEN {running[-1]} = 0 THEN NULL {cases} END"
    raise AssertionError(aggregation)


def derived_sql(derived: Derived, feature: Callable[[str], str]) -> str:
    """Write arithmetic over other features, null where it divides by zero."""
    match derived:
        case Reference(name):
            return f"CAST({feature(name)} AS DOUBLE)"
        case Number(number):
            return f"CAST({number} AS DOUBLE)"
        case Combination(sign, left, right):
            divisor = derived_sql(right, feature)
            return f"({derived_sql(left, feature)} {sign} {f'nullif({divisor}, 0)' if sign == '/' else divisor})"
    raise AssertionError(derived)


def instants_sql(view: FeatureView, ceiling: str) -> str:
    """Write where rows are: each hour in which an event entered or left a window; `ceiling` is SQL of the next multiple of {0} hours."""
    left = [f"SELECT agent_id, {ceiling.format(hop(window))} + {hours(window)} AS h FROM cells" for window in view.windows]
    return " UNION ".join(["SELECT agent_id, h FROM cells", *left])


def features_sql(view: FeatureView, windowed: dict[str, str]) -> str:
    """Write the SELECT list of all features, in the view's order: aggregated ones by `windowed`, derived ones of those."""
    found = dict(windowed)
    for each in view.features:
        if not isinstance(each.value, Aggregation):
            found[each.name] = derived_sql(each.value, lambda name: f"({found[name]})")
    return ", ".join(f"{found[each.name]} AS {each.name}" for each in view.features)
