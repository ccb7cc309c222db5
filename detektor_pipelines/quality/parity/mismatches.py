"""What is not right, in words: which feature of which agent_id, what is served and what is right, since when, and what fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.engine.as_of import values_of_nothing
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.quality.parity.recomputation import differences
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.known import is_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from detektor_pipelines.quality.parity.judgement import State, Verdict, View
    from detektor_pipelines.quality.parity.recomputation import Value

DATED: Final = 20
"""Of how many agent_ids of a view it is found out since when they are not right: it costs a look into the log each."""

_AGAIN: Final = "`detektor parity --repair` writes it again, from the raw log"
_FIXES: Final[dict[State, str]] = {
    "wrong": _AGAIN,
    "lost": _AGAIN,
    "frozen": _AGAIN,
    "missing": f"{_AGAIN}; `detektor up` starts a worker, which keeps it there",
    "evicted": f"{_AGAIN}; `detektor doctor` says whether Redis evicts",
    "ahead": "`detektor online repair` drops what lies ahead of the clock; `detektor doctor` looks at the clock",
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One feature that is not what it should be. Instants are µs UTC.

    Attributes:
        view: Of which view.
        agent_id: Of which agent.
        state: What kind of error (`judgement.State`).
        feature: Which; empty where the value alone is not what is wrong: ahead of the clock, or missing though its windows are empty.
        served: What a reader gets; None also when the value is missing.
        right: What it should be.
        right_at: For which instant `right` was computed.
        as_of: When the value was true when it was written; None when it is missing.
        true_up_to: Until when its reader is told that it is true.
        snapshot: What it says that it knows.
        epoch: Of the log's life that the snapshot belongs to.
        writer: Who wrote it.
        since: The event or the leave that should have changed it, or what else is known; None where nobody looked.
        fix: What to do.

    """

    view: str
    agent_id: str
    state: State
    feature: str
    served: Value
    right: Value
    right_at: int | None
    as_of: int | None
    true_up_to: int | None
    snapshot: str | None
    epoch: int | None
    writer: str | None
    since: str | None
    fix: str


def fix_of(state: State) -> str | None:
    """Return what to do about a state; None where nothing is wrong."""
    return _FIXES.get(state)


def mismatches_of(view: View, verdicts: Sequence[Verdict]) -> list[Mismatch]:
    """Return what is not right of some agent_ids, a feature each.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    if not verdicts:
        return []
    ordered = sorted(verdicts, key=lambda each: (each.state, each.seen.agent_id))
    with connect(view.settings) as connection:
        since = {each.seen.agent_id: since_when(connection, view, each) for each in ordered[:DATED]}
    return [one for each in ordered for one in _of(view, each, since.get(each.seen.agent_id))]


def since_when(connection: psycopg.Connection, view: View, verdict: Verdict) -> str | None:
    """Return since when an agent_id is not right, in words; None when it is."""
    match verdict.state:
        case "lost" | "missing":
            return _first_unseen(connection, view, verdict)
        case "frozen":
            return _first_leave(connection, view, verdict)
        case "evicted":
            first = view.keys.published.get(verdict.seen.agent_id)
            return "it was read lately" if first is None else f"published with a first row of {clock.to_text(first)}"
        case "ahead":
            return _how_far_ahead(verdict)
        case "wrong":
            return None if verdict.seen.row is None else f"written for {clock.to_text(verdict.seen.row.as_of)}"
    return None


def _of(view: View, verdict: Verdict, since: str | None) -> list[Mismatch]:
    row, right = verdict.seen.row, verdict.right or {}
    served: Mapping[str, Value] = {} if row is None else row.values
    different: list[tuple[str, Value, Value]] = differences(served, right)
    if row is None:
        nothing = dict(zip((each.name for each in view.view.features), values_of_nothing(view.view), strict=True))
        different = [(name, None, value) for name, _, value in differences(nothing, right)]
    different = different or [("", None, None)]
    return [
        Mismatch(
            view=view.view.name,
            agent_id=verdict.seen.agent_id,
            state=verdict.state,
            feature=name,
            served=value,
            right=wanted,
            right_at=verdict.instant,
            as_of=None if row is None else row.as_of,
            true_up_to=verdict.seen.true_up_to,
            snapshot=None if row is None else row.snapshot,
            epoch=None if row is None else row.epoch,
            writer=None if row is None else row.writer,
            since=since,
            fix=_FIXES[verdict.state],
        )
        for name, value, wanted in different
    ]


def _first_unseen(connection: psycopg.Connection, view: View, verdict: Verdict) -> str | None:
    """Return the first event in the windows that the value does not know."""
    row, longest = verdict.seen.row, view.view.longest
    unseen = "TRUE"
    if row is not None and row.snapshot is not None and row.epoch == view.epoch and is_snapshot(row.snapshot):
        unseen = f"NOT pg_visible_in_snapshot(xid, '{row.snapshot}')"
    elif row is not None:
        unseen = f"ingested_at > '{clock.from_us(row.as_of).isoformat()}'"
    end = verdict.instant or clock.now_us()
    found = connection.execute(
        f"SELECT event_id, occurred_at, ingested_at FROM ml_learning.agent_events WHERE {_of_key(view, verdict)}"
        f" AND occurred_at > %(start)s AND occurred_at <= %(end)s AND {unseen} ORDER BY xid, occurred_at LIMIT 1",
        _key(view, verdict) | {"start": clock.from_us(end - longest.size - longest.hop), "end": clock.from_us(end)},
    ).fetchone()
    if found is None:
        return None
    event_id, occurred, ingested = found
    return f"event {event_id} of {_text(occurred)}, which arrived {_text(ingested)}"


def _first_leave(connection: psycopg.Connection, view: View, verdict: Verdict) -> str | None:
    """Return the first leave after the value was written."""
    row = verdict.seen.row
    if row is None or verdict.instant is None:
        return None
    ts = "(EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint"
    firsts = []
    for window in view.view.windows:
        leave = f"{ts} + MOD({window.hop} - MOD({ts}, {window.hop}), {window.hop}) + {window.size}"
        found = connection.execute(
            f"SELECT min(leave) FROM (SELECT {leave} AS leave FROM ml_learning.agent_events WHERE {_of_key(view, verdict)}"
            " AND occurred_at > %(start)s AND occurred_at <= %(end)s) e WHERE leave > %(after)s AND leave <= %(until)s",
            _key(view, verdict)
            | {
                "start": clock.from_us(row.as_of - window.size - window.hop),
                "end": clock.from_us(verdict.instant - window.size),
                "after": row.as_of,
                "until": verdict.instant,
            },
        ).fetchone()
        if found is not None and found[0] is not None:
            firsts.append((int(found[0]), window.label))
    if not firsts:
        return None
    at, label = min(firsts)
    return f"an event left the window of {label} at {clock.to_text(at)}"


def _how_far_ahead(verdict: Verdict) -> str:
    row = verdict.seen.row
    instants = [each for each in (verdict.seen.through, None if row is None else row.as_of) if each is not None]
    return f"{(max(instants) - clock.now_us()) / SECOND:.0f} s ahead of the clock"


def _of_key(view: View, verdict: Verdict) -> str:
    return "agent_type = %(agent)s" + ("" if verdict.seen.agent_id == view.view.agent else " AND project = %(project)s")


def _key(view: View, verdict: Verdict) -> dict[str, object]:
    return {"agent": view.view.agent, "project": verdict.seen.agent_id.partition("@")[2]}


def _text(instant: object) -> str:
    return clock.to_text(clock.to_us(instant))  # type: ignore[arg-type]  # psycopg gives datetimes
