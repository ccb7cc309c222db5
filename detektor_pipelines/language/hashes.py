"""Hashes of definitions. Two of a view: what its numbers depend on, and what people read about it; one of a label.

Editing a description, an owner or a bound changes the metadata hash and recomputes nothing.
"""

import hashlib
import json
from typing import Final

from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import Feature, FeatureView

SEMANTICS_VERSION: Final = 1
"""Raised when the rules of the numbers change, so that every stored value is computed anew."""

LABEL_SEMANTICS_VERSION: Final = 1
"""Raised when the rules of labels change: which instant, which value, known from when."""

SHORT: Final = 12
"""Characters of the data hash in names of tables and keys."""


def data_hash(view: FeatureView) -> str:
    """SHA-256 (hex) of everything that the view's numbers and their layout depend on."""
    return _digest(
        {
            "semantics": SEMANTICS_VERSION,
            "agent": view.agent,
            "grain": view.grain,
            "features": [_numbers(each) for each in view.features],
        },
    )


def short_hash(view: FeatureView) -> str:
    """The first characters of the data hash: the form in table names and online keys."""
    return data_hash(view)[:SHORT]


def metadata_hash(view: FeatureView) -> str:
    """SHA-256 (hex) of what a person or the gate reads: texts, units, bounds, owner, version, tags."""
    return _digest(
        {
            "name": view.name,
            "version": view.version,
            "owner": view.owner,
            "description": view.description,
            "max_age": view.max_age.size,
            "tags": [list(pair) for pair in view.tags],
            "features": [[each.name, each.description, each.unit, each.null_means, list(each.within)] for each in view.features],
        },
    )


def label_hash(label: Label) -> str:
    """SHA-256 (hex) of everything that the values of a label, their instants and when they are known depend on; texts are not in it."""
    return _digest(
        {
            "semantics": LABEL_SEMANTICS_VERSION,
            "agent": label.agent,
            "where": label.where.canonical(),
            "value": label.value.canonical(),
            "decided_at": label.decided_at.canonical(),
            "later": None if label.later is None else label.later.canonical(),
            "within_next": None if label.within_next is None else label.within_next.size,
            "otherwise": label.otherwise,
        },
    )


def _numbers(feature: Feature) -> list[object]:
    return [
        feature.name,
        feature.value.canonical(),
        None if feature.over is None else feature.over.size,
        None if feature.where is None else feature.where.canonical(),
    ]


def _digest(content: dict[str, object]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
