"""What a question to the platform is, what its answer is, and the connections that questions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from detektor_pipelines import sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg
    from redis import Redis

    from detektor_pipelines.metric import Metric
    from detektor_pipelines.settings import Settings

Samples: TypeAlias = dict[tuple[str, ...], float]
"""By the values of a metric's labels."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    `values`: samples of each metric. `instants`: of each metric that is an age, since when, µs UTC of the platform's clock; the age is
    taken at each scrape, so it grows while the question is not answered.
    """

    values: Mapping[Metric, Samples] = field(default_factory=dict)
    instants: Mapping[Metric, Samples] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: What logs and metrics call it.
        every: How often, in turns of DETEKTOR_EXPORTER_SECONDS.
        ask: Asks; whatever it raises, the others are asked all the same.

    """

    name: str
    every: int
    ask: Callable[[Stores], Answer]


class Stores:
    """One connection to each store, opened when it is first asked, and again after a fault."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.memory: dict[str, Any] = {}
        """What a question remembers from one time to the next, by its name."""
        self._postgres: psycopg.Connection | None = None
        self._redis: Redis | None = None

    @property
    def postgres(self) -> psycopg.Connection:
        """A connection that only reads, in autocommit; no statement of it takes longer than 30 s."""
        import psycopg

        if self._postgres is None:
            limits = {"statement_timeout": "30s", "default_transaction_read_only": "on", "jit": "off"}
            self._postgres = psycopg.connect(
                sessions.changed(self.settings.postgres_dsn, limits),
                autocommit=True,
                connect_timeout=5,
                application_name="detektor exporter",
            )
        return self._postgres

    @property
    def redis(self) -> Redis:
        """A client of the online store."""
        from detektor_pipelines.stores.connections_redis import redis_client

        if self._redis is None:
            self._redis = redis_client(self.settings)
        return self._redis

    def forget(self) -> None:
        """Close both: after a fault, and at the end."""
        for connection in (self._postgres, self._redis):
            if connection is not None:
                connection.close()
        self._postgres = self._redis = None
