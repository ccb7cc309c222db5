"""A definition as Feast's objects: entity, source, feature view, and a feature service for each label.

Pure: nothing here reaches a registry or a server. Importing Feast takes seconds, so each function imports it when called; what only
names or hashes a definition (`fingerprint`, `row_table`) works without it.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.catalog import LABELS, VIEWS, view_named
from detektor_pipelines.compile import feast_import  # noqa: F401  before Feast
from detektor_pipelines.language.hashes import data_hash, label_hash, metadata_hash, short_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from feast import Entity, FeatureService, Field
    from feast import FeatureView as FeastView
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

    from detektor_pipelines.language.labels import Label
    from detektor_pipelines.language.views import Feature, FeatureView

JOIN_KEY: Final = "agent_id"
SCHEMA: Final = "feast"
EVENT_TIMESTAMP: Final = "event_timestamp"
CREATED_AT: Final = "created_at"
WRITTEN_AT: Final = "written_at"

# Tags by which our stores know a view that Feast hands them.
AGENT: Final = "agent"
DATA_HASH: Final = "data_hash"
FEATURE_VERSION: Final = "feature_version"
GRAIN: Final = "grain_us"
MAX_AGE: Final = "max_age_us"
FINGERPRINT: Final = "fingerprint"
LABEL: Final = "label"
"""Tag of a feature service that is of the definitions."""
WRITTEN_COLUMN: Final = "written_timestamp_column"

_NUMBERS: Final = "numbers"
"""Tag of the join key's field: Feast makes a version of a view when a field changes, so any change of the numbers is one."""

_REVISION: Final = 3
"""Raised when this module makes other objects of the same definition, so that they are applied again."""


def fingerprint(view: FeatureView) -> str:
    """SHA-256 (hex) of all that Feast's registry holds of a view; it stands in the view's tags."""
    content = json.dumps([_REVISION, view.name, view.agent, data_hash(view), metadata_hash(view)])
    return hashlib.sha256(content.encode()).hexdigest()


def service_name(label: Label) -> str:
    """Name of a label's feature service: `code_reviewer_rejected`."""
    return f"{label.agent.replace('-', '_')}_{label.name}"


SERVICES: Final[Mapping[str, tuple[str, ...]]] = {
    service_name(label): tuple(f"{view_named(label.agent).name}:{each.name}" for each in view_named(label.agent).features)
    for label in LABELS
}
"""The features of each label's service: all of its agent's view, as a training set of the label has them by default."""


def service_fingerprints(views: Sequence[FeatureView] = VIEWS) -> dict[str, str]:
    """SHA-256 (hex) of all that Feast's registry holds of each service of some views' agents; it stands in the service's tags."""
    by_agent = {view.agent: view for view in views}
    return {service_name(label): _service_fingerprint(label, by_agent[label.agent]) for label in LABELS if label.agent in by_agent}


def _service_fingerprint(label: Label, view: FeatureView) -> str:
    content = json.dumps([_REVISION, service_name(label), label_hash(label), label.description, label.unit, fingerprint(view)])
    return hashlib.sha256(content.encode()).hexdigest()


def row_table(view: FeatureView) -> str:
    """Name of the table with the rows of this version of the view, without the schema."""
    return f"{view.name}__{short_hash(view)}"


@lru_cache(maxsize=1)
def entity() -> Entity:
    """The one entity: an agent across all projects (`code-reviewer`), or in one (`code-reviewer@entireio-cli`)."""
    from feast import Entity, ValueType

    return Entity(
        name=JOIN_KEY,
        join_keys=[JOIN_KEY],
        value_type=ValueType.STRING,
        description="An agent across all projects (code-reviewer), or in one project (code-reviewer@entireio-cli).",
    )


def source(view: FeatureView) -> PostgreSQLSource:
    """Where the view's history is. Several rows may share (agent_id, event_timestamp, created_at): the newest written_at counts."""
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

    return PostgreSQLSource(
        name=f"{view.name}_rows",
        table=f"{SCHEMA}.{row_table(view)}",  # this version's own: the plain name shows people another one, once there is one
        timestamp_field=EVENT_TIMESTAMP,
        created_timestamp_column=CREATED_AT,
        description=f"Rows of {view.name}: one for each time at which an event entered or left a window.",
        tags={WRITTEN_COLUMN: WRITTEN_AT},
        owner=view.owner,
    )


def feature_view(view: FeatureView) -> FeastView:
    """The view as Feast registers it. Its ttl is 0: a row is true until the next one; how old a value may be is `max_age`'s business."""
    from datetime import timedelta

    from feast import FeatureView, Field
    from feast.types import String

    return FeatureView(
        name=view.name,
        entities=[entity()],
        ttl=timedelta(0),
        schema=[Field(name=JOIN_KEY, dtype=String, tags={_NUMBERS: data_hash(view)}), *(_field(each) for each in view.features)],
        online=True,
        source=source(view),
        description=view.description,
        owner=view.owner,
        tags={
            **dict(view.tags),
            AGENT: view.agent,
            FEATURE_VERSION: f"v{view.version}",
            DATA_HASH: data_hash(view),
            "metadata_hash": metadata_hash(view),
            GRAIN: str(view.grain),
            MAX_AGE: str(view.max_age.size),
            FINGERPRINT: fingerprint(view),
        },
    )


def feature_service(label: Label, view: FeatureView | None = None) -> FeatureService:
    """The features that a label is learnt from, as Feast registers them: those of its agent's view, by default the catalogue's."""
    from feast import FeatureService

    features = view or view_named(label.agent)
    return FeatureService(
        name=service_name(label),
        features=[feature_view(features)],
        description=f"What {label.agent}'s label {label.name} is learnt from: {label.description}",
        owner=features.owner,
        tags={
            AGENT: label.agent,
            LABEL: label.name,
            "label_hash": label_hash(label),
            "feature_version": f"v{features.version}",
            FINGERPRINT: _service_fingerprint(label, features),
        },
    )


def _field(feature: Feature) -> Field:
    from feast import Field

    tags = {"unit": feature.unit, "null_means": feature.null_means, "window": feature.over.label if feature.over else ""}
    return Field(
        name=feature.name,
        dtype=_feast_type(feature.value_type),
        description=feature.description,
        tags={name: text for name, text in tags.items() if text},
    )


def _feast_type(value_type: str) -> Any:
    from feast.types import Float64, Int64, String, UnixTimestamp

    return {"int64": Int64, "float64": Float64, "instant": UnixTimestamp, "text": String}[value_type]
