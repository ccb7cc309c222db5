"""Events in, feature rows out, in memory: states over arrays, or by the compiled SQL in DuckDB; the finaliser makes the values.

A row is (agent_id, event_timestamp, created_at): the value at event_timestamp as known at created_at. For each instant
there is the value as it was served then (created_at = event_timestamp) and, where what is known now says otherwise, a
second row whose created_at is the greatest instant at which the platform learnt of what makes the difference.
"""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile.plan import Plan, plan
from detektor_pipelines.compile.sql import Form, Span, states_sql
from detektor_pipelines.engine.arrays.cells import Cells
from detektor_pipelines.engine.arrays.event_vectors import TooWideError
from detektor_pipelines.engine.arrays.intervals import Intervals, suits
from detektor_pipelines.language.events import is_integer
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.language.windows import floor_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.compile.finalise import Vector

IDENTITY_COLUMNS: Final = ("agent_id", "event_timestamp", "created_at")


_ONE_AT_A_TIME: Final = threading.Lock()
"""What one computation holds beside its events is twice as much as these: views that are under way together take turns at it."""


def event_schema(view: FeatureView) -> "pa.Schema":
    """Columns that `compute` wants of events: instants as int64 µs.

    `live` is false for a retraction and for a superseded revision; `until` is when the platform learnt better of the latter, null for
    all others.
    """
    import pyarrow as pa

    fields = [("ts", pa.int64()), ("known", pa.int64()), ("until", pa.int64()), ("event_id", pa.string()), ("live", pa.bool_())]
    fields.append(("project", pa.string()))
    fields += [(name, pa.int64() if is_integer(name) else pa.string()) for name in plan(view).columns]
    return pa.schema(fields)


def row_schema(view: FeatureView) -> "pa.Schema":
    """Columns of feature rows."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    types = {"int64": pa.int64(), "float64": pa.float64(), "instant": instant, "text": pa.string()}
    fields = [pa.field("agent_id", pa.string(), nullable=False)]
    fields += [pa.field(name, instant, nullable=False) for name in IDENTITY_COLUMNS[1:]]
    return pa.schema(fields + [pa.field(each.name, types[each.value_type]) for each in view.features])


def cells_of(view: FeatureView, events: "pa.Table") -> Cells:
    """Return what `compute` needs of events, columns as `event_schema`, in a tenth of their room; of a view that `by_cells` allows.

    Raises:
        TooWideError: An event holds a value outside its declared range.

    """
    with _ONE_AT_A_TIME:
        return Cells.of(plan(view), events)


def compute(view: FeatureView, events: "pa.Table | Cells", *, start: int, end: int, cutoff: int | None = None) -> "pa.Table":
    """All rows of `view` with event_timestamp in (start, end] and not after `cutoff`.

    Args:
        view: the definition.
        events: of the view's agent_type, columns as `event_schema`, or their cells; those with ts in (start − longest window − its hop,
            end] are needed, more do no harm.
        start: exclusive, a multiple of the grain, µs.
        end: inclusive, µs.
        cutoff: the last instant that may have a row, µs.

    Returns:
        Rows as `row_schema`, ordered by (agent_id, event_timestamp, created_at).

    Raises:
        TooWideError: Of cells alone: it takes the events themselves.

    """
    compiled = plan(view)
    span = Span(start, floor_to(end if cutoff is None else min(end, cutoff), view.grain))
    with _ONE_AT_A_TIME:
        served, now = (
            _of_cells(events, compiled, span)
            if isinstance(events, Cells)
            else _by_arrays(events, compiled, span) or _by_sql(events, compiled, span)
        )
        return rows_of(view, served, now)


def _by_arrays(events: "pa.Table", compiled: Plan, span: Span) -> "tuple[States, States | None] | None":
    """Return the states as served and, where they may differ, as known now; None where that takes SQL."""
    if not suits(compiled, events):
        return None
    try:
        return _of_cells(Cells.of(compiled, events), compiled, span)
    except TooWideError:
        return None


def _of_cells(cells: Cells, compiled: Plan, span: Span) -> "tuple[States, States | None]":
    found = Intervals(compiled, cells, span)
    keys, instants = found.keys(), found.instants()
    served = States(keys, instants, found.states("served"))
    return served, States(keys, instants, found.states("known_now")) if cells.late else None


def _by_sql(events: "pa.Table", compiled: Plan, span: Span) -> "tuple[States, States | None]":
    grain = compiled.view.grain
    with loaded(events, compiled) as engine:
        late, revised = _any_late(engine, grain), _any_revised(engine, grain)
        served = _states(engine, compiled, span, "served", late=late, revised=revised)
        return served, _states(engine, compiled, span, "known_now", late=late, revised=revised) if late or revised else None


@contextmanager
def loaded(events: "pa.Table", compiled: Plan) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open a DuckDB whose relation `events` is what the plan's SQL reads.

    Arrow brings its types along. From Python objects or text DuckDB 2.0.0 takes a column's type from a sample of its values and rounds
    what does not fit (findings/duckdb-sampled-decimals.sh).
    """
    with in_memory() as engine:
        engine.register("raw_events", events)
        engine.execute(f"CREATE TEMP VIEW events AS SELECT {_ranked(compiled)} FROM raw_events")
        yield engine


def in_memory() -> "duckdb.DuckDBPyConnection":
    """Open an empty DuckDB, to be closed by its caller; it fetches nothing from anywhere."""
    import duckdb

    return duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})


def _ranked(compiled: Plan) -> str:
    """Rank by (ts, event_id) only where a state asks for it: sorting is the dearest step."""
    return "*, row_number() OVER (ORDER BY ts, event_id) AS seq" if compiled.ordered else "*, 0 AS seq"


def _any_late(engine: "duckdb.DuckDBPyConnection", grain: int) -> bool:
    late = f"known > ts AND (known - 1) // {grain} > (ts - 1) // {grain}"
    return engine.execute(f"SELECT bool_or({late}) FROM raw_events").fetchall() == [(True,)]


def _any_revised(engine: "duckdb.DuckDBPyConnection", grain: int) -> bool:
    """Whether a superseded revision was served at an instant of the grain; one of history read from files never was."""
    served = f"until > ts AND (until - 1) // {grain} > (ts - 1) // {grain}"
    return engine.execute(f"SELECT bool_or({served}) FROM raw_events").fetchall() == [(True,)]


@dataclass(frozen=True)
class States:
    """Integer states of one form: `keys` and `instants` name the rows, aligned between forms."""

    keys: "pa.ChunkedArray"
    instants: "NDArray[np.int64]"
    columns: "dict[str, Vector]"


def _states(engine: "duckdb.DuckDBPyConnection", compiled: Plan, span: Span, form: Form, *, late: bool, revised: bool) -> States:
    table = engine.sql(states_sql(compiled, span, form=form, late=late, revised=revised)).to_arrow_table()
    return states_of(table)


def states_of(table: "pa.Table") -> States:
    """States from the SQL's result, whichever engine gave it."""
    import numpy as np

    columns: dict[str, Vector] = {}
    for name in table.column_names[2:]:
        column = table[name]
        if _picked(column.type):
            columns[name] = _objects(column)
            continue
        valid = np.ones(len(column), dtype=bool)
        if column.null_count:
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            column = column.fill_null(0)
        columns[name] = (column.to_numpy(), valid)
    return States(table["agent_id"], table["t"].to_numpy(), columns)


def _picked(kind: "pa.DataType") -> bool:
    """Whether a state is a text or a list, not an integer."""
    import pyarrow as pa

    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_list, pa.types.is_null))


def _objects(column: "pa.ChunkedArray") -> "Vector":
    """Texts and lists as Python objects, `""` for null."""
    import numpy as np

    found = np.empty(len(column), dtype=object)
    for position, each in enumerate(column.to_pylist()):  # one by one: numpy would make a matrix of lists
        found[position] = "" if each is None else each
    return found, column.is_valid().to_numpy()


def rows_of(view: FeatureView, served: States, now: States | None) -> "pa.Table":
    """Finalise states into rows as `row_schema`, sorted by their key; `now` is None where the log knows nothing else than was served."""
    import numpy as np
    import pyarrow as pa

    compiled = plan(view)
    values = finalise(compiled, served)
    table = _table(view, served.keys, served.instants, served.instants, values)
    if now is None:
        return table
    later = finalise(compiled, now)
    differs = np.zeros(len(served.instants), dtype=bool)
    for (before, before_valid), (after, after_valid) in zip(values, later, strict=True):
        differs |= (before_valid != after_valid) | (before != after)
    rows = np.flatnonzero(differs)
    if not rows.size:
        return table
    known = served.columns["late_known"][0]
    picked = [(column[rows], valid[rows]) for column, valid in later]
    second = _table(view, served.keys.take(pa.array(rows)), served.instants[rows], known[rows], picked)
    return pa.concat_tables([table, second]).sort_by([(name, "ascending") for name in IDENTITY_COLUMNS])


def finalise(compiled: Plan, states: States) -> "list[Vector]":
    """Each feature's (values, valid), in the view's order; values under invalid are 0."""
    import numpy as np

    if not len(states.instants):
        empty = np.zeros(0, dtype=bool)
        types = {"float64": np.float64, "text": np.object_}
        return [(np.zeros(0, dtype=types.get(each.value_type, np.int64)), empty) for each in compiled.view.features]
    return [tree.vector(states.columns) for _, tree in compiled.features]


def _table(
    view: FeatureView,
    keys: "pa.ChunkedArray",
    instants: "NDArray[np.int64]",
    created: "NDArray[np.int64]",
    values: "list[Vector]",
) -> "pa.Table":
    import pyarrow as pa

    schema = row_schema(view)
    columns: list[pa.Array | pa.ChunkedArray] = [keys.cast(pa.string())]
    columns += [pa.array(each).cast(schema.field(name).type) for name, each in zip(IDENTITY_COLUMNS[1:], (instants, created), strict=True)]
    return pa.table([*columns, *feature_arrays(view, values).columns], schema=schema)


def feature_arrays(view: FeatureView, values: "list[Vector]") -> "pa.Table":
    """Finalised values as columns, typed as in the view's rows."""
    import pyarrow as pa

    schema = row_schema(view)
    columns = []
    for each, (column, valid) in zip(view.features, values, strict=True):
        array = pa.array(column, mask=None if valid.all() else ~valid)
        columns.append(array.cast(schema.field(each.name).type))
    return pa.table(columns, names=[each.name for each in view.features])
