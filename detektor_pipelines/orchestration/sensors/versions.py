"""A changed definition: its data hash is new, and the days that only rows of another hash cover wait for a backfill by a person.

No `from __future__ import annotations` here: Dagster reads the annotations of sensor functions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.checks.beside import news
from detektor_pipelines.orchestration.keys import features_key
from detektor_pipelines.orchestration.resources import LocalPlatform, Platform
from detektor_pipelines.orchestration.sensors.bounds import Reported, digest
from detektor_pipelines.quality.findings import VERSION, Finding
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

_SECONDS: Final = 60


def definition_changed(
    views: Sequence[FeatureView], settings: "Settings | None" = None, platform: Platform | None = None
) -> dg.SensorDefinition:
    """Return the sensor that proposes a backfill of the days that rows of another version cover and rows of this one do not.

    It proposes and does not start it: months of recomputation are a person's decision. The check is evaluated when Dagster shows another
    answer, and passes again when the days are there; people are told once for each hash.
    """

    @dg.sensor(
        name="definition_changed",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Proposes a backfill when a view's definition has changed: check {VERSION.name} with the command, and a webhook.",
    )
    def changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from detektor_pipelines.quality.versions import views_versions

        given = settings or get_settings()
        try:
            found = (platform or LocalPlatform(given)).ask(views_versions, views)
        except UserError as error:
            return dg.SkipReason(str(error))
        said = Reported(context.cursor)
        waiting = [view for view in views if not found[view.name].passed]
        for view in waiting:
            if said.first_time(digest("told", view.name, found[view.name].figures["data_hash"])):
                _propose(given, view, found[view.name])
        words = "All published days are of the current definitions."
        if waiting:
            words = " ".join(f"{found[view.name].summary} {found[view.name].fix}" for view in waiting)
        events = news(context.instance, {features_key(view): found[view.name] for view in views})
        return dg.SensorResult(skip_reason=words, asset_events=events, cursor=said.cursor)

    return changed


def _propose(settings: "Settings", view: FeatureView, finding: Finding) -> None:
    figures, later = finding.figures, finding.figures.get("later_data_hash")
    alert(
        settings,
        f"{finding.summary} {finding.fix}",
        link=page(settings, f"assets/{'/'.join(features_key(view).path)}?view=partitions"),
        reason="an earlier definition is loaded" if later else "the definition has changed",
        views=[view.name],
        days=f"{figures['first_day']} to {figures['last_day']}",
        data_hash=figures["data_hash"],
        **({"later_data_hash": later} if later else {"old_data_hash": figures["old_data_hash"]}),
    )
