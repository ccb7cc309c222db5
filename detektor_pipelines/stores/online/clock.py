"""What lies ahead of the clock online, and taking it away.

A batch or a worker on a host whose clock is ahead puts values online that no later one may replace until the clock has come that far, and
nobody trusts them meanwhile (`online`). Belongs here: finding and dropping them. Filling the gap again is `engine.repair`'s business.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.stores.connections_redis import escaped, redis_errors
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.stores.online.values import StoredView

_AT_ONCE: Final = 1_000
_HEAD: Final = struct.Struct(">BB2xq")
_OURS: Final = (0xDE, 1)

_DROP_VALUE: Final = """
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or #value < 28 or struct.unpack('>i8', value, 5) <= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
"""
"""Deletes a value that is true later than ARGV[1]; returns whether it did: somebody may have written it again meanwhile."""

_DROP_MARKS: Final = """
local kept = {}
local old = redis.pcall('GET', KEYS[1])
if type(old) ~= 'string' then return 0 end
for number in string.gmatch(old, '[^,]+') do
    local instant = tonumber(number) or 0
    kept[#kept + 1] = string.format('%.0f', instant <= tonumber(ARGV[1]) and instant or 0)
end
redis.call('SET', KEYS[1], table.concat(kept, ','))
return 0
"""
"""Forgets how far the shards are complete that are said to be so later than ARGV[1]."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What of one view lies further ahead of the clock than clocks differ.

    `agent_ids`: of the values. `shards`: whose `valid_through` does. `furthest`: the latest of these instants, µs UTC; 0 without any.
    """

    view: str
    agent_ids: tuple[str, ...]
    shards: tuple[int, ...]
    furthest: int

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.agent_ids or self.shards)


def ahead(client: Redis, project: str, view: FeatureView | StoredView) -> Ahead:
    """Look through all values of a view's version.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    limit = clock.now_us() + clock.AHEAD_LIMIT_US
    (instants,) = online.shard_instants(client, project, [view])
    marks = {shard: instant for shard, instant in instants.items() if instant > limit}
    with redis_errors(client):
        values = {agent_id: as_of for some in _heads(client, project, view) for agent_id, as_of in some.items() if as_of > limit}
    furthest = max((*marks.values(), *values.values()), default=0)
    return Ahead(online.stored_view(view).name, tuple(sorted(values)), tuple(sorted(marks)), furthest)


def drop(client: Redis, project: str, view: FeatureView | StoredView, found: Ahead) -> int:
    """Delete the values found, unless they have been written again, and forget how far their shards are complete; returns how many went.

    Raises:
        OnlineStoreDownError: Redis does not answer; what is left goes when called again.

    """
    limit = str(clock.now_us() + clock.AHEAD_LIMIT_US)
    gone = 0
    with redis_errors(client), client.pipeline(transaction=False) as pipe:
        online.send(pipe, (_DROP_MARKS, 1, [online.valid_through_key(project, view), limit]))
        pipe.execute()
        for start in range(0, len(found.agent_ids), _AT_ONCE):
            for agent_id in found.agent_ids[start : start + _AT_ONCE]:
                online.send(pipe, (_DROP_VALUE, 1, [online.value_key(project, view, agent_id), limit]))
            gone += sum(pipe.execute())
    return gone


def _heads(client: Redis, project: str, view: FeatureView | StoredView) -> Iterator[dict[str, int]]:
    """Yield agent_id → as_of of the values, some at a time."""
    prefix = f"{online.version_prefix(project, view)}:"
    keys: list[bytes] = []
    for key in client.scan_iter(match=f"{escaped(prefix)}*", count=_AT_ONCE):
        keys.append(key)
        if len(keys) == _AT_ONCE:
            yield _as_of(client, prefix, keys)
            keys = []
    if keys:
        yield _as_of(client, prefix, keys)


def _as_of(client: Redis, prefix: str, keys: list[bytes]) -> dict[str, int]:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.getrange(key, 0, _HEAD.size - 1)
        answers = pipe.execute(raise_on_error=False)  # a key of another Redis type is not ours
    found = {}
    for key, head in zip(keys, answers, strict=True):
        if isinstance(head, bytes) and len(head) == _HEAD.size and (read := _HEAD.unpack(head))[:2] == _OURS:
            found[key.decode().removeprefix(prefix)] = read[2]
    return found
