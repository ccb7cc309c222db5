"""Redis: memory and evictions, the values of each view and those that are missing, and whether a stream worker lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer
from detektor_pipelines.stores.connections_redis import escaped, redis_errors
from detektor_pipelines.stores.offline.rows import published_agents
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.worker_mark import read_mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detektor_pipelines.monitoring.exporter.question import Stores

_AT_ONCE: Final = 1_000


def memory(stores: Stores) -> Answer:
    """Return what Redis says of itself, over all nodes of a cluster, and when a stream worker last said that it lives."""
    with redis_errors(stores.redis):
        nodes = [*_nodes(stores.redis.info("memory"), "used_memory")]
        dropped = sum(int(node["evicted_keys"]) for node in _nodes(stores.redis.info("stats"), "evicted_keys"))
        mark = read_mark(stores.redis, stores.settings.project)
    evicts = any(str(node.get("maxmemory_policy", "")).startswith("allkeys") for node in nodes)
    return Answer(
        {
            metrics.REDIS_MEMORY: {(): float(sum(int(node["used_memory"]) for node in nodes))},
            metrics.REDIS_LIMIT: {(): float(sum(int(node.get("maxmemory", 0)) for node in nodes))},
            metrics.EVICTED: {(): float(dropped)},
            metrics.EVICTS: {(): float(evicts)},
        },
        {metrics.HEARTBEAT_AGE: {(): mark.beat * 1_000_000} if mark else {}},
    )


def keys(stores: Stores) -> Answer:
    """Count the values of each view, in one pass over the keys, and the published agents that have none."""
    project = stores.settings.project
    prefixes = {f"{online.version_prefix(project, view)}:": view.name for view in VIEWS}
    found: dict[str, set[str]] = {view.name: set() for view in VIEWS}
    with redis_errors(stores.redis):
        for key in stores.redis.scan_iter(match=f"feast:{escaped(project)}:*", count=_AT_ONCE):
            start, _, agent_id = key.decode(errors="replace").removeprefix(f"feast:{project}:").partition(":")
            if name := prefixes.get(f"feast:{project}:{start}:"):
                found[name].add(agent_id)
    published = {view.name: published_agents(stores.postgres, view) for view in VIEWS}
    return Answer(
        {
            metrics.ONLINE_KEYS: {(name,): float(len(agents)) for name, agents in found.items()},
            metrics.ONLINE_MISSING: {(name,): float(len(set(agents) - found[name])) for name, agents in published.items()},
        }
    )


def _nodes(said: Any, field: str) -> Iterable[dict[str, Any]]:
    """Return what each node says: a single server answers at once, a cluster by node."""
    found = cast("dict[str, Any]", said)
    return [found] if field in found else [node for node in found.values() if isinstance(node, dict) and field in node]
