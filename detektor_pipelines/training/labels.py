"""Labels as rows: read from the log by a definition, or given as a table. What cannot be a row of a set is left out and counted.

A row has `agent_id`, `decided_at` and `label_known_at` (int64 µs UTC, the latter null where nobody said), `task_id` and `label` (bool or
float64).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.labels import labels_sql
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.expressions import INSTANT_MAXIMUM
from detektor_pipelines.stores.raw_log.reader import any_revised, first_by_project, integer_events_sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.labels import Label

KEY: Final = ("decided_at", "agent_id", "task_id")
"""What a set is sorted by."""

REQUIRED: Final = ("agent_id", "decided_at", "label")
OPTIONAL: Final = ("task_id", "label_known_at")

NO_VALUE: Final = "no value"
NOT_YET: Final = "not known yet"
LEAKS: Final = "known before it was decided"
FUTURE: Final = "decided in the future"
NO_DATA: Final = "decided before the first event of its agent_id"
UNKNOWN: Final = "an agent_id of which there is no event"
TWICE: Final = "given twice"

_SHOWN: Final = 5


@dataclass
class Rows:
    """Labels on their way into a set: those that are left, and why the others are not."""

    table: pa.Table
    dropped: Counter[str] = field(default_factory=Counter)

    def drop(self, mask: Any, reason: str) -> None:
        """Leave out the rows where `mask` is true."""
        import pyarrow.compute as pc

        mask = pc.fill_null(mask, fill_value=False)
        number = pc.sum(mask).as_py() or 0
        if number:
            self.dropped[reason] += number
            self.table = self.table.filter(pc.invert(mask))


def read_labels(connection: Connection, label: Label, *, until: int, snapshot: str | None) -> Rows:
    """Return all decisions of a label that have a value which is known at `until` (µs UTC), from the log as a snapshot saw it."""
    import pyarrow.compute as pc

    rows = Rows(read_decisions(connection, label, snapshot=snapshot).drop_columns(["recorded_at"]))
    if label.within_next is not None:
        rows.drop(pc.is_null(rows.table["task_id"]), "no task_id, so nothing later can be told to be of its task")
        rows.drop(pc.greater(rows.table["label_known_at"], until), f"{NOT_YET}: the log ends less than {label.within_next.label} later")
    rows.drop(pc.is_null(rows.table["label"]), f"{NO_VALUE}: {label.null_means}")
    rows.drop(pc.greater(rows.table["label_known_at"], until), NOT_YET)
    return rows


def read_decisions(connection: Connection, label: Label, *, snapshot: str | None) -> pa.Table:
    """Return all decisions that a label is of, those without a value too, from the log as a snapshot saw it.

    Beside the columns of a row, `recorded_at` (int64 µs UTC): when the platform learnt of the decision.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = sorted(label.columns())
    events = integer_events_sql(label.agent, columns, -1, INSTANT_MAXIMUM, revised=any_revised(connection), snapshot=snapshot)
    with connection.cursor() as cursor:
        cursor.execute(labels_sql(label, events))
        found = cursor.fetch_arrow_table()
    project = found["project"].cast(pa.string())
    return pa.table(
        {
            "agent_id": pc.if_else(pc.is_valid(project), pc.binary_join_element_wise(label.agent, project, "@"), label.agent),
            "recorded_at": found["recorded_at"].cast(pa.int64()),
            "decided_at": found["decided_at"].cast(pa.int64()),
            "label_known_at": found["known_at"].cast(pa.int64()),
            "task_id": found["task_id"].cast(pa.string()),
            "label": found["value"].cast(pa.bool_() if label.value_type == "bool" else pa.float64()),
        }
    )


def given_labels(table: pa.Table, agent: str) -> Rows:
    """Return a table's labels: columns `agent_id`, `decided_at`, `label`, and `task_id` and `label_known_at` if it has them.

    Raises:
        UserError: A column is missing or of a type that cannot be one, an instant has no time zone, an agent_id is not the agent's, or two
            labels of one decision contradict each other.

    """
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        has = ", ".join(table.column_names) or "none"
        fix = f"Give the columns {', '.join(REQUIRED)}, and {' and '.join(OPTIONAL)} where they are known."
        raise UserError(f"The labels have no column {', '.join(missing)}; they have {has}.", fix=fix)
    none = pa.nulls(table.num_rows, pa.string())
    task = table["task_id"].cast(pa.string()) if "task_id" in table.column_names else none
    known = instants(table["label_known_at"], "label_known_at") if "label_known_at" in table.column_names else none.cast(pa.int64())
    rows = Rows(
        pa.table(
            {
                "agent_id": _texts(table["agent_id"]),
                "decided_at": instants(table["decided_at"], "decided_at"),
                "label_known_at": known,
                "task_id": task,
                "label": _values(table["label"]),
            }
        )
    )
    rows.drop(pc.is_null(rows.table["agent_id"]), "no agent_id")
    rows.drop(pc.is_null(rows.table["decided_at"]), "no instant in decided_at")
    rows.drop(pc.is_null(rows.table["label"]), NO_VALUE)
    _check_agents(rows.table["agent_id"], agent)
    _drop_twice(rows)
    return rows


def read_label_file(path: Path) -> pa.Table:
    """Read labels from a CSV or a Parquet file; instants in a CSV are text, and 0 and 1 are numbers.

    Raises:
        UserError: There is no such file, it is of another kind, or it cannot be read.

    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    fix = f"Give a .csv or .parquet file with the columns {', '.join(REQUIRED)}, and task_id where it is known."
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        if path.suffix != ".csv":
            raise UserError(f"Labels are no {path.suffix or 'file without an ending'}.", where=str(path), fix=fix)
        texts = dict.fromkeys(("agent_id", "decided_at", "label_known_at", "task_id"), pa.string())
        options = pa.csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
        return pa.csv.read_csv(path, convert_options=options)
    except FileNotFoundError:
        raise UserError("There is no such file.", where=str(path), fix=fix) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError("The labels cannot be read.", where=f"{path}: {error}", fix=fix) from None


def drop_unusable(rows: Rows, connection: Connection, agent: str, *, now: int, snapshot: str | None) -> None:
    """Leave out labels that leak, that are of the future, and those before anything is known of their agent_id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows.drop(pc.greater(rows.table["decided_at"], now), FUTURE)
    rows.drop(pc.less(rows.table["label_known_at"], rows.table["decided_at"]), LEAKS)
    first = first_by_project(connection, agent, snapshot)
    starts = {agent if project is None else f"{agent}@{project}": at for project, at in first.items()}
    if starts:
        starts[agent] = min(starts.values())
    begins = pa.array([starts.get(agent_id) for agent_id in rows.table["agent_id"].to_pylist()], pa.int64())
    unknown = pc.is_null(begins)
    rows.drop(unknown, UNKNOWN)
    rows.drop(pc.greater_equal(begins.filter(pc.invert(unknown)), rows.table["decided_at"]), NO_DATA)


def instants(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return a column of instants as int64 µs UTC.

    Raises:
        UserError: It is no timestamp with a time zone, and no text with an offset.

    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.int64())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    fix = "Write the offset: 2026-03-05T10:00:00Z or 2026-03-05T11:00:00+01:00; in pandas, series.dt.tz_localize('UTC')."
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        raise UserError("The instants have no time zone, so they are no instants.", where=f"column {name}", fix=fix)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(f"A column of {kind} holds no instants.", where=f"column {name}", fix=fix)
    return pa.chunked_array([pa.array([None if text is None else _instant(text, name, fix) for text in column.to_pylist()], pa.int64())])


def _instant(text: str, name: str, fix: str) -> int:
    try:
        return clock.to_us(clock.parse_datetime(text))
    except ValueError:
        raise UserError(f"{text!r} is no instant with a time zone.", where=f"column {name}", fix=fix) from None


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise UserError(f"A column of {kind} holds no agent_ids.", where="column agent_id", fix="Give texts such as code-reviewer@shop.")
    return column.cast(pa.string())


def _values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_boolean(kind):
        return column
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)):
        raise UserError(f"A column of {kind} holds no labels.", where="column label", fix="Give true and false, or numbers.")
    try:
        values = column.cast(pa.float64())
    except pa.ArrowInvalid:
        raise UserError("A label is a whole number that no float64 holds.", where="column label", fix="Give smaller numbers.") from None
    values = pc.if_else(pc.is_nan(values), None, values)
    if pc.any(pc.is_inf(values)).as_py():
        raise UserError("A label is infinite.", where="column label", fix="Give finite numbers; leave out what is unknown.")
    return values


def _check_agents(agent_ids: pa.ChunkedArray, agent: str) -> None:
    strangers = sorted({each for each in agent_ids.unique().to_pylist() if each.partition("@")[0] != agent or each == f"{agent}@"})
    if strangers:
        shown = ", ".join(strangers[:_SHOWN]) + (f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else "")
        raise UserError(f"Not of {agent}: {shown}.", where="column agent_id", fix=f"Give {agent} or {agent}@PROJECT; a set is one agent's.")


def _drop_twice(rows: Rows) -> None:
    """Keep one of equal rows.

    Raises:
        UserError: Rows of one decision are not equal.

    """
    import numpy as np
    import pyarrow as pa

    table = rows.table
    once = table.group_by(table.column_names).aggregate([([], "count_all")]).select(table.column_names)
    decisions = once.group_by(list(KEY)).aggregate([([], "count_all")])
    contradicting = decisions.filter(decisions["count_all"].to_numpy() > 1)
    if contradicting.num_rows:
        rows_of = [_shown(row) for row in contradicting.slice(0, _SHOWN).to_pylist()]
        more = f" and {contradicting.num_rows - _SHOWN} more" if contradicting.num_rows > _SHOWN else ""
        what = f"{contradicting.num_rows} decisions have two labels that differ: {'; '.join(rows_of)}{more}."
        raise UserError(what, fix="Give one label for each agent_id, decided_at and task_id.")
    surplus = table.num_rows - once.num_rows
    if surplus:
        rows.dropped[TWICE] += surplus
        rows.table = once.take(pa.array(np.arange(once.num_rows)))


def _shown(row: dict[str, Any]) -> str:
    task = f", task {row['task_id']}" if row["task_id"] else ""
    return f"{row['agent_id']} at {clock.to_text(row['decided_at'])}{task}"


def between(rows: Rows, start: int | None, end: int | None) -> None:
    """Keep the labels with decided_at in [start, end) (µs UTC): the others are not asked for, and not counted as left out."""
    import pyarrow.compute as pc

    if start is not None:
        rows.table = rows.table.filter(pc.greater_equal(rows.table["decided_at"], start))
    if end is not None:
        rows.table = rows.table.filter(pc.less(rows.table["decided_at"], end))


def in_order(table: pa.Table, more: Sequence[str] = ("label_known_at", "label")) -> pa.Table:
    """Sort labels by KEY, and equal keys by what else tells them apart."""
    return table.sort_by([(name, "ascending") for name in (*KEY, *more)])
