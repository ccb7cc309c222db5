"""Connections to Redis, and its errors in words a person can act on.

One URL says which Redis it is: a single server, whichever one the Sentinels name, or a cluster (`settings.RedisAddress`); the clients made
here are the same to use, except that a cluster takes a command on several keys only when they share a slot. `mget` and `by_slot` see to
that, and do nothing for the others.

redis-py imports slowly, so it is imported where it is used.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    from detektor_pipelines.settings import RedisAddress, Settings

CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 5.0
CONNECTIONS: Final = 64

_CONNECTION: Final[dict[str, Any]] = {
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
    "socket_timeout": ANSWER_TIMEOUT_S,
    "health_check_interval": 30,
}
_AGAIN: Final = 2
"""Attempts after the first: for a connection that the server closed while idle, and a cluster that changed. A read must fail fast."""

_AGAIN_AFTER_S: Final = 0.02

_REFUSALS: Final = (  # by words of the message: inside a script, and in redis-py's own exceptions, the error's code is not in front
    ("maxmemory", "Redis is full.", "Raise its maxmemory, or drop retired versions: `detektor online prune`."),
    ("read only replica", "This Redis is a replica.", "Give the primary's address in DETEKTOR_EXTERNAL_REDIS_URL."),
    ("MISCONF", "Redis cannot save to disk and refuses writes.", "Free disk space on its server."),
    ("NOAUTH", "Redis wants a password.", "Give it in DETEKTOR_EXTERNAL_REDIS_URL."),
    ("permissions", "The Redis user may not do this.", "Grant it GET, SET, SETNX, MGET, SCAN, UNLINK and EVAL on feast:*."),
    ("luster mode is not enabled", "This Redis is not a cluster.", "Write its address as redis:// in DETEKTOR_EXTERNAL_REDIS_URL."),
    ("SENTINEL", "This Redis is not a Sentinel.", "Write its address as redis:// in DETEKTOR_EXTERNAL_REDIS_URL."),
)

_Item = TypeVar("_Item")


class OnlineStoreDownError(UserError):
    """Redis does not answer, or refuses: nothing was read or written, or only a part of a batch was."""


def redis_client(settings: Settings) -> Redis:
    """Return a client with a pool of its own and short time-outs, which connects when it is first used; values are bytes. Close it."""
    return client_of(settings.redis_url)


def client_of(url: str, **options: Any) -> Redis:
    """Return a client of what a URL names, as `redis_client`; `options` are redis-py's, and go before the usual ones.

    Raises:
        UserError: The URL is of none of the kinds.

    """
    import redis
    import redis.sentinel
    from redis.backoff import ConstantBackoff
    from redis.connection import parse_url
    from redis.retry import Retry

    from detektor_pipelines.settings import redis_address

    address, retry = redis_address(url), Retry(ConstantBackoff(_AGAIN_AFTER_S), _AGAIN)
    chosen: dict[str, Any] = {**_CONNECTION, "max_connections": CONNECTIONS, "retry": retry, **options}
    if address.kind == "server":
        return redis.Redis.from_url(url, **chosen)
    if address.kind == "cluster":
        return cast("redis.Redis", ClusterClient(address, chosen))

    class Primary(redis.Redis):
        """Closes the connections to the Sentinels too."""

        def close(self) -> None:
            super().close()
            for each in sentinel.sentinels:
                each.close()

    options_of: Any = parse_url
    to_sentinels, to_server = _sentinel_options(options_of(address.single_url), address, chosen)
    sentinels: Any = redis.sentinel.Sentinel
    sentinel = sentinels(address.nodes, sentinel_kwargs=to_sentinels, **to_server)
    return cast("redis.Redis", sentinel.master_for(address.service, redis_class=Primary))


class ClusterClient:
    """A client of a cluster that connects when it is first used, as those of the other kinds do; redis-py's asks all nodes at once."""

    def __init__(self, address: RedisAddress, options: dict[str, Any]) -> None:
        self.address = address
        self._options = options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mget_nonatomic(self, keys: Sequence[Any]) -> Any:
        """Read any keys, those of each slot at once."""
        return self._connected.mget_nonatomic(keys)

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_connected" in self.__dict__:
            self._connected.close()

    @cached_property
    def _connected(self) -> Any:
        from redis.cluster import ClusterNode, RedisCluster

        nodes = [ClusterNode(host, port) for host, port in self.address.nodes[1:]]  # type: ignore[no-untyped-call]  # redis-py's
        try:
            return RedisCluster.from_url(self.address.single_url, startup_nodes=nodes, require_full_coverage=False, **self._options)
        except AttributeError as error:  # else Python takes it for one of this class, and asks again
            raise RuntimeError from error


def async_client_of(url: str, **options: Any) -> AsyncRedis:
    """Return a client for an event loop, otherwise as `client_of`; nothing is connected before its first use, whatever the kind.

    Raises:
        UserError: The URL is of none of the kinds.

    """
    import redis.asyncio
    from redis.asyncio.cluster import ClusterNode, RedisCluster
    from redis.asyncio.connection import parse_url
    from redis.asyncio.retry import Retry
    from redis.backoff import ConstantBackoff

    from detektor_pipelines.settings import redis_address

    address, retry = redis_address(url), Retry(ConstantBackoff(_AGAIN_AFTER_S), _AGAIN)
    chosen: dict[str, Any] = {**_CONNECTION, "max_connections": CONNECTIONS, "retry": retry, **options}
    if address.kind == "server":
        return redis.asyncio.Redis.from_url(url, **chosen)
    chosen.pop("single_connection_client", None)  # a fail-over, or a second node, needs a second connection
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.nodes[1:]]
        client = RedisCluster.from_url(address.single_url, startup_nodes=nodes, require_full_coverage=False, **chosen)
        return cast("redis.asyncio.Redis", client)

    class Primary(redis.asyncio.Redis):
        """Closes the connections to the Sentinels too."""

        async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - redis-py's signature
            await super().aclose(close_connection_pool)
            for each in sentinel.sentinels:
                await each.aclose()

    to_sentinels, to_server = _sentinel_options(parse_url(address.single_url), address, chosen)
    sentinels: Any = redis.asyncio.Sentinel  # redis-py types a part of itself only
    sentinel = sentinels(address.nodes, sentinel_kwargs=to_sentinels, **to_server)
    return cast("redis.asyncio.Redis", sentinel.master_for(address.service, redis_class=Primary))


def is_cluster(client: Any) -> bool:
    """Tell whether a client, for an event loop or not, is one of a cluster."""
    return hasattr(type(client), "mget_nonatomic")


def mget(client: Redis, keys: Sequence[str] | Sequence[bytes]) -> list[bytes | None]:
    """Return the values of any keys, in their order; from a cluster they are not of one instant."""
    if not keys:
        return []
    return cast("list[bytes | None]", client.mget_nonatomic(keys) if is_cluster(client) else client.mget(keys))  # type: ignore[attr-defined]


async def mget_async(client: AsyncRedis, keys: Sequence[str] | Sequence[bytes]) -> list[bytes | None]:
    """Return the values of any keys, in their order; from a cluster they are not of one instant."""
    if not keys:
        return []
    if is_cluster(client):
        return cast("list[bytes | None]", await client.mget_nonatomic(keys))  # type: ignore[attr-defined]
    return cast("list[bytes | None]", await client.execute_command("MGET", *keys))  # type: ignore[no-untyped-call]


def by_slot(keys: Sequence[str], items: Sequence[_Item]) -> list[tuple[list[str], list[_Item]]]:
    """Part keys, each with its item, into groups that a cluster takes in one command; the order within a group stays."""
    from redis.crc import key_slot

    groups: dict[int, tuple[list[str], list[_Item]]] = {}
    for key, item in zip(keys, items, strict=True):
        some, theirs = groups.setdefault(key_slot(key.encode()), ([], []))
        some.append(key)
        theirs.append(item)
    return list(groups.values())


def redis_faults() -> tuple[type[Exception], ...]:
    """Return what redis-py raises for anything that is wrong with a server; some of a cluster's errors are no `RedisError`."""
    from redis.exceptions import RedisClusterException, RedisError

    return RedisError, RedisClusterException


def escaped(text: str) -> str:
    """Return a text as Redis's MATCH takes it literally."""
    return "".join(f"\\{each}" if each in "*?[]\\^" else each for each in text)


def where_is(server: Any) -> str:
    """Return where a client of any kind asks, in words for a message."""
    if is_cluster(server):
        nodes = server.address.nodes if isinstance(server, ClusterClient) else [(node.host, node.port) for node in server.startup_nodes]
        return _named("cluster", nodes)
    pool = server.connection_pool
    if hasattr(pool, "sentinel_manager"):
        addresses = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
        return _named("sentinel", [(each["host"], each["port"]) for each in addresses], pool.service_name)
    address = pool.connection_kwargs
    return _named("server", [(address.get("host", "localhost"), address.get("port", 6379))])


@contextmanager
def redis_errors(server: Any) -> Iterator[None]:
    """Turn an error of the server into an `OnlineStoreDownError` that says what to do; a fault of ours passes through.

    Args:
        server: The client that is used, of any kind.

    Raises:
        OnlineStoreDownError: The server cannot be reached, refuses the password, is full or read-only, or a part of a cluster is away.

    """
    from redis import exceptions

    try:
        yield
    except exceptions.AuthenticationError as error:
        raise _refused(server) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        fix = "Run `detektor up`, or correct DETEKTOR_EXTERNAL_REDIS_URL."
        raise _down(server, "Redis does not answer.", fix) from error
    except (exceptions.ResponseError, exceptions.RedisClusterException) as error:
        if isinstance(error.__cause__, exceptions.AuthenticationError):  # of a cluster's first connection
            raise _refused(server) from error
        for words, what, fix in _REFUSALS:
            if words in str(error):
                raise _down(server, what, fix) from error
        if isinstance(error, (exceptions.ClusterError, exceptions.RedisClusterException)):
            fix = "See `redis-cli cluster info` and `redis-cli cluster nodes`. Writing again is harmless."
            raise _down(server, "A part of the Redis cluster does not answer.", fix) from error
        raise


def _sentinel_options(parsed: Any, address: RedisAddress, chosen: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the connections to the Sentinels, and to the server that they name."""
    given = {name: value for name, value in parsed.items() if name not in {"host", "port", "connection_class"}}
    theirs = {name: given.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in given}
    tls = {name: value for name, value in given.items() if name.startswith("ssl")} | ({"ssl": True} if address.tls else {})
    sockets = {name: value for name, value in (chosen | given).items() if name.startswith("socket_") and value is not None}
    return _CONNECTION | sockets | tls | theirs | {"retry": chosen["retry"]}, chosen | given | tls


def _named(kind: str, nodes: Sequence[tuple[Any, Any]], service: str = "") -> str:
    listed = ", ".join(f"{host}:{port}" for host, port in nodes)
    return {"sentinel": f"Redis {service} by the Sentinels at {listed}", "cluster": f"Redis cluster at {listed}"}.get(
        kind, f"Redis at {listed}"
    )


def _refused(server: Any) -> OnlineStoreDownError:
    return _down(server, "Redis refuses the password.", "Check DETEKTOR_EXTERNAL_REDIS_URL, or run `detektor doctor`.")


def _down(server: Any, what: str, fix: str) -> OnlineStoreDownError:
    return OnlineStoreDownError(what, where=where_is(server), fix=fix)
