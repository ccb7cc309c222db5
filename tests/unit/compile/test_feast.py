from __future__ import annotations

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile import feast as compiled
from detektor_pipelines.language import data_hash, metadata_hash

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_feature_is_registered_with_type_text_and_unit(view: object) -> None:
    registered = {field.name: field for field in compiled.feature_view(view).features}  # type: ignore[arg-type]
    types = {"int64": "INT64", "float64": "DOUBLE", "instant": "UNIX_TIMESTAMP"}
    for feature in view.features:  # type: ignore[attr-defined]
        field = registered.pop(feature.name)
        assert field.dtype.to_value_type().name == types[feature.value_type]
        assert field.description == feature.description
        assert field.tags["unit"] == feature.unit
        assert field.tags.get("null_means", "") == feature.null_means
    assert not registered


def test_the_views_own_facts() -> None:
    registered = compiled.feature_view(VIEW)
    assert registered.entities == ["agent_id"]
    assert registered.ttl.total_seconds() == 0
    assert registered.owner == VIEW.owner
    assert registered.tags["agent"] == "code-reviewer"
    assert registered.tags["feature_version"] == f"v{VIEW.version}"
    assert registered.tags["data_hash"] == data_hash(VIEW)
    assert registered.tags["metadata_hash"] == metadata_hash(VIEW)
    assert registered.tags["max_age_us"] == str(26 * 3_600_000_000)
    assert registered.tags["fingerprint"] == compiled.fingerprint(VIEW)


def test_the_source_is_the_table_of_this_version() -> None:
    source = compiled.source(VIEW)
    assert source.get_table_query_string() == f"feast.code_review_features__{data_hash(VIEW)[:12]}"
    assert (source.timestamp_field, source.created_timestamp_column) == ("event_timestamp", "created_at")


def test_it_survives_feasts_registry() -> None:
    from feast import FeatureView

    registered = compiled.feature_view(VIEW)
    assert FeatureView.from_proto(registered.to_proto()) == registered
