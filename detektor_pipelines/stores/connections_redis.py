"""Connections to Redis, and its errors in words a person can act on.

redis-py imports slowly, so it is imported where it is used.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 5.0
CONNECTIONS: Final = 64

_REFUSALS: Final = (  # by words of the message: inside a script, and in redis-py's own exceptions, the error's code is not in front
    ("maxmemory", "Redis is full.", "Raise its maxmemory, or drop retired versions."),
    ("read only replica", "This Redis is a replica.", "Give the primary's address in DETEKTOR_EXTERNAL_REDIS_URL."),
    ("MISCONF", "Redis cannot save to disk and refuses writes.", "Free disk space on its server."),
    ("NOAUTH", "Redis wants a password.", "Give it in DETEKTOR_EXTERNAL_REDIS_URL."),
    ("permissions", "The Redis user may not do this.", "Grant it GET, SET, SETNX, MGET, SCAN, UNLINK and EVAL on feast:*."),
)


class OnlineStoreDownError(UserError):
    """Redis does not answer, or refuses: nothing was read or written, or only a part of a batch was."""


def redis_client(settings: Settings) -> Redis:
    """Return a client with a pool of its own and short time-outs; values are bytes. Close it when done.

    The retries are for a connection that the server closed while idle. A read must fail fast, so that serving can fall back.
    """
    from redis import Redis
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry

    return Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        max_connections=CONNECTIONS,
        health_check_interval=30,
        retry=Retry(ConstantBackoff(0.02), 2),
    )


def escaped(text: str) -> str:
    """Return a text as Redis's MATCH takes it literally."""
    return "".join(f"\\{each}" if each in "*?[]\\^" else each for each in text)


@contextmanager
def redis_errors(client: Redis) -> Iterator[None]:
    """Turn an error of the server into an `OnlineStoreDownError` that says what to do; a fault of ours passes through.

    Raises:
        OnlineStoreDownError: The server cannot be reached, refuses the password, is full or read-only.

    """
    from redis import exceptions

    try:
        yield
    except exceptions.AuthenticationError as error:
        raise _down(client, "Redis refuses the password.", "Check DETEKTOR_EXTERNAL_REDIS_URL, or run `detektor doctor`.") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        fix = "Run `detektor up`, or correct DETEKTOR_EXTERNAL_REDIS_URL."
        raise _down(client, "Redis does not answer.", fix) from error
    except exceptions.ResponseError as error:
        for words, what, fix in _REFUSALS:
            if words in str(error):
                raise _down(client, what, fix) from error
        raise


def _down(client: Redis, what: str, fix: str) -> OnlineStoreDownError:
    address = client.connection_pool.connection_kwargs
    return OnlineStoreDownError(what, where=f"Redis at {address.get('host', 'localhost')}:{address.get('port', 6379)}", fix=fix)
