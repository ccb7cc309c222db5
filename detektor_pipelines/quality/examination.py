"""All checks beside the gate for one view after a publication, over one snapshot and in few statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.quality import freshness, nulls, rows, versions, volume
from detektor_pipelines.quality.drift.finding import last_found
from detektor_pipelines.quality.published import day_facts, day_states
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.findings import Finding
    from detektor_pipelines.settings import Settings

WATCHED: Final = 3
"""The newest published days are judged again by each run: the next hourly run does not hide what the nightly one found."""


def examine(settings: Settings, view: FeatureView, days: Sequence[date]) -> tuple[Finding, ...]:
    """Judge `days`, those of them that are published, and the newest published ones, in the order of `findings.BESIDE_THE_GATE`.

    The volume is judged of the newest only: that Christmas was quiet is not news to whoever computes half a year.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        states = day_states(connection, view)
        published = list(states)
        watched = published[-WATCHED:]
        judged = sorted(set(days) & set(states) | set(watched))
        needed = sorted({*judged, *(each for day in judged for each in nulls.before(day, published))})
        facts = day_facts(connection, view, needed) if needed else {}
        events = volume.daily_events(connection, view.agent, watched)
        now = clock.from_us(clock.now_us())
        ours = {day: facts[day] for day in judged if day in facts}
        return (
            freshness.of_views(connection, [view], now=now)[view.name],
            versions.of_view(connection, view),
            volume.usual(events, watched, now=now),
            nulls.usual(facts, judged, published),
            last_found(connection, view),
            rows.unique(connection, view, ours),
            rows.in_bounds(connection, view, ours),
            rows.not_shrunk(settings, connection, view, {day: states[day] for day in judged}, ours),
        )
