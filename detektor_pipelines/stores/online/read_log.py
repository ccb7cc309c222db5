"""A sample of what was really read online, kept in Redis: each value with its instant and snapshot, to be computed again.

    feast:<project>#reads    a stream of (version, agent_id, packed value), the newest ten thousand or so

Parity wants what readers got, not what stands there when somebody looks.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.stores.connections_redis import redis_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis import Redis

    from detektor_pipelines.stores.online.values import Lookup

KEPT: Final = 10_000


def key(project: str) -> str:
    """Return the stream's key."""
    return f"feast:{project}#reads"


class Sampler:
    """Chooses of any number of things each with probability `rate`, at the cost of one random number a choice."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = self._gap()

    def chosen(self, count: int) -> list[int]:
        """Return the positions that are chosen of the next `count`."""
        found = []
        while self._next < count:
            found.append(int(self._next))
            self._next += 1 + self._gap()
        self._next -= count
        return found

    def _gap(self) -> float:
        """Return how many are passed over before the next one that is chosen."""
        if self._rate <= 0:
            return math.inf
        return 0 if self._rate >= 1 else math.log(1 - random.random()) // math.log(1 - self._rate)  # noqa: S311  a sample, no secret


def sampled(lookups: Iterable[Lookup], answers: Sequence[bytes | None], sampler: Sampler) -> list[tuple[str, str, bytes]]:
    """Choose of a read's answers: (version, agent_id, packed). `answers` as `online.keys_of` asked."""
    chosen, position = [], 0
    for each in lookups:
        for number in sampler.chosen(len(each.agent_ids)):
            packed = answers[position + number]
            if packed is not None:
                chosen.append((each.view.version, each.agent_ids[number], packed))
        position += len(each.agent_ids) + 1
    return chosen


def commands(project: str, chosen: Iterable[tuple[str, str, bytes]]) -> list[tuple[Any, ...]]:
    """Return the XADD commands that keep them."""
    return [("XADD", key(project), "MAXLEN", "~", KEPT, "*", "v", version, "a", agent, "p", packed) for version, agent, packed in chosen]


def newest(client: Redis, project: str, limit: int) -> list[tuple[str, str, bytes]]:
    """Return up to `limit` of the sampled reads, newest first: (version, agent_id, packed).

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrevrange(key(project), count=limit))
    return [(fields[b"v"].decode(), fields[b"a"].decode(), fields[b"p"]) for _, fields in entries]
