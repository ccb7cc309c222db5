"""Which life of the log the online store belongs to: two copies of a log must not write to one Redis.

A later life's values win over an earlier one's, which is right after a restore, and wrong where somebody restored last night's dump beside
the running platform and left the address of its Redis in place. So whoever writes values says first whose they are:

    feast:<project>#log    hash: `life` and `epoch` of the log whose values stand here, `seen`: when a worker of it was last heard of

An earlier life is refused; a later one takes over once no worker of the former was heard of for ALIVE_S, by Redis's own clock. `take_over`
does it at once. Before it does, what the former said is forgotten: its values may know of events that this log does not hold, and its
`valid_through` speaks of those values and not of the ones to come. So each of them is true up to its own instant only, and the first value
of the new life takes its place.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, cast

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client, redis_errors
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions

if TYPE_CHECKING:
    from redis import Redis

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.cluster import Life

ALIVE_S: Final = 5
"""For so long a life counts as alive after a worker of it was heard of; one is each second."""

_FOREVER: Final = 2**53
_CLAIM: Final = """
local life, epoch, seen = unpack(redis.call('HMGET', KEYS[1], 'life', 'epoch', 'seen'))
local now = tonumber(redis.call('TIME')[1])
if life and life ~= ARGV[1] then
    if tonumber(epoch) >= tonumber(ARGV[2]) then return {'later', life} end
    if now - tonumber(seen) < tonumber(ARGV[3]) then return {'alive', life} end
    if ARGV[5] ~= '1' then return {'former', life} end
elseif not life and tonumber(ARGV[2]) > 1 and ARGV[5] ~= '1' then
    return {'former', ''} -- values of before lives were kept, if there are any
end
local beat = ARGV[4] == '1' and now or life == ARGV[1] and seen or 0
redis.call('HSET', KEYS[1], 'life', ARGV[1], 'epoch', ARGV[2], 'seen', beat)
return {'ours', life or ''}
"""
_LEAVE: Final = "if redis.call('HGET', KEYS[1], 'life') == ARGV[1] then redis.call('HSET', KEYS[1], 'seen', 0) end"
_TAKE_OVER: Final = "`detektor online take-over` makes it this one's"


def claim(client: Redis, project: str, life: Life, *, worker: bool = False) -> None:
    """Say that the values of this life are written now, before they are.

    Args:
        client: Redis.
        project: Whose keys.
        life: As the log says.
        worker: Whether it will be said again each second, until `leave`.

    Raises:
        UserError: The online store is a later life's, or an earlier one's that is alive.
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        verdict, other = _asked(client, project, life, worker=worker)
    if verdict == "later":
        raise UserError(
            "The online store holds the values of another copy of the log, which began after this one: those written from here would lose.",
            where=f"its life is {other}, this one's {life.name} (number/cluster/timeline)",
            fix=f"Give this copy another Redis or DETEKTOR_PROJECT. Or, if the other one is given up: {_TAKE_OVER}.",
        )
    if verdict == "alive":
        raise UserError(
            "Another copy of the log keeps the online store fresh at this moment.",
            where=f"its life is {other}, this one's {life.name} (number/cluster/timeline)",
            fix=f"Stop its stream workers and runs, or give this copy another Redis or DETEKTOR_PROJECT. {_TAKE_OVER} at once.",
        )


def leave(client: Redis, project: str, life: Life) -> None:
    """Say that a worker of this life ends, so that nobody waits for it; others of the same are heard of within a second.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        client.eval(_LEAVE, 1, _key(project), life.name)


def take_over(settings: Settings) -> Life:
    """Begin a life of the log that is later than any whose values stand online, and make the online store its own.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached, or this is a replica.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            held = cast("bytes | None", client.hget(_key(settings.project), "epoch"))
        with connect(settings, writes=True) as connection:
            life = cluster.begin_after(connection, int(held or 0))
        with redis_errors(client):
            _forget(client, settings.project)
            client.delete(_key(settings.project))
            _asked(client, settings.project, life, worker=False)
    finally:
        client.close()
    return life


def _asked(client: Redis, project: str, life: Life, *, worker: bool) -> tuple[str, str]:
    words = (life.name, str(life.epoch), str(ALIVE_S), str(int(worker)))
    verdict, other = cast("list[bytes]", client.eval(_CLAIM, 1, _key(project), *words, "0"))
    if verdict == b"former":
        _forget(client, project)
        verdict, other = cast("list[bytes]", client.eval(_CLAIM, 1, _key(project), *words, "1"))
    return verdict.decode(), other.decode()


def _forget(client: Redis, project: str) -> None:
    """Take from all values of a former life what they know, and what was said of how far they are complete."""
    for view in online_versions.versions(client, project):
        client.delete(online.valid_through_key(project, view))
        online.distrust(client, project, view, online.agent_ids(client, project, view, sys.maxsize), _FOREVER)


def _key(project: str) -> str:
    return f"feast:{project}#log"
