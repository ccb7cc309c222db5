"""Training sets: labels, and beside each the features that serving would have said just before it was decided.

For each label the features are of decided_at − 1 µs, computed from the events that the platform knew at that instant, and without any event
of the label's own task. Rows of the offline store have no part in it. Everything is read as one snapshot of the log saw it; reading again
by that snapshot gives the same set, whatever has come since.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import label_named, labels_of, view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash, label_hash
from detektor_pipelines.language.labels import Label
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.known import is_snapshot
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, newest_instant
from detektor_pipelines.training.columns import feature_columns
from detektor_pipelines.training.labels import Rows, between, drop_unusable, given_labels, in_order, read_labels
from detektor_pipelines.training.references import ALL, OWN_COLUMNS, all_of, column_names, in_force, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.columns import Columns
    from detektor_pipelines.training.references import Reference

    Progress = Callable[[int, int], None]
    """Told how many of how many steps are done; a step is a label's features of one view."""

GIVEN: Final = "given"
"""Name of labels that no definition made."""

_SHOWN: Final = 5
_METADATA: Final = b"detektor_training_set"


@dataclass(frozen=True)
class ViewUsed:
    """A view whose features are in a set, by what its numbers depend on."""

    name: str
    version: str
    data_hash: str


@dataclass(frozen=True)
class TrainingSet:
    """A training set, and everything that it takes to make it again.

    Attributes:
        table: `agent_id`, `decided_at` and `label_known_at` (timestamp us UTC), `task_id`, `label` (bool or float64), then a column a
            reference: its feature's name, or `view__feature` where another column has that; sorted by (decided_at, agent_id, task_id).
        references: What the feature columns are, `view:feature` or `view@all:feature`.
        views: The views of the references.
        label_name: Of the definition, or `given`.
        label_hash: What the labels' values depend on; of given ones the hash of the labels themselves.
        set_hash: SHA-256 over everything in the table.
        snapshot: By which the log was read, in the log's own numbers.
        agent: Whose decisions.
        until: Labels that were known by then are in it.
        first_event: occurred_at of the earliest event that could count for a feature; None when there was none.
        last_event: That of the latest.
        dropped: Reason → labels that were left out.
        start: Decisions from then on were asked for; None: from the first on.
        end: Decisions before then were asked for; None: to the last.

    """

    table: pa.Table
    references: tuple[str, ...]
    views: tuple[ViewUsed, ...]
    label_name: str
    label_hash: str
    set_hash: str
    snapshot: str
    agent: str
    until: datetime
    first_event: datetime | None
    last_event: datetime | None
    dropped: Mapping[str, int] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The table's feature columns, in the order of `references`."""
        return tuple(self.table.column_names[len(OWN_COLUMNS) :])

    @property
    def classes(self) -> dict[bool, int]:
        """How many labels are true and how many false; empty when the label is a number."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_boolean(self.table.schema.field("label").type):
            return {}
        counts = pc.value_counts(self.table["label"]).to_pylist()
        return {value: next((each["counts"] for each in counts if each["values"] is value), 0) for value in (False, True)}

    @property
    def null_columns(self) -> tuple[str, ...]:
        """Feature columns without a single value."""
        return tuple(name for name in self.feature_columns if self.table[name].null_count == self.table.num_rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a data frame; a count with nulls becomes float64."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def write(self, path: Path) -> None:
        """Write a Parquet file that `read` reads: the table, and all else in the schema's metadata.

        Raises:
            UserError: It cannot be written there.

        """
        import pyarrow.parquet as pq

        kept = self.table.replace_schema_metadata({_METADATA: json.dumps(self.facts(), sort_keys=True).encode()})
        try:
            pq.write_table(kept, path, compression="zstd")
        except OSError as error:
            raise UserError("The set cannot be written.", where=f"{path}: {error.strerror or error}", fix="Give another path.") from None

    def facts(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON has it."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in {"table", "views"}}
        facts |= {name: None if facts[name] is None else facts[name].isoformat() for name in _INSTANTS}
        return facts | {"dropped": dict(self.dropped), "views": [asdict(each) for each in self.views], "rows": self.table.num_rows}

    @classmethod
    def read(cls, path: Path) -> TrainingSet:
        """Read what `write` wrote.

        Raises:
            UserError: There is no such file, it is no training set, or its rows are not those that were written.

        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError("The set cannot be read.", where=f"{path}: {error}", fix="`detektor training-set` makes one.") from None
        found = (table.schema.metadata or {}).get(_METADATA)
        if found is None:
            raise UserError("The file is no training set.", where=str(path), fix="`detektor training-set` makes one.")
        try:
            facts = json.loads(found)
            del facts["rows"]
            facts |= {name: None if facts[name] is None else datetime.fromisoformat(facts[name]) for name in _INSTANTS}
            facts["views"] = tuple(ViewUsed(**each) for each in facts["views"])
            facts["references"] = tuple(facts["references"])
            found_set = cls(table=table.replace_schema_metadata(None), **facts)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError("The file does not say what it is of.", where=f"{path}: {error}", fix="Make the set again.") from None
        if table_hash(found_set.table) != found_set.set_hash:
            raise UserError("The file's rows are not those that were written.", where=str(path), fix="Make the set again.")
        return found_set


_INSTANTS: Final = ("until", "first_event", "last_event", "start", "end")


def training_set(  # noqa: PLR0913  what, of whom, which features, from when, as known to whom
    settings: Settings,
    *,
    agent: str,
    label: str | Label | pa.Table,
    features: Sequence[str] | None = None,
    version: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    until: datetime | None = None,
    snapshot: str | None = None,
    definitions: Sequence[FeatureView] = (),
    progress: Progress | None = None,
) -> TrainingSet:
    """Return the labels of an agent's decisions with the features of their instants.

    Args:
        settings: Where the log is.
        agent: Whose decisions.
        label: A label of the catalogue by its name, another definition, or a table of one's own (`training.labels.given_labels`).
        features: References (`training.references`); all of the agent's own view by default.
        version: Of the agent's own view, `1.1.0` or `v1.1.0`; another than the catalogue's is refused.
        start: Decisions from then on; with a time zone.
        end: Decisions before then.
        until: Labels that were known by then: by default the instant of the log's newest event, or now if that is earlier.
        snapshot: To make a set again: the `snapshot` of the one made before. Give its `until` too where the clock was set back then.
        definitions: Of views that are to be taken in the place of those in force.
        progress: Told how far it is.

    Raises:
        UserError: Nothing can be made of what is asked for, or no label is left; says why.

    """
    views = in_force(definitions)
    view = own_view(agent, version, views)
    references = all_of(view) if features is None else parse(features, views)
    if not references:
        raise UserError("No feature is asked for.", fix=f"Name some, such as {view.name}, or leave them out for all of {agent}.")
    if snapshot is not None and not is_snapshot(snapshot):
        raise UserError(f"{snapshot!r} is no snapshot.", fix="Give the `snapshot` of a training set, such as 871:871:.")
    definition = _definition(agent, label)
    given = None if definition is not None else given_labels(label, agent)
    bounds = tuple(None if each is None else _instant(each, name) for name, each in (("start", start), ("end", end)))
    with connect_arrow(settings) as connection:
        current = begin_snapshot(connection)
        _check_snapshot(snapshot, current)
        limit = _until(connection, until, snapshot)
        if definition is not None:
            rows = read_labels(connection, definition, until=limit, snapshot=snapshot)
            of_labels = label_hash(definition)
        else:
            rows = given or Rows(_no_labels())
            of_labels = table_hash(in_order(rows.table))
        between(rows, *bounds)
        drop_unusable(rows, connection, agent, now=clock.now_us(), snapshot=snapshot)
        _check_any(rows, agent, GIVEN if definition is None else definition.name)
        labels = in_order(rows.table)
        made = _features(connection, references, labels, snapshot, progress)
    table = _table(labels, references, made.arrays)
    _check_references(references, made.without_events, labels, view)
    return TrainingSet(
        table=table,
        references=tuple(map(str, references)),
        views=tuple(ViewUsed(each.name, each.version, data_hash(each)) for each in _views(references)),
        label_name=GIVEN if definition is None else definition.name,
        label_hash=of_labels,
        set_hash=table_hash(table),
        snapshot=snapshot or current,
        agent=agent,
        until=clock.from_us(limit),
        first_event=None if made.first is None else clock.from_us(made.first),
        last_event=None if made.last is None else clock.from_us(made.last),
        dropped=dict(sorted(rows.dropped.items())),
        start=start,
        end=end,
    )


def _definition(agent: str, label: str | Label | pa.Table) -> Label | None:
    """Return a label's definition, None of labels that are given as a table."""
    if isinstance(label, str):
        return label_named(agent, label)
    if not isinstance(label, Label):
        return None
    if label.agent != agent:
        raise UserError(f"The label {label.name} is of {label.agent}'s decisions, not of {agent}'s.")
    return label


def own_view(agent: str, version: str | None = None, views: Sequence[FeatureView] | None = None) -> FeatureView:
    """Return an agent's view, in the version that is asked for.

    Raises:
        UserError: There is no such agent, or its view has another version.

    """
    labels_of(agent)
    view = view_named(agent, in_force() if views is None else tuple(views))
    if version is not None and version.removeprefix("v") != view.version:
        raise UserError(
            f"{view.name} is at version {view.version}, not {version.removeprefix('v')}.",
            where=f"version {version}",
            fix=f"Ask for v{view.version}. Give the definition of another released version (`definitions`).",
        )
    return view


def table_hash(table: pa.Table) -> str:
    """SHA-256 (hex) over a table: its columns' names and types, and every value in order; how it is cut into chunks makes no difference."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name]
        digest.update(f"{name}\x1f{column.type}\x1f{table.num_rows}\x1e".encode())
        for part in _bytes_of(column):
            digest.update(part)
    return digest.hexdigest()


def _bytes_of(column: pa.ChunkedArray) -> list[bytes]:
    """Return which values are there, and the values, 0 or nothing where none is."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    valid = np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(column.type):
        lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy().astype("<i8").tobytes()
        return [valid, lengths, "".join(pc.fill_null(column, "").to_pylist()).encode()]
    if pa.types.is_boolean(column.type):
        return [valid, np.packbits(pc.fill_null(column, fill_value=False).to_numpy(zero_copy_only=False)).tobytes()]
    numbers = column if pa.types.is_floating(column.type) else column.cast(pa.int64())
    return [valid, pc.fill_null(numbers, 0).to_numpy().astype("<f8" if pa.types.is_floating(column.type) else "<i8").tobytes()]


def _check_snapshot(snapshot: str | None, current: str) -> None:
    """Refuse one that has seen transactions which the log has not had yet.

    Raises:
        UserError: It is of another log, or of this one before it was restored from an older copy.

    """
    if snapshot is not None and int(snapshot.split(":")[1]) > int(current.split(":")[1]):
        raise UserError(
            f"The snapshot {snapshot} is not of this log, which is at {current}.",
            fix="Make the set on the log that it was made on; one that was restored from an older copy lacks what came after that.",
        )


def _until(connection: Connection, until: datetime | None, snapshot: str | None) -> int:
    if until is not None:
        return _instant(until, "until")
    newest = newest_instant(connection, snapshot)
    if newest is None:
        raise UserError("The log is empty.", fix="`detektor simulate` makes a history, `detektor collect` and `detektor ingest` read one.")
    return min(newest, clock.now_us())


def _instant(value: datetime, name: str) -> int:
    try:
        return clock.to_us(value)
    except ValueError:
        raise UserError(f"{value.isoformat()} has no time zone, so it is no instant.", where=name, fix="Give one: tzinfo=UTC.") from None


def _no_labels() -> pa.Table:
    import pyarrow as pa

    fields = [("agent_id", pa.string()), ("decided_at", pa.int64()), ("label_known_at", pa.int64()), ("task_id", pa.string())]
    return pa.schema([*fields, ("label", pa.bool_())]).empty_table()


def _check_any(rows: Rows, agent: str, name: str) -> None:
    if rows.table.num_rows:
        return
    reasons = "; ".join(f"{number:,} {reason}" for reason, number in sorted(rows.dropped.items()))
    why = f"All were left out: {reasons}" if reasons else "There is no such decision in the log, or none in the range that is asked for"
    raise UserError(f"There is no label {name} of {agent}.", where=why, fix="`detektor status` says what the raw log holds.")


def _features(
    connection: Connection, references: Sequence[Reference], labels: pa.Table, snapshot: str | None, progress: Progress | None
) -> Columns:
    done, total = 0, labels.num_rows * len({each.source for each in references})

    def advance(number: int) -> None:
        nonlocal done
        done += number
        if progress is not None:
            progress(done, total)

    return feature_columns(connection, references, labels, snapshot=snapshot, advance=advance)


def _table(labels: pa.Table, references: Sequence[Reference], arrays: Sequence[pa.ChunkedArray]) -> pa.Table:
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    own = [labels["agent_id"], labels["decided_at"].cast(instant), labels["label_known_at"].cast(instant)]
    columns = [*own, labels["task_id"], labels["label"], *arrays]
    names = ["agent_id", "decided_at", "label_known_at", "task_id", "label", *column_names(references)]
    return pa.table(columns, names=names).combine_chunks()


def _check_references(references: Sequence[Reference], empty: Sequence[str], labels: pa.Table, own: FeatureView) -> None:
    """Refuse references of which no label can have a value, but for the agent's own: there nothing has happened yet, and zeros say so."""
    for each in references:
        if each.source not in empty or (each.view.name == own.name and not each.roll_up):
            continue
        asked = sorted(set(labels["agent_id"].unique().to_pylist()))
        shown = ", ".join(each.agent_id(agent_id) for agent_id in asked[:_SHOWN]) + (" …" if len(asked) > _SHOWN else "")
        more = "" if each.roll_up else f" If it works in other projects, {each.view.name}@{ALL} is its row over all of them."
        raise UserError(
            f"{each.source} can only be null: no event of {shown} lies in its windows before any of the labels.",
            where=str(each),
            fix=f"Leave {each.source} out.{more}",
        )


def _views(references: Sequence[Reference]) -> list[FeatureView]:
    return list({each.view.name: each.view for each in references}.values())
