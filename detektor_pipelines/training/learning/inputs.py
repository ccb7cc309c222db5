"""From a training set to what a model learns from: a matrix of float64 with NaN for null, the labels, and what each column is.

An instant becomes how many seconds before the decision it was; a count, a share and a duration stay what they are. A text and a list are in
the training set, but no input: how often a category comes is what `counts_by` counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError
from detektor_pipelines.training.model import input_name
from detektor_pipelines.training.references import column_names, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.training.model import Input
    from detektor_pipelines.training.references import Reference
    from detektor_pipelines.training.sets import TrainingSet

    Matrix = NDArray[np.float64]
    Truths = NDArray[np.bool_]
    Instants = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """A training set as arrays, in its order: that of decided_at.

    Attributes:
        matrix: Rows × inputs.
        labels: True or false.
        decided_at: µs UTC.
        known_at: From when the label is known, µs UTC; decided_at where nobody said.
        agent_ids: Whose decisions.
        inputs: What the matrix's columns are.

    """

    matrix: Matrix
    labels: Truths
    decided_at: Instants
    known_at: Instants
    agent_ids: NDArray[np.object_]
    inputs: tuple[Input, ...]


def examples(found: TrainingSet, views: Sequence[FeatureView]) -> Examples:
    """Return a training set as arrays.

    Args:
        found: Its labels are true or false.
        views: The definitions that it was made from.

    Raises:
        UserError: Its labels are numbers.

    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    table = found.table
    if not pa.types.is_boolean(table.schema.field("label").type):
        raise UserError(
            f"The label {found.label_name} is a number; an experiment learns what is true or false.",
            fix="Take a label that is a condition, or make one: labels of one's own may be true where the number is above a bound.",
        )
    decided_at = table["decided_at"].cast(pa.int64()).to_numpy()
    known_at = pc.coalesce(table["label_known_at"].cast(pa.int64()), table["decided_at"].cast(pa.int64())).to_numpy()
    inputs = inputs_of(parse(found.references, views))
    if not inputs:
        raise UserError(
            "The training set has texts and lists only; a model learns from numbers.",
            where=", ".join(found.references),
            fix="Add features that are numbers or timestamps; counts_by counts the values of a text.",
        )
    columns = [column_of(table[each["column"]], decided_at) for each in inputs]
    return Examples(
        matrix=np.column_stack(columns),
        labels=table["label"].to_numpy().astype(bool),
        decided_at=decided_at,
        known_at=known_at,
        agent_ids=np.array(table["agent_id"].to_pylist(), dtype=object),
        inputs=inputs,
    )


def inputs_of(references: Sequence[Reference]) -> tuple[Input, ...]:
    """Return what the columns of some references are as inputs of a model; texts are none."""
    named = zip(references, column_names(references), strict=True)
    return tuple(_input(each, column) for each, column in named if each.feature.value_type != "text")


def _input(each: Reference, column: str) -> Input:
    instant = each.feature.value_type == "instant"
    text = f"{each.feature.description} [{'seconds ago' if instant else each.feature.unit}]"
    return {
        "column": column,
        "name": input_name(column, instant=instant),
        "view": each.view.name,
        "feature": each.feature.name,
        "agent": each.view.agent,
        "roll_up": each.roll_up,
        "instant": instant,
        "text": f"{each.view.agent}: {text}" if each.roll_up or column != each.feature.name else text,
    }


def column_of(column: object, decided_at: Instants) -> Matrix:
    """Return a feature's values (a ChunkedArray) at decisions as a column of the matrix."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    assert isinstance(column, pa.ChunkedArray)  # noqa: S101  pyarrow has no types
    if pa.types.is_timestamp(column.type):
        instants = column.cast(pa.int64())
        seconds = pc.fill_null(instants, 0).to_numpy() // 1_000_000  # served instants are whole seconds
        return np.where(instants.is_valid().to_numpy(), decided_at / 1e6 - seconds, np.nan)
    found: Matrix = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
    return found
