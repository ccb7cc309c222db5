"""The batch's values at one exact instant, not at the grain: what a live value is held against, and what was served at a moment.

A value has two instants: the one that it is of, and the one up to which the platform may have learnt what goes into it. The value at t as
known at k is made of the events with occurred_at <= t that have not left their windows at t, each in the highest revision whose known_at
is not after k; an event of which no revision was known by then, or a retraction was, is not in it. With k = t that is what serving would
have said at t. With a later k it is what is known better since, with k = None all that the log holds. With an earlier k it is what
somebody would have said at k of the later t, had nothing more come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import Span, reach_back, states_sql
from detektor_pipelines.engine.compute import finalise, loaded, states_of
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.stores.raw_log.reader import read_events

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.compile.finalise import Result
    from detektor_pipelines.language.views import FeatureView

Values: TypeAlias = "dict[str, tuple[Result, ...]]"
"""agent_id → the view's features in its order; instants as µs UTC."""


def values_at(view: FeatureView, events: pa.Table, instant: int, *, known: int | None = None) -> Values:
    """Return the values at `instant` (µs UTC) as known at `known`, by default now, by the SQL that computes the rows.

    Args:
        view: The definition.
        events: Columns as `engine.compute.event_schema`: those that are known; those with ts in (instant − longest window − its hop,
            instant] are needed, others do no harm.
        instant: Any, no multiple of the grain.
        known: Any, before `instant` or after it, µs UTC. By default the events' highest revisions count, whenever they were known.

    Returns:
        The agent_ids that have such events. Any other one's windows are empty: `values_of_nothing`.

    """
    exact = plan(view)
    with loaded(events if known is None else known_by(events, known), exact) as engine:
        text = states_sql(exact, Span.instant(instant), form="known_now", late=False)
        states = states_of(engine.sql(text).to_arrow_table())
    columns = [
        [value if known else None for value, known in zip(values.tolist(), valid.tolist(), strict=True)]
        for values, valid in finalise(exact, states)
    ]
    return dict(zip(states.keys.to_pylist(), zip(*columns, strict=True), strict=True))


def read_values(connection: Connection, view: FeatureView, instant: int, *, known: int | None = None) -> Values:
    """Return the exact values at `instant` (µs UTC) from the raw log, as known at `known`; with `known=instant` as serving would have said.

    This is the number that a label gets which is made at that instant: no row of the offline store says it, for rows have the grain's
    instants only, and no publication has a say in it.

    Args:
        connection: To PostgreSQL, over ADBC (`stores.connections.connect_arrow`).
        view: The definition.
        instant: Which moment; one after the clock's now is as good as what the log holds.
        known: Up to when what was learnt counts, µs UTC; None for all of it.

    Returns:
        The agent_ids that have events in the reach of a window. Any other one's windows are empty: `values_of_nothing`.

    """
    compiled = plan(view)
    events = read_events(connection, view.agent, compiled.columns, instant - reach_back(compiled), instant)
    return values_at(view, events, instant, known=known)


def known_by(events: pa.Table, known: int) -> pa.Table:
    """Return the events as somebody knew them at `known` (µs UTC): of each the highest revision that was known, and it is live."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pc.or_(events["live"], pc.greater(pc.fill_null(events["until"], known), known))
    chosen = events.filter(pc.and_(pc.less_equal(events["known"], known), counted))
    chosen = chosen.set_column(chosen.column_names.index("live"), "live", pa.repeat(pa.scalar(value=True), chosen.num_rows))
    return chosen.set_column(chosen.column_names.index("until"), "until", pa.nulls(chosen.num_rows, pa.int64()))


def split_by_range(view: FeatureView, events: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the events whose measures lie in their declared ranges, and the others: sums of those may be more than 64 bits hold.

    Ingest lets none of the others in; somebody wrote them into the raw log himself.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    inside = pa.array([True] * events.num_rows)
    for name in plan(view).columns:
        if (measure := MEASURES.get(name)) is not None:
            fits = pc.and_(pc.greater_equal(events[name], measure.minimum), pc.less_equal(events[name], measure.maximum))
            inside = pc.and_(inside, pc.fill_null(fits, fill_value=True))
    return events.filter(inside), events.filter(pc.invert(inside))


def values_of_nothing(view: FeatureView) -> tuple[Result, ...]:
    """Return the values of an agent_id whose windows are all empty."""
    compiled = plan(view)
    states: dict[str, int | None] = dict.fromkeys([*(each.name for each in compiled.picks), *(each.name for each in compiled.ranked)])
    for kind in (compiled.sums, compiled.spreads, compiled.distincts):
        states |= {each.name: 0 for each in kind}
    return tuple(tree.scalar(states) for _, tree in compiled.features)
