"""All parts of the report, read one after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.compile.loaded import combined_hash
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.report.activity import activity, first_day, idle, simulated
from detektor_pipelines.report.contents import Period, Report
from detektor_pipelines.report.events import events_of
from detektor_pipelines.report.quality import drift, quality
from detektor_pipelines.report.reading import reading
from detektor_pipelines.report.series import series_of
from detektor_pipelines.report.standing_out import stand_out
from detektor_pipelines.stores.connections import connect, connect_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

LONGEST: int = 1_100
"""Days that a report is about at most: three years, a point a day."""


def gather(settings: Settings, views: Sequence[FeatureView], first: date | None = None, last: date | None = None) -> Report:
    """Read what the agents did from `first` to `last`, by default from the first event to the platform's clock.

    Raises:
        UserError: PostgreSQL cannot be reached; the days make no period.

    """
    with connect(settings) as connection, connect_arrow(settings) as arrow:
        period = _period(first or first_day(connection), last)
        with events_of(arrow, period) as events:
            did = activity(events, period)
            (sessions,) = events.ask("SELECT count(DISTINCT session_id) FROM live")[0]
            stands_out, looked = stand_out(events, period)
            read, kind = reading(connection, events, settings), simulated(connection)
        busy = {each.name for each in did}
        series = {view.name: series_of(arrow, view, period) for view in views if view.agent in busy}
    drifted, note = drift(settings)
    return Report(
        period,
        clock.from_us(clock.now_us()),
        clock_set=bool(os.environ.get(clock.VARIABLE)),
        simulated=kind,
        definitions=combined_hash(),
        sessions=sessions,
        did=did,
        idle=idle(did),
        views=tuple(series.values()),
        stands_out=stands_out,
        looked=looked,
        quality=quality(settings, views, series, period),
        reading=read,
        drift=drifted,
        drift_note=note,
    )


def _period(first: date | None, last: date | None) -> Period:
    end = last or owner(clock.now_us())
    begin = min(first or end, end) if last is None else first or end
    if begin > end:
        raise UserError(f"The period would begin on {begin} and end on {end}.", fix="Give --from a day that is not after --to.")
    if (end - begin).days >= LONGEST:
        raise UserError(
            f"A report is about {LONGEST} days at most, from {begin} to {end} are more.", fix="Give --from and --to of a shorter period."
        )
    return Period(begin, end)
