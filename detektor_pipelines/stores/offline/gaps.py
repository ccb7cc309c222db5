"""Where rows of a view may be missing, and for whom: days that were not published or are out of date, and the agent_ids they touch.

Belongs here: the gaps of one version of a view, asked of the partition state and of the raw log. What is covered is `coverage`'s business.

A gap says nothing against an agent_id that nothing happened to in it: nothing entered its windows or left them, so its newest row from
before is still true. In one that was open for the whole of its history it has no row and needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines import clock
from detektor_pipelines.language.calendar import end_sql, start_sql
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.offline.coverage import ALWAYS, covered, gaps
from detektor_pipelines.stores.offline.rows import PublishedDay
from detektor_pipelines.stores.raw_log.tail import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from adbc_driver_postgresql.dbapi import Cursor

    from detektor_pipelines.language.views import FeatureView


class Gap(NamedTuple):
    """Instants in (start, end], µs UTC, for which rows may be missing. A row of after `speaks_after` is no matter of it.

    That is the end for what nobody published. The rows of a day that is out of date have their successors within it as they are known
    there, so the day hides only what came before it.
    """

    start: int
    end: int
    speaks_after: int


NOTHING_PUBLISHED: Final = Gap(ALWAYS[0], ALWAYS[0], ALWAYS[0])
"""The gap of a version of which no day was ever published: what rows it has, somebody else wrote, and they count."""


@dataclass(frozen=True, slots=True)
class Version:
    """What has to be known of a version of a view. `grain` and `reach` are µs; an event says nothing once `reach` is over."""

    view: str
    agent: str
    data_hash: str
    grain: int
    reach: int


def version_of(view: FeatureView) -> Version:
    """Return the current version of a view."""
    return Version(view.name, view.agent, data_hash(view), view.grain, view.longest.size + view.longest.hop)


def gaps_before(cursor: Cursor, version: Version, instant: int) -> list[Gap]:
    """Return the gaps that begin before an instant (µs), ascending."""
    cursor.execute(
        "SELECT partition, snapshot::text, rows, hash, published_at FROM ml_learning.partition_state"
        f" WHERE view = {_text(version.view)} AND data_hash = {_text(version.data_hash)}"
    )
    days = [PublishedDay(*row) for row in cursor.fetchall()]
    if not days:
        return [NOTHING_PUBLISHED]
    outdated = _outdated(cursor, version, days)
    found = [Gap(start, end, end) for start, end in gaps(covered(days, version.grain))]
    found += [Gap(start, end, start) for each in days if each.day in outdated for start, end in covered([each], version.grain)]
    return sorted(gap for gap in found if gap.start < instant)


def _outdated(cursor: Cursor, version: Version, days: Sequence[PublishedDay]) -> set[date]:
    """Return the days that miss an event which an earlier day knows: a repair has reached the one and not yet the other.

    An earlier day's row may have no successor there only because nobody has written it, so such a day hides it. While no earlier day
    knows more, all of them tell the same older story, and that counts. A day knows an event that its snapshot sees and its windows reach:
    what happened after it was over is none of its business.
    """
    suspects = _suspects(days)
    if not suspects:
        return set()
    listed = ", ".join(
        f"('{each.day}'::date, '{each.snapshot}'::pg_snapshot, '{known}'::pg_snapshot, '{last}'::date)" for each, known, last in suspects
    )
    cursor.execute(
        f"SELECT DISTINCT day FROM (VALUES {listed}) AS suspect (day, snapshot, known, last)"
        " WHERE EXISTS (SELECT FROM ml_learning.agent_events AS event"
        f" WHERE agent_type = {_text(version.agent)} AND xid >= pg_snapshot_xmin(snapshot) AND NOT pg_visible_in_snapshot(xid, snapshot)"
        " AND pg_visible_in_snapshot(xid, known)"
        f" AND occurred_at > {start_sql('day')} - interval '{version.reach} microseconds'"
        f" AND occurred_at <= {end_sql('last')})"
    )
    return {row[0] for row in cursor.fetchall()}


def _suspects(days: Sequence[PublishedDay]) -> list[tuple[PublishedDay, str, date]]:
    """Return the days before which one was published that knows more, with the snapshot of such days and the last one that has it."""
    found: list[tuple[PublishedDay, str, date]] = []
    earlier: dict[str, tuple[Snapshot, date]] = {}
    most: list[Snapshot] = []
    """Which together see all that the earlier days see; most often one."""
    for each in sorted(days, key=lambda day: day.day):
        snapshot = Snapshot.parse(each.snapshot)
        if all(map(snapshot.sees, most)):
            most = [snapshot]
        else:
            found += [(each, text, last) for text, (known, last) in earlier.items() if not snapshot.sees(known)]
            most = [*(known for known in most if not snapshot.sees(known)), snapshot]
        earlier[each.snapshot] = snapshot, each.day
    return found


def touched_sql(version: Version, gap: Gap, first: int, last: int) -> str:
    """Return the SELECT of (key, first event) of each agent_id to which something may have happened in the part of a gap that labels see.

    Args:
        version: Whose gap.
        gap: One of `gaps_before`.
        first: The first instant that is asked about, µs.
        last: The last one.

    """
    agent = _text(version.agent)
    return (
        f"SELECT CASE WHEN GROUPING(project) = 1 THEN {agent} ELSE {agent} || '@' || project END AS key, MIN(occurred_at) AS first"
        f" FROM ml_learning.agent_events WHERE {_inside(version, gap, first, last)} GROUP BY GROUPING SETS ((), (project))"
        " HAVING COUNT(*) > 0 AND (GROUPING(project) = 1 OR project IS NOT NULL)"
    )


def hidden_after(cursor: Cursor, version: Version, agent_id: str, row: int | None, instant: int) -> bool:
    """Return whether rows of an agent_id may be missing between `row`, the instant of its newest one (None: it has none), and `instant`."""
    project = agent_id.partition("@")[2]
    of_project = f" AND project = {_text(project)}" if project else ""
    for gap in gaps_before(cursor, version, instant):
        if row is None or (gap != NOTHING_PUBLISHED and row <= gap.speaks_after):
            where = _inside(version, gap, instant, instant) + of_project
            cursor.execute(f"SELECT EXISTS (SELECT FROM ml_learning.agent_events WHERE {where})")
            if cursor.fetchone() == (True,):
                return True
    return False


def _inside(version: Version, gap: Gap, first: int, last: int) -> str:
    """Condition for an event that may have entered or left a window in the gap."""
    start, end = ALWAYS if gap == NOTHING_PUBLISHED else gap[:2]
    since = (min(first, end) if start == ALWAYS[0] else start) - version.reach
    return f"agent_type = {_text(version.agent)} AND occurred_at > {_instant(since)} AND occurred_at <= {_instant(min(end, last))}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _instant(us: int) -> str:
    return f"'{clock.from_us(max(us, 0)).isoformat()}'::timestamptz"
