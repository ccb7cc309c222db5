"""The gate of a view's rows: types, nullability and bounds as a Pandera schema, whose checks say in words what must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pandera.pandas import Column, DataFrameSchema

    from detektor_pipelines.language.views import Feature, FeatureView

KEY = ("agent_id", "event_timestamp", "created_at")


def schema(view: FeatureView) -> DataFrameSchema:
    """Return the schema that every published row of the view keeps; `frame` makes the frames it takes."""
    from pandera.pandas import Check, Column, DataFrameSchema

    agent = Check.str_matches(agent_pattern(view), error=f"{view.agent} or {view.agent}@<project>")
    columns = {
        "agent_id": Column(str, agent, nullable=False),
        "event_timestamp": Column("datetime64[us, UTC]", nullable=False),
        "created_at": Column("datetime64[us, UTC]", nullable=False),
    }
    columns |= {each.name: _column(each) for each in view.features}
    known = Check(_known_after, name="created_at is not before event_timestamp", ignore_na=False)
    return DataFrameSchema(columns, checks=[known], strict=True, ordered=True, unique=list(KEY), name=view.name)


def agent_pattern(view: FeatureView) -> str:
    """Return the expression that a view's agent_ids match: all projects together, or one.

    Anchored at both ends by itself. On Polars, Pandera 0.35.0 binds its own anchor to the first alternative of an expression alone
    (findings/pandera-polars-pattern.sh); ours has none and is checked on pandas.
    """
    return rf"^{view.agent}(@[a-z0-9._-]+)?$"


def frame(rows: pa.Table) -> pd.DataFrame:
    """Return rows as the schema takes them: nullable Int64, so that a null makes no float of an integer."""
    import pandas as pd
    import pyarrow as pa

    found: pd.DataFrame = rows.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return found


def _column(feature: Feature) -> Column:
    from pandera.pandas import Check, Column

    kind = {"int64": "Int64", "float64": "float64", "instant": "datetime64[us, UTC]", "text": str}[feature.value_type]
    low, high = feature.within
    checks = []
    if low is not None:
        checks.append(Check.ge(low, error=f"at least {low:,}"))
    if high is not None:
        checks.append(Check.le(high, error=f"at most {high:,}"))
    return Column(kind, checks, nullable=feature.nullable)


def _known_after(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["created_at"] >= rows["event_timestamp"]
