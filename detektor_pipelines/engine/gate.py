"""The audit between compute and publish: which days' rows break the view's schema, and which rows they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.compile import pandera as gate_schema
from detektor_pipelines.compile.pandera import KEY
from detektor_pipelines.engine.compute import row_schema
from detektor_pipelines.language.calendar import owner_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView

SHOWN: Final = 50
"""Failing rows kept a day: enough to see what is wrong, few enough for a page."""

_PANDERAS_OWN: Final = {"not_nullable": "not null", "multiple_fields_uniqueness": "a key of its own"}


def failures_by_day(view: FeatureView, rows: pa.Table) -> Mapping[int, list[dict[str, Any]]]:
    """Return the failing cases by the day (days since 1970) that owns the row; empty when every row passes.

    A case has the keys agent_id, event_timestamp, column, value, check; the last says in words what must be.
    """
    if _pass_at_a_glance(view, rows):
        return {}
    import pandas as pd
    from pandera.errors import SchemaErrors

    frame = gate_schema.frame(rows)
    try:
        gate_schema.schema(view).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
    else:
        return {}
    # A check of whole rows lists every column of a failing row: one case a row is enough, and none of the columns is its own.
    cases.loc[cases["schema_context"] == "DataFrameSchema", "column"] = ""
    owner = owner_numbers(rows["event_timestamp"])
    found: dict[int, list[dict[str, Any]]] = {}
    for case in cases.drop_duplicates(subset=["index", "column", "check"]).to_dict("records"):
        # A case without a row (a missing column, a wrong type) is not a single day's fault: none may be published.
        concerned = sorted(set(owner.tolist())) if pd.isna(case["index"]) else [int(owner[int(case["index"])])]
        for day in concerned:
            found.setdefault(day, []).append(_case(frame, case))
    return {day: some[:SHOWN] for day, some in found.items()}


def _pass_at_a_glance(view: FeatureView, rows: pa.Table) -> bool:
    """Whether all rows certainly pass: types, nulls, least and greatest values, keys. Where they do not, Pandera says which break what."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if rows.schema != row_schema(view) or not rows.num_rows or any(rows[name].null_count for name in KEY):
        return False
    agents, instants, created = (rows[name] for name in KEY)
    known = gate_schema.agent_pattern(view)
    names = agents.unique().to_pylist()
    if not all(re.match(known, name) for name in names) or not pc.all(pc.greater_equal(created, instants)).as_py():
        return False
    for each in view.features:
        column, (low, high) = rows[each.name], each.within
        if column.null_count and not each.nullable:
            return False
        if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
            return False
        ends = pc.min_max(column).as_py() if (low, high) != (None, None) and column.null_count < len(column) else None
        if ends and ((low is not None and ends["min"] < low) or (high is not None and ends["max"] > high)):
            return False
    # Sorted, as the engine leaves them, keys are unique where each is greater than the one before it
    before, after = slice(None, -1), slice(1, None)
    at, learnt = (column.cast("int64").to_numpy() for column in (instants, created))
    same = pc.equal(agents.slice(0, rows.num_rows - 1), agents.slice(1)).to_numpy()
    rises = (at[after] > at[before]) | ((at[after] == at[before]) & (learnt[after] > learnt[before]))
    return bool((rises | ~same).all()) and int((~same).sum()) + 1 == len(names)


def _case(frame: Any, case: dict[str, Any]) -> dict[str, Any]:
    import pandas as pd

    row = {} if pd.isna(case["index"]) else frame.iloc[int(case["index"])].to_dict()
    column = case["column"] if case["column"] in frame.columns else ""
    value = row.get(column, case["failure_case"])
    return {
        "agent_id": row.get("agent_id", ""),
        "event_timestamp": str(row.get("event_timestamp", "")),
        "column": str(column),
        "value": None if pd.isna(value) else str(value),
        "check": _PANDERAS_OWN.get(str(case["check"]), str(case["check"])),
    }
