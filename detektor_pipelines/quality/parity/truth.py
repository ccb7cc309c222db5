"""One table of truth for what is served of an agent: until when it is true, what it knows, who wrote it, and whether it is right now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.quality.parity.judgement import Verdict, View, judged
from detektor_pipelines.quality.parity.keys import known_of
from detektor_pipelines.quality.parity.mismatches import fix_of, since_when
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.parity.recomputation import Value
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class TrueValue:
    """One feature. `right`: what the log gives now, or for the instant that `Truth.right_at` names; equal to `value` where `agrees`."""

    name: str
    value: Value
    unit: str
    status: str
    right: Value
    agrees: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Writes of an agent's value that the guard refused: how often, when last (µs UTC), whose; `since`: after the value that stands."""

    count: int
    last: int
    writer: str
    since: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """What is served of one agent in one view, and what is known of it. Instants are µs UTC, None when nothing is online.

    Attributes:
        view: The view.
        agent_id: The agent.
        values: Its features.
        true_up_to: Until when the reader is told that they are true.
        age_seconds: From there to now.
        as_of: What they were computed for when they were written.
        event_timestamp: Of the row that they come from.
        snapshot: Of the log that they were computed from; None when they do not say so.
        epoch: Of the log's life that the snapshot belongs to.
        writer: Who wrote them; None when they do not say so.
        refused: Writes that were refused; None when none was.
        state: What parity says (`quality.parity.judgement.State`); None when nothing is known of the agent.
        right_at: The instant that `TrueValue.right` is of.
        since: Since when it is not right; None when it is.
        fix: What to do; None when nothing is wrong.

    """

    view: str
    agent_id: str
    values: tuple[TrueValue, ...]
    true_up_to: int | None
    age_seconds: float | None
    as_of: int | None
    event_timestamp: int | None
    snapshot: str | None
    epoch: int | None
    writer: str | None
    refused: Refused | None
    state: str | None
    right_at: int | None
    since: str | None
    fix: str | None


def truth(settings: Settings, view: FeatureView, agent_id: str) -> Truth:
    """Return what is served of an agent now and what is known of it, computed again from the log.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    client = redis_client(settings)
    try:
        judging = View(settings, client, view, known_of(settings, client, view, agent_id))
        verdict = judged(judging).get(agent_id)
        seen = verdict.seen if verdict else judging.read([agent_id])[agent_id]
        since = None
        if verdict is not None:
            with connect(settings) as connection:
                since = since_when(connection, judging, verdict)
        row = seen.row
        return Truth(
            view=view.name,
            agent_id=agent_id,
            values=_values(view, row, verdict),
            true_up_to=None if row is None else row.true_up_to,
            age_seconds=None if row is None else (clock.now_us() - row.true_up_to) / SECOND,
            as_of=None if row is None else row.as_of,
            event_timestamp=None if row is None else row.event_timestamp,
            snapshot=None if row is None else row.snapshot,
            epoch=None if row is None else row.epoch,
            writer=None if row is None else row.writer,
            refused=_refused(client, settings.project, view, agent_id, row),
            state=verdict.state if verdict else None,
            right_at=verdict.instant if verdict else None,
            since=since,
            fix=fix_of(verdict.state) if verdict else None,
        )
    finally:
        client.close()


def _values(view: FeatureView, row: online.OnlineRow | None, verdict: Verdict | None) -> tuple[TrueValue, ...]:
    right = (verdict.right if verdict else None) or {}
    found = []
    for each in view.features:
        value = None if row is None else row.values[each.name]
        status = "NOT_FOUND" if row is None else row.status_of(each.name)
        wanted = right.get(each.name)
        agrees = value == wanted and type(value) is type(wanted)
        found.append(TrueValue(each.name, value, each.unit, status, wanted, agrees))
    return tuple(found)


def _refused(client: Redis, project: str, view: FeatureView, agent_id: str, row: online.OnlineRow | None) -> Refused | None:
    found = online.refusals(client, project, view).get(agent_id)
    if found is None:
        return None
    count, last, writer = found
    return Refused(count, last, writer, since=row is None or last > row.as_of)
