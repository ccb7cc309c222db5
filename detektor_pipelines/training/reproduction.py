"""An experiment again, from its run alone: the same set and the same model, or what differs.

The log is read as the run's snapshot saw it, so events that have come since make no difference; definitions come from the run's record, so
a changed catalogue makes none either.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detektor_pipelines.stores.mlflow.tracking import code_revision
from detektor_pipelines.training.experiment import Experiment, run
from detektor_pipelines.training.record import Record, packages
from detektor_pipelines.training.tracking import read_record

if TYPE_CHECKING:
    import pyarrow as pa

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.sets import Progress


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that is to be the same: what it was then, and what it is now."""

    name: str
    then: str
    now: str

    @property
    def equal(self) -> bool:
        """Whether it is."""
        return self.then == self.now


@dataclass(frozen=True)
class Reproduction:
    """What was made again, and how it compares; `circumstances` are those that may explain a difference."""

    run_id: str
    made: Experiment
    compared: tuple[Compared, ...]
    circumstances: tuple[Compared, ...]

    @property
    def equal(self) -> bool:
        """Whether set and model are the same to the bit."""
        return all(each.equal for each in self.compared)

    def summary(self) -> str:
        """Say in a sentence or two what came of it."""
        if self.equal:
            return "The same set and the same model, to the bit."
        differing = ", ".join(each.name for each in self.compared if not each.equal)
        changed = "; ".join(f"{each.name} was {each.then}, is {each.now}" for each in self.circumstances if not each.equal)
        set_differs = not self.compared[0].equal
        why = (
            "The log no longer holds the events that it held then: it was restored, or rows were deleted."
            if set_differs
            else "The set is the same, so it is what computes that differs."
        )
        return f"Not the same: {differing}. {why}" + (f" What has changed meanwhile: {changed}." if changed else "")


def reproduce(settings: Settings, run_id: str, *, progress: Progress | None = None) -> Reproduction:
    """Make an experiment again and compare.

    Args:
        settings: Where the log and MLflow are.
        run_id: Of the MLflow run.
        progress: Told how far the training set is.

    Raises:
        TrackingUnavailableError: MLflow does not answer.
        UserError: There is no such run, or this release computes its definitions otherwise.

    """
    with tempfile.TemporaryDirectory() as directory:
        record, labels_file = read_record(settings, run_id, Path(directory))
        label = record.label()
        given = None if labels_file is None else _labels(labels_file)
    of_set, of_model = record.content["set"], record.content["model"]
    made = run(
        settings,
        agent=record.content["agent"],
        label=given if label is None else label,
        features=of_set["references"],
        start=record.instant("start"),
        end=record.instant("end"),
        until=record.instant("until"),
        snapshot=of_set["snapshot"],
        definitions=record.definitions(),
        seed=of_model["seed"],
        progress=progress,
    )
    now = made.digests
    compared = (
        Compared("training set", of_set["hash"], made.found.set_hash),
        Compared("chosen model", of_model["chosen"], made.chosen),
        Compared("what it learnt", of_model["parameters"], now["parameters"]),
        Compared("what it predicts", of_model["predictions"], now["predictions"]),
    )
    return Reproduction(run_id, made, compared, _circumstances(record))


def _labels(file: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(file)


def _circumstances(record: Record) -> tuple[Compared, ...]:
    then, now = record.content["packages"], packages()
    found = [Compared(name, then.get(name, "unknown"), now[name]) for name in now]
    return (*found, Compared("code_revision", record.content["code_revision"], code_revision()))
