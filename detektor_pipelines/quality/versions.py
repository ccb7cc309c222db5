"""Check of the versions: days that rows of another version of the view cover and rows of the present one do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.quality.findings import VERSION, Finding
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.upkeep import other_versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


def views_versions(settings: Settings, views: Sequence[FeatureView]) -> dict[str, Finding]:
    """Judge of which version each view's published days are, by the view's name.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        return {view.name: of_view(connection, view) for view in views}


def of_view(connection: psycopg.Connection, view: FeatureView) -> Finding:
    """Judge of which version the view's published days are; the figures name both versions and the days."""
    others, present = other_versions(connection, view), data_hash(view)
    if not others:
        summary = "All published days are of the view's present definition."
        return Finding(VERSION.name, passed=True, summary=summary, figures={"data_hash": present})
    days = sorted({day for each in others for day in each.days})
    number = f"{len(days)} days" if len(days) > 1 else "1 day"
    return Finding(
        VERSION.name,
        passed=False,
        summary=f"{view.name} has changed (data hash {present[:12]}): {number} from {days[0]} to {days[-1]} only have rows of an earlier"
        " version.",
        fix=f"`detektor backfill --view {view.name} --from {days[0]} --to {days[-1]}` computes them.",
        figures={
            "data_hash": present,
            "old_data_hash": ", ".join(each.data_hash for each in others),
            "days": len(days),
            "first_day": str(days[0]),
            "last_day": str(days[-1]),
        },
    )
