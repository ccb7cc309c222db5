"""What the Redis behind the online store is, and whether it keeps what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from detektor_pipelines.stores.connections_redis import is_cluster, redis_errors

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class Node:
    """One server of it.

    Attributes:
        kind: `redis` or `valkey`.
        version: As it says itself.
        policy: What it does when it is full; empty where it does not say.
        saves: Whether it writes to disk what it holds; None where it does not tell this user.

    """

    kind: str
    version: str
    policy: str
    saves: bool | None


def nodes(client: Redis) -> list[Node]:
    """Ask every node; changes nothing.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    from redis.exceptions import ResponseError

    with redis_errors(client):
        found = cast("dict[str, Any]", client.info())
        rules: dict[str, Any] | None = None
        if not is_cluster(client):
            try:
                rules = cast("dict[str, Any]", client.config_get("save"))
            except ResponseError:  # a user of a role, or somebody's service
                rules = None
    every = [found] if "redis_version" in found else list(found.values())
    return [_node(each, rules) for each in every]


def eviction_policies(client: Redis) -> set[str]:
    """Return what Redis does when it is full, one policy for each node that says so; it is `noeviction` where nothing may go.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    return {each.policy for each in nodes(client) if each.policy}


def _node(said: dict[str, Any], rules: dict[str, Any] | None) -> Node:
    kind = "valkey" if said.get("server_name") == "valkey" else "redis"
    version = str(said.get("valkey_version" if kind == "valkey" else "redis_version", ""))
    saves = True if said.get("aof_enabled") else bool(rules.get("save")) if rules is not None else None
    return Node(kind, version, str(said.get("maxmemory_policy", "")), saves)
