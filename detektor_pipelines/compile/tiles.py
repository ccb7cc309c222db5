"""Tiles of a whole history as one SQL text for DuckDB: what the stream's fold would have added up, a thousand times faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.compile.expressions import operand, passing
from detektor_pipelines.compile.sql import DUCKDB, contribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.compile.fold import Fold


def tiles_sql(
    fold: Fold,
    hop: int,
    summed: Sequence[int],
    lasts: Sequence[int],
    extremes: Sequence[int],
    distincts: Sequence[int],
    ranked: Sequence[int],
) -> str:
    """Return the SELECT of the tiles of one hop: agent_id, bucket, then a column for each of the given parts of a contribution.

    It reads a relation `events` as `compile.sql` does. Sums are BIGINT, or HUGEINT for squares; the latest event is a struct (ts, id,
    value); distinct values are a list, ranked events a list of such structs. An empty part is null.

    Args:
        fold: Of the view.
        hop: Size, µs.
        summed: Which of the plan's prepared integers.
        lasts: Which of `fold.lasts`.
        extremes: Which of `fold.extremes`.
        distincts: Which of `fold.distincts`.
        ranked: Which of `fold.ranked`.

    """
    plan = fold.plan
    columns = []
    for index in summed:
        prepared = plan.prepared[index]
        kind = "HUGEINT" if prepared.wide else "BIGINT"
        columns.append(f"CAST(SUM({contribution(prepared, DUCKDB)}) AS {kind}) AS s{index}")
    for index in lasts:
        pick = fold.lasts[index]
        value = operand(pick.operand)
        latest = f"MAX({{'ts': ts, 'id': event_id, 'value': CAST({value} AS BIGINT)}})"
        columns.append(f"{latest} FILTER (WHERE {passing(pick.where)} AND {value} IS NOT NULL) AS l{index}")
    for index in extremes:
        pick = fold.extremes[index]
        function = "MIN" if pick.function == "minimum" else "MAX"
        columns.append(f"CAST({function}({operand(pick.operand)}) FILTER (WHERE {passing(pick.where)}) AS BIGINT) AS x{index}")
    for index in distincts:
        distinct = fold.distincts[index]
        value = operand(distinct.column)
        columns.append(f"LIST(DISTINCT {value}) FILTER (WHERE {passing(distinct.where)} AND {value} IS NOT NULL) AS d{index}")
    for index in ranked:
        each = fold.ranked[index]
        value, order = operand(each.operand), {"first": "ts, event_id", "last": "ts DESC, event_id DESC"}.get(each.order)
        events = f"LIST({{'ts': ts, 'id': event_id, 'value': {value}}} ORDER BY {order or f'{value} DESC'})"
        columns.append(f"({events} FILTER (WHERE {passing(each.where)} AND {value} IS NOT NULL))[1:{each.length}] AS r{index}")
    agent = plan.view.agent
    key = f"CASE WHEN GROUPING(project) = 1 THEN '{agent}' ELSE '{agent}@' || project END"
    return (
        f"SELECT {', '.join((f'{key} AS agent_id', 'bucket', *columns))}"
        f" FROM (SELECT *, ts + MOD({hop} - MOD(ts, {hop}), {hop}) AS bucket FROM events WHERE live)"
        " GROUP BY GROUPING SETS ((bucket), (bucket, project)) HAVING GROUPING(project) = 1 OR project IS NOT NULL"
    )
