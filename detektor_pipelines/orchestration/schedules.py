"""What runs by the clock: the open day every hour, and the close of the day that is over. Which day it is says the platform's clock."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.orchestration.requests import REASON_TAG, active_runs, both_assets, by_range, range_request
from detektor_pipelines.orchestration.sensors.bounds import digest
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

    Tick = Callable[[dg.ScheduleEvaluationContext], list[dg.RunRequest] | dg.SkipReason]

NIGHTS: Final = 7
"""How many days back `nightly_close` closes what was left open: a day that fails the gate is tried seven times, then it is a person's, whom
`detektor status` and the view's partitions show it."""

_EMPTY: Final = "The raw log holds no event yet: `detektor ingest` or a hook brings some."
_DAY: Final = timedelta(days=1)


def hourly_open_day(
    views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str], settings: Settings | None = None
) -> dg.ScheduleDefinition:
    """Return the schedule that computes the day that is not over yet, features and online of all views in one run."""

    def tick(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        earlier = active_runs(context.instance, {REASON_TAG: "hourly"})
        if earlier:
            return dg.SkipReason(
                f"The run of an earlier hour, {earlier[0].run_id[:8]}, has not ended; what it misses the next one computes."
            )
        if _is_empty(settings or get_settings()):
            return dg.SkipReason(_EMPTY)
        today = _today()
        if not partitions.has_partition_key(today.isoformat()):
            return dg.SkipReason(f"There is no partition {today}: reload the definitions.")
        return [range_request(views, (today, today), "hourly")]

    return _schedule(
        "hourly_open_day",
        "5 * * * *",
        views,
        tick,
        "Computes the open day of all views and publishes its newest values online, every hour.",
    )


def nightly_close(
    views: Sequence[FeatureView], partitions: dg.PartitionsDefinition[str], settings: Settings | None = None
) -> dg.ScheduleDefinition:
    """Return the schedule that computes the day before once it is over, and days of the last week that nothing closed."""

    def tick(_: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        yesterday = _today() - _DAY
        week = [yesterday - number * _DAY for number in range(NIGHTS)]
        over = [day for day in week if partitions.has_partition_key(day.isoformat())]
        if not over:
            return dg.SkipReason(f"None of the {NIGHTS} days before today has a partition.")
        first, last = min(over), max(over)
        unclosed = _unclosed(settings or get_settings(), views, first, last)
        if unclosed is None:
            return dg.SkipReason(_EMPTY)
        if not any(unclosed.values()):
            return dg.SkipReason(f"All days from {first} to {last} are closed. `detektor status` shows older gaps.")
        return [
            range_request(some, days, "nightly", run_key=digest("nightly", *days, [view.name for view in some]))
            for days, some in by_range(unclosed).items()
        ]

    return _schedule(
        "nightly_close",
        "15 0 * * *",
        views,
        tick,
        f"Closes the day before, and days of the last {NIGHTS} that were not closed because the platform was down.",
    )


def _schedule(name: str, cron: str, views: Sequence[FeatureView], tick: Tick, description: str) -> dg.ScheduleDefinition:
    def evaluate(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        try:
            return tick(context)
        except UserError as error:
            return dg.SkipReason(str(error))

    return dg.schedule(
        name=name,
        cron_schedule=cron,
        execution_timezone="UTC",
        target=dg.AssetSelection.assets(*both_assets(views)),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )(evaluate)


def _is_empty(settings: Settings) -> bool:
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.upkeep import log_is_empty

    with connect(settings) as connection:
        return log_is_empty(connection)


def _unclosed(settings: Settings, views: Sequence[FeatureView], first: date, last: date) -> Mapping[FeatureView, list[date]] | None:
    """Return by view the days from `first` to `last` that are not closed; None for an empty log."""
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.upkeep import log_is_empty, unclosed_days

    with connect(settings) as connection:
        return None if log_is_empty(connection) else {view: unclosed_days(connection, view, first, last) for view in views}


def _today() -> date:
    return clock.from_us(clock.now_us()).date()
