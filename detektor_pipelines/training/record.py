"""What it takes to repeat an experiment, as one JSON document in its run: `experiment.json`.

    label          its definition (`language.canonical`) and hash; of labels that were given, that they lie beside as `labels.parquet`
    views          each view's version, data hash and definition, so that a changed catalogue does not matter
    set            references, range, the log's snapshot, until when labels were known, and the hash over every value of the set
    model          which one was chosen, the seed, and digests of what it learnt and of what it predicts

Canonical: sorted, without spaces, so that two records of the same experiment are the same text.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.canonical import from_canonical, label_from_canonical, label_to_canonical, to_canonical
from detektor_pipelines.language.expressions import DefinitionError
from detektor_pipelines.language.hashes import data_hash, label_hash

if TYPE_CHECKING:
    from detektor_pipelines.language.labels import Label
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.training.experiment import Experiment

FILE: Final = "experiment.json"
LABELS_FILE: Final = "labels.parquet"
_FORMAT: Final = 1


@dataclass(frozen=True)
class Record:
    """An experiment as it was recorded; `content` is the document."""

    content: dict[str, Any]

    @classmethod
    def of(cls, made: Experiment, code_revision: str) -> Record:
        """Return the record of an experiment."""
        found = made.found
        return cls(
            {
                "format": _FORMAT,
                "agent": found.agent,
                "label": {
                    "name": found.label_name,
                    "hash": found.label_hash,
                    "definition": None if made.label is None else label_to_canonical(made.label),
                },
                "views": [
                    {"name": each.name, "version": each.version, "data_hash": each.data_hash, "definition": to_canonical(view)}
                    for each in found.views
                    for view in made.definitions
                    if view.name == each.name
                ],
                "set": {
                    "references": list(found.references),
                    "start": _text(found.start),
                    "end": _text(found.end),
                    "until": _text(found.until),
                    "snapshot": found.snapshot,
                    "rows": found.table.num_rows,
                    "hash": found.set_hash,
                },
                "model": {"chosen": made.chosen, "seed": made.seed, **made.digests},
                "code_revision": code_revision,
                "packages": packages(),
            }
        )

    @classmethod
    def read(cls, text: bytes, where: str) -> Record:
        """Return what `text` wrote.

        Raises:
            UserError: It is none, or of a later release.

        """
        try:
            content = json.loads(text)
            if content["format"] == _FORMAT:
                return cls(content)
            what = f"{FILE} is of format {content['format']}, this release reads format {_FORMAT}."
        except (ValueError, KeyError, TypeError, RecursionError):
            what = f"{FILE} is not as it was written."
        raise UserError(what, where=where, fix="Use the release that the run was made with; its code_revision is a tag of the run.")

    def text(self) -> str:
        """Return the document."""
        return json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def label(self) -> Label | None:
        """Return the label's definition, None where labels were given.

        Raises:
            UserError: This release reads it otherwise.

        """
        recorded = self.content["label"]
        if recorded["definition"] is None:
            return None
        try:
            label = label_from_canonical(recorded["definition"])
        except DefinitionError as error:
            raise _cannot(f"label {recorded['name']}", str(error)) from None
        if label_hash(label) != recorded["hash"]:
            raise _cannot(f"label {recorded['name']}", "its hash is another one by now")
        return label

    def definitions(self) -> tuple[FeatureView, ...]:
        """Return the views' definitions as they were.

        Raises:
            UserError: This release computes one otherwise.

        """
        found = []
        for each in self.content["views"]:
            what = f"{each['name']} {each['version']}"
            try:
                view = from_canonical(each["definition"])
            except DefinitionError as error:
                raise _cannot(what, str(error)) from None
            if data_hash(view) != each["data_hash"]:
                raise _cannot(what, "its data hash is another one by now")
            found.append(view)
        return tuple(found)

    def instant(self, name: str) -> datetime | None:
        """Return `start`, `end` or `until`."""
        text = self.content["set"][name]
        return None if text is None else datetime.fromisoformat(text)


def packages() -> dict[str, str]:
    """Return the versions of what computes a model."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _cannot(what: str, why: str) -> UserError:
    return UserError(
        f"{what} cannot be computed as it was: {why}.",
        fix="Use the release that the run was made with; its code_revision is a tag of the run.",
    )
