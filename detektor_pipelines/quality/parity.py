"""Is what was served what batch computes? Each value is computed again by the batch SQL for its own instant and its own knowledge."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import split_by_range, values_at, values_of_nothing
from detektor_pipelines.stores import online, read_log
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.connections_redis import redis_client, redis_errors
from detektor_pipelines.stores.log_reader import read_events
from detektor_pipelines.stores.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from redis import Redis

    from detektor_pipelines.engine.as_of import Values
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

Value: TypeAlias = int | float | None


@dataclass(frozen=True, slots=True)
class Served:
    """A value that was read: of which key, true as of which instant (µs UTC), from which snapshot of the log (None when unknown)."""

    agent_id: str
    as_of: int
    snapshot: str | None
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One feature of one served value that batch computes otherwise."""

    agent_id: str
    as_of: int
    snapshot: str
    feature: str
    served: Value
    batch: Value


@dataclass(slots=True)
class Parity:
    """What a comparison found. `compared`: values with a snapshot; `skipped`: without one, as the stock command line writes them."""

    view: str
    compared: int = 0
    skipped: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    def as_data(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self) | {"by_feature": self.by_feature()}

    def by_feature(self) -> dict[str, int]:
        """Count the mismatches by feature."""
        counts: dict[str, int] = {}
        for each in self.mismatches:
            counts[each.feature] = counts.get(each.feature, 0) + 1
        return counts


def check(settings: Settings, views: Sequence[FeatureView], sample: int) -> list[Parity]:
    """Compare up to `sample` values over all views: those that were read lately, else what a read gives now; keeps the counts for metrics.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    client = redis_client(settings)
    try:
        taken = _sample(client, settings.project, views, sample)
        found = [compare(settings, view, taken[view.name]) for view in views]
        counts = {each.view: {"compared": each.compared, "skipped": each.skipped, "by_feature": each.by_feature()} for each in found}
        with redis_errors(client):
            client.set(_results_key(settings), json.dumps({"at": clock.now_us(), "views": counts}))
    finally:
        client.close()
    return found


def last_results(settings: Settings) -> dict[str, Any] | None:
    """Return when `check` last ran (`at`, µs UTC) and its counts by view (`compared`, `skipped`, `by_feature`); None before the first.

    Raises:
        UserError: Redis cannot be reached.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            answer = cast("bytes | None", client.get(_results_key(settings)))
    finally:
        client.close()
    return None if answer is None else json.loads(answer)


def _results_key(settings: Settings) -> str:
    return f"feast:{settings.project}#parity"


def _sample(client: Redis, project: str, views: Sequence[FeatureView], sample: int) -> dict[str, list[Served]]:
    """Return served values by view: from the sampled reads, and where those are fewer than a view's share, read now."""
    share = -(-sample // len(views))
    taken: dict[str, list[Served]] = {view.name: [] for view in views}
    current = {online.stored_view(view).version: view for view in views}
    for version, agent_id, packed in read_log.newest(client, project, sample):
        if version in current:
            taken[current[version].name].append(_served(agent_id, online.stored_view(current[version]), packed))
    for view in views:
        wanted = share - len(taken[view.name])
        if wanted > 0:
            rows = online.read(client, project, view, online.agent_ids(client, project, view, wanted))
            taken[view.name] += [Served(row.agent_id, row.as_of, row.snapshot, row.values) for row in rows if row is not None]
    return taken


def _served(agent_id: str, view: online.StoredView, packed: bytes) -> Served:
    row = unpack(view.layout, packed)
    return Served(agent_id, row.as_of, row.snapshot, row.values)


def compare(settings: Settings, view: FeatureView, served: Sequence[Served]) -> Parity:
    """Compute each value again and compare, to the bit.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    found = Parity(view.name)
    groups: dict[tuple[int, str], list[Served]] = {}
    for each in served:
        if each.snapshot is None:
            found.skipped += 1
        else:
            groups.setdefault((each.as_of, each.snapshot), []).append(each)
    names = [each.name for each in view.features]
    compiled = plan(view)
    with connect_arrow(settings) as connection:
        for (as_of, snapshot), values in groups.items():
            start = as_of - reach_back(compiled)
            events = read_events(connection, view.agent, compiled.columns, start, as_of, snapshot=snapshot)
            batch = _values_at(view, events, as_of)
            for each in values:
                found.compared += 1
                expected = dict(zip(names, batch.get(each.agent_id, values_of_nothing(view)), strict=True))
                found.mismatches += [
                    Mismatch(each.agent_id, as_of, snapshot, name, each.values.get(name), expected[name])
                    for name in names
                    if not _same(each.values.get(name), expected[name])
                ]
    return found


def _values_at(view: FeatureView, events: pa.Table, as_of: int) -> Values:
    """Return batch's values; where 64 bits do not hold them, those of the events that the stream can count too."""
    try:
        return values_at(view, events, as_of)
    except Exception:  # whichever way the engine says it
        countable, outside = split_by_range(view, events)
        if not outside.num_rows:
            raise
        return values_at(view, countable, as_of)


def _same(one: Value, other: Value) -> bool:
    """Equal to the bit: 1 is not 1.0, for they are stored as different types."""
    return one == other and type(one) is type(other)
