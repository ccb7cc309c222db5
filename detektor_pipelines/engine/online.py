"""Offline → online: the newest row of each agent_id of a view goes to Redis, and what no row says is computed from the log."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import values_at, values_of_nothing
from detektor_pipelines.engine.compute import row_schema
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.language.calendar import number, owner_numbers
from detektor_pipelines.language.windows import floor_to
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.coverage import covered, gaps
from detektor_pipelines.stores.offline.newest import newest_first
from detektor_pipelines.stores.offline.rows import SCHEMA, published_days, row_table
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, newest_by_project, read_events
from detektor_pipelines.stores.raw_log.tail import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    import numpy as np
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection
    from numpy.typing import NDArray
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.offline.rows import PublishedDay
    from detektor_pipelines.stores.online.values import Refusal

_NEVER: Final = 2**62
_TRIES: Final = 3
"""How often a refused value is computed again: the stream may write the same key meanwhile."""

_GATE_TRIES: Final = 20
"""The gate names 50 failing rows at once; with more than a thousand of them none of a write is trusted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnlinePublication:
    """What one publication did.

    Attributes:
        keys: Agent_ids that have a value to publish.
        written: Values that were put down; the others stood there already, or were known better.
        as_of: Up to when the published rows are true; None when nothing that was published offline is true at any instant yet.
        seconds: How long it took.
        from_log: Values computed from the log, because no row says what they are.
        withheld: Of these, the ones that did not pass the gate; what stands online of them is true up to its own instant only.
        refused: Values that the guard refused, because what stood there knew something that they did not.
        made_good: Of these, the ones computed again from the log and put down, or known better meanwhile.
        lost: The others: `valid_through` of their shards has not moved.
        ahead: Of the lost ones, those whose stored value lies ahead of the clock (`detektor online repair`).

    """

    keys: int
    written: int
    as_of: datetime | None
    seconds: float
    from_log: int = 0
    withheld: int = 0
    refused: int = 0
    made_good: int = 0
    lost: int = 0
    ahead: int = 0

    def trouble(self) -> str:
        """Return in words what did not go as it should; empty when all went well, and for refused values that were made good."""
        found = []
        if self.withheld:
            found.append(f"{self.withheld:,} values do not pass the gate: what stands online of them is true up to its own timestamp only")
        if self.lost:
            found.append(f"{self.lost:,} of {self.refused:,} refused values are not made good: valid_through of their shards did not move")
        if self.ahead:
            found.append(f"what stands in the place of {self.ahead:,} lies ahead of the clock: set it right, then `detektor online repair`")
        return "; ".join(found)


def publish_online(settings: Settings, view: FeatureView, *, writer: str | None = None) -> OnlinePublication:
    """Write each agent_id's newest row to the online store; a key that holds more knowledge keeps it.

    The values are true up to the end of what the published days cover (`stores.offline.coverage`), and know what the oldest day from the
    row's on knew. Where a row is followed by a gap in which something may have entered or left its windows, and where only a gap holds the
    events of an agent_id, no row says what the value is: it is computed from the log, for now, and again when those leave its windows. So
    is one of which `valid_through` would say too much: the stream moves it past the last full hour, and what the row's value knows may
    enter or leave in between. And so is one of a day that is stale, where a value of the log's life before this one stands, which may have
    known more. One that does not pass the gate is withheld: its row's value is true up to the gap. A value that the guard refuses is
    computed again from the log; one that is refused even so is lost, and counts as such: `valid_through` of its shard stays where it is.

    Args:
        settings: Where the servers are.
        view: The definition.
        writer: Who writes, for people: `batch <run>`; by default this host and process.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached, or the online store is another copy's of the log.

    """
    from detektor_pipelines.stores.online import life as online_life
    from detektor_pipelines.stores.online.values import redis_client, this_process

    started = time.perf_counter()
    now = clock.now_us()
    with connect_arrow(settings, writes=True) as connection:
        days = published_days(connection, view)
        intervals = _covered(days, view, now)
        if not intervals:
            return OnlinePublication(0, 0, None, time.perf_counter() - started)
        with connect(settings) as plain:
            life, stale = cluster.life(plain), set(stale_days(plain, view))
        client = redis_client(settings)
        try:
            online_life.claim(client, settings.project, life)
            work = _Publication(settings.project, view, connection, client, life.epoch, writer or this_process("batch"))
            work.publish(days, stale, intervals, now)
        finally:
            client.close()
    return work.result(clock.from_us(intervals[-1][1]), time.perf_counter() - started)


def write_from_log(settings: Settings, view: FeatureView, agent_ids: Sequence[str], *, writer: str | None = None) -> OnlinePublication:
    """Write the values of some agent_ids as the log gives them now, through the gate and the guard; `valid_through` does not move.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    from detektor_pipelines.stores.online import life as online_life
    from detektor_pipelines.stores.online.values import redis_client, this_process

    started = time.perf_counter()
    with connect_arrow(settings, writes=True) as connection:
        with connect(settings) as plain:
            life = cluster.life(plain)
        client = redis_client(settings)
        try:
            online_life.claim(client, settings.project, life)
            work = _Publication(settings.project, view, connection, client, life.epoch, writer or this_process("batch"))
            work.keys = len(agent_ids)
            work.from_log(agent_ids, clock.now_us())
            work.make_good()
        finally:
            client.close()
    return work.result(None, time.perf_counter() - started)


class _Publication:
    """One publication under way, and what it came to.

    Args:
        project: Whose keys.
        view: The definition.
        connection: To the log and the rows.
        client: Of Redis.
        life: The log's epoch.
        writer: Who writes.

    """

    def __init__(self, project: str, view: FeatureView, connection: Connection, client: Redis, life: int, writer: str) -> None:
        self._project, self._view, self._connection, self._client = project, view, connection, client
        self._life, self._writer = life, writer
        self.keys = self._written = self._computed = self._refused = self._made_good = self._ahead = 0
        self._withheld: set[str] = set()
        self._open: dict[str, Refusal] = {}
        """Refused and not made good."""

    def publish(self, days: Sequence[PublishedDay], stale: set[date], intervals: Sequence[tuple[int, int]], now: int) -> None:
        """Write all values of the view, then say how far they are complete."""
        import numpy as np

        from detektor_pipelines.stores.online.values import move_valid_through, without_shards_of

        instant = intervals[-1][1]
        rows = newest_rows(self._connection, self._view, clock.from_us(instant))
        known = _Knowledge(days, stale)
        gap_after, unsaid, strangers = self._gaps(rows, intervals)
        unsaid |= known.mixed(rows)
        unsaid |= self._outrun(rows, instant)
        unsaid |= self._knew_more(rows, known.behind(rows))
        strangers = sorted({*strangers, *self._left(rows, instant)})
        whole = rows.filter(~unsaid) if unsaid.any() else rows
        self.keys = rows.num_rows + len(strangers)
        self._write(whole, instant, known.snapshots(whole))
        if unsaid.any() or strangers:
            unknown = rows.filter(unsaid)
            failed = self.from_log([*unknown["agent_id"].to_pylist(), *strangers], now)
            self._write_up_to_gaps(unknown, np.minimum(gap_after[unsaid], instant), failed)
        self.make_good()
        self._distrust_withheld(instant)
        move_valid_through(self._client, self._project, self._view, instant, without_shards_of(self._open))

    def from_log(self, agent_ids: Sequence[str], now: int) -> set[str]:
        """Write values as the log gives them, for `now` at least; returns the agent_ids whose values do not pass the gate."""
        self._computed += len(agent_ids)
        failed, _ = self._write_from_log(agent_ids, now, now)
        return failed

    def _write_from_log(self, agent_ids: Sequence[str], now: int, instant: int, *, again: bool = False) -> tuple[set[str], int]:
        """Write values as the log gives them for `instant`, or for `valid_through` where that is later and not far ahead of the clock.

        It speaks of what is written at once, and nobody has asked what of this log happens until there. Far ahead, it is not trusted to
        speak of anything: the values are true up to their own instant only.

        Returns:
            The agent_ids whose values do not pass the gate, and how many values passed.

        """
        from detektor_pipelines.stores.online.values import distrust

        through = self._through()
        instant = max(instant, through if through <= now + clock.AHEAD_LIMIT_US else instant)
        rows, snapshot = _values_from_log(self._connection, self._view, agent_ids, instant)
        passed, failed = _gated(self._view, rows)
        self._withheld |= failed
        self._write(passed, instant, snapshot, again=again)
        if through > instant:
            distrust(self._client, self._project, self._view, passed["agent_id"].to_pylist(), instant)
        return failed, passed.num_rows

    def make_good(self) -> None:
        """Compute the refused values again, with all that is known now, for an instant that is not before that of what stands there."""
        for _ in range(_TRIES):
            if not self._open:
                break
            now = clock.now_us()
            limit = now + clock.AHEAD_LIMIT_US
            again = sorted(agent_id for agent_id, each in self._open.items() if each.as_of <= limit)
            if not again:
                break
            instant = max(now, *(self._open.pop(agent_id).as_of for agent_id in again))
            before = set(self._open)
            _, passed = self._write_from_log(again, now, instant, again=True)
            self._made_good += passed - len(set(self._open) - before)
        if self._open:
            limit = clock.now_us() + clock.AHEAD_LIMIT_US
            self._ahead = sum(each.as_of > limit for each in self._open.values())
            _log.warning(
                "%s: %d refused values are not made good, for example %s: valid_through of their shards stays where it is.%s",
                self._view.name,
                len(self._open),
                min(self._open),
                " What stands there lies ahead of the clock: `detektor online repair`." if self._ahead else "",
            )

    def result(self, as_of: datetime | None, seconds: float) -> OnlinePublication:
        """Return what it came to."""
        counts = self._computed, len(self._withheld), self._refused, self._made_good, len(self._open), self._ahead
        return OnlinePublication(self.keys, self._written, as_of, seconds, *counts)

    def _write(self, rows: pa.Table, as_of: int, snapshot: str | Sequence[str | None] | None, *, again: bool = False) -> None:
        from detektor_pipelines.stores.online.values import write_rows

        counts = write_rows(
            self._client,
            self._project,
            self._view,
            rows,
            as_of_us=as_of,
            valid_through_us=None,
            snapshot=snapshot,
            epoch=self._life,
            writer=self._writer,
        )
        self._written += counts.written
        self._refused += 0 if again else len(counts.refused)
        self._open.update((each.agent_id, each) for each in counts.refused)

    def _write_up_to_gaps(self, rows: pa.Table, true_up_to: NDArray[np.int64], failed: set[str]) -> None:
        """Write the rows of values that break the gate: true up to the gap after them, and known by nobody."""
        import numpy as np

        mine = np.isin(np.array(rows["agent_id"].to_pylist(), dtype=object), sorted(failed))
        for instant in np.unique(true_up_to[mine]):
            self._write(rows.filter(mine & (true_up_to == instant)), int(instant), None)

    def _distrust_withheld(self, instant: int) -> None:
        """Have `valid_through`, once it moves to `instant`, say nothing of what stands online of values that break the gate."""
        from detektor_pipelines.stores.online.values import distrust, shard_instants, shard_of

        (through,) = shard_instants(self._client, self._project, [self._view]) if self._withheld else ({},)
        behind = [agent_id for agent_id in sorted(self._withheld) if through.get(shard_of(agent_id), 0) < instant]  # else the stream speaks
        distrust(self._client, self._project, self._view, behind, instant)

    def _through(self) -> int:
        """Return the furthest instant (µs UTC) that `valid_through` of the view's shards says; 0 when nobody has spoken yet."""
        from detektor_pipelines.stores.online.values import shard_instants

        (instants,) = shard_instants(self._client, self._project, [self._view])
        return max(instants.values(), default=0)

    def _outrun(self, rows: pa.Table, instant: int) -> NDArray[np.bool_]:
        """Tell of each row whether `valid_through` would say too much of its value, true at `instant`, if it were written.

        It stands later than `instant` while a worker runs and after it was killed. That was said of the values that stood there, by
        somebody who may not have seen the event that came late or left by now, and it would be read of this one. A stored value of after
        `instant` is no matter: the guard keeps it, or refuses this one.
        """
        import numpy as np

        from detektor_pipelines.stores.online.values import read

        agent_ids = rows["agent_id"].to_pylist()
        newest = _by_agent_id(self._view.agent, self._changing(instant, self._through()))
        some = [agent_id for agent_id in agent_ids if agent_id in newest]
        stored = read(self._client, self._project, self._view, some) if some else []
        ours = {row.agent_id for row in stored if row is not None and row.snapshot and row.epoch == self._life and row.as_of > instant}
        outrun = set(some) - ours
        return np.array([agent_id in outrun for agent_id in agent_ids], dtype=bool)

    def _knew_more(self, rows: pa.Table, behind: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell of each row that is behind the log whether a former life's value stands in its place, which may have known what it does not.

        Nobody can compare what two lives knew, so the guard lets the new one's value in; `valid_through` was forgotten with the former's.
        """
        import numpy as np

        from detektor_pipelines.stores.online.values import read

        if not behind.any() or self._through():
            return np.zeros(rows.num_rows, dtype=bool)
        agent_ids = rows["agent_id"].to_pylist()
        some = [agent_id for agent_id, each in zip(agent_ids, behind, strict=True) if each]
        stored = read(self._client, self._project, self._view, some)
        former = {row.agent_id for row in stored if row is not None and not (row.snapshot and row.epoch == self._life)}
        return np.array([agent_id in former for agent_id in agent_ids], dtype=bool)

    def _left(self, rows: pa.Table, instant: int) -> set[str]:
        """Return the agent_ids without a row whose value online is of before `instant`, and of whose windows something has left since.

        It came from the log, when a gap alone held its events; once they are so old that no gap within reach holds them, nothing else
        would speak of it, and `valid_through` would say that it is still true.
        """
        from detektor_pipelines.stores.online.values import layout_key, read, valid_through

        through = valid_through(self._client, self._project, self._view)
        if through is None and not self._client.exists(layout_key(self._project, self._view)):
            return set()  # nothing was ever published
        changed = _by_agent_id(self._view.agent, self._changing(through or 0, instant))
        some = sorted(changed.keys() - set(rows["agent_id"].to_pylist()))
        stored = read(self._client, self._project, self._view, some) if some else []
        return {row.agent_id for row in stored if row is not None and row.snapshot and row.as_of < instant}

    def _changing(self, start: int, end: int) -> list[tuple[str | None, int]]:
        """Return (project, newest occurred_at) of the events that enter a window, or leave one, in (start, end]."""
        if end <= start:
            return []
        leaving = [
            (floor_to(start - window.size, window.hop), floor_to(end - window.size, window.hop))  # rule 9, solved for occurred_at
            for window in self._view.windows
        ]
        return newest_by_project(self._connection, self._view.agent, [(start, end), *leaving])

    def _gaps(self, rows: pa.Table, intervals: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[str]]:
        """Return for each row where the first gap after it begins and whether its value is unsaid for it, and agent_ids that have no row.

        A value is unsaid when something may have left its windows in a gap after its row, or entered them.
        """
        import numpy as np

        instant, reach = intervals[-1][1], reach_back(plan(self._view))
        holes = [(start, min(end, instant)) for start, end in gaps(intervals) if start < instant]
        instants = rows["event_timestamp"].cast("int64").to_numpy()
        begins = np.array([*(start for start, _ in holes), _NEVER], dtype=np.int64)
        first = begins[np.searchsorted(np.array([end for _, end in holes], dtype=np.int64), instants, side="right")]
        unsaid = first < np.minimum(instants + reach, _NEVER)
        spans = [(max(start, instant - reach), end) for start, end in holes]
        newest = _by_agent_id(self._view.agent, newest_by_project(self._connection, self._view.agent, spans))
        if not newest:
            return first, unsaid, []
        agent_ids = rows["agent_id"].to_pylist()
        unsaid |= np.array([newest.get(agent_id, -_NEVER) for agent_id in agent_ids], dtype=np.int64) > instants
        return first, unsaid, sorted(newest.keys() - set(agent_ids))


class _Knowledge:
    """What the published days know, by day.

    Args:
        days: Ascending.
        stale: Those that newer events reach.

    """

    def __init__(self, days: Sequence[PublishedDay], stale: set[date]) -> None:
        self._numbers = [number(each.day) for each in days]
        self._oldest: list[str] = []
        """By day: the oldest snapshot from it to the newest day's."""
        self._behind: list[bool] = []
        """By day: whether it or a later one is stale."""
        self._mixed: list[bool] = []
        """By day: whether a later one knows less, and that makes a difference to somebody."""
        oldest, text, least = Snapshot.parse(days[-1].snapshot), days[-1].snapshot, None
        for each in reversed(days):
            snapshot = Snapshot.parse(each.snapshot)
            if oldest.sees(snapshot):
                oldest, text = snapshot, each.snapshot
            self._mixed.append(least is not None and not least.sees(snapshot))
            if each.day in stale and (least is None or least.sees(snapshot)):
                least = snapshot
            self._oldest.append(text)
            self._behind.append(each.day in stale or (bool(self._behind) and self._behind[-1]))
        self._oldest.reverse()
        self._behind.reverse()
        self._mixed.reverse()

    def snapshots(self, rows: pa.Table) -> str | list[str | None]:
        """Return the snapshot of each row's value, one for all when it is the same."""
        if len(set(self._oldest)) == 1:
            return self._oldest[0]
        return [self._oldest[position] for position in self._days_of(rows)]

    def behind(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Tell of each row whether the log holds what its value should know and does not."""
        import numpy as np

        if not any(self._behind):
            return np.zeros(rows.num_rows, dtype=bool)
        return np.array(self._behind)[self._days_of(rows)]

    def mixed(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Tell of each row whether days after its own know less than it does: then no snapshot says what its value knows."""
        import numpy as np

        if not any(self._mixed):
            return np.zeros(rows.num_rows, dtype=bool)
        return np.array(self._mixed)[self._days_of(rows)]

    def _days_of(self, rows: pa.Table) -> NDArray[np.int64]:
        import numpy as np

        owners = owner_numbers(rows["event_timestamp"])
        found: NDArray[np.int64] = np.minimum(np.searchsorted(self._numbers, owners), len(self._numbers) - 1)
        return found


def _covered(days: Sequence[PublishedDay], view: FeatureView, now: int) -> list[tuple[int, int]]:
    """Return what the days cover, up to the clock: one that was published with the clock ahead says nothing of what is to come."""
    last = floor_to(now, view.grain)
    return [(start, min(end, last)) for start, end in covered(days, view.grain) if start < last]


def _by_agent_id(agent: str, events: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Return agent_id → newest event, from that of each project."""
    found: dict[str, int] = {}
    for project, at in events:
        for agent_id in (agent,) if project is None else (agent, f"{agent}@{project}"):
            found[agent_id] = max(found.get(agent_id, at), at)
    return found


def _gated(view: FeatureView, rows: pa.Table) -> tuple[pa.Table, set[str]]:
    """Part rows, one an agent_id, into those that pass the gate and the agent_ids of the others."""
    import numpy as np

    failed: set[str] = set()
    for _ in range(_GATE_TRIES):
        failures = failures_by_day(view, rows) if rows.num_rows else {}
        if not failures:
            return rows, failed
        named = {str(case["agent_id"]) for cases in failures.values() for case in cases if case.get("agent_id")}
        failed |= named
        if not named:
            break
        rows = rows.filter(~np.isin(np.array(rows["agent_id"].to_pylist(), dtype=object), sorted(named)))
    return rows.slice(0, 0), failed.union(rows["agent_id"].to_pylist())


def _values_from_log(connection: Connection, view: FeatureView, agent_ids: Sequence[str], instant: int) -> tuple[pa.Table, str]:
    """Return rows at `instant` as the log gives them now, layout `row_schema`, and the snapshot that they know."""
    import pyarrow as pa

    compiled = plan(view)
    connection.rollback()  # a snapshot belongs to the transaction that takes it first
    snapshot = begin_snapshot(connection)
    events = read_events(connection, view.agent, compiled.columns, instant - reach_back(compiled), instant)
    connection.rollback()
    found, nothing = values_at(view, events, instant), values_of_nothing(view)
    values = zip(*(found.get(agent_id, nothing) for agent_id in agent_ids), strict=True)
    columns = [agent_ids, [instant] * len(agent_ids), [instant] * len(agent_ids), *map(list, values)]
    schema = row_schema(view)
    return pa.table([pa.array(column, each.type) for column, each in zip(columns, schema, strict=True)], schema=schema), snapshot


def newest_rows(connection: Connection, view: FeatureView, at: datetime) -> pa.Table:
    """Return the newest version of each agent_id's last row with event_timestamp <= `at`, layout `row_schema`."""
    names = ", ".join(f'"{name}"' for name in row_schema(view).names)
    table = f'{SCHEMA}."{row_table(view)}"'
    # Keys by a loose index scan: one probe a key, however many rows a key has.
    statement = f"""
        WITH RECURSIVE keys AS (
            (SELECT agent_id FROM {table} ORDER BY agent_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.agent_id FROM {table} t WHERE t.agent_id > k.agent_id ORDER BY t.agent_id LIMIT 1)
            FROM keys k WHERE k.agent_id IS NOT NULL
        )
        SELECT newest.* FROM keys k CROSS JOIN LATERAL (
            SELECT {names} FROM {table} t WHERE t.agent_id = k.agent_id AND t.event_timestamp <= '{at.isoformat()}'
            ORDER BY {newest_first(table="t")} LIMIT 1
        ) newest
    """
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetch_arrow_table()
    return found.cast(row_schema(view))
