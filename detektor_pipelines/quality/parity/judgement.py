"""Is what a reader gets of some agent_ids now what it should be? One view, in three steps.

1. `suspects`: all values of the log at one instant, by one query, beside what is online. Equal is right, whatever the stamps say.
2. `judge`: what differs is read again, for a worker moves meanwhile. Where one is at work it is waited for: the log's snapshot X is
   taken, and when `valid_through` of a key's shard has moved twice after that, the worker has polled after X. A value read then must be
   what the log gives at the instant that the reader is told, from all that X or the value's own snapshot saw. Whether the value moved in
   the meantime makes no difference, so a busy key raises no alarm.
3. Where nobody moves `valid_through`, the deployment is batch only, or its worker is away. A value that was right when it was published is
   behind, not wrong, as long as it does not claim more: what leaves a window up to `valid_through` must have left, and an event that
   had arrived before it must be in the value, unless a published day in its reach is stale, which the platform knows and fixes.

Why a value is not right is found by computing it again for its own instant and knowledge.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from detektor_pipelines import clock
from detektor_pipelines.engine.as_of import values_of_nothing
from detektor_pipelines.language.calendar import number
from detektor_pipelines.language.windows import MINUTE
from detektor_pipelines.quality.parity import keys as online_keys
from detektor_pipelines.quality.parity.recomputation import Point, recompute, same
from detektor_pipelines.stores.cluster import epoch
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.known import EVERYTHING, Excepted, Knowledge, current_snapshot, is_snapshot
from detektor_pipelines.stores.raw_log.reader import begin_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.parity.keys import Keys, Seen
    from detektor_pipelines.quality.parity.recomputation import Features
    from detektor_pipelines.settings import Settings

State: TypeAlias = Literal["ok", "unknown", "behind", "wrong", "lost", "frozen", "missing", "evicted", "ahead"]
"""What becomes of an agent_id. `unknown`: right, but the value does not say what it knows. `behind`: right when it was published, and no
worker runs. The others are errors."""

STATES: Final[tuple[State, ...]] = get_args(State)
ERRORS: Final[tuple[State, ...]] = ("wrong", "lost", "frozen", "missing", "evicted", "ahead")

AGAIN_S: Final = 2.0
"""How long what differs is looked at again in all."""

_TRIES: Final = 3
_MOVES: Final = 2
_PAUSE_S: Final = 0.05
_AT_WORK_US: Final = MINUTE
"""A shard whose `valid_through` is older is not waited for."""
_ARRIVAL_US: Final = MINUTE
"""How much earlier than `valid_through` an event must have arrived to be missed: its transaction may have ended later than it arrived."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one agent_id is. `right`: what the log gives at `instant` (µs UTC); None where it was not computed."""

    seen: Seen
    state: State
    right: Features | None = None
    instant: int | None = None


@dataclass(frozen=True)
class View:
    """What the steps share: one view, its known agent_ids, and the stores."""

    settings: Settings
    client: Redis
    view: FeatureView
    keys: Keys

    @cached_property
    def epoch(self) -> int:
        """The log's life now, which a snapshot must be of to be compared."""
        with connect(self.settings) as connection:
            return epoch(connection)

    @cached_property
    def stale(self) -> tuple[int, ...]:
        """Published days (since 1970) of which it is known that they do not say what the log says."""
        with connect(self.settings) as connection:
            return tuple(number(day) for day in stale_days(connection, self.view))

    def complete_until(self) -> int | None:
        """Return up to when all values of the view are said to be complete, µs UTC."""
        return online.valid_through(self.client, self.settings.project, self.view)

    def read(self, agent_ids: Iterable[str]) -> dict[str, Seen]:
        """Read some agent_ids online, as a reader does."""
        return online_keys.read(self.client, self.settings.project, self.view, sorted(agent_ids))


def judged(view: View) -> dict[str, Verdict]:
    """Return what each chosen agent_id is; one of which neither a reader nor the log knows anything is left out.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    verdicts, left = suspects(view)
    for agent_id, each in judge(view, left).items():
        if each.state == "behind":  # for a person: what the log says by now
            verdicts[agent_id] = replace(each, right=left[agent_id].right, instant=left[agent_id].instant)
        else:
            verdicts[agent_id] = each
    return verdicts


def suspects(view: View) -> tuple[dict[str, Verdict], dict[str, Verdict]]:
    """Return what is decided at first sight, and what is to be looked at again, with what the log gives at first sight."""
    verdicts: dict[str, Verdict] = {}
    left: dict[str, Verdict] = {}
    if not view.keys.chosen:
        return verdicts, left
    seen = view.read(view.keys.chosen)
    with connect_arrow(view.settings) as connection:
        begin_snapshot(connection)
        now = clock.now_us()
        right = recompute(connection, view.view, dict.fromkeys(seen, Point(now, EVERYTHING)))
        connection.rollback()
    for agent_id, each in seen.items():
        if each.row is not None and _ahead(each, now):
            verdicts[agent_id] = Verdict(each, "ahead", right[agent_id], now)
        elif each.row is not None and same(each.row.values, right[agent_id]):
            verdicts[agent_id] = Verdict(each, "ok" if _knows(each) else "unknown", right[agent_id], now)
        else:
            left[agent_id] = Verdict(each, "behind", right[agent_id], now)
    return verdicts, left


def judge(view: View, agent_ids: Collection[str]) -> dict[str, Verdict]:
    """Return what agent_ids are that differ at first sight."""
    verdicts: dict[str, Verdict] = {}
    left, end = set(agent_ids), time.monotonic() + AGAIN_S
    for last in (*[False] * (_TRIES - 1), True):
        if not left:
            break
        look = _look(view, left, end)
        found = look.of_moving() | look.of_standing()
        wrong = {agent_id for agent_id, each in found.items() if each.state in ERRORS and agent_id in look.moving}
        again = set() if last or time.monotonic() >= end else wrong
        verdicts |= {agent_id: each for agent_id, each in found.items() if agent_id not in again}
        left = again
    return verdicts


@dataclass(frozen=True, slots=True)
class _Look:
    """One more look: what was read after the log's snapshot `before`, which was taken at `at` (µs UTC)."""

    view: View
    seen: dict[str, Seen]
    moving: frozenset[str]
    before: str
    at: int

    def of_moving(self) -> dict[str, Verdict]:
        """Judge the agent_ids that a worker keeps fresh."""
        points = {agent_id: Point(self._claimed(each), self._with_before(each)) for agent_id, each in self._some(moving=True).items()}
        right = self._recomputed(points)
        verdicts: dict[str, Verdict] = {}
        wrong: dict[str, Seen] = {}
        for agent_id, point in points.items():
            each = self.seen[agent_id]
            if each.row is None:
                verdicts |= self._of_missing(each, right[agent_id], point.instant)
            elif same(each.row.values, right[agent_id]):
                verdicts[agent_id] = Verdict(each, "ok" if _knows(each) else "unknown", right[agent_id], point.instant)
            else:
                wrong[agent_id] = each
        return verdicts | self._why(wrong, {agent_id: (right[agent_id], points[agent_id].instant) for agent_id in wrong})

    def of_standing(self) -> dict[str, Verdict]:
        """Judge the agent_ids that nobody keeps fresh."""
        some = self._some(moving=False)
        missing = {agent_id: each for agent_id, each in some.items() if each.row is None}
        there = {agent_id: each for agent_id, each in some.items() if each.row is not None}
        # First all that a value claims to know, which most live up to; then, of the others, what it knows
        everything = {agent_id: Point(self._claimed(each), self._arrived(each)) for agent_id, each in there.items()}
        right = self._recomputed(everything, Excepted(self.view.stale, self.view.view.longest))
        verdicts = {agent_id: Verdict(each, "behind") for agent_id, each in there.items() if not self._differs(agent_id, right)}
        own = {agent_id: Point(self._claimed(each), self._own(each)) for agent_id, each in there.items() if agent_id not in verdicts}
        at_claim = self._recomputed(own)
        wrong = {}
        for agent_id, point in own.items():
            each = there[agent_id]
            if self._differs(agent_id, at_claim):
                wrong[agent_id] = each
            else:
                # A value that does not say what it knows, or in another cluster's words, cannot be told to have missed something
                state: State = "lost" if _comparable(self.view, each) else "behind"
                verdicts[agent_id] = Verdict(each, state, right[agent_id], point.instant)
        why = self._why(wrong, {agent_id: (at_claim[agent_id], own[agent_id].instant) for agent_id in wrong})
        return verdicts | why | self._missing_or_behind(missing)

    def _why(self, wrong: Mapping[str, Seen], right: Mapping[str, tuple[Features, int]]) -> dict[str, Verdict]:
        """Say why values are not what they should be (`right`, and its instant), by what the log gives at their own instants.

        A standing value that knows more than it says is right, and behind only.
        """
        own = {agent_id: Point(each.row.as_of, self._own(each)) for agent_id, each in wrong.items() if each.row}
        at_own = self._recomputed(own)
        whole = {agent_id: Point(point.instant, EVERYTHING) for agent_id, point in own.items() if self._differs(agent_id, at_own)}
        at_own_now = self._recomputed(whole)
        claimed = {agent_id: Point(right[agent_id][1], self._own(wrong[agent_id])) for agent_id in own}
        later = {agent_id: Point(point.instant, EVERYTHING if agent_id in whole else point.known) for agent_id, point in claimed.items()}
        at_claim = self._recomputed(later)
        verdicts = {}
        for agent_id, each in wrong.items():
            value, instant = right[agent_id]
            moving = agent_id in self.moving
            if agent_id in whole and self._differs(agent_id, at_own_now):
                its = (value, instant) if moving else (at_own_now[agent_id], own[agent_id].instant)
                verdicts[agent_id] = Verdict(each, "wrong", *its)
            elif moving:
                verdicts[agent_id] = Verdict(each, "frozen" if same(at_claim[agent_id], value) else "lost", value, instant)
            else:
                state: State = "frozen" if self._differs(agent_id, at_claim) else "behind"
                verdicts[agent_id] = Verdict(each, state, at_claim[agent_id], instant)
        return verdicts

    def _missing_or_behind(self, some: Mapping[str, Seen]) -> dict[str, Verdict]:
        """Judge agent_ids without a value that nobody keeps fresh: new since the last publication, or should they be there?"""
        points = {agent_id: Point(self._claimed(each), self._arrived(each)) for agent_id, each in some.items()}
        right = self._recomputed(points, Excepted(self.view.stale, self.view.view.longest))
        now = self._recomputed(dict.fromkeys(some, Point(self.at, EVERYTHING)))
        nothing = self._nothing()
        verdicts: dict[str, Verdict] = {}
        for agent_id, each in some.items():
            found = self._of_missing(each, right[agent_id], points[agent_id].instant)
            if not found and now[agent_id] != nothing:
                found = {agent_id: Verdict(each, "behind", now[agent_id], self.at)}
            verdicts |= found
        return verdicts

    def _of_missing(self, each: Seen, right: Features, instant: int) -> dict[str, Verdict]:
        """Judge an agent_id without a value: empty when none is due."""
        keys, first = self.view.keys, self.view.keys.published.get(each.agent_id)
        was_there = each.through is not None and ((first is not None and first <= each.through) or each.agent_id in keys.recent)
        if was_there:
            return {each.agent_id: Verdict(each, "evicted", right, instant)}
        if right != self._nothing():
            return {each.agent_id: Verdict(each, "missing", right, instant)}
        return {}

    def _some(self, *, moving: bool) -> dict[str, Seen]:
        return {agent_id: each for agent_id, each in self.seen.items() if (agent_id in self.moving) == moving}

    def _claimed(self, each: Seen) -> int:
        """Return the instant at which what was read should be right: the one that its reader is told, or now if a worker stands by it."""
        if each.row is not None and not _knows(each) and each.agent_id in self.moving and each.through is not None:
            return max(each.row.as_of, each.through)
        if each.true_up_to is None or (each.row is None and _ahead(each, self.at)):
            return self.at
        return each.true_up_to

    def _own(self, each: Seen) -> Knowledge:
        """Return what a value knows; where it does not say so, or on another cluster, what had arrived by its instant."""
        if each.row is None:
            return Knowledge()
        if _comparable(self.view, each):
            return Knowledge((each.row.snapshot or "",))
        return Knowledge(until=each.row.as_of)

    def _with_before(self, each: Seen) -> Knowledge:
        own = self._own(each)
        return Knowledge((*own.snapshots, self.before), own.until)

    def _arrived(self, each: Seen) -> Knowledge:
        """Return what a value knows and, beside it, what its claim says that it knows."""
        own, claimed = self._own(each), self._claimed(each)
        if each.row is None and each.through is None:
            return EVERYTHING
        return Knowledge(own.snapshots, self.at if claimed >= self.at else claimed - _ARRIVAL_US, self.before)

    def _differs(self, agent_id: str, right: Mapping[str, Features]) -> bool:
        row = self.seen[agent_id].row
        return row is not None and not same(row.values, right[agent_id])

    def _nothing(self) -> Features:
        view = self.view.view
        return dict(zip((each.name for each in view.features), values_of_nothing(view), strict=True))

    def _recomputed(self, points: Mapping[str, Point], excepted: Excepted | None = None) -> dict[str, Features]:
        if not points:
            return {}
        with connect_arrow(self.view.settings) as connection:
            begin_snapshot(connection)
            found = recompute(connection, self.view.view, points, excepted)
            connection.rollback()
        return found


def _look(view: View, agent_ids: Collection[str], end: float) -> _Look:
    """Read some agent_ids once more, after whoever keeps them fresh has polled the log again."""
    with connect_arrow(view.settings) as connection:
        at, before = clock.now_us(), current_snapshot(connection)
        connection.rollback()
    moved = _moved(view, {online.shard_of(agent_id) for agent_id in agent_ids}, end)
    moving = frozenset(agent_id for agent_id in agent_ids if online.shard_of(agent_id) in moved)
    return _Look(view, view.read(agent_ids), moving, before, at)


def _moved(view: View, shards: Collection[int], end: float) -> set[int]:
    """Wait until `valid_through` of some shards has moved twice, or time is over; return those that it did for."""

    def instants() -> Mapping[int, int]:
        return online.shard_instants(view.client, view.settings.project, [view.view])[0]

    last = instants()
    now = clock.now_us()
    waiting = {shard: 0 for shard in shards if last.get(shard, 0) >= now - _AT_WORK_US}
    moved: set[int] = set()
    while waiting and time.monotonic() < end:
        time.sleep(_PAUSE_S)
        found = instants()
        for shard in tuple(waiting):
            waiting[shard] += found.get(shard) != last.get(shard)
            if waiting[shard] >= _MOVES:
                moved.add(shard)
                del waiting[shard]
        last = found
    return moved


def _knows(each: Seen) -> bool:
    """Whether a value says what it knows; where it does not, its reader is told its own instant only."""
    return each.row is not None and each.row.snapshot is not None


def _comparable(view: View, each: Seen) -> bool:
    """Whether a value's snapshot is one of this log's life."""
    return each.row is not None and each.row.snapshot is not None and each.row.epoch == view.epoch and is_snapshot(each.row.snapshot)


def _ahead(each: Seen, now: int) -> bool:
    instants = [each.through, None if each.row is None else each.row.as_of]
    return any(instant is not None and instant > now + clock.AHEAD_LIMIT_US for instant in instants)
