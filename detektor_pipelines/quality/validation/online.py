"""What is served: readable and in bounds, of agents that exist, and the same as the rows offline and as the log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import values_of_nothing
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.engine.own_instants import values_at_each
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.quality.parity import check as comparing
from detektor_pipelines.quality.parity.recomputation import countable, differences
from detektor_pipelines.quality.validation.stage import empty
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.connections_redis import mget, redis_client, redis_errors
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import CorruptValueError, Unpacked, unpack
from detektor_pipelines.stores.online.upkeep import survey
from detektor_pipelines.stores.raw_log.known import EVERYTHING, read_known
from detektor_pipelines.stores.raw_log.reader import begin_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.parity.recomputation import Features
    from detektor_pipelines.quality.validation.outcomes import Outcome
    from detektor_pipelines.quality.validation.stage import Published, Stage

_REPAIR: Final = "`detektor parity --repair` writes it again, from the raw log"
_AT_ONCE: Final = 2_000


def keys(stage: Stage, outcome: Outcome) -> None:
    """Every value online can be read, passes the view's schema, and is of an agent with events or rows; every agent with rows has one."""
    client = redis_client(stage.settings)
    try:
        for each in stage.published.values():
            _of_view(stage.settings.project, client, each, outcome)
    finally:
        client.close()
    for use in survey(stage.settings, stage.views, older_than_days=0, models=None, beside=_beside()):
        outcome.compared += 1
        if not use.kept_by:
            what = f"{use.held.keys:,} values online are of {use.held.version}, which nobody defines, registers or uses."
            outcome.add(
                what,
                f"keys feast:{stage.settings.project}:{use.held.version}:*",
                "`detektor online prune --older-than 0 --yes` deletes them",
            )


def against_rows(stage: Stage, outcome: Outcome) -> None:
    """A value online that came from a row says what the row says; the newest row of each agent says what the log says at its instant."""
    later = 0
    client = redis_client(stage.settings)
    try:
        for each in stage.published.values():
            rows = {row["agent_id"]: row for row in _plain(each.latest)}
            served = online.read(client, stage.settings.project, each.view, list(rows))
            for row, value in zip(rows.values(), served, strict=True):
                if value is None:
                    continue  # the check of the keys says so
                if (value.event_timestamp, value.created_at) != (row["event_timestamp"], row["created_at"]):
                    later += 1
                    continue
                outcome.compared += 1
                for name, said, right in differences(value.values, _features(each.view, row)):
                    what = f"{each.view.name}.{name} of {row['agent_id']} is {said} online and {right} offline."
                    outcome.add(what, f"row of {clock.to_text(row['event_timestamp'])}", _REPAIR)
            _rows_against_log(stage, each, outcome)
    finally:
        client.close()
    if later:
        outcome.note = f"{later} values online are of another timestamp than the newest row: parity holds them against the log"


def parity(stage: Stage, outcome: Outcome) -> None:
    """What a reader gets now of every agent is what the log gives."""
    for found in comparing.check(stage.settings, stage.views):
        outcome.compared += found.compared
        named = {(each.agent_id, each.state): each for each in reversed(found.mismatches)}
        for (agent_id, state), each in sorted(named.items()):
            said = f"{each.feature} is served as {each.served}, right is {each.right}" if each.feature else f"it is {state}"
            outcome.add(f"{found.view} of {agent_id} is {state}: {said}.", each.since or "online", each.fix)


def _of_view(project: str, client: Redis, each: Published, outcome: Outcome) -> None:
    view = each.view
    ids = sorted(online.agent_ids(client, project, view, sys.maxsize))
    outcome.compared += len(ids)
    known = each.agent_ids | each.logged
    for agent_id in ids:
        if agent_id not in known:
            key = online.value_key(project, view, agent_id)
            outcome.add(
                f"A value of {view.name} is online for {agent_id}, of which there is no event and no row.", key, f"redis-cli DEL {key}"
            )
    for agent_id in sorted(each.agent_ids - set(ids)):
        outcome.add(f"{view.name} of {agent_id} has rows, and no value online.", online.value_key(project, view, agent_id), _REPAIR)
    readable = _readable(project, client, view, ids, outcome)
    if readable:
        for cases in failures_by_day(view, _table(view, readable)).values():
            for case in cases:
                what = (
                    f"{view.name}.{case['column'] or 'row'} of {case['agent_id']} is {case['value']} online, and must be: {case['check']}."
                )
                outcome.add(what, f"row of {case['event_timestamp']}", _REPAIR)


def _readable(project: str, client: Redis, view: FeatureView, ids: list[str], outcome: Outcome) -> dict[str, Unpacked]:
    layout, found = online.stored_view(view).layout, {}
    for start in range(0, len(ids), _AT_ONCE):
        names = [online.value_key(project, view, agent_id) for agent_id in ids[start : start + _AT_ONCE]]
        with redis_errors(client):
            answers = mget(client, names)
        for agent_id, name, packed in zip(ids[start : start + _AT_ONCE], names, answers, strict=True):
            if packed is None:
                continue  # deleted meanwhile
            try:
                found[agent_id] = unpack(layout, packed)
            except CorruptValueError as error:
                outcome.add(f"A value of {view.name} cannot be read: {error}.", name, f"redis-cli DEL {name}, then {_REPAIR}")
    return found


def _table(view: FeatureView, values: Mapping[str, Unpacked]) -> pa.Table:
    """Return values online in the layout of published rows."""
    import pyarrow as pa

    layout = empty(view).drop_columns("written_at").schema
    columns: dict[str, list[object]] = {"agent_id": list(values)}
    columns |= {name: [getattr(each, name) for each in values.values()] for name in ("event_timestamp", "created_at")}
    columns |= {each.name: [value.values[each.name] for value in values.values()] for each in view.features}
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in layout}, schema=layout)


def _rows_against_log(stage: Stage, each: Published, outcome: Outcome) -> None:
    """Compute each agent's newest row again, at its own instant; one of a day that is known to be stale is left to the days' check."""
    rows = {row["agent_id"]: row for row in _plain(each.latest) if owner(row["event_timestamp"]) not in each.stale}
    if not rows:
        return
    right = _of_log(stage, each.view, {agent_id: row["event_timestamp"] for agent_id, row in rows.items()})
    outcome.compared += len(rows)
    for agent_id, row in rows.items():
        for name, said, value in differences(_features(each.view, row), right[agent_id]):
            day = owner(row["event_timestamp"])
            what = f"{each.view.name}.{name} of {agent_id} is {said} offline, and the log gives {value}."
            fix = f"`dagster asset materialize -m detektor_pipelines.definitions --select 'group:{each.view.group}' --partition {day}`"
            outcome.add(what, f"row of {clock.to_text(row['event_timestamp'])}", fix)


def _of_log(stage: Stage, view: FeatureView, instants: Mapping[str, int]) -> dict[str, Features]:
    """Return what the log gives for each agent_id at its own instant, by one query of the log."""
    compiled = plan(view)
    start, end = min(instants.values()) - reach_back(compiled), max(instants.values())
    with connect_arrow(stage.settings) as connection:
        begin_snapshot(connection)
        events = read_known(connection, view.agent, compiled.columns, start, end, EVERYTHING)
        connection.rollback()
    found = countable(view, events, lambda some: values_at_each(view, some, instants))
    names, nothing = [each.name for each in view.features], values_of_nothing(view)
    return {agent_id: dict(zip(names, found.get(agent_id, nothing), strict=True)) for agent_id in instants}


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    """Return rows with timestamps as µs UTC."""
    import pyarrow as pa

    columns = {name: rows[name].cast(pa.int64()) if pa.types.is_timestamp(rows[name].type) else rows[name] for name in rows.column_names}
    found: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return found


def _features(view: FeatureView, row: Mapping[str, Any]) -> Features:
    return {each.name: row[each.name] for each in view.features}


def _beside() -> tuple[FeatureView, ...]:
    from detektor_pipelines.catalog import BESIDE

    return BESIDE
