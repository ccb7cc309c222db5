"""The batch's values of many agent_ids, each at an exact instant of its own: what values written at various moments are held against.

One query over all the moments from the first to the last instead of one a moment: planning is what such a small query costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import Span, states_sql
from detektor_pipelines.engine.compute import finalise, loaded, states_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from detektor_pipelines.engine.as_of import Values
    from detektor_pipelines.language.views import FeatureView


def values_at_each(view: FeatureView, events: pa.Table, instants: Mapping[str, int]) -> Values:
    """Return the values of each agent_id of `instants` at its own instant (µs UTC), as known now.

    Args:
        view: The definition.
        events: Columns as `engine.compute.event_schema`: what is known, back to the longest window and its hop before the first instant.
            Events after an agent_id's instant do no harm.
        instants: agent_id → instant; one at least.

    Returns:
        Those that have such events. Any other one's windows are empty: `engine.as_of.values_of_nothing`.

    """
    import pyarrow as pa

    exact = plan(view)
    span = Span(min(instants.values()), max(instants.values()), start_too=True)
    wanted = pa.table({"agent_id": pa.array(list(instants), pa.string()), "instant": pa.array(list(instants.values()), pa.int64())})
    with loaded(events, exact) as engine:
        engine.register("wanted", wanted)
        states = states_of(engine.sql(_newest_of_each(states_sql(exact, span, form="known_now", late=False))).to_arrow_table())
    columns = [
        [value if known else None for value, known in zip(values.tolist(), valid.tolist(), strict=True)]
        for values, valid in finalise(exact, states)
    ]
    return dict(zip(states.keys.to_pylist(), zip(*columns, strict=True), strict=True))


def _newest_of_each(states: str) -> str:
    """Of all states take each agent_id's last one up to its instant; the span begins with one for each that has events before."""
    return (
        f"SELECT s.* FROM ({states}) s JOIN wanted w ON w.agent_id = s.agent_id AND s.t <= w.instant"
        " QUALIFY row_number() OVER (PARTITION BY s.agent_id ORDER BY s.t DESC) = 1"
    )
