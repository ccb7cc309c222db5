"""A changed definition: its data hash is new, and the days that only rows of another hash cover wait for a backfill by a person.

No `from __future__ import annotations` here: Dagster reads the annotations of checks.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.assets import features_key
from detektor_pipelines.orchestration.checks.beside import result
from detektor_pipelines.orchestration.requests import command
from detektor_pipelines.orchestration.sensors.bounds import Said, digest
from detektor_pipelines.quality.findings import not_computed
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from datetime import date

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.upkeep import OtherVersion

CHECK: Final = "rows_are_of_this_version"
_SECONDS: Final = 60


def definition_changed(views: Sequence[FeatureView], settings: "Settings | None" = None) -> dg.SensorDefinition:
    """Return the sensor that proposes a backfill of the days that rows of another version cover and rows of this one do not.

    It proposes and does not start it: months of recomputation are a person's decision. The check is evaluated when what it says has
    changed, and passes again when the days are there; people are told once for each hash.
    """

    @dg.sensor(
        name="definition_changed",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Proposes a backfill when a view's definition has changed: check {CHECK} with the command, and a webhook.",
    )
    def changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        given = settings or get_settings()
        try:
            found = _found(given, views)
        except UserError as error:
            return dg.SkipReason(str(error))
        said, events = Said(context.cursor), []
        for view, others in found.items():
            if said.first_time(digest("state", view.name, data_hash(view), [(each.data_hash, _span(each.days)) for each in others])):
                events.append(_evaluation(given, view, others))
            if others and said.first_time(digest("told", view.name, data_hash(view))):
                _propose(given, view, others)
        waiting = [view.name for view, others in found.items() if others]
        words = f"A backfill is proposed for {', '.join(waiting)}." if waiting else "All published days are of the current definitions."
        return dg.SensorResult(skip_reason=words, asset_events=events, cursor=said.cursor)

    return changed


def version_checks(views: Sequence[FeatureView], settings: "Settings | None" = None) -> dg.AssetChecksDefinition:
    """Return the same check for a person to evaluate on the asset's page, and for runs that materialize the views."""

    @dg.multi_asset_check(
        name="versions_of_rows",
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=features_key(view),
                description="All days that were ever published have rows of the view's current definition; else a backfill is proposed.",
            )
            for view in views
        ],
        can_subset=True,
    )
    def versions_of_rows(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        given = settings or get_settings()
        wanted = {key.asset_key for key in context.selected_asset_check_keys}
        try:
            found = _found(given, [view for view in views if features_key(view) in wanted])
        except UserError as error:  # a check that cannot look must not fail the run that published the rows
            for key in sorted(wanted):
                yield result(key, not_computed(CHECK, str(error)))
            return
        for view, others in found.items():
            evaluation = _evaluation(given, view, others)
            yield dg.AssetCheckResult(
                passed=evaluation.passed,
                asset_key=evaluation.asset_key,
                check_name=CHECK,
                severity=evaluation.severity,
                description=evaluation.description,
                metadata=evaluation.metadata,
            )

    return versions_of_rows


def _found(settings: "Settings", views: Sequence[FeatureView]) -> dict[FeatureView, list["OtherVersion"]]:
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.upkeep import other_versions

    with connect(settings) as connection:
        return {view: other_versions(connection, view) for view in views}


def _evaluation(settings: "Settings", view: FeatureView, others: Sequence["OtherVersion"]) -> dg.AssetCheckEvaluation:
    metadata: dict[str, Any] = {"data_hash": data_hash(view)}
    if others:
        days = _days(others)
        metadata |= {
            "old_data_hash": ", ".join(each.data_hash for each in others),
            "days": len(days),
            "first_day": days[0].isoformat(),
            "last_day": days[-1].isoformat(),
            "backfill": command(view, (days[0], days[-1])),
            "page": dg.MetadataValue.url(_page(settings, view)),
        }
    return dg.AssetCheckEvaluation(
        asset_key=features_key(view),
        check_name=CHECK,
        passed=not others,
        severity=dg.AssetCheckSeverity.WARN,
        description=_words(view, others) if others else None,
        metadata=metadata,
    )


def _propose(settings: "Settings", view: FeatureView, others: Sequence["OtherVersion"]) -> None:
    days = _days(others)
    alert(
        settings,
        _words(view, others),
        link=_page(settings, view),
        reason="the definition has changed",
        views=[view.name],
        days=f"{days[0]} to {days[-1]}",
        old_data_hash=others[0].data_hash,
        data_hash=data_hash(view),
    )


def _words(view: FeatureView, others: Sequence["OtherVersion"]) -> str:
    days = _days(others)
    number = f"{len(days)} day{'s' if len(days) > 1 else ''}"
    return (
        f"{view.name} has changed (data hash {data_hash(view)[:12]}): {number} from {days[0]} to {days[-1]} only have rows of an earlier"
        f" version. `{command(view, (days[0], days[-1]))}` computes them."
    )


def _days(others: Sequence["OtherVersion"]) -> "list[date]":
    return sorted({day for each in others for day in each.days})


def _span(days: "Sequence[date]") -> "tuple[date, date, int]":
    return days[0], days[-1], len(days)


def _page(settings: "Settings", view: FeatureView) -> str:
    return page(settings, f"assets/{'/'.join(features_key(view).path)}?view=partitions")
