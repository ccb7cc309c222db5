"""The batch's values at one exact instant, not at the grain: what a live value is held against, and what a training label sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import Span, states_sql
from detektor_pipelines.engine.compute import finalise, loaded, states_of
from detektor_pipelines.language.events import MEASURES

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView

Values: TypeAlias = "dict[str, tuple[int | float | None, ...]]"
"""agent_id → the view's features in its order; instants as µs UTC."""


def values_at(view: FeatureView, events: pa.Table, instant: int) -> Values:
    """Return the values at `instant` (µs UTC), by the SQL that computes the rows, as known now.

    Args:
        view: The definition.
        events: Columns as `engine.compute.event_schema`: those that are known; those with ts in (instant − longest window − its hop,
            instant] are needed, others do no harm.
        instant: Any, no multiple of the grain.

    Returns:
        The agent_ids that have such events. Any other one's windows are empty: `values_of_nothing`.

    """
    exact = plan(view)
    with loaded(events, exact) as engine:
        text = states_sql(exact, Span.instant(instant), form="known_now", late=False)
        states = states_of(engine.sql(text).to_arrow_table())
    columns = [
        [value if known else None for value, known in zip(values.tolist(), valid.tolist(), strict=True)]
        for values, valid in finalise(exact, states)
    ]
    return dict(zip(states.keys.to_pylist(), zip(*columns, strict=True), strict=True))


def split_by_range(view: FeatureView, events: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the events whose measures lie in their declared ranges, and the others: sums of those may be more than 64 bits hold.

    Ingest lets none of the others in; somebody wrote them into the log himself.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    inside = pa.array([True] * events.num_rows)
    for name in plan(view).columns:
        if (measure := MEASURES.get(name)) is not None:
            fits = pc.and_(pc.greater_equal(events[name], measure.minimum), pc.less_equal(events[name], measure.maximum))
            inside = pc.and_(inside, pc.fill_null(fits, fill_value=True))
    return events.filter(inside), events.filter(pc.invert(inside))


def values_of_nothing(view: FeatureView) -> tuple[int | float | None, ...]:
    """Return the values of an agent_id whose windows are all empty."""
    compiled = plan(view)
    states: dict[str, int | None] = {each.name: None for each in compiled.picks}
    for kind in (compiled.sums, compiled.spreads, compiled.distincts):
        states |= {each.name: 0 for each in kind}
    return tuple(tree.scalar(states) for _, tree in compiled.features)
