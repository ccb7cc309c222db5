"""What the checks share: one snapshot of the published rows and of what was recorded of them, read a whole table at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import SCHEMA, STAMPS, published_days, row_table
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.raw_log.known import projects_by_agent
from detektor_pipelines.stores.raw_log.reader import begin_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import numpy as np
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.offline.rows import PublishedDay

_EVER: Final = -(2**55)
"""µs UTC, a thousand years before 1970: before any event."""


@dataclass(frozen=True)
class Published:
    """What is stored offline of one view's present version.

    Attributes:
        view: The definition.
        rows: Every stored version of every row, sorted by key and version: the stamps, then the features; None without a table.
        days: What was recorded of each published day, by the day.
        stale: Published days that newer events reach.
        projects: Those that the agent has events of; None stands for events without one.

    """

    view: FeatureView
    rows: pa.Table | None
    days: Mapping[date, PublishedDay]
    stale: frozenset[date]
    projects: frozenset[str | None]

    @cached_property
    def written_last(self) -> pa.Table:
        """Of each (agent_id, event_timestamp, created_at) the version that was written last, without `written_at`: what readers see."""
        return self._last_of(("agent_id", "event_timestamp", "created_at"))

    @cached_property
    def newest(self) -> pa.Table:
        """Of each (agent_id, event_timestamp) the newest version, without `written_at`."""
        return self._last_of(("agent_id", "event_timestamp"))

    @cached_property
    def latest(self) -> pa.Table:
        """Of each agent_id the newest version of its last row, without `written_at`."""
        return self._last_of(("agent_id",))

    @cached_property
    def agent_ids(self) -> frozenset[str]:
        """The agent_ids that have a row."""
        return frozenset(self.latest["agent_id"].to_pylist())

    @cached_property
    def logged(self) -> frozenset[str]:
        """The agent_ids that have an event."""
        found = {f"{self.view.agent}@{each}" for each in self.projects if each is not None}
        return frozenset(found | {self.view.agent} if self.projects else found)

    def _last_of(self, key: Sequence[str]) -> pa.Table:
        rows = self.rows if self.rows is not None else empty(self.view)
        return rows.filter(~_like_the_next(rows, key)).drop_columns("written_at")


@dataclass(frozen=True)
class Stage:
    """Settings, views, and what is published of each, by its name."""

    settings: Settings
    views: Sequence[FeatureView]
    published: Mapping[str, Published]


def open_stage(settings: Settings, views: Sequence[FeatureView]) -> Stage:
    """Read what is published of the views, and who has events, as one snapshot knows it.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    found = {}
    with connect(settings) as plain, connect_arrow(settings) as arrow:
        begin_snapshot(arrow)
        projects = projects_by_agent(arrow, [view.agent for view in views], _EVER, clock.now_us() + clock.AHEAD_LIMIT_US)
        for view in views:
            days = {each.day: each for each in published_days(arrow, view)}
            stale = frozenset(stale_days(plain, view))
            found[view.name] = Published(view, _rows(arrow, view), days, stale, frozenset(projects[view.agent]))
        arrow.rollback()
    return Stage(settings, views, found)


def empty(view: FeatureView) -> pa.Table:
    """Return a table of no rows."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    types = {"int64": pa.int64(), "float64": pa.float64(), "instant": instant, "text": pa.string()}
    stamps = [(name, pa.string() if name == "agent_id" else instant) for name in STAMPS]
    return pa.schema([*stamps, *((each.name, types[each.value_type]) for each in view.features)]).empty_table()


def _rows(connection: Connection, view: FeatureView) -> pa.Table | None:
    """Read all columns that the table has, of the definition's in its order; what is missing is the registry check's business."""
    table = row_table(view)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = to_regclass('{SCHEMA}.\"{table}\"')"
        )
        present = {name for (name,) in cursor.fetchall()}
        if not present.issuperset([*STAMPS, *(each.name for each in view.features)]):
            return None
        names = ", ".join(f'"{name}"' for name in (*STAMPS, *(each.name for each in view.features)))
        # In the order of the bytes, as the engine sorts, whatever collation the database has
        order = ", ".join(('agent_id COLLATE "C"', *STAMPS[1:]))
        cursor.execute(f'SELECT {names} FROM {SCHEMA}."{table}" ORDER BY {order}')
        return cursor.fetch_arrow_table()


def _like_the_next(rows: pa.Table, key: Sequence[str]) -> NDArray[np.bool_]:
    """Tell of each row whether the one after it has the same key."""
    import numpy as np
    import pyarrow.compute as pc

    size = rows.num_rows
    same = np.zeros(size, dtype=bool)
    if size > 1:
        same[:-1] = True
        for name in key:
            same[:-1] &= pc.equal(rows[name].slice(0, size - 1), rows[name].slice(1)).to_numpy()
    return same
