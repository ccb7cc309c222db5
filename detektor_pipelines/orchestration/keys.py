"""The assets' keys: what checks, sensors and runs call the assets by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dagster as dg

if TYPE_CHECKING:
    from detektor_pipelines.language.views import FeatureView

RAW_LOG: Final = dg.AssetKey("agent_events")


def features_key(view: FeatureView) -> dg.AssetKey:
    """Return the key of the view's rows in the offline store."""
    return dg.AssetKey([view.group, "features"])


def online_key(view: FeatureView) -> dg.AssetKey:
    """Return the key of the view's newest values in the online store."""
    return dg.AssetKey([view.group, "online"])


def shadow_key(view: FeatureView) -> dg.AssetKey:
    """Return the key of what the production model of the view's agent said, and what came."""
    return dg.AssetKey([view.group, "shadow"])
