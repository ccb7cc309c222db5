"""The batch's values of many agent_ids at many exact instants, each as serving would have said it then: what a training set is made of.

A moment is an agent_id, an instant and perhaps a task whose events are left out of it: the value at the instant, of the events that the
platform knew at the instant, without that task's. It equals `engine.as_of.read_values` at that instant with that knowledge, to the bit, on
a log without that task, and costs the same for a thousand instants of one agent_id as for one each of a thousand.

The moments are numbered by (agent_id, instant), and events are placed on that axis here; what is counted there is `compile.moments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.compile.moments import moments_sql
from detektor_pipelines.compile.plan import Plan, plan
from detektor_pipelines.engine.compute import feature_arrays, finalise, in_memory, states_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView

    Ints = NDArray[np.int64]


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
    positions = pa.array(np.arange(moments.num_rows))
    ordered = moments.append_column("at", positions).sort_by([("agent_id", "ascending"), ("instant", "ascending")])
    with in_memory() as engine:
        engine.register("runs", _runs(exact, events, _Axis.of(ordered)))
        engine.register("moments", pa.table({"pos": positions, "agent_id": ordered["agent_id"], "t": ordered["instant"]}))
        engine.execute("CREATE TEMP TABLE wanted AS SELECT * FROM moments")
        states = states_of(engine.sql(moments_sql(exact, moments.num_rows)).to_arrow_table())
    back = np.empty(moments.num_rows, dtype=np.int64)
    back[ordered["at"].to_numpy()] = np.arange(moments.num_rows)
    return feature_arrays(view, finalise(exact, states)).take(pa.array(back))


@dataclass(frozen=True)
class _Axis:
    """The moments in order, numbered from 0.

    Attributes:
        agent_ids: Code → agent_id.
        instants: Those that occur, ascending.
        moments: Of each moment one number that rises with (agent_id's code, instant).
        tasks: Text → code; of those that a moment leaves out.
        leaving_out: Of each moment that leaves out a task, one number that rises with (agent_id's code, task's code, position); ascending.

    """

    agent_ids: dict[str, int]
    instants: Ints
    moments: Ints
    tasks: dict[str, int]
    leaving_out: Ints

    @classmethod
    def of(cls, ordered: pa.Table) -> _Axis:
        """Number moments that are sorted by (agent_id, instant)."""
        import numpy as np

        agent_ids, agent_codes = _coded(ordered["agent_id"])
        tasks, task_codes = _coded(ordered["task_id"])
        at = ordered["instant"].to_numpy()
        instants = np.unique(at)
        moments = agent_codes * (len(instants) + 1) + np.searchsorted(instants, at)
        some = np.flatnonzero(task_codes >= 0)
        leaving_out = np.sort((agent_codes[some] * len(tasks) + task_codes[some]) * (len(at) + 1) + some)
        return cls(agent_ids, instants, moments, tasks, leaving_out)

    def first_not_before(self, agents: Ints, instants: Ints) -> Ints:
        """Return the position of the agent_id's first moment that is not before an instant; where its moments end if there is none."""
        import numpy as np

        among = np.searchsorted(self.instants, instants)
        found: Ints = np.searchsorted(self.moments, agents * (len(self.instants) + 1) + among)
        return found

    def split(self, agents: Ints, tasks: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
        """Cut runs [start, end) around the moments that leave out their task: which run a piece is of, where it starts and ends."""
        import numpy as np

        size = len(self.moments) + 1
        group = (agents * len(self.tasks) + tasks) * size
        low = np.searchsorted(self.leaving_out, group + start)
        cuts = np.where(tasks >= 0, np.searchsorted(self.leaving_out, group + end) - low, 0)
        run = np.repeat(np.arange(len(start)), cuts + 1)
        nth = np.arange(len(run)) - np.repeat(np.cumsum(cuts + 1) - (cuts + 1), cuts + 1)
        # Beyond the last cut there is none to look up: the index is bounded, and what it finds not used.
        cut = np.concatenate([self.leaving_out % size, [0]])
        after = cut[np.minimum(low[run] + nth - 1, len(cut) - 1)] + 1
        before = cut[np.minimum(low[run] + nth, len(cut) - 1)]
        starts, ends = np.where(nth > 0, after, start[run]), np.where(nth < cuts[run], before, end[run])
        some = starts < ends
        return run[some], starts[some], ends[some]


def _runs(exact: Plan, events: pa.Table, axis: _Axis) -> pa.Table:
    """Return the runs of all events that some moment sees, as `compile.moments` wants them."""
    import numpy as np
    import pyarrow as pa

    events = _in_order(exact, events)
    ts, known, until, live = (events[name].to_numpy(zero_copy_only=False) for name in ("ts", "known", "until_or_never", "live"))
    enter = np.maximum(ts, known)
    _, projects = _coded(events["project"], {key.partition("@")[2]: code for key, code in axis.agent_ids.items() if "@" in key})
    rows, agents = [np.flatnonzero(projects >= 0)], [projects[projects >= 0]]
    whole = axis.agent_ids.get(exact.view.agent)
    if whole is not None:
        rows.append(np.arange(len(ts)))
        agents.append(np.full(len(ts), whole))
    row, agent = np.concatenate(rows), np.concatenate(agents)
    # A revision that was superseded before it entered, and a retraction, never counts.
    counts = live[row] | (until[row] > enter[row])
    row, agent = row[counts], agent[counts]
    start = axis.first_not_before(agent, enter[row])
    gone = np.where(live, np.iinfo(np.int64).max, until)
    ends = {}
    for window in exact.view.windows:
        leave = -(-ts // window.hop) * window.hop + window.size
        ends[f"e_{window.label}"] = axis.first_not_before(agent, np.minimum(leave, gone)[row])
    longest = ends[f"e_{exact.view.longest.label}"]
    _, tasks = _coded(events["task_id"], axis.tasks)
    run, first, last = axis.split(agent, tasks[row], start, longest)
    pieces = events.select([*exact.columns, "ts"]).take(pa.array(row[run]))
    columns = {"a": first, "b": last, **{name: end[run] for name, end in ends.items()}, "seq": np.arange(len(run))}
    for name, column in columns.items():
        pieces = pieces.append_column(name, pa.array(column))
    return pieces.append_column("live", pa.repeat(pa.scalar(value=True), len(run)))


def _in_order(exact: Plan, events: pa.Table) -> pa.Table:
    """Sort by (ts, event_id) where a state asks for it; of events without `until`, it is never."""
    import numpy as np
    import pyarrow.compute as pc

    never = pc.fill_null(events["until"], np.iinfo(np.int64).min)
    events = events.append_column("until_or_never", never).combine_chunks()
    if not exact.ordered:
        return events
    return events.take(pc.sort_indices(events, sort_keys=[("ts", "ascending"), ("event_id", "ascending")]))


def _coded(column: pa.ChunkedArray, codes: dict[str, int] | None = None) -> tuple[dict[str, int], Ints]:
    """Return text → code, by first occurrence unless given, and each value's code; −1 of a null and of what has none."""
    import numpy as np
    import pyarrow as pa

    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    if codes is None:
        codes = {text: number for number, text in enumerate(texts)}
    of_text = np.array([*(codes.get(text, -1) for text in texts), -1], dtype=np.int64)
    return codes, of_text[encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
