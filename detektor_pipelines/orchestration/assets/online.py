"""The online values as an asset: the stream keeps them fresh without Dagster, but here one sees how it is, and whether it is right.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.views import FeatureView
from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.keys import online_key
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from detektor_pipelines.quality.parity.check import Parity

ONLINE_STATE: Final = dg.AssetKey("online_state")
_SECONDS: Final = 60
_NONE: Final = "No stream worker reports: values are as new as the last publication. `detektor stream` starts one."


def online_state(views: Sequence[FeatureView], settings: Settings | None = None) -> dg.AssetsDefinition:
    """Return the asset: observing it asks of each served value whether it is what a reader should get now."""
    spec = dg.AssetSpec(
        ONLINE_STATE,
        group_name="stream",
        description="The values in Redis, kept fresh by `detektor stream` within milliseconds of an event.\n\n"
        "An observation holds the workers' lag, the transactions still open in the raw log (the horizon), and how many agents' values are "
        "not what a reader should get now: wrong, lost, frozen, missing, evicted or ahead of the clock. None, or people are told.",
        kinds={"redis"},
        owners=["team:ml-platform"],
        tags={"detektor/layer": "online"},
        deps=[online_key(view) for view in views],
    )

    @dg.multi_observable_source_asset(specs=[spec], name="online_state")  # type: ignore[untyped-decorator]  # Dagster's own
    def observed() -> dg.ObserveResult:
        from detektor_pipelines.quality.parity.check import check

        try:
            found = check(settings or get_settings(), views)
            _tell(settings or get_settings(), found)
            return dg.ObserveResult(asset_key=ONLINE_STATE, metadata=of_workers(_reports(settings)) | of_parity(found))
        except UserError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    asset: dg.AssetsDefinition = observed
    return asset


def watch_stream(settings: Settings | None = None) -> dg.SensorDefinition:
    """Return the sensor that notes each minute how the stream is, while one runs."""

    @dg.sensor(
        name="watch_stream",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Notes lag, horizon, keys and waiting values of the stream workers as an observation of online_state.",
    )
    def watch() -> dg.SensorResult | dg.SkipReason:
        try:
            found = _reports(settings)
        except UserError as error:
            return dg.SkipReason(f"The state of the stream is unknown: {error}")
        if not found:
            return dg.SkipReason(_NONE)
        lag = max(each["lag_us"] for each in found) / 1000
        return dg.SensorResult(
            skip_reason=f"{len(found)} at work, {lag:.0f} ms behind the clock.",
            asset_events=[dg.AssetObservation(ONLINE_STATE, metadata=of_workers(found))],
        )

    return watch


def hourly_parity() -> dg.ScheduleDefinition:
    """Return the schedule that asks whether served values are right."""
    return dg.ScheduleDefinition(
        name="hourly_parity",
        cron_schedule="35 * * * *",
        target=dg.AssetSelection.assets(ONLINE_STATE),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"detektor/reason": "parity"},
        description="Computes what readers should get now by the batch SQL, and counts and tells what is not right.",
    )


def of_workers(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the workers say: the worst of them as numbers that Dagster plots, and a table."""
    if not reports:
        return {"workers": 0, "stream": dg.MetadataValue.md(_NONE)}
    head = "| pid | shards | keys | lag | horizon | pending | events | values |\n|---:|---|---:|---:|---:|---:|---:|---:|"
    lines = [
        f"| {each['pid']} | {', '.join(map(str, each['shards'])) or 'none'} | {each['keys']:,} | {each['lag_us'] / 1000:.1f} ms"
        f" | {each['horizon']} | {each['pending']:,} | {each['events']:,} | {each['values']:,} |"
        for each in reports
    ]
    return {
        "workers": len(reports),
        "lag_ms": max(each["lag_us"] for each in reports) / 1000,
        "horizon": max(each["horizon"] for each in reports),
        "keys": sum(each["keys"] for each in reports),
        "pending": sum(each["pending"] for each in reports),
        "rejected": sum(each["rejected"] for each in reports),
        "refused": sum(each["refused"] for each in reports),
        "unresolved": sum(each["unresolved"] for each in reports),
        "lost": sum(each["lost"] for each in reports),
        "ahead_s": max(each["ahead_us"] for each in reports) / 1_000_000,
        "stream": dg.MetadataValue.md("\n".join([head, *lines])),
    }


def of_parity(found: "Sequence[Parity]") -> dict[str, Any]:
    """Return what the comparison found: numbers, and the first things that are not right."""
    different = [one for each in found for one in each.mismatches]
    records = [
        dg.TableRecord(
            {
                "state": one.state,
                "view": one.view,
                "feature": one.feature,
                "agent_id": one.agent_id,
                "served": str(one.served),
                "right": str(one.right),
                "as_of_us": -1 if one.as_of is None else one.as_of,
                "since": one.since or "",
                "fix": one.fix,
            }
        )
        for one in different[:20]
    ]
    states: Counter[str] = Counter()
    for each in found:
        states.update({f"parity_{state}": number for state, number in each.states.items()})
    return {
        "parity_known": sum(each.known for each in found),
        "parity_compared": sum(each.compared for each in found),
        "parity_errors": sum(each.errors for each in found),
        "parity_mismatches": len(different),
        **states,
        **({"mismatches": dg.MetadataValue.table(records)} if records else {}),
    }


def _tell(settings: Settings, found: "Sequence[Parity]") -> None:
    """Tell people of values that are not right: nothing else would, for every reader gets an answer."""
    wrong = [each for each in found if each.errors]
    if not wrong:
        return
    first = wrong[0].mismatches[0]
    number = sum(each.errors for each in wrong)
    text = (
        f"{number:,} online values are not what readers should get ({', '.join(each.view for each in wrong)}):"
        f" {first.state} {first.feature} of {first.agent_id}, {first.served} for {first.right}. `detektor parity` shows them."
    )
    alert(settings, text, link=page(settings, f"assets/{ONLINE_STATE.to_user_string()}"), views=[each.view for each in wrong])


def _reports(settings: Settings | None) -> list[dict[str, Any]]:
    from detektor_pipelines.stream.run import workers

    return workers(settings or get_settings())
