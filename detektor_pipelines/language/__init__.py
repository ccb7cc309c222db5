"""The words a catalogue file is written in: events, expressions, aggregations, windows, views, labels, hashes.

Belongs here: plain frozen data and pure functions, with the meaning of each word for one event (`evaluate`). Does not belong here: I/O,
registries, anything that happens on import, and how an engine says the same (`compile`).
"""

from detektor_pipelines.language.aggregations import (
    Aggregation,
    count,
    distinct,
    first,
    last,
    last_k,
    maximum,
    mean,
    minimum,
    quantile,
    rate,
    skewness,
    std,
    top_k,
    total,
    variance,
)
from detektor_pipelines.language.counts import counts_by
from detektor_pipelines.language.derived import Derived, feature
from detektor_pipelines.language.expressions import DefinitionError, Expression, event
from detektor_pipelines.language.hashes import data_hash, label_hash, metadata_hash
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import Feature, FeatureView
from detektor_pipelines.language.windows import Window, days, hours, minutes

__all__ = [
    "Aggregation",
    "DefinitionError",
    "Derived",
    "Expression",
    "Feature",
    "FeatureView",
    "Label",
    "Window",
    "count",
    "counts_by",
    "data_hash",
    "days",
    "distinct",
    "event",
    "feature",
    "first",
    "hours",
    "label_hash",
    "last",
    "last_k",
    "maximum",
    "mean",
    "metadata_hash",
    "minimum",
    "minutes",
    "quantile",
    "rate",
    "skewness",
    "std",
    "top_k",
    "total",
    "variance",
]
