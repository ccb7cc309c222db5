"""Late events: the days that they reach are computed again, those and no others, offline and online."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import start
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.orchestration.alerts import alert, page
from detektor_pipelines.orchestration.requests import both_assets, by_range, command, range_request, said, views_at_work
from detektor_pipelines.orchestration.sensors.bounds import RUNS, Attempts, Reported, WaitingViews, cause, digest
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.offline.staleness_watch import StalenessWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.requests import Range
    from detektor_pipelines.settings import Settings

GRACE: Final = timedelta(minutes=30)
"""For so long after midnight the day before is left to `nightly_close`."""

_SECONDS: Final = 30
_RUNS_A_TICK: Final = 20


def repair_late_data(
    views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str], settings: Settings | None = None
) -> dg.SensorDefinition:
    """Return the sensor that asks `partition_state` for the days which late events reach, and runs exactly those again.

    The open day is among them when an event of a closed day reaches it; events of its own are the hourly run's. One run for each contiguous
    range and the views that share it, none while a run or backfill of the same view is under way, three at most for the same events.
    """
    watch = StalenessWatch()

    @dg.sensor(
        name="repair_late_data",
        target=dg.AssetSelection.assets(*both_assets(views)),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes again the closed days that late events reach (found by their arrival, not by their time), online values too.",
    )
    def repair(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        given = settings or get_settings()
        try:
            stale = _late(given, views, watch)
        except UserError as error:
            return dg.SkipReason(str(error))
        return _tick(context, given, stale, partitions)

    return repair


def _tick(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    stale: Mapping[FeatureView, Mapping[date, int]],
    partitions: dg.PartitionsDefinition[str],
) -> dg.SensorResult:
    told = Reported(context.cursor)
    if not stale:
        return dg.SensorResult(skip_reason="No late event reaches a day that is published.", cursor=told.cursor)
    busy = views_at_work(context.instance, list(stale), backfills=True)
    attempts = Attempts(context.instance, "late data")
    requests, waits = [], WaitingViews()
    late = {view: _with_partition(view, days, partitions, waits) for view, days in stale.items()}
    for days, views in by_range(late).items():
        tags: dict[str, str] = {}
        ready = []
        for view in views:
            value = _cause(view, days, late[view])
            verdict = attempts.verdict(view, value)
            if verdict.last_run and told.first_time(value):
                _give_up(settings, view, days, verdict.last_run)
            if view in busy or not verdict.allowed:
                why = f"{busy[view]} is under way" if view in busy else verdict.why
                waits.add(view, f"{said(days)}, {why}")
            else:
                ready.append(view)
                tags |= cause(view, value)
        if ready:
            requests.append(range_request(ready, days, "late data", tags=tags))
    if not requests:
        return dg.SensorResult(skip_reason=str(waits), cursor=told.cursor)
    context.log.info("%d runs asked for. Waiting: %s", len(requests), str(waits) or "none")
    return dg.SensorResult(run_requests=requests[:_RUNS_A_TICK], cursor=told.cursor)


def _late(settings: Settings, views: Sequence[FeatureView], watch: StalenessWatch) -> dict[FeatureView, dict[date, int]]:
    """Return by view the days to repair, each with the xid of its newest late event.

    Raises:
        UserError: PostgreSQL does not answer, or lacks the tables.

    """
    from detektor_pipelines.stores.connections import connect

    now = clock.from_us(clock.now_us())
    today = now.date()
    closed = (now - GRACE).date() - timedelta(days=1)
    graced = closed < today - timedelta(days=1)
    midnight = start(today)  # what happened since reaches the open day alone
    found: dict[FeatureView, dict[date, int]] = {}
    with connect(settings) as connection:
        for view in views:
            stale = watch.unseen(connection, view, before=midnight)
            late = {day: newest for day, newest in stale.items() if day <= closed or (day == today and not graced)}
            if late:
                found[view] = late
    return found


def _with_partition(
    view: FeatureView, days: Mapping[date, int], partitions: dg.PartitionsDefinition[str], waits: WaitingViews
) -> dict[date, int]:
    """Return the days that Dagster has a partition of; no run can be asked for others (a later first day was set since)."""
    kept = {day: newest for day, newest in days.items() if partitions.has_partition_key(day.isoformat())}
    without = [day for day in days if day not in kept]
    if without:
        fix = "Dagster has no such partitions: reload the definitions, with an earlier DETEKTOR_START_DATE if one is set"
        waits.add(view, f"{said((min(without), max(without)))}, {fix}")
    return kept


def _cause(view: FeatureView, days: Range, late: Mapping[date, int]) -> str:
    """Return what stands for this staleness: another late event for the same days is another one, with three runs of its own."""
    newest = max((late[day] for day in late if days[0] <= day <= days[1]), default=0)
    return digest("late data", view.name, data_hash(view), *days, newest)


def _give_up(settings: Settings, view: FeatureView, days: Range, run_id: str) -> None:
    alert(
        settings,
        f"Late events of {view.name} for {said(days)} are not repaired: {RUNS} runs did not do it, and no more are started. Fix what the"
        f" last run says, then run `{command(view, days)}`.",
        link=page(settings, f"runs/{run_id}"),
        run_id=run_id,
        views=[view.name],
        days=said(days),
        reason="gave up repairing late data",
    )
