"""Which agent_ids a reader may ask for, which of them are looked at, and what stands online of them.

An agent_id is known when a value of it is online, when it has events in the longest window, or when rows of it are published offline: one
that should be online and is not is found too.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.connections_redis import mget, redis_errors
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.known import projects_by_agent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adbc_driver_postgresql.dbapi import Connection
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow

_AT_ONCE: Final = 2_000
_QUARTER: Final = 4


@dataclass(slots=True)
class Keys:
    """What is known of one view.

    Attributes:
        online: agent_ids with a value online.
        logged: With events in the longest window.
        published: agent_id → event_timestamp (µs UTC) of its first row offline.
        recent: Read lately.
        chosen: What is looked at.

    """

    online: set[str] = field(default_factory=set)
    logged: set[str] = field(default_factory=set)
    published: dict[str, int] = field(default_factory=dict)
    recent: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)

    @property
    def known(self) -> set[str]:
        """Every agent_id that is known."""
        return self.online | self.logged | self.published.keys()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader got: the value, None when there is none, and `valid_through` of its shard (µs UTC, None when it was never said)."""

    agent_id: str
    row: OnlineRow | None
    through: int | None

    @property
    def true_up_to(self) -> int | None:
        """Up to when what was read is said to be true; for a value that is missing, up to when its shard is complete."""
        return self.through if self.row is None else self.row.true_up_to


def known_keys(settings: Settings, client: Redis, views: Sequence[FeatureView]) -> dict[str, Keys]:
    """Return what is known of each view, by its name; nothing is chosen yet.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    project, now = settings.project, clock.now_us()
    found = {view.name: Keys(online=set(online.agent_ids(client, project, view, sys.maxsize))) for view in views}
    with connect_arrow(settings) as connection:
        longest = max(reach_back(plan(view)) for view in views)
        projects = projects_by_agent(connection, [view.agent for view in views], now - longest, now)
        for view in views:
            keys = found[view.name]
            keys.logged = {f"{view.agent}@{each}" for each in projects[view.agent] if each is not None}
            keys.logged |= {view.agent} if projects[view.agent] else set()
            keys.published = _published(connection, view)
    versions = {online.stored_view(view).version: view.name for view in views}
    for version, agent_id, _ in read_log.newest(client, project, read_log.KEPT):
        if version in versions:
            found[versions[version]].recent.add(agent_id)
    return found


def known_of(settings: Settings, client: Redis, view: FeatureView, agent_id: str) -> Keys:
    """Return what is known of one agent_id, which is chosen.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    with connect_arrow(settings) as connection:
        keys = Keys(published=_published(connection, view, agent_id), chosen={agent_id})
    version = online.stored_view(view).version
    keys.recent = {agent for name, agent, _ in read_log.newest(client, settings.project, read_log.KEPT) if name == version}
    return keys


def choose(keys: Mapping[str, Keys], sample: int, seed: int) -> None:
    """Choose up to `sample` agent_ids over all views at random.

    Where there are more, a quarter is for those that are missing online, a quarter for those that were read lately, the rest for any.
    """
    everything = [(name, agent_id) for name, each in sorted(keys.items()) for agent_id in sorted(each.known)]
    if len(everything) > sample:
        chance = random.Random(seed)  # noqa: S311  a sample, no secret
        chance.shuffle(everything)
        missing = [pair for pair in everything if pair[1] not in keys[pair[0]].online][: sample // _QUARTER]
        recent = [pair for pair in everything if pair[1] in keys[pair[0]].recent][: sample // _QUARTER]
        everything = list(dict.fromkeys([*missing, *recent, *everything]))[:sample]
    for name, agent_id in everything:
        keys[name].chosen.add(agent_id)


def read(client: Redis, project: str, view: FeatureView, agent_ids: Sequence[str]) -> dict[str, Seen]:
    """Read as a reader does: each value together with its shard's `valid_through`.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    found: dict[str, Seen] = {}
    for start in range(0, len(agent_ids), _AT_ONCE):
        some = agent_ids[start : start + _AT_ONCE]
        lookup = online.Lookup(project, online.stored_view(view), some)
        with redis_errors(client):
            answers = mget(client, online.keys_of([lookup]))
        through = online.instants_of(answers[-1])
        for agent_id, row in zip(some, online.rows_of([lookup], answers)[0], strict=True):
            found[agent_id] = Seen(agent_id, row, through.get(online.shard_of(agent_id)))
    return found


def _published(connection: Connection, view: FeatureView, only: str | None = None) -> dict[str, int]:
    """Return the agent_ids with rows of the view's current version, each with its first row's instant in µs UTC."""
    table = f'{SCHEMA}."{row_table(view)}"'
    begin = "" if only is None else f"WHERE agent_id = {_quoted(only)}"
    # By a loose index scan: one probe a key, however many rows a key has
    following = f"""
        UNION ALL
        SELECT following.* FROM keys k CROSS JOIN LATERAL (
            SELECT t.agent_id, t.event_timestamp FROM {table} t WHERE t.agent_id > k.agent_id ORDER BY t.agent_id, t.event_timestamp LIMIT 1
        ) following"""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_regclass('{table}') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return {}
        cursor.execute(f"""
            WITH RECURSIVE keys AS (
                (SELECT agent_id, event_timestamp FROM {table} {begin} ORDER BY agent_id, event_timestamp LIMIT 1)
                {"" if only is not None else following}
            )
            SELECT agent_id, (EXTRACT(EPOCH FROM event_timestamp) * 1000000)::bigint FROM keys
        """)
        return dict(cursor.fetchall())


def _quoted(text: str) -> str:
    from psycopg import sql

    return sql.Literal(text).as_string()
