"""The batch's values of many agent_ids at many exact instants, each as serving would have said it then: what a training set is made of.

A moment is an agent_id, an instant and perhaps a task whose events are left out of it: the value at the instant, of the events that the
platform knew at the instant, without that task's. It equals `engine.as_of.read_values` at that instant with that knowledge, to the bit, on
a log without that task, and costs the same for a thousand instants of one agent_id as for one each of a thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.compile.moments import moments_sql
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.engine.compute import feature_arrays, finalise, loaded, states_of

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView


def values_at_moments(view: FeatureView, events: pa.Table, moments: pa.Table) -> pa.Table:
    """Return the view's features of each moment, in the order of the moments.

    Args:
        view: The definition.
        events: Columns as `engine.compute.event_schema` and `task_id`: those with ts in (first instant − longest window − its hop, last
            instant], of all revisions; more do no harm.
        moments: `agent_id`, `instant` (int64 µs UTC) and `task_id` (null: nothing is left out), any number, in any order, ties too.

    Returns:
        A column a feature, typed as in the view's rows.

    """
    import numpy as np
    import pyarrow as pa

    exact = plan(view)
    order = moments.append_column("at", pa.array(np.arange(moments.num_rows))).sort_by(
        [("agent_id", "ascending"), ("instant", "ascending")]
    )
    wanted = pa.table(
        {
            "pos": pa.array(np.arange(moments.num_rows)),
            "agent_id": order["agent_id"],
            "t": order["instant"],
            "task_id": order["task_id"],
        }
    )
    with loaded(events, exact) as engine:
        engine.register("wanted_moments", wanted)
        engine.execute("CREATE TEMP TABLE wanted AS SELECT * FROM wanted_moments")
        states = states_of(engine.sql(moments_sql(exact, moments.num_rows)).to_arrow_table())
    back = np.empty(moments.num_rows, dtype=np.int64)
    back[order["at"].to_numpy()] = np.arange(moments.num_rows)
    return feature_arrays(view, finalise(exact, states)).take(pa.array(back))
