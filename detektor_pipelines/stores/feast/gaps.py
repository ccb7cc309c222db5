"""What Feast's historical reads may not take for known: days of a registered view that were never published.

Belongs here: which gaps a registered version has, the temporary table of them for one read, and the sentence about the labels that they
left without a value. The join itself is `point_in_time`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import DATA_HASH, GRAIN
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, Window, floor_to
from detektor_pipelines.stores.feast.labels import TABLE
from detektor_pipelines.stores.offline.coverage import ALWAYS
from detektor_pipelines.stores.offline.gaps import NOTHING_PUBLISHED, Gap, Version, gaps_before, touched_sql
from detektor_pipelines.stores.offline.point_in_time import AT, GAPS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Cursor
    from feast import FeatureView

    from detektor_pipelines.stores.offline.coverage import Interval
    from detektor_pipelines.stores.offline.point_in_time import Relation

_log = logging.getLogger(__name__)
_UNITS: Final = {"d": DAY, "h": HOUR, "m": MINUTE}
_LISTED: Final = 6


def version_of_registered(view: FeatureView) -> Version:
    """Return what the gaps of a registered view of ours depend on; one that is registered without a grain has the default one."""
    labels = [each.tags.get("window", "") for each in view.features]
    windows = [Window(int(label[:-1]) * _UNITS[label[-1]]) for label in labels if label]
    reach = max(window.size + window.hop for window in windows)
    return Version(view.name, view.tags["agent"], view.tags[DATA_HASH], int(view.tags.get(GRAIN, HOUR)), reach)


@dataclass
class Gaps:
    """The gaps that matter to one read.

    Args:
        relations: Of the join, in its order.

    """

    relations: Sequence[Relation]
    _found: dict[tuple[int, int], Interval] = field(default_factory=dict)

    def prepare(self, cursor: Cursor) -> None:
        """Make the temporary table that the join reads, from the labels that stand in theirs."""
        cursor.execute(
            f"CREATE TEMPORARY TABLE {GAPS} (relation integer, key text, number integer, starts timestamptz, speaks_after timestamptz)"
            " ON COMMIT DROP"
        )
        self._found.clear()
        first, last = (f"(EXTRACT(EPOCH FROM {extreme}({AT})) * 1000000)::bigint" for extreme in ("min", "max"))
        cursor.execute(f"SELECT {first}, {last} FROM {TABLE}")
        first, last = cursor.fetchone()
        if first is None:
            return
        for relation, version in self._versions():
            for number, gap in enumerate(gaps_before(cursor, version, floor_to(last, version.grain))):
                self._fill(cursor, relation, version, number, gap, (first, floor_to(last, version.grain)))
        if self._found:
            cursor.execute(f"CREATE INDEX ON {GAPS} (relation, key, starts)")

    def _versions(self) -> list[tuple[int, Version]]:
        return [(number, each.version) for number, each in enumerate(self.relations) if each.version]

    def _fill(self, cursor: Cursor, relation: int, version: Version, number: int, gap: Gap, asked: tuple[int, int]) -> None:
        touched = touched_sql(version, gap, *asked)
        cursor.execute(
            f"WITH touched AS (SELECT * FROM ({touched}) t), filled AS (INSERT INTO {GAPS}"
            f" SELECT {relation}, key, {number}, {_bound(gap.start)}, {_bound(gap.speaks_after)} FROM touched)"
            " SELECT (EXTRACT(EPOCH FROM MIN(first)) * 1000000)::bigint FROM touched"
        )
        (event,) = cursor.fetchone()
        if event is not None:
            start, end = ALWAYS if gap == NOTHING_PUBLISHED else gap[:2]
            self._found[relation, number] = event - 1 if start == ALWAYS[0] else start, min(end, asked[1])

    def told(self, table: pa.Table) -> pa.Table:
        """Return a read's result without the columns that say which gap hides a label's row; what they say is logged, once."""
        said = []
        for relation, version in self._versions():
            name = f"{UNKNOWN}{relation}"
            hidden = table.column(name)
            table = table.drop_columns([name])
            if count := len(hidden) - hidden.null_count:
                spans = [self._found[relation, number] for number in sorted(pc.unique(hidden).drop_null().to_pylist())]
                said.append(_sentence(version, count, spans))
        if said:
            _log.warning("%s", "\n".join(said))
        return table


def _bound(us: int) -> str:
    if us in ALWAYS:
        return f"'{'-' if us < 0 else ''}infinity'::timestamptz"
    return f"'{clock.from_us(us).isoformat()}'::timestamptz"


def _sentence(version: Version, count: int, spans: list[Interval]) -> str:
    days = [(owner(start + 1), owner(end)) for start, end in spans]
    listed = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in days[:_LISTED])
    listed += f" and {len(days) - _LISTED} more times" if len(days) > _LISTED else ""
    labels = "1 label has" if count == 1 else f"{count} labels have"
    return (
        f"{version.view}: {labels} no value, for it is not known: not published, or not to its end, is {listed}."
        f" `detektor backfill --view {version.view} --from {days[0][0]} --to {days[-1][1]}` computes it."
    )
